//! The columns that several tables have, with what they mean.

use critic_types::ColumnKind::{Count, Number, Text};
use critic_types::{Column, ColumnKind};

/// A column with what stands in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::transfer) struct TableColumn {
    pub(in crate::transfer) column: Column,
    pub(in crate::transfer) meaning: &'static str,
}

/// A column.
pub(in crate::transfer) const fn described(
    name: &'static str,
    kind: ColumnKind,
    meaning: &'static str,
) -> TableColumn {
    TableColumn { column: Column::new(name, kind), meaning }
}

pub(in crate::transfer) const PAIR_ID: TableColumn = described("pair_id", Text, "the pair's id");
pub(in crate::transfer) const PAIR_CONTENT: TableColumn = described(
    "pair_content",
    Text,
    "address of the pair's prompt and both responses; empty in rows of version 1 whose id named several pairs",
);
pub(in crate::transfer) const SIDE: TableColumn =
    described("side", Text, "the response it is about: chosen or rejected");
pub(in crate::transfer) const INDEX: TableColumn =
    described("index", Count, "which of the response's candidates, from 0");
const TEXT: TableColumn = described("text", Text, "the critique, without template text");
const FINISH_REASON: TableColumn =
    described("finish_reason", Text, "why the text ended: stop, length or deadline");
const N_TOKENS: TableColumn =
    described("n_tokens", Count, "its length in tokens, without the closing token");
const PROVENANCE: TableColumn = described(
    "provenance",
    Text,
    "where the text came from: sampled, conditioned (the critic was told the label), summarized, human, external or constructed",
);

/// The columns of `candidates` and `critiques` under this key.
pub(in crate::transfer) const fn of_texts(key: &'static str) -> [TableColumn; 12] {
    [
        described("key", Text, key),
        PAIR_ID,
        PAIR_CONTENT,
        SIDE,
        INDEX,
        TEXT,
        described(
            "parsed_score",
            Number,
            "the score the text states, in points of its scale (prompts.scale); null where none is read",
        ),
        described(
            "expected_score",
            Number,
            "the expected score, in points of its scale; null where it was not read",
        ),
        described(
            "verdict",
            Number,
            "ln P(yes) − ln P(no) after the critique; null where it was not read",
        ),
        FINISH_REASON,
        N_TOKENS,
        PROVENANCE,
    ]
}
