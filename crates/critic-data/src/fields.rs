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
    let wrong = RowProblem::WrongType { field, expected: "a finite number" };
    let Some(value) = present(row, field) else { return Ok(None) };
    value.as_f64().filter(|number| number.is_finite()).map(Some).ok_or(wrong)
}

/// The row's own name: `id` or `prompt_id`, a text or a number.
pub(crate) fn id(row: &Object) -> Result<Option<String>, RowProblem> {
    for field in ["id", "prompt_id"] {
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

/// A list of `{"role": …, "content": …}`.
pub(crate) fn messages(value: &Value, field: &'static str) -> Result<Conversation, RowProblem> {
    let wrong = RowProblem::WrongType {
        field,
        expected: "a list of messages {role: system | user | assistant, content: text}",
    };
    let read = |message: &Value| {
        let role = match message.get("role")?.as_str()? {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        Some(Message { role, content: message.get("content")?.as_str()?.to_owned() })
    };
    let list = value.as_array().and_then(|list| list.iter().map(read).collect::<Option<Vec<_>>>());
    list.map(Conversation).ok_or(wrong)
}
