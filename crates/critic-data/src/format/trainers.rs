//! The formats of other trainers: LLaMA-Factory, ms-swift, TRL's unpaired, PPE's human preferences.

use super::Spec;
use super::trl::{same_prompt, with_system};
use crate::fields::{Object, flag, has, list, messages, optional_text, present, required, text};
use crate::prompts::{after_prompt, answer, instruction, last_answer, prompt};
use crate::ranked::{Answer, Ranked};
use crate::{PairFormat, RowProblem};
use critic_types::{Conversation, Role};
use serde_json::Value;

pub(super) const SPECS: [Spec; 5] = [
    Spec::row(
        PairFormat::LlamaFactoryAlpaca,
        "llama-factory-alpaca",
        "instruction, input, chosen, rejected, system, history",
        |row| has(row, &["instruction", "chosen", "rejected"]),
        alpaca,
    ),
    Spec::row(
        PairFormat::LlamaFactoryShareGpt,
        "llama-factory-sharegpt",
        "conversations, chosen{from, value}, rejected{from, value}, system",
        |row| has(row, &["conversations", "chosen", "rejected"]),
        share_gpt,
    ),
    Spec::row(
        PairFormat::Swift,
        "ms-swift",
        "messages, rejected_response or rejected_messages, margin",
        |row| {
            has(row, &["messages"])
                && (has(row, &["rejected_response"]) || has(row, &["rejected_messages"]))
        },
        swift,
    ),
    Spec::row(
        PairFormat::PpeHuman,
        "ppe-human",
        "prompt, response_1, response_2, winner (model_a, model_b, tie …)",
        |row| has(row, &["prompt", "response_1", "response_2", "winner"]),
        ppe_human,
    ),
    Spec::grouped(
        PairFormat::TrlUnpaired,
        "trl-unpaired",
        "prompt, completion, label; rows of one prompt are compared",
        |row| has(row, &["prompt", "completion", "label"]),
        unpaired,
    ),
];

fn alpaca(row: &Object) -> Result<Ranked, RowProblem> {
    let asked = text(required(row, "instruction")?, "instruction")?;
    let last = instruction(asked, optional_text(row, "input")?.as_deref());
    let mut conversation = Conversation::default();
    if let Some(history) = present(row, "history") {
        let wrong =
            RowProblem::WrongType { field: "history", expected: "a list of [question, answer]" };
        for turn in list(history, "history")? {
            let Some([question, said]) = turn.as_array().map(Vec::as_slice) else {
                return Err(wrong);
            };
            let (Some(question), Some(said)) = (question.as_str(), said.as_str()) else {
                return Err(wrong);
            };
            conversation = conversation.with(Role::User, question).with(Role::Assistant, said);
        }
    }
    conversation.0.extend(last.0);
    if let Some(system) = optional_text(row, "system")? {
        conversation = with_system(&system, conversation);
    }
    let chosen = answer(required(row, "chosen")?, "chosen")?;
    let rejected = answer(required(row, "rejected")?, "rejected")?;
    same_prompt(row, (conversation.clone(), chosen), (conversation, rejected))
}

fn share_gpt(row: &Object) -> Result<Ranked, RowProblem> {
    let mut conversation = messages(required(row, "conversations")?, "conversations")?;
    if let Some(system) = optional_text(row, "system")? {
        conversation = with_system(&system, conversation);
    }
    let chosen = answer(required(row, "chosen")?, "chosen")?;
    let rejected = answer(required(row, "rejected")?, "rejected")?;
    same_prompt(row, (conversation.clone(), chosen), (conversation, rejected))
}

fn swift(row: &Object) -> Result<Ranked, RowProblem> {
    let (prompt, chosen) = last_answer(required(row, "messages")?, "messages")?;
    let rejected = match present(row, "rejected_response") {
        Some(rejected) => (prompt.clone(), answer(rejected, "rejected_response")?),
        None => last_answer(required(row, "rejected_messages")?, "rejected_messages")?,
    };
    same_prompt(row, (prompt, chosen), rejected)
}

fn ppe_human(row: &Object) -> Result<Ranked, RowProblem> {
    let winner = text(required(row, "winner")?, "winner")?;
    let (first, second) = match winner {
        "model_a" => (1.0, 0.0),
        "model_b" => (0.0, 1.0),
        tie if tie.starts_with("tie") => (0.0, 0.0),
        _ => {
            return Err(RowProblem::WrongType {
                field: "winner",
                expected: "model_a, model_b or tie",
            });
        }
    };
    let said = |field, score| Ok(Answer::new(answer(required(row, field)?, field)?, score));
    let answers = vec![said("response_1", first)?, said("response_2", second)?];
    Ranked::new(row, prompt(required(row, "prompt")?, "prompt")?, answers)
}

/// One labelled completion; a good one is better than a bad one to the same prompt.
fn unpaired(row: &Object) -> Result<Ranked, RowProblem> {
    let score = f64::from(u8::from(flag(required(row, "label")?, "label")?));
    let completion = required(row, "completion")?;
    let asked = required(row, "prompt")?;
    let (prompt, said) = match completion {
        Value::Array(_) => after_prompt(asked, completion, "completion")?,
        _ => (prompt(asked, "prompt")?, answer(completion, "completion")?),
    };
    Ranked::new(row, prompt, vec![Answer::new(said, score)])
}
