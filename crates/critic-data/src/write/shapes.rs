//! The formats that can be written: columns, and a pair's row.

use crate::{AnnotatedPair, PairFormat, dialogue};
use critic_types::{Column, ColumnKind, Conversation, OracleCritique, Role, Side};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

/// A format that can be written.
pub(super) struct Shape {
    pub(super) format: PairFormat,
    pub(super) columns: &'static [Column],
    /// A row of a table.
    pub(super) row: fn(&AnnotatedPair) -> Value,
    /// A row as JSON.
    pub(super) json: fn(&AnnotatedPair, &mut dyn Write) -> io::Result<()>,
}

const fn text(name: &'static str) -> Column {
    Column::new(name, ColumnKind::Text)
}

const MESSAGE: &[Column] = &[text("role"), text("content")];

const fn messages(name: &'static str) -> Column {
    Column::new(name, ColumnKind::Objects(MESSAGE))
}

const MARGIN: Column = Column::new("margin", ColumnKind::Number);
const CRITIQUE: &[Column] = &[text("side"), text("text"), text("provenance")];

pub(super) static SHAPES: [&Shape; 6] = [
    &Shape {
        format: PairFormat::Own,
        columns: &[
            text("id"),
            text("domain"),
            text("subset"),
            messages("prompt"),
            text("chosen"),
            text("rejected"),
            MARGIN,
            Column::new("critiques", ColumnKind::Objects(CRITIQUE)),
        ],
        row: |annotated| {
            let mut row = to_value(&own(annotated));
            row["prompt"] = json!(annotated.pair.prompt);
            row
        },
        json: |annotated, out| Ok(serde_json::to_writer(out, &own(annotated))?),
    },
    &Shape {
        format: PairFormat::TrlStandard,
        columns: &[text("prompt"), text("chosen"), text("rejected"), MARGIN],
        row: trl_standard,
        json: |annotated, out| write_value(&trl_standard(annotated), out),
    },
    &Shape {
        format: PairFormat::TrlConversational,
        columns: &[messages("prompt"), messages("chosen"), messages("rejected"), MARGIN],
        row: trl_conversational,
        json: |annotated, out| write_value(&trl_conversational(annotated), out),
    },
    &Shape {
        format: PairFormat::TrlConversationalImplicit,
        columns: &[messages("chosen"), messages("rejected"), MARGIN],
        row: trl_implicit,
        json: |annotated, out| write_value(&trl_implicit(annotated), out),
    },
    &Shape {
        format: PairFormat::AnthropicHh,
        columns: &[text("chosen"), text("rejected")],
        row: anthropic_hh,
        json: |annotated, out| write_value(&anthropic_hh(annotated), out),
    },
    &Shape {
        format: PairFormat::Swift,
        columns: &[messages("messages"), text("rejected_response"), MARGIN],
        row: swift,
        json: |annotated, out| write_value(&swift(annotated), out),
    },
];

/// The line of the table, if the format can be written.
pub(super) fn of(format: PairFormat) -> Option<&'static Shape> {
    SHAPES.into_iter().find(|shape| shape.format == format)
}

fn to_value(row: &impl Serialize) -> Value {
    serde_json::to_value(row).expect("texts and finite numbers always have a JSON form")
}

fn write_value(row: &Value, out: &mut dyn Write) -> io::Result<()> {
    Ok(serde_json::to_writer(out, row)?)
}

/// A row of the own format; the order of the fields is the order in the file.
#[derive(Serialize)]
struct OwnRow<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subset: Option<&'a str>,
    prompt: Prompt<'a>,
    chosen: &'a str,
    rejected: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    critiques: Vec<OracleCritique>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prompt<'a> {
    Text(&'a str),
    Messages(&'a Conversation),
}

fn own(AnnotatedPair { pair, critiques }: &AnnotatedPair) -> OwnRow<'_> {
    let last = pair.prompt.last_user_text();
    // As text where the text is read back as this very conversation.
    let prompt = if dialogue::prompt(last) == pair.prompt {
        Prompt::Text(last)
    } else {
        Prompt::Messages(&pair.prompt)
    };
    let unnamed =
        |critique: &OracleCritique| OracleCritique { pair_id: String::new(), ..critique.clone() };
    OwnRow {
        id: &pair.id,
        domain: pair.domain.as_deref(),
        subset: pair.subset.as_deref(),
        prompt,
        chosen: &pair.chosen,
        rejected: &pair.rejected,
        margin: pair.margin,
        critiques: critiques.iter().map(unnamed).collect(),
    }
}

/// A conversation as text: its one turn, or a dialogue in Anthropic's form that asks for the answer.
fn prompt_text(prompt: &Conversation) -> String {
    match prompt.messages() {
        [only] if only.role == Role::User => only.content.clone(),
        turns => format!("{}\n\nAssistant:", dialogue_text(turns)).trim_start().to_owned(),
    }
}

fn dialogue_text(turns: &[critic_types::Message]) -> String {
    let line = |turn: &critic_types::Message| match turn.role {
        // The form has no system turn: its words open the dialogue.
        Role::System | Role::User => format!("\n\nHuman: {}", turn.content),
        Role::Assistant => format!("\n\nAssistant: {}", turn.content),
    };
    turns.iter().map(line).collect()
}

fn with_margin(mut row: Value, annotated: &AnnotatedPair) -> Value {
    if let Some(margin) = annotated.pair.margin {
        row["margin"] = json!(margin);
    }
    row
}

fn trl_standard(annotated: &AnnotatedPair) -> Value {
    let pair = &annotated.pair;
    let row = json!({"prompt": prompt_text(&pair.prompt), "chosen": pair.chosen, "rejected": pair.rejected});
    with_margin(row, annotated)
}

fn answer(text: &str) -> Value {
    json!([{"role": "assistant", "content": text}])
}

fn trl_conversational(annotated: &AnnotatedPair) -> Value {
    let pair = &annotated.pair;
    let row = json!({"prompt": pair.prompt, "chosen": answer(&pair.chosen), "rejected": answer(&pair.rejected)});
    with_margin(row, annotated)
}

fn trl_implicit(annotated: &AnnotatedPair) -> Value {
    let whole = |side| json!(annotated.pair.conversation(side));
    with_margin(
        json!({"chosen": whole(Side::Chosen), "rejected": whole(Side::Rejected)}),
        annotated,
    )
}

fn anthropic_hh(annotated: &AnnotatedPair) -> Value {
    let whole = |side| dialogue_text(annotated.pair.conversation(side).messages());
    json!({"chosen": whole(Side::Chosen), "rejected": whole(Side::Rejected)})
}

fn swift(annotated: &AnnotatedPair) -> Value {
    let pair = &annotated.pair;
    let row =
        json!({"messages": pair.conversation(Side::Chosen), "rejected_response": pair.rejected});
    with_margin(row, annotated)
}
