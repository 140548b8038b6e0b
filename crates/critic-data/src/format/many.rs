//! Formats of several responses to a prompt: ranked, rated, or marked right and wrong.

use super::Spec;
use crate::fields::{
    Object, fields, flag, has, list, messages, number, optional_number, optional_text, present,
    required, text, texts,
};
use crate::prompts::{answer, instruction, prompt};
use crate::ranked::{Answer, Ranked};
use crate::{PairFormat, RowProblem};
use critic_types::{Conversation, Provenance};
use serde_json::Value;

pub(super) const SPECS: [Spec; 9] = [
    Spec::row(
        PairFormat::RewardBench2,
        "reward-bench-2",
        "prompt, chosen[], rejected[], num_correct, subset",
        |row| has(row, &["prompt", "num_correct"]) && are_lists(row),
        right_and_wrong,
    ),
    Spec::row(
        PairFormat::RmBench,
        "rm-bench",
        "prompt, chosen[3], rejected[3]",
        |row| has(row, &["prompt"]) && are_lists(row),
        right_and_wrong,
    ),
    Spec::row(
        PairFormat::UltraFeedback,
        "ultrafeedback",
        "instruction, completions[{response, overall_score, critique}]",
        |row| has(row, &["instruction", "completions"]),
        ultra_feedback,
    ),
    Spec::row(
        PairFormat::Nectar,
        "nectar",
        "prompt, answers[{answer, rank}]",
        |row| has(row, &["prompt", "answers"]),
        nectar,
    ),
    Spec::row(
        PairFormat::Nemo,
        "nemo",
        "context, completions[{rank, completion}]",
        |row| has(row, &["context", "completions"]),
        nemo,
    ),
    Spec::row(
        PairFormat::RmGallery,
        "rm-gallery",
        "input, output[{answer, label{is_preferred}}]",
        |row| present(row, "input").is_some_and(Value::is_array) && has(row, &["output"]),
        rm_gallery,
    ),
    Spec::row(
        PairFormat::HhhAlignment,
        "hhh-alignment",
        "input, targets{choices, labels}",
        |row| has(row, &["input", "targets"]),
        hhh_alignment,
    ),
    Spec::row(
        PairFormat::BestOfN,
        "best-of-n",
        "prompt, candidates[{response, correct or score}]",
        |row| has(row, &["prompt", "candidates"]),
        best_of_n,
    ),
    Spec::row(
        PairFormat::PpeBestOfK,
        "ppe-best-of-k",
        "prompt, scores[], response_1, response_2 …",
        |row| has(row, &["prompt", "scores", "response_1"]),
        ppe_best_of_k,
    ),
];

fn are_lists(row: &Object) -> bool {
    let of_texts = |value: &Value| {
        value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
    };
    ["chosen", "rejected"].iter().all(|field| present(row, field).is_some_and(of_texts))
}

fn needed<'a>(row: &'a Object, field: &'static str) -> Result<&'a str, RowProblem> {
    text(required(row, field)?, field)
}

/// Every right response is better than every wrong one; right ones are equal among themselves.
fn right_and_wrong(row: &Object) -> Result<Ranked, RowProblem> {
    let side = |field, score| -> Result<Vec<Answer>, RowProblem> {
        Ok(texts(required(row, field)?, field)?
            .into_iter()
            .map(|t| Answer::new(t, score))
            .collect())
    };
    let mut answers = side("chosen", 1.0)?;
    answers.extend(side("rejected", 0.0)?);
    Ranked::new(row, prompt(required(row, "prompt")?, "prompt")?, answers)
}

/// The score is `overall_score`, else the mean of the aspects' ratings; another model wrote the critique.
fn ultra_feedback(row: &Object) -> Result<Ranked, RowProblem> {
    let mut answers = Vec::new();
    for completion in list(required(row, "completions")?, "completions")? {
        let completion = fields(completion, "completions")?;
        let score = match optional_number(completion, "overall_score")? {
            Some(score) => score,
            None => mean_rating(completion)?,
        };
        let mut answer = Answer::new(needed(completion, "response")?, score);
        let critique = optional_text(completion, "critique")?;
        answer.critiques.extend(critique.map(|text| (text, Provenance::External)));
        answers.push(answer);
    }
    let asked = Conversation::from_user(needed(row, "instruction")?);
    Ok(Ranked::new(row, asked, answers)?.with_difference())
}

fn mean_rating(completion: &Object) -> Result<f64, RowProblem> {
    let aspects = completion.get("annotations").and_then(Value::as_object);
    let ratings: Vec<f64> = aspects
        .into_iter()
        .flat_map(|aspects| aspects.values())
        .filter_map(|aspect| number(aspect.get("Rating")?, "Rating").ok())
        .collect();
    if ratings.is_empty() {
        return Err(RowProblem::MissingField { field: "overall_score" });
    }
    Ok(ratings.iter().sum::<f64>() / ratings.len() as f64)
}

