use super::StoredRow;
use crate::open::Abort;
use crate::predictions::ResponseKey;
use crate::response_verdicts;
use crate::transfer::columns::{PAIR_CONTENT, PAIR_ID, SIDE, TableColumn, described};
use critic_types::ColumnKind::{Number, Text};
use critic_types::Side;
use rusqlite::{Connection, Result, Row, Transaction};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StoredResponseVerdict {
    key: String,
    pair_id: String,
    pair_content: String,
    side: Side,
    verdict: Option<f64>,
}

impl StoredRow for StoredResponseVerdict {
    const TABLE: &'static str = "response_verdicts";
    const COLUMNS: &'static [TableColumn] = &[
        described("key", Text, "address of the critic and its prompts"),
        PAIR_ID,
        PAIR_CONTENT,
        SIDE,
        described(
            "verdict",
            Number,
            "ln P(yes) − ln P(no) right after the response, without critique; null where the critic gave no probabilities",
        ),
    ];
    const KEY: &'static [&'static str] = &["key", "pair_id", "pair_content", "side"];
    const ORDER: &'static str = "key, pair_id, pair_content, side";

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let (ResponseKey { pair_id, pair_content, side }, verdict) = response_verdicts::read(row)?;
        Ok(Self { key: row.get("key")?, pair_id, pair_content, side, verdict })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let response = ResponseKey {
            pair_id: self.pair_id.clone(),
            pair_content: self.pair_content.clone(),
            side: self.side,
        };
        response_verdicts::insert(transaction, &self.key, &response, self.verdict)
    }

    fn key(&self) -> Vec<String> {
        let Self { key, pair_id, pair_content, side, .. } = self;
        vec![key.clone(), pair_id.clone(), pair_content.clone(), side.as_str().to_owned()]
    }
}
