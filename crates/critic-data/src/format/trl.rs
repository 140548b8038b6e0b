//! TRL's four shapes of a pair, our own, and Anthropic's: `chosen` and `rejected` with or without `prompt`.

use super::Spec;
use crate::fields::{Object, has, list, optional_number, optional_text, present, required, text};
use crate::prompts::{after_prompt, last_answer, prompt};
use crate::ranked::{Margin, Ranked};
use crate::{PairFormat, RowProblem, dialogue};
use critic_types::{Conversation, OracleCritique, Provenance, Side};
use serde_json::Value;

pub(super) const SPECS: [Spec; 8] = [
    Spec::row(
        PairFormat::Cloud,
        "cloud",
        "prompt, chosen, rejected, chosen_feedback, rejected_feedback",
        |row| has(row, &["prompt", "chosen_feedback"]),
        read_texts,
    ),
    Spec::row(
        PairFormat::RewardBench,
        "reward-bench",
        "prompt, chosen, chosen_model, rejected, rejected_model, subset",
        |row| are_texts(row) && has(row, &["prompt", "chosen_model"]),
        read_texts,
    ),
    Spec::row(
        PairFormat::Own,
        "own",
        "id, domain, subset, prompt, chosen, rejected, margin, critiques",
        is_own,
        read_texts,
    ),
    Spec::row(
        PairFormat::TrlStandard,
        "trl-standard",
        "prompt, chosen, rejected: texts",
        |row| are_texts(row) && has(row, &["prompt"]),
        read_texts,
    ),
    Spec::row(
        PairFormat::AnthropicHh,
        "anthropic-hh",
        "chosen, rejected: whole dialogues, Human: … Assistant: …",
        |row| {
            both(row, |value| value.as_str().is_some_and(dialogue::is_dialogue))
                && !has(row, &["prompt"])
        },
        read_dialogues,
    ),
    Spec::row(
        PairFormat::TrlStandardImplicit,
        "trl-standard-implicit",
        "chosen, rejected: texts that begin alike",
        are_texts,
        read_shared_words,
    ),
    Spec::row(
        PairFormat::TrlConversational,
        "trl-conversational",
        "prompt, chosen, rejected: messages",
        |row| are_messages(row) && has(row, &["prompt"]),
        read_conversational,
    ),
    Spec::row(
        PairFormat::TrlConversationalImplicit,
        "trl-conversational-implicit",
        "chosen, rejected: messages that begin alike",
        are_messages,
        read_conversational_implicit,
    ),
];

fn both(row: &Object, is: impl Fn(&Value) -> bool) -> bool {
    ["chosen", "rejected"].iter().all(|field| present(row, field).is_some_and(&is))
}

fn are_texts(row: &Object) -> bool {
    both(row, Value::is_string)
}

fn are_messages(row: &Object) -> bool {
    both(row, Value::is_array)
}

fn is_own(row: &Object) -> bool {
    let named = ["id", "domain", "subset", "critiques"];
    are_texts(row)
        && present(row, "prompt").is_some_and(|prompt| {
            prompt.is_array() || named.iter().any(|field| present(row, field).is_some())
        })
}

fn read_texts(row: &Object) -> Result<Ranked, RowProblem> {
    let (chosen, rejected) = (required(row, "chosen")?, required(row, "rejected")?);
    let prompt = prompt(required(row, "prompt")?, "prompt")?;
    let (chosen, rejected) = (text(chosen, "chosen")?, text(rejected, "rejected")?);
    finish(row, prompt, chosen.to_owned(), rejected.to_owned())
}