/// Rank 1 is the best; the prompt is a dialogue in Anthropic's form.
fn nectar(row: &Object) -> Result<Ranked, RowProblem> {
    let mut answers = Vec::new();
    for each in list(required(row, "answers")?, "answers")? {
        let each = fields(each, "answers")?;
        let rank = number(required(each, "rank")?, "rank")?;
        answers.push(Answer::new(needed(each, "answer")?, -rank));
    }
    Ok(Ranked::new(row, prompt(required(row, "prompt")?, "prompt")?, answers)?.with_difference())
}

/// Rank 0 is the best.
fn nemo(row: &Object) -> Result<Ranked, RowProblem> {
    let mut answers = Vec::new();
    for each in list(required(row, "completions")?, "completions")? {
        let each = fields(each, "completions")?;
        let rank = number(required(each, "rank")?, "rank")?;
        answers.push(Answer::new(answer(required(each, "completion")?, "completion")?, -rank));
    }
    let mut ranked = Ranked::new(row, prompt(required(row, "context")?, "context")?, answers)?;
    if ranked.domain.is_none() {
        ranked.domain = optional_text(row, "task_name")?;
    }
    Ok(ranked)
}

fn rm_gallery(row: &Object) -> Result<Ranked, RowProblem> {
    let mut answers = Vec::new();
    for each in list(required(row, "output")?, "output")? {
        let said = answer(required(fields(each, "output")?, "answer")?, "answer")?;
        let preferred = each.get("label").and_then(|label| label.get("is_preferred"));
        let preferred = preferred.ok_or(RowProblem::MissingField { field: "is_preferred" })?;
        let score = f64::from(u8::from(flag(preferred, "is_preferred")?));
        answers.push(Answer::new(said, score));
    }
    Ranked::new(row, messages(required(row, "input")?, "input")?, answers)
}

fn hhh_alignment(row: &Object) -> Result<Ranked, RowProblem> {
    let targets = fields(required(row, "targets")?, "targets")?;
    let choices = texts(required(targets, "choices")?, "choices")?;
    let labels = list(required(targets, "labels")?, "labels")?;
    ranked_by(row, instruction(needed(row, "input")?, None), choices, labels, ("choices", "labels"))
}

fn best_of_n(row: &Object) -> Result<Ranked, RowProblem> {
    let (mut answers, mut is_scored) = (Vec::new(), false);
    for each in list(required(row, "candidates")?, "candidates")? {
        let each = fields(each, "candidates")?;
        let score = match (present(each, "correct"), optional_number(each, "score")?) {
            (Some(correct), _) => f64::from(u8::from(flag(correct, "correct")?)),
            (None, Some(score)) => {
                is_scored = true;
                score
            }
            (None, None) => return Err(RowProblem::MissingField { field: "correct` or `score" }),
        };
        answers.push(Answer::new(answer(required(each, "response")?, "response")?, score));
    }
    let ranked = Ranked::new(row, prompt(required(row, "prompt")?, "prompt")?, answers)?;
    Ok(if is_scored { ranked.with_difference() } else { ranked })
}

/// PPE: `scores` says which of `response_1` to `response_k` are right.
fn ppe_best_of_k(row: &Object) -> Result<Ranked, RowProblem> {
    let labels = list(required(row, "scores")?, "scores")?;
    let responses = (1..=labels.len())
        .map(|k| row.get(&format!("response_{k}")).and_then(Value::as_str).map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or(RowProblem::UnequalLists { responses: "response_1 …", labels: "scores" })?;
    let asked = prompt(required(row, "prompt")?, "prompt")?;
    ranked_by(row, asked, responses, labels, ("response_1 …", "scores"))
}

/// Responses with a list of flags or numbers beside them.
fn ranked_by(
    row: &Object,
    prompt: Conversation,
    responses: Vec<String>,
    labels: &[Value],
    (responses_field, labels_field): (&'static str, &'static str),
) -> Result<Ranked, RowProblem> {
    if responses.len() != labels.len() {
        let (responses, labels) = (responses_field, labels_field);
        return Err(RowProblem::UnequalLists { responses, labels });
    }
    let mut answers = Vec::new();
    for (response, label) in responses.into_iter().zip(labels) {
        let score = match flag(label, labels_field) {
            Ok(flag) => f64::from(u8::from(flag)),
            Err(_) => number(label, labels_field)?,
        };
        answers.push(Answer::new(response, score));
    }
    Ranked::new(row, prompt, answers)
}
