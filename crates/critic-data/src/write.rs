use crate::{DataError, dialogue};
use critic_types::{Conversation, PreferencePair, atomic_file};
use serde::Serialize;
use std::path::Path;

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
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prompt<'a> {
    Text(&'a str),
    Messages(&'a Conversation),
}

/// Writes pairs in the own format, one JSON object a line; the file appears whole.
///
/// A prompt of one user turn is written as text, any other as a list of messages, so that
/// [`crate::read_pairs`] gives the same pairs back.
///
/// # Errors
/// [`DataError::Write`] when the folder cannot be written; the old file then still stands.
pub fn write_pairs(path: &Path, pairs: &[PreferencePair]) -> Result<(), DataError> {
    atomic_file::write_with(path, |file| {
        for pair in pairs {
            let row = OwnRow {
                id: &pair.id,
                domain: pair.domain.as_deref(),
                subset: pair.subset.as_deref(),
                prompt: prompt(&pair.prompt),
                chosen: &pair.chosen,
                rejected: &pair.rejected,
                margin: pair.margin,
            };
            serde_json::to_writer(&mut *file, &row)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// As text where the text is read back as this very conversation.
fn prompt(conversation: &Conversation) -> Prompt<'_> {
    let text = conversation.last_user_text();
    if dialogue::prompt(text) == *conversation {
        Prompt::Text(text)
    } else {
        Prompt::Messages(conversation)
    }
}
