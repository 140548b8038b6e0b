//! Typed access to a row; null counts as absent.

use crate::RowProblem;
use critic_types::{Conversation, Message, Role};
use serde_json::{Map, Value};

pub(crate) type Object = Map<String, Value>;

/// The value of a field that is there and not null.
pub(crate) fn present<'a>(row: &'a Object, field: &str) -> Option<&'a Value> {
    row.get(field).filter(|value| !value.is_null())
}

/// The value of a field that must be there.
pub(crate) fn required<'a>(row: &'a Object, field: &'static str) -> Result<&'a Value, RowProblem> {
    present(row, field).ok_or(RowProblem::MissingField { field })
}

/// A text.
pub(crate) fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, RowProblem> {
    value.as_str().ok_or(RowProblem::WrongType { field, expected: "a text" })
}

/// A text that may be absent.
pub(crate) fn optional_text(
    row: &Object,
    field: &'static str,
) -> Result<Option<String>, RowProblem> {
    present(row, field).map(|value| text(value, field).map(str::to_owned)).transpose()
}

/// A number that may be absent.
pub(crate) fn optional_number(
    row: &Object,
    field: &'static str,
) -> Result<Option<f64>, RowProblem> {
    present(row, field).map(|value| number(value, field)).transpose()
}

/// A finite number; a table's cell holds it as text.
pub(crate) fn number(value: &Value, field: &'static str) -> Result<f64, RowProblem> {
    let read = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let wrong = RowProblem::WrongType { field, expected: "a finite number" };
    read.filter(|number: &f64| number.is_finite()).ok_or(wrong)
}

/// Yes or no: true and false, 1 and 0, or these as text.
pub(crate) fn flag(value: &Value, field: &'static str) -> Result<bool, RowProblem> {
    let read = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "1" | "1.0" => Some(true),
            "false" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    read.ok_or(RowProblem::WrongType { field, expected: "true or false" })
}

/// A list.
pub(crate) fn list<'a>(value: &'a Value, field: &'static str) -> Result<&'a [Value], RowProblem> {
    let wrong = RowProblem::WrongType { field, expected: "a list" };
    value.as_array().map(Vec::as_slice).ok_or(wrong)
}

/// A list of texts.
pub(crate) fn texts(value: &Value, field: &'static str) -> Result<Vec<String>, RowProblem> {
    let wrong = RowProblem::WrongType { field, expected: "a list of texts" };
    let list = value.as_array().ok_or_else(|| wrong.clone())?;
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong.clone())).collect()
}

/// The fields of an item of a list.
pub(crate) fn fields<'a>(value: &'a Value, field: &'static str) -> Result<&'a Object, RowProblem> {
    value.as_object().ok_or(RowProblem::WrongType { field, expected: "a list of objects" })
}

/// Whether the row has every one of these fields, none of them null.
pub(crate) fn has(row: &Object, fields: &[&str]) -> bool {
    fields.iter().all(|field| present(row, field).is_some())
}

/// Where a row may keep its own name, in the order of trust.
const IDS: [&str; 7] = ["id", "prompt_id", "pair_id", "uid", "question_id", "post_id", "idx"];

/// The row's own name: `id`, `prompt_id` or another of its kind, a text or a number.
pub(crate) fn id(row: &Object) -> Result<Option<String>, RowProblem> {
    for field in IDS {
        match present(row, field) {
            Some(Value::String(id)) if id.trim().is_empty() => {}
            Some(Value::String(id)) => return Ok(Some(id.clone())),
            Some(Value::Number(id)) => return Ok(Some(id.to_string())),
            Some(_) => return Err(RowProblem::WrongType { field, expected: "a text or a number" }),
            None => {}
        }
    }
    Ok(None)
}

/// A list of `{"role": …, "content": …}`, or of ShareGPT's `{"from": …, "value": …}`.
pub(crate) fn messages(value: &Value, field: &'static str) -> Result<Conversation, RowProblem> {
    let wrong = RowProblem::WrongType {
        field,
        expected: "a list of messages {role: system | user | assistant, content: text}",
    };
    let read = |message: &Value| {
        let role = match message.get("role").or_else(|| message.get("from"))?.as_str()? {
            "system" => Role::System,
            "user" | "human" => Role::User,
            "assistant" | "gpt" | "chatgpt" | "model" => Role::Assistant,
            _ => return None,
        };
        let content = message.get("content").or_else(|| message.get("value"))?;
        Some(Message { role, content: content.as_str()?.to_owned() })
    };
    let list = value.as_array().and_then(|list| list.iter().map(read).collect::<Option<Vec<_>>>());
    list.map(Conversation).ok_or(wrong)
}
