use super::StoredRow;
use crate::candidates;
use crate::open::Abort;
use crate::transfer::columns::{TableColumn, of_texts};
use critic_types::{Candidate, CritiqueScores, FinishReason, Provenance, Side};
use rusqlite::{Connection, Result, Row, Transaction};
use serde::{Deserialize, Serialize};

/// A row of `candidates` or `critiques`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextRow {
    key: String,
    pair_id: String,
    pair_content: String,
    side: Side,
    index: usize,
    text: String,
    parsed_score: Option<f64>,
    expected_score: Option<f64>,
    verdict: Option<f64>,
    finish_reason: FinishReason,
    n_tokens: usize,
    provenance: Provenance,
}

const TEXT_KEY: &[&str] = &["key", "pair_id", "pair_content", "side", "idx"];
const TEXT_ORDER: &str = "key, pair_id, pair_content, side, idx";

impl TextRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let Candidate { pair_id, side, index, text, scores, finish_reason, n_tokens, provenance } =
            candidates::read(row)?;
        let CritiqueScores { parsed, expected, verdict } = scores;
        Ok(Self {
            key: row.get("key")?,
            pair_id,
            pair_content: row.get("pair_content")?,
            side,
            index,
            text,
            parsed_score: parsed,
            expected_score: expected,
            verdict,
            finish_reason,
            n_tokens,
            provenance,
        })
    }

    fn insert(
        &self,
        transaction: &Transaction<'_>,
        table: &'static str,
    ) -> std::result::Result<bool, Abort> {
        let scores = CritiqueScores {
            parsed: self.parsed_score,
            expected: self.expected_score,
            verdict: self.verdict,
        };
        let candidate = Candidate {
            pair_id: self.pair_id.clone(),
            side: self.side,
            index: self.index,
            text: self.text.clone(),
            scores,
            finish_reason: self.finish_reason,
            n_tokens: self.n_tokens,
            provenance: self.provenance,
        };
        candidates::insert(transaction, table, &self.key, &self.pair_content, &candidate)
    }

    fn key(&self) -> Vec<String> {
        let Self { key, pair_id, pair_content, side, index, .. } = self;
        let side = side.as_str().to_owned();
        vec![key.clone(), pair_id.clone(), pair_content.clone(), side, index.to_string()]
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::transfer) struct StoredCandidate(TextRow);

impl StoredRow for StoredCandidate {
    const TABLE: &'static str = "candidates";
    const COLUMNS: &'static [TableColumn] = &of_texts(
        "address of how it was made: model, prompts, sampling, seed, number of candidates, round",
    );
    const KEY: &'static [&'static str] = TEXT_KEY;
    const ORDER: &'static str = TEXT_ORDER;

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        TextRow::read(row).map(Self)
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        self.0.insert(transaction, Self::TABLE)
    }

    fn key(&self) -> Vec<String> {
        self.0.key()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::transfer) struct StoredCritique(TextRow);

impl StoredRow for StoredCritique {
    const TABLE: &'static str = "critiques";
    const COLUMNS: &'static [TableColumn] =
        &of_texts("address of the refinement and everything before it");
    const KEY: &'static [&'static str] = TEXT_KEY;
    const ORDER: &'static str = TEXT_ORDER;

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        TextRow::read(row).map(Self)
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        self.0.insert(transaction, Self::TABLE)
    }

    fn key(&self) -> Vec<String> {
        self.0.key()
    }
}
