//! Formats of two responses side by side with a column that says which is better.

use super::Spec;
use crate::fields::{Object, flag, has, number, optional_text, present, required, text, texts};
use crate::prompts::{instruction, last_answer, prompt};
use crate::ranked::{Answer, Margin, Ranked};
use crate::{PairFormat, RowProblem};
use critic_types::{Conversation, Message, Role};
use serde_json::Value;

pub(super) const SPECS: [Spec; 9] = [
    Spec::row(
        PairFormat::SafeRlhf,
        "pku-safe-rlhf",
        "prompt, response_0, response_1, better_response_id",
        |row| has(row, &["response_0", "response_1", "better_response_id"]),
        |row| safe_rlhf(row, "better_response_id"),
    ),
    Spec::row(
        PairFormat::SafeRlhfSafety,
        "pku-safe-rlhf-safety",
        "the same, by safer_response_id",
        |row| has(row, &["response_0", "response_1", "safer_response_id"]),
        |row| safe_rlhf(row, "safer_response_id"),
    ),
    Spec::row(
        PairFormat::Shp,
        "shp",
        "history, human_ref_A, human_ref_B, labels, score_ratio",
        |row| has(row, &["history", "human_ref_A", "human_ref_B"]),
        shp,
    ),
    Spec::row(
        PairFormat::JudgeBench,
        "judge-bench",
        "question, response_A, response_B, label (A>B, B>A)",
        |row| has(row, &["question", "response_A", "response_B", "label"]),
        judge_bench,
    ),
    Spec::row(
        PairFormat::LlmBar,
        "llmbar",
        "input, output_1, output_2, label (1, 2)",
        |row| has(row, &["input", "output_1", "output_2"]),
        llm_bar,
    ),
    Spec::row(
        PairFormat::PandaLm,
        "pandalm",
        "instruction, input, response1, response2, annotator1 … (0, 1, 2)",
        |row| has(row, &["instruction", "response1", "response2"]),
        panda_lm,
    ),
    Spec::row(
        PairFormat::Arena,
        "arena",
        "prompt, response_a, response_b, winner_model_a, winner_model_b, winner_tie",
        |row| has(row, &["response_a", "response_b", "winner_model_a"]),
        arena,
    ),
    Spec::row(
        PairFormat::MtBench,
        "mt-bench",
        "conversation_a, conversation_b, winner, turn",
        |row| has(row, &["conversation_a", "conversation_b", "winner"]),
        mt_bench,
    ),
    Spec::row(
        PairFormat::UnifiedFeedback,
        "unified-feedback",
        "conv_A, conv_B, conv_A_rating, conv_B_rating",
        |row| has(row, &["conv_A", "conv_B", "conv_A_rating"]),
        unified_feedback,
    ),
];

/// Two answers as a ranking by the sign of a preference: positive prefers the first.
pub(super) fn by_strength(
    row: &Object,
    prompt: Conversation,
    first: String,
    second: String,
    strength: f64,
) -> Result<Ranked, RowProblem> {
    let answers = vec![Answer::new(first, strength), Answer::new(second, 0.0)];
    let mut ranked = Ranked::new(row, prompt, answers)?;
    if ranked.margin == Margin::Unknown {
        ranked.margin = Margin::Given(strength.abs());
    }
    Ok(ranked)
}

/// Two answers of which one is named the better.
fn by_choice(
    row: &Object,
    prompt: Conversation,
    first: &str,
    second: &str,
    is_first: Option<bool>,
) -> Result<Ranked, RowProblem> {
    let (a, b) = match is_first {
        Some(true) => (1.0, 0.0),
        Some(false) => (0.0, 1.0),
        None => (0.0, 0.0),
    };
    Ranked::new(row, prompt, vec![Answer::new(first, a), Answer::new(second, b)])
}

fn needed<'a>(row: &'a Object, field: &'static str) -> Result<&'a str, RowProblem> {
    text(required(row, field)?, field)
}

/// Beaver's: the axis is helpfulness (`better_response_id`) or safety (`safer_response_id`).
fn safe_rlhf(row: &Object, axis: &'static str) -> Result<Ranked, RowProblem> {
    let is_first = match number(required(row, axis)?, axis)? {
        0.0 => Some(true),
        1.0 => Some(false),
        -1.0 => None,
        _ => return Err(RowProblem::WrongType { field: axis, expected: "0 or 1 (or -1, a tie)" }),
    };
    let prompt = prompt(required(row, "prompt")?, "prompt")?;
    by_choice(row, prompt, needed(row, "response_0")?, needed(row, "response_1")?, is_first)
}

/// Stanford Human Preferences: `labels` 1 prefers A; the margin is `score_ratio`, of the votes.
fn shp(row: &Object) -> Result<Ranked, RowProblem> {
    let is_first = flag(required(row, "labels")?, "labels")?;
    let (a, b) = (needed(row, "human_ref_A")?, needed(row, "human_ref_B")?);
    let mut ranked =
        by_choice(row, Conversation::from_user(needed(row, "history")?), a, b, Some(is_first))?;
    if let (Margin::Unknown, Some(ratio)) = (ranked.margin, present(row, "score_ratio")) {
        ranked.margin = Margin::Given(number(ratio, "score_ratio")?);
    }
    Ok(ranked)
}

