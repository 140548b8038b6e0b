use super::StoredRow;
use crate::open::Abort;
use crate::predictions::{self, ResponseKey};
use crate::transfer::columns::{PAIR_CONTENT, PAIR_ID, SIDE, TableColumn, described};
use critic_types::ColumnKind::{Count, Number, Objects, Text};
use critic_types::{Column, CritiqueReward, Reward, RewardPrediction, Side};
use rusqlite::{Connection, Result, Row, Transaction};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StoredPrediction {
    key: String,
    pair_id: String,
    pair_content: String,
    side: Side,
    mean: Reward,
    std: Option<f64>,
    without_critique: Option<Reward>,
    n_failed: usize,
    critiques: Vec<CritiqueReward>,
}

const CRITIQUE: &[Column] = &[
    Column::new("text", Text),
    Column::new("reward", Number),
    Column::new("finish_reason", Text),
    Column::new("n_tokens", Count),
];

impl StoredRow for StoredPrediction {
    const TABLE: &'static str = "predictions";
    const COLUMNS: &'static [TableColumn] = &[
        described("key", Text, "address of the reward model and of how it was read"),
        PAIR_ID,
        PAIR_CONTENT,
        SIDE,
        described(
            "mean",
            Number,
            "the mean reward over the critiques, log-odds; without critique where none was asked for",
        ),
        described("std", Number, "sample standard deviation over the critiques; null below two"),
        described(
            "without_critique",
            Number,
            "the reward read right after the response; null where it was not read",
        ),
        described("n_failed", Count, "critiques that could not be had, left out of the mean"),
        described(
            "critiques",
            Objects(CRITIQUE),
            "text, reward, finish_reason and n_tokens of each critique, in order",
        ),
    ];
    const KEY: &'static [&'static str] = &["key", "pair_id", "pair_content", "side"];
    const ORDER: &'static str = "key, pair_id, pair_content, side";

    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self> {
        let ResponseKey { pair_id, pair_content, side } = ResponseKey::read(row)?;
        let RewardPrediction { mean, std, without_critique, critiques, n_failed } =
            predictions::read(connection, row)?;
        let key = row.get("key")?;
        Ok(Self {
            key,
            pair_id,
            pair_content,
            side,
            mean,
            std,
            without_critique,
            n_failed,
            critiques,
        })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let response = ResponseKey {
            pair_id: self.pair_id.clone(),
            pair_content: self.pair_content.clone(),
            side: self.side,
        };
        let prediction = RewardPrediction {
            mean: self.mean,
            std: self.std,
            without_critique: self.without_critique,
            critiques: self.critiques.clone(),
            n_failed: self.n_failed,
        };
        predictions::insert(transaction, &self.key, &response, &prediction)
    }

    fn key(&self) -> Vec<String> {
        let Self { key, pair_id, pair_content, side, .. } = self;
        vec![key.clone(), pair_id.clone(), pair_content.clone(), side.as_str().to_owned()]
    }
}
