use crate::fields::{Object, id, optional_text, present, required, text};
use crate::ids::Ids;
use crate::pairs::read_rows;
use crate::shape::{after_prompt, last_answer, prompt, shape, usable_prompt};
use crate::source::open;
use crate::{DataError, PairFormat, RowProblem};
use critic_types::{ContentHasher, ContentId, Conversation, DropReport};
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// One prompt with the responses that are to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRow {
    /// Unique within its file; taken from the data or made from the content.
    pub id: String,
    /// The conversation up to the responses; ends with a user turn.
    pub prompt: Conversation,
    /// At least one, in the order of the row.
    pub responses: Vec<String>,
    /// The row as it stood in the file, with every column.
    pub row: Value,
}

/// The responses of a file and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseSet {
    /// The usable rows, in the order of the file; equal rows all stay.
    pub rows: Vec<ResponseRow>,
    /// How many rows were used, and how many not, by reason.
    pub report: DropReport,
    /// Address of the file's bytes.
    pub content: ContentId,
}

/// Reads responses to score from a file, or from standard input for `-`; containers as in
/// [`crate::read_pairs`].
///
/// The prompt of a row is `prompt` (text or messages) or `instruction` (with `input` below it). The
/// responses are the first of these that the row has: `responses` (texts), `response`, `completion`
/// (text or messages), `output`, `chosen` with `rejected`, or the last turn of `messages`, whose earlier
/// turns are then the prompt.
///
/// # Errors
/// [`DataError`] when the file cannot be read or no row can be used.
pub fn read_responses(path: &Path) -> Result<ResponseSet, DataError> {
    read_responses_from(open(path)?, path)
}

/// Reads responses from `reader` as [`read_responses`] does; `path` is its name in messages.
///
/// # Errors
/// As [`read_responses`].
pub fn read_responses_from(reader: impl Read, path: &Path) -> Result<ResponseSet, DataError> {
    let mut rows = Vec::new();
    let mut ids = Ids::default();
    let (report, content) = read_rows(reader, path, false, None, &mut |_, row| {
        let (prompt, responses) = prompt_and_responses(row)?;
        usable_prompt(&prompt)?;
        if responses.is_empty() || responses.iter().any(|response| response.trim().is_empty()) {
            return Err(RowProblem::EmptyResponse);
        }
        let id = ids.give(id(row)?.unwrap_or_else(|| content_id(&prompt, &responses).to_string()));
        rows.push(ResponseRow { id, prompt, responses, row: Value::Object(row.clone()) });
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned(), report });
    }
    Ok(ResponseSet { rows, report, content })
}

fn content_id(prompt: &Conversation, responses: &[String]) -> ContentId {
    let mut hasher = ContentHasher::new("responses");
    hasher.conversation(prompt);
    for response in responses {
        hasher.text(response);
    }
    hasher.finish()
}

fn prompt_and_responses(row: &Object) -> Result<(Conversation, Vec<String>), RowProblem> {
    if let Some(list) = present(row, "responses") {
        let wrong = RowProblem::WrongType { field: "responses", expected: "a list of texts" };
        let texts = list.as_array().and_then(|list| {
            list.iter().map(|each| each.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        return Ok((asked(row)?, texts.ok_or(wrong)?));
    }
    for field in ["response", "completion", "output"] {
        match present(row, field) {
            None => {}
            Some(list @ Value::Array(_)) if field == "completion" => {
                let (prompt, answer) = after_prompt(required(row, "prompt")?, list, field)?;
                return Ok((prompt, vec![answer]));
            }
            Some(value) => return Ok((asked(row)?, vec![text(value, field)?.to_owned()])),
        }
    }
    if present(row, "chosen").is_some() {
        let (prompt, chosen, rejected) = shape(row, PairFormat::detect(row)?)?;
        return Ok((prompt, vec![chosen, rejected]));
    }
    if let Some(list) = present(row, "messages") {
        let (prompt, answer) = last_answer(list, "messages")?;
        return Ok((prompt, vec![answer]));
    }
    Err(RowProblem::MissingField {
        field: "response` or `responses`, `completion`, `output`, `chosen`, `messages",
    })
}

/// What the row asks, in `prompt` or in `instruction`.
fn asked(row: &Object) -> Result<Conversation, RowProblem> {
    if let Some(value) = present(row, "prompt") {
        return prompt(value, "prompt");
    }
    let Some(instruction) = optional_text(row, "instruction")? else {
        return Err(RowProblem::MissingField { field: "prompt" });
    };
    let input = optional_text(row, "input")?.unwrap_or_default();
    Ok(Conversation::from_user(if input.trim().is_empty() {
        instruction
    } else {
        format!("{instruction}\n\n{input}")
    }))
}

#[cfg(test)]
mod tests;
