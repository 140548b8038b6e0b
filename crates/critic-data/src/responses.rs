use crate::container::open;
use crate::fields::{Object, fields, id, list, optional_text, present, required, text, texts};
use crate::ids::Ids;
use crate::prompts::{after_prompt, answer, instruction, last_answer, prompt, usable_prompt};
use crate::reader::read_rows;
use crate::{DataError, PairFormat, RowProblem, source};
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

/// Reads responses to score from a source; sources and containers as in [`crate::read_pairs`].
///
/// The prompt of a row is `prompt` (text or messages), `instruction` (with `input` below it), `question`,
/// or `input`. The responses are the first of these that the row has: `responses` (texts), `candidates`
/// (objects with a `response`), `response`, `completion` (text or messages), `output`, `answer`, `steps`
/// (texts, one a line), the last turn of `messages`, whose earlier turns are then the prompt, or all
/// responses of a row of any [`PairFormat`].
///
/// # Errors
/// [`DataError`] when the source cannot be read or no row can be used.
pub fn read_responses(path: &Path) -> Result<ResponseSet, DataError> {
    let readers = source::files(path)?;
    let mut set = Collected::default();
    for file in readers {
        set.add(open(&file)?, &file)?;
    }
    set.finish(path)
}

/// Reads responses from `reader` as [`read_responses`] does; `path` is its name in messages.
///
/// # Errors
/// As [`read_responses`].
pub fn read_responses_from(
    reader: impl Read + Send,
    path: &Path,
) -> Result<ResponseSet, DataError> {
    let mut set = Collected::default();
    set.add(Box::new(reader), path)?;
    set.finish(path)
}

#[derive(Default)]
struct Collected {
    rows: Vec<ResponseRow>,
    ids: Ids,
    report: DropReport,
    files: Vec<ContentId>,
}

impl Collected {
    fn add(&mut self, reader: Box<dyn Read + Send + '_>, path: &Path) -> Result<(), DataError> {
        let Self { rows, ids, report, files } = self;
        let content = read_rows(reader, path, report, &mut |row| {
            let (prompt, responses) = prompt_and_responses(row)?;
            usable_prompt(&prompt)?;
            if responses.is_empty() || responses.iter().any(|response| response.trim().is_empty()) {
                return Err(RowProblem::EmptyResponse);
            }
            let own = id(row)?;
            let id = ids.give(own.unwrap_or_else(|| content_id(&prompt, &responses).to_string()));
            rows.push(ResponseRow { id, prompt, responses, row: Value::Object(row.clone()) });
            Ok(())
        })?;
        files.push(content);
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<ResponseSet, DataError> {
        let Self { rows, report, files, .. } = self;
        if rows.is_empty() {
            return Err(DataError::NoRows { path: path.to_owned(), report });
        }
        let content = match &files[..] {
            [file] => file.clone(),
            files => {
                let mut hasher = ContentHasher::new("files");
                files.iter().for_each(|file| {
                    hasher.text(file.as_str());
                });
                hasher.finish()
            }
        };
        Ok(ResponseSet { rows, report, content })
    }
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
        return Ok((asked(row)?, texts(list, "responses")?));
    }
    if let Some(candidates) = present(row, "candidates") {
        let mut responses = Vec::new();
        for candidate in list(candidates, "candidates")? {
            let candidate = fields(candidate, "candidates")?;
            responses.push(answer(required(candidate, "response")?, "response")?);
        }
        return Ok((asked(row)?, responses));
    }
    for field in ["response", "completion", "output", "answer"] {
        match present(row, field) {
            Some(list @ Value::Array(_)) if field == "completion" => {
                let (prompt, answer) = after_prompt(required(row, "prompt")?, list, field)?;
                return Ok((prompt, vec![answer]));
            }
            Some(value) if value.is_string() || field == "response" => {
                return Ok((asked(row)?, vec![text(value, field)?.to_owned()]));
            }
            _ => {}
        }
    }
    if let Ok(format) = PairFormat::detect(row) {
        let ranked = format.read(row)?;
        return Ok((ranked.prompt, ranked.answers.into_iter().map(|a| a.text).collect()));
    }
    if let Some(steps) = present(row, "steps") {
        return Ok((asked(row)?, vec![texts(steps, "steps")?.join("\n")]));
    }
    if let Some(list) = present(row, "messages") {
        let (prompt, answer) = last_answer(list, "messages")?;
        return Ok((prompt, vec![answer]));
    }
    Err(RowProblem::MissingField {
        field: "response` or `responses`, `completion`, `output`, `chosen`, `messages",
    })
}

/// What the row asks.
fn asked(row: &Object) -> Result<Conversation, RowProblem> {
    if let Some(value) = present(row, "prompt") {
        return prompt(value, "prompt");
    }
    if let Some(asked) = optional_text(row, "instruction")? {
        return Ok(instruction(&asked, optional_text(row, "input")?.as_deref()));
    }
    for field in ["question", "input"] {
        if let Some(asked) = optional_text(row, field)? {
            return prompt(&Value::String(asked), field);
        }
    }
    Err(RowProblem::MissingField { field: "prompt" })
}

#[cfg(test)]
mod tests;
