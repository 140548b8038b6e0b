//! Prompts and answers as the formats write them.

use crate::fields::{messages, text};
use crate::{RowProblem, dialogue};
use critic_types::{Conversation, Role};
use serde_json::Value;

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

/// A response that is a text, one message, or a list of messages of which the last is the answer.
pub(crate) fn answer(value: &Value, field: &'static str) -> Result<String, RowProblem> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) => last_answer(value, field).map(|(_, answer)| answer),
        Value::Object(message) => {
            let content = message.get("content").or_else(|| message.get("value"));
            let wrong = RowProblem::WrongType { field, expected: "a text or a message" };
            content.and_then(Value::as_str).map(str::to_owned).ok_or(wrong)
        }
        _ => text(value, field).map(str::to_owned),
    }
}

/// An instruction above its input, as one user turn.
pub(crate) fn instruction(instruction: &str, input: Option<&str>) -> Conversation {
    Conversation::from_user(match input.filter(|input| !input.trim().is_empty()) {
        None => instruction.to_owned(),
        Some(input) => format!("{instruction}\n\n{input}"),
    })
}
