use super::StoredRow;
use crate::open::Abort;
use crate::transfer::columns::{TableColumn, described};
use crate::{pairs, stages};
use critic_types::ColumnKind::{Number, Objects, Text};
use critic_types::{Column, Conversation, PreferencePair};
use rusqlite::{Connection, Result, Row, Transaction};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct SplitPair {
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

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transfer) struct StageMark {
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
