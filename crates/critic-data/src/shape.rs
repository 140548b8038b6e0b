//! From the columns of a row to a prompt and two responses.

use crate::fields::{Object, messages, present, required, text};
use crate::{PairFormat, RowProblem, dialogue};
use critic_types::{Conversation, Role};
use serde_json::Value;

/// A prompt with the chosen and the rejected response.
pub(crate) type Shape = (Conversation, String, String);

/// Reads a row as `format` says; the texts are as written.
pub(crate) fn shape(row: &Object, format: PairFormat) -> Result<Shape, RowProblem> {
    if format.is_implicit() && present(row, "prompt").is_some() {
        return Err(RowProblem::UnexpectedPrompt { format });
    }
    let chosen = required(row, "chosen")?;
    let rejected = required(row, "rejected")?;
    match format {
        PairFormat::Own | PairFormat::TrlStandard => {
            let prompt = prompt(required(row, "prompt")?, "prompt")?;
            let (chosen, rejected) = (text(chosen, "chosen")?, text(rejected, "rejected")?);
            Ok((prompt, chosen.to_owned(), rejected.to_owned()))
        }
        PairFormat::TrlStandardImplicit => {
            Ok(shared_words(text(chosen, "chosen")?, text(rejected, "rejected")?))
        }
        PairFormat::TrlConversational => {
            let prompt = required(row, "prompt")?;
            same_prompt(
                after_prompt(prompt, chosen, "chosen")?,
                after_prompt(prompt, rejected, "rejected")?,
            )
        }
        PairFormat::TrlConversationalImplicit => {
            same_prompt(last_answer(chosen, "chosen")?, last_answer(rejected, "rejected")?)
        }
        PairFormat::AnthropicHh => {
            same_prompt(dialogue_answer(chosen, "chosen")?, dialogue_answer(rejected, "rejected")?)
        }
    }
}

/// Checks what every use of a prompt demands.
pub(crate) fn usable_prompt(prompt: &Conversation) -> Result<(), RowProblem> {
    match prompt.messages().last() {
        None => Err(RowProblem::EmptyPrompt),
        Some(last) if last.role != Role::User => Err(RowProblem::PromptEnd),
        Some(last) if last.content.trim().is_empty() => Err(RowProblem::EmptyPrompt),
        Some(_) => Ok(()),
    }
}

/// A prompt that is a text or a list of messages.
pub(crate) fn prompt(value: &Value, field: &'static str) -> Result<Conversation, RowProblem> {
    match value {
        Value::String(text) => Ok(dialogue::prompt(text)),
        Value::Array(_) => messages(value, field),
        _ => Err(RowProblem::WrongType { field, expected: "a text or a list of messages" }),
    }
}

/// Splits a list of messages into what comes before the last one and that one, an assistant's.
pub(crate) fn last_answer(
    value: &Value,
    field: &'static str,
) -> Result<(Conversation, String), RowProblem> {
    let mut all = messages(value, field)?.0;
    match all.pop() {
        Some(last) if last.role == Role::Assistant => Ok((Conversation(all), last.content)),
        _ => Err(RowProblem::NoFinalAnswer { field }),
    }
}

/// The same for messages that stand beside a prompt and may repeat it.
pub(crate) fn after_prompt(
    prompt_value: &Value,
    value: &Value,
    field: &'static str,
) -> Result<(Conversation, String), RowProblem> {
    let prompt = prompt(prompt_value, "prompt")?;
    let (before, answer) = last_answer(value, field)?;
    let repeats = before.messages().starts_with(prompt.messages())
        || prompt_value.as_str().is_some_and(|text| text == before.last_user_text());
    if repeats {
        return Ok((before, answer));
    }
    let mut all = prompt.0;
    all.extend(before.0);
    Ok((Conversation(all), answer))
}

fn dialogue_answer(
    value: &Value,
    field: &'static str,
) -> Result<(Conversation, String), RowProblem> {
    dialogue::prompt_and_answer(text(value, field)?).ok_or(RowProblem::NoFinalAnswer { field })
}

fn same_prompt(
    (prompt, chosen): (Conversation, String),
    (other, rejected): (Conversation, String),
) -> Result<Shape, RowProblem> {
    if prompt == other { Ok((prompt, chosen, rejected)) } else { Err(RowProblem::PromptsDiffer) }
}

/// Takes the whole words that both texts begin with as the prompt.
fn shared_words(chosen: &str, rejected: &str) -> Shape {
    let shared: usize = chosen
        .chars()
        .zip(rejected.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let word_ends = |text: &str| text[shared..].chars().next().is_none_or(char::is_whitespace);
    let cut = if word_ends(chosen) && word_ends(rejected) {
        shared
    } else {
        chosen[..shared].rfind(char::is_whitespace).unwrap_or(0)
    };
    let rest = |text: &str| text[cut..].trim_start().to_owned();
    (Conversation::from_user(chosen[..cut].trim_end()), rest(chosen), rest(rejected))
}
