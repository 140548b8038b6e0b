//! HelpSteer 2 and 3, with the annotators' words as critiques.

use super::Spec;
use super::two_sided::by_strength;
use crate::fields::{
    Object, fields, has, list, messages, number, optional_text, present, required, text,
};
use crate::ranked::{Answer, Ranked};
use crate::{PairFormat, RowProblem};
use critic_types::{Conversation, Message, Provenance, Role};

pub(super) const SPECS: [Spec; 3] = [
    Spec::row(
        PairFormat::HelpSteer3,
        "helpsteer3",
        "context, response1, response2, overall_preference (−3 … 3), individual_preference",
        |row| has(row, &["context", "response1", "overall_preference"]),
        preference_3,
    ),
    Spec::row(
        PairFormat::HelpSteer2Preference,
        "helpsteer2-preference",
        "prompt, response_1, response_2, preference_strength (−3 … 3)",
        |row| has(row, &["response_1", "response_2", "preference_strength"]),
        preference_2,
    ),
    Spec::grouped(
        PairFormat::HelpSteer2,
        "helpsteer2",
        "prompt, response, helpfulness …; rows of one prompt are compared",
        |row| has(row, &["prompt", "response", "helpfulness"]),
        attributes,
    ),
];

/// A prompt whose later turns open with `<extra_id_1>` and the speaker's name.
fn prompt(text: &str) -> Conversation {
    let mut turns = text.split("<extra_id_1>");
    let mut messages = vec![Message {
        role: Role::User,
        content: turns.next().unwrap_or_default().trim_end_matches('\n').to_owned(),
    }];
    for turn in turns {
        let (speaker, said) = turn.split_once('\n').unwrap_or((turn, ""));
        let role = if speaker.trim() == "Assistant" { Role::Assistant } else { Role::User };
        messages.push(Message { role, content: said.trim_end_matches('\n').to_owned() });
    }
    if messages.len() > 1 && messages.last().is_some_and(|m| m.content.trim().is_empty()) {
        messages.pop();
    }
    Conversation(messages)
}

fn needed<'a>(row: &'a Object, field: &'static str) -> Result<&'a str, RowProblem> {
    text(required(row, field)?, field)
}

/// The score is `helpfulness`, 0–4; equal helpfulness is a tie.
fn attributes(row: &Object) -> Result<Ranked, RowProblem> {
    let helpfulness = number(required(row, "helpfulness")?, "helpfulness")?;
    let answer = Answer::new(needed(row, "response")?, helpfulness);
    Ok(Ranked::new(row, prompt(needed(row, "prompt")?), vec![answer])?.with_difference())
}

/// A negative strength prefers the first response.
fn preference_2(row: &Object) -> Result<Ranked, RowProblem> {
    let strength = number(required(row, "preference_strength")?, "preference_strength")?;
    let (first, second) =
        (needed(row, "response_1")?.to_owned(), needed(row, "response_2")?.to_owned());
    let mut ranked = by_strength(row, prompt(needed(row, "prompt")?), first, second, -strength)?;
    for field in ["preference_statement", "preference_elaboration"] {
        let said = optional_text(row, field)?;
        ranked.about_all.extend(said.map(|text| (text, Provenance::Human)));
    }
    Ok(ranked)
}

/// A negative preference prefers the first response; each annotator wrote feedback on both.
fn preference_3(row: &Object) -> Result<Ranked, RowProblem> {
    let strength = number(required(row, "overall_preference")?, "overall_preference")?;
    let context = messages(required(row, "context")?, "context")?;
    let (first, second) =
        (needed(row, "response1")?.to_owned(), needed(row, "response2")?.to_owned());
    let mut ranked = by_strength(row, context, first, second, -strength)?;
    if ranked.subset.is_none() {
        ranked.subset = optional_text(row, "language")?;
    }
    let Some(annotators) = present(row, "individual_preference") else { return Ok(ranked) };
    for annotator in list(annotators, "individual_preference")? {
        let annotator = fields(annotator, "individual_preference")?;
        let said = |field| optional_text(annotator, field);
        for (answer, field) in ranked.answers.iter_mut().zip(["feedback1", "feedback2"]) {
            answer.critiques.extend(said(field)?.map(|text| (text, Provenance::Human)));
        }
        ranked.about_all.extend(said("reasoning")?.map(|text| (text, Provenance::Human)));
    }
    Ok(ranked)
}
