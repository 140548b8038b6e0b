//! The rows of each table: what a file holds, and how it enters and leaves the database.

use super::columns::{INDEX, PAIR_CONTENT, PAIR_ID, SIDE, TableColumn, described, of_texts};
use crate::judgements::{insert_meta_score, insert_verdict, read_meta_score, read_verdict};
use crate::open::Abort;
use crate::predictions::ResponseKey;
use crate::{FilterVerdict, MetaScore, candidates, pairs, predictions, stages};
use critic_types::ColumnKind::{Count, Flag, Number, Objects, Text};
use critic_types::{
    Candidate, Column, Conversation, CritiqueReward, CritiqueScores, FinishReason, PreferencePair,
    Provenance, Reward, RewardPrediction, Side,
};
use rusqlite::{Connection, Result, Row, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A row of a table, typed.
pub(super) trait StoredRow: Serialize + DeserializeOwned + PartialEq {
    /// The table's name in the database.
    const TABLE: &'static str;
    /// Its columns in a file, in the order of the fields.
    const COLUMNS: &'static [TableColumn];
    /// The columns of the primary key.
    const KEY: &'static [&'static str];
    /// The order in which rows leave.
    const ORDER: &'static str;

    /// From a row of the database.
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self>;

    /// Adds it where its key is free; gives whether it was.
    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort>;

    /// The values of [`KEY`](Self::KEY).
    fn key(&self) -> Vec<String>;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitPair {
    split: String,
    id: String,
    prompt: Conversation,
    chosen: String,
    rejected: String,
    margin: Option<f64>,
    domain: Option<String>,
    subset: Option<String>,
}

const MESSAGE: &[Column] = &[Column::new("role", Text), Column::new("content", Text)];

impl StoredRow for SplitPair {
    const TABLE: &'static str = "pairs";
    const COLUMNS: &'static [TableColumn] = &[
        described("split", Text, "train or eval and the address of the set"),
        described("id", Text, "the pair's id, once in a split"),
        described(
            "prompt",
            Objects(MESSAGE),
            "the conversation up to the response: role and content of each turn",
        ),
        described("chosen", Text, "the preferred response"),
        described("rejected", Text, "the other response"),
        described(
            "margin",
            Number,
            "how much better the chosen one is, in the data's unit; null where the data does not say",
        ),
        described("domain", Text, "the section a report groups by; null where there is none"),
        described("subset", Text, "a finer group; null where there is none"),
    ];
    const KEY: &'static [&'static str] = &["split", "pair_id"];
    const ORDER: &'static str = "seq";

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let PreferencePair { id, prompt, chosen, rejected, margin, domain, subset } =
            pairs::read(row)?;
        Ok(Self { split: row.get("split")?, id, prompt, chosen, rejected, margin, domain, subset })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        let Self { split, id, prompt, chosen, rejected, margin, domain, subset } = self;
        let pair = PreferencePair {
            id: id.clone(),
            prompt: prompt.clone(),
            chosen: chosen.clone(),
            rejected: rejected.clone(),
            margin: *margin,
            domain: domain.clone(),
            subset: subset.clone(),
        };
        pairs::insert(transaction, split, &pair)
    }

    fn key(&self) -> Vec<String> {
        vec![self.split.clone(), self.id.clone()]
    }
}

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
pub(super) struct StoredCandidate(TextRow);

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
pub(super) struct StoredCritique(TextRow);

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

const JUDGEMENT_KEY: &[&str] = &["key", "pair_id", "side", "idx"];
const JUDGEMENT_ORDER: &str = "key, pair_id, side, idx";

fn judgement_key(key: &str, pair_id: &str, side: Side, index: usize) -> Vec<String> {
    vec![key.to_owned(), pair_id.to_owned(), side.as_str().to_owned(), index.to_string()]
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredVerdict {
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
pub(super) struct StoredMetaScore {
    key: String,
    pair_id: String,
    side: Side,
    index: usize,
    score: f64,
}

impl StoredRow for StoredMetaScore {
    const TABLE: &'static str = "meta_scores";
    const COLUMNS: &'static [TableColumn] = &[
        described("key", Text, "address of the refinement and everything before it"),
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
pub(super) struct StoredPrediction {
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

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StageMark {
    stage: String,
    inputs: String,
    summary: String,
}

impl StoredRow for StageMark {
    const TABLE: &'static str = "stages";
    const COLUMNS: &'static [TableColumn] = &[
        described("stage", Text, "the stage"),
        described("inputs", Text, "address of its inputs and settings"),
        described("summary", Text, "what it said when it was done, as JSON text"),
    ];
    const KEY: &'static [&'static str] = &["stage", "inputs"];
    const ORDER: &'static str = "stage, inputs";

    fn read(_: &Connection, row: &Row<'_>) -> Result<Self> {
        let (stage, inputs) = (row.get("stage")?, row.get("inputs")?);
        Ok(Self { stage, inputs, summary: row.get("summary")? })
    }

    fn insert(&self, transaction: &Transaction<'_>) -> std::result::Result<bool, Abort> {
        stages::insert(transaction, &self.stage, &self.inputs, &self.summary)
    }

    fn key(&self) -> Vec<String> {
        vec![self.stage.clone(), self.inputs.clone()]
    }
}