/// Adds what may stand beside the responses: scores, critiques.
fn finish(
    row: &Object,
    prompt: Conversation,
    chosen: String,
    rejected: String,
) -> Result<Ranked, RowProblem> {
    let mut ranked = Ranked::pair(row, prompt, chosen, rejected)?;
    let scores = (optional_number(row, "score_chosen")?, optional_number(row, "score_rejected")?);
    if let (Margin::Unknown, (Some(chosen), Some(rejected))) = (ranked.margin, scores) {
        ranked.margin = Some(chosen - rejected)
            .filter(|m| m.is_finite())
            .map_or(Margin::Unknown, Margin::Given);
    }
    let [chosen, rejected] = &mut ranked.answers[..] else { return Ok(ranked) };
    for (field, answer) in [("chosen_feedback", chosen), ("rejected_feedback", rejected)] {
        answer.critiques.extend(feedback(row, field)?);
    }
    if let Some(critique) = present(row, "critique").and_then(Value::as_str) {
        ranked.about_all.push((critique.to_owned(), Provenance::Human));
    }
    if let Some(critiques) = present(row, "critiques") {
        for critique in list(critiques, "critiques")? {
            let critique: OracleCritique =
                serde_json::from_value(critique.clone()).map_err(|_| RowProblem::WrongType {
                    field: "critiques",
                    expected: "a list of critiques {side: chosen | rejected, text, provenance}",
                })?;
            let critiques = match critique.side {
                Some(Side::Chosen) => &mut ranked.answers[0].critiques,
                Some(Side::Rejected) => &mut ranked.answers[1].critiques,
                None => &mut ranked.about_all,
            };
            critiques.push((critique.text, critique.provenance));
        }
    }
    Ok(ranked)
}

/// CLoud's critiques of one response, a text or a list of texts; another model wrote them.
fn feedback(row: &Object, field: &'static str) -> Result<Vec<(String, Provenance)>, RowProblem> {
    let texts = match present(row, field) {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(list) => crate::fields::texts(list, field)?,
    };
    Ok(texts.into_iter().map(|text| (text, Provenance::External)).collect())
}

/// A prompt where the format takes it from the responses is a row of another kind.
fn no_prompt(row: &Object, format: PairFormat) -> Result<(), RowProblem> {
    match present(row, "prompt") {
        Some(_) => Err(RowProblem::UnexpectedPrompt { format }),
        None => Ok(()),
    }
}

fn read_dialogues(row: &Object) -> Result<Ranked, RowProblem> {
    no_prompt(row, PairFormat::AnthropicHh)?;
    let answer = |field| {
        let whole = text(required(row, field)?, field)?;
        dialogue::prompt_and_answer(whole).ok_or(RowProblem::NoFinalAnswer { field })
    };
    same_prompt(row, answer("chosen")?, answer("rejected")?)
}

fn read_conversational(row: &Object) -> Result<Ranked, RowProblem> {
    let (chosen, rejected) = (required(row, "chosen")?, required(row, "rejected")?);
    let prompt = required(row, "prompt")?;
    same_prompt(
        row,
        after_prompt(prompt, chosen, "chosen")?,
        after_prompt(prompt, rejected, "rejected")?,
    )
}

fn read_conversational_implicit(row: &Object) -> Result<Ranked, RowProblem> {
    no_prompt(row, PairFormat::TrlConversationalImplicit)?;
    let (chosen, rejected) = (required(row, "chosen")?, required(row, "rejected")?);
    let system = optional_text(row, "system")?;
    let answer = |value, field| {
        let (mut before, answer) = last_answer(value, field)?;
        if let Some(system) = &system {
            before = with_system(system, before);
        }
        Ok((before, answer))
    };
    same_prompt(row, answer(chosen, "chosen")?, answer(rejected, "rejected")?)
}

/// The conversation below a system message, unless it has one.
pub(super) fn with_system(system: &str, conversation: Conversation) -> Conversation {
    let has_one = conversation.0.first().is_some_and(|m| m.role == critic_types::Role::System);
    if has_one || system.trim().is_empty() {
        return conversation;
    }
    let mut all = Conversation::default().with(critic_types::Role::System, system);
    all.0.extend(conversation.0);
    all
}

pub(super) fn same_prompt(
    row: &Object,
    (prompt, chosen): (Conversation, String),
    (other, rejected): (Conversation, String),
) -> Result<Ranked, RowProblem> {
    if prompt == other {
        finish(row, prompt, chosen, rejected)
    } else {
        Err(RowProblem::PromptsDiffer)
    }
}

/// Takes the whole words that both texts begin with as the prompt.
fn read_shared_words(row: &Object) -> Result<Ranked, RowProblem> {
    no_prompt(row, PairFormat::TrlStandardImplicit)?;
    let chosen = text(required(row, "chosen")?, "chosen")?;
    let rejected = text(required(row, "rejected")?, "rejected")?;
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
    finish(row, Conversation::from_user(chosen[..cut].trim_end()), rest(chosen), rest(rejected))
}