fn judge_bench(row: &Object) -> Result<Ranked, RowProblem> {
    let is_first = match needed(row, "label")?.trim() {
        "A>B" => Some(true),
        "B>A" => Some(false),
        "A=B" | "tie" => None,
        _ => return Err(RowProblem::WrongType { field: "label", expected: "A>B or B>A" }),
    };
    let prompt = Conversation::from_user(needed(row, "question")?);
    by_choice(row, prompt, needed(row, "response_A")?, needed(row, "response_B")?, is_first)
}

/// 1 for the first, 2 for the second, 0 for a tie.
fn one_or_two(value: &Value, field: &'static str) -> Result<Option<bool>, RowProblem> {
    match number(value, field)? {
        1.0 => Ok(Some(true)),
        2.0 => Ok(Some(false)),
        0.0 => Ok(None),
        _ => Err(RowProblem::WrongType { field, expected: "1 or 2 (or 0, a tie)" }),
    }
}

fn llm_bar(row: &Object) -> Result<Ranked, RowProblem> {
    let is_first = one_or_two(required(row, "label")?, "label")?;
    let prompt = Conversation::from_user(needed(row, "input")?);
    by_choice(row, prompt, needed(row, "output_1")?, needed(row, "output_2")?, is_first)
}

/// The majority of the annotators; a tie when neither response has more votes.
fn panda_lm(row: &Object) -> Result<Ranked, RowProblem> {
    const ANNOTATORS: [&str; 5] =
        ["annotator1", "annotator2", "annotator3", "annotator4", "annotator5"];
    let (mut votes, mut n) = (0i32, 0);
    for field in ANNOTATORS {
        let Some(value) = present(row, field) else { continue };
        n += 1;
        votes += match one_or_two(value, field)? {
            Some(true) => 1,
            Some(false) => -1,
            None => 0,
        };
    }
    if n == 0 {
        return Err(RowProblem::MissingField { field: "annotator1" });
    }
    let is_first = (votes != 0).then_some(votes > 0);
    let input = optional_text(row, "input")?;
    let prompt = instruction(needed(row, "instruction")?, input.as_deref());
    by_choice(row, prompt, needed(row, "response1")?, needed(row, "response2")?, is_first)
}

/// Turns of one side, a list of texts or its JSON.
fn turns(row: &Object, field: &'static str) -> Result<Vec<String>, RowProblem> {
    let value = required(row, field)?;
    match value.as_str() {
        None => texts(value, field),
        Some(written) => match serde_json::from_str::<Value>(written) {
            Ok(list @ Value::Array(_)) => texts(&list, field),
            _ => Ok(vec![written.to_owned()]),
        },
    }
}

/// LMSYS: the prompt and both sides are lists of turns; the sides share the prompt only when they said
/// the same before their last turn.
fn arena(row: &Object) -> Result<Ranked, RowProblem> {
    let won = |field| present(row, field).map_or(Ok(false), |value| flag(value, field));
    let is_first = match (won("winner_model_a")?, won("winner_model_b")?) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    };
    let (asked, a, b) =
        (turns(row, "prompt")?, turns(row, "response_a")?, turns(row, "response_b")?);
    if asked.len() != a.len() || asked.len() != b.len() {
        return Err(RowProblem::UnequalLists { responses: "response_a", labels: "prompt" });
    }
    let (Some((last_a, before_a)), Some((last_b, before_b))) = (a.split_last(), b.split_last())
    else {
        return Err(RowProblem::EmptyPrompt);
    };
    if before_a != before_b {
        return Err(RowProblem::PromptsDiffer);
    }
    let mut conversation = Vec::new();
    for (i, question) in asked.into_iter().enumerate() {
        conversation.push(Message { role: Role::User, content: question });
        conversation.extend(
            before_a.get(i).map(|said| Message { role: Role::Assistant, content: said.clone() }),
        );
    }
    by_choice(row, Conversation(conversation), last_a, last_b, is_first)
}

/// MT-bench's human judgements: `turn` says after which turn the judge was asked.
fn mt_bench(row: &Object) -> Result<Ranked, RowProblem> {
    let is_first = match needed(row, "winner")? {
        "model_a" => Some(true),
        "model_b" => Some(false),
        "tie" | "tie (bothbad)" | "tie (inconsistent)" => None,
        _ => {
            return Err(RowProblem::WrongType {
                field: "winner",
                expected: "model_a, model_b or tie",
            });
        }
    };
    let turn = present(row, "turn").map_or(Ok(2.0), |value| number(value, "turn"))?;
    let side = |field| {
        let mut said = crate::fields::messages(required(row, field)?, field)?;
        said.0.truncate(2 * turn.clamp(1.0, 100.0) as usize);
        let list = serde_json::to_value(&said).unwrap_or_default();
        last_answer(&list, field)
    };
    let ((prompt, a), (other, b)) = (side("conversation_a")?, side("conversation_b")?);
    if prompt != other {
        return Err(RowProblem::PromptsDiffer);
    }
    by_choice(row, prompt, &a, &b, is_first)
}

fn unified_feedback(row: &Object) -> Result<Ranked, RowProblem> {
    let side = |field| last_answer(required(row, field)?, field);
    let ((prompt, a), (other, b)) = (side("conv_A")?, side("conv_B")?);
    if prompt != other {
        return Err(RowProblem::PromptsDiffer);
    }
    let rating = |field| number(required(row, field)?, field);
    let answers =
        vec![Answer::new(a, rating("conv_A_rating")?), Answer::new(b, rating("conv_B_rating")?)];
    Ok(Ranked::new(row, prompt, answers)?.with_difference())
}
