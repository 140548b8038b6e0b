use super::StoredRow;
use crate::judgements::{
    insert_meta_comparison, insert_meta_score, insert_verdict, read_meta_comparison,
    read_meta_score, read_verdict,
};
use crate::open::Abort;
use crate::transfer::columns::{INDEX, PAIR_ID, SIDE, TableColumn, described};
use crate::{FilterVerdict, MetaComparison, MetaScore};
use critic_types::ColumnKind::{Count, Flag, Number, Text};
use critic_types::Side;
use rusqlite::{Connection, Result, Row, Transaction};
use serde::{Deserialize, Serialize};

const JUDGEMENT_KEY: &[&str] = &["key", "pair_id", "side", "idx"];
const REFINE_KEY: TableColumn =
    described("key", Text, "address of the refinement and everything before it");
const JUDGEMENT_ORDER: &str = "key, pair_id, side, idx";

fn judgement_key(key: &str, pair_id: &str, side: Side, index: usize) -> Vec<String> {
    vec![key.to_owned(), pair_id.to_owned(), side.as_str().to_owned(), index.to_string()]
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StoredVerdict {
    key: String,
    pair_id: String,
    side: Side,
    index: usize,
    kept: bool,
    reason: Option<String>,
}

impl StoredRow for StoredVerdict {
    const TABLE: &'static str = "filter_verdicts";
    const COLUMNS: &'static [TableColumn] = &[
        described(
            "key",
            Text,
            "address of the filter's settings, the pairs and the candidates it saw",
        ),
        PAIR_ID,
        SIDE,
        INDEX,
        described("kept", Flag, "whether the candidate goes on"),
        described("reason", Text, "why it does not; null where it does"),
    ];
    const KEY: &'static [&'static str] = JUDGEMENT_KEY;
    const ORDER: &'static str = JUDGEMENT_ORDER;

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let FilterVerdict { pair_id, side, index, kept, reason } = read_verdict(row)?;
        Ok(Self { key: row.get("key")?, pair_id, side, index, kept, reason })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let Self { key, pair_id, side, index, kept, reason } = self;
        let verdict = FilterVerdict {
            pair_id: pair_id.clone(),
            side: *side,
            index: *index,
            kept: *kept,
            reason: reason.clone(),
        };
        insert_verdict(transaction, key, &verdict)
    }

    fn key(&self) -> Vec<String> {
        judgement_key(&self.key, &self.pair_id, self.side, self.index)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StoredMetaScore {
    key: String,
    pair_id: String,
    side: Side,
    index: usize,
    score: f64,
}

impl StoredRow for StoredMetaScore {
    const TABLE: &'static str = "meta_scores";
    const COLUMNS: &'static [TableColumn] = &[
        REFINE_KEY,
        PAIR_ID,
        SIDE,
        INDEX,
        described(
            "score",
            Number,
            "how good a critique it is, larger is better; the unit is the judge's",
        ),
    ];
    const KEY: &'static [&'static str] = JUDGEMENT_KEY;
    const ORDER: &'static str = JUDGEMENT_ORDER;

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let MetaScore { pair_id, side, index, score } = read_meta_score(row)?;
        Ok(Self { key: row.get("key")?, pair_id, side, index, score })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let Self { key, pair_id, side, index, score } = self;
        let score =
            MetaScore { pair_id: pair_id.clone(), side: *side, index: *index, score: *score };
        insert_meta_score(transaction, key, &score)
    }

    fn key(&self) -> Vec<String> {
        judgement_key(&self.key, &self.pair_id, self.side, self.index)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StoredMetaComparison {
    key: String,
    pair_id: String,
    side: Side,
    first: usize,
    second: usize,
    log_odds: Option<f64>,
}

impl StoredRow for StoredMetaComparison {
    const TABLE: &'static str = "meta_comparisons";
    const COLUMNS: &'static [TableColumn] = &[
        REFINE_KEY,
        PAIR_ID,
        SIDE,
        described("first", Count, "the candidate that the meta-judge was shown first"),
        described("second", Count, "the candidate that it was shown second"),
        described(
            "log_odds",
            Number,
            "ln P(the first is the better critique) − ln P(the second is); null where there was no answer",
        ),
    ];
    const KEY: &'static [&'static str] = &["key", "pair_id", "side", "idx", "second_idx"];
    const ORDER: &'static str = "key, pair_id, side, idx, second_idx";

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let MetaComparison { pair_id, side, first, second, log_odds } = read_meta_comparison(row)?;
        Ok(Self { key: row.get("key")?, pair_id, side, first, second, log_odds })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let Self { key, pair_id, side, first, second, log_odds } = self;
        let comparison = MetaComparison {
            pair_id: pair_id.clone(),
            side: *side,
            first: *first,
            second: *second,
            log_odds: *log_odds,
        };
        insert_meta_comparison(transaction, key, &comparison)
    }

    fn key(&self) -> Vec<String> {
        let mut key = judgement_key(&self.key, &self.pair_id, self.side, self.first);
        key.push(self.second.to_string());
        key
    }
}
