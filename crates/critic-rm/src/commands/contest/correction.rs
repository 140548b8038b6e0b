//! Responses that are written again with a critique of them, and graded.

use super::asking::id;
use super::contestant::{Conduct, Engines, Entrant, Place, Sampled};
use super::items::BenchData;
use super::truths::Truth;
use crate::exit::Fault;
use crate::journal::Journal;
use crate::progress::{Meter, say};
use anyhow::{Result, anyhow};
use critic_data::synth::{GoldAnswer, Grade};
use critic_engine::{Completion, EngineError, GenerateRequest, Generator, Sampling};
use critic_eval::benches::{CorrectionRow, CorrectionScore, correction_gain};
use critic_text::CORRECTION_REQUEST;
use critic_types::{ContentHasher, ContentId, FinishReason, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A response written again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Corrected {
    text: String,
    finish_reason: FinishReason,
}

/// What a response is worth against any of the gold answers: right when it reaches one, unreadable when
/// none of them can be compared.
fn grade(response: &str, gold: &[String]) -> Grade {
    let grades: Vec<Grade> =
        gold.iter().map(|answer| GoldAnswer::of(answer).grade(response)).collect();
    [Grade::Right, Grade::Wrong]
        .into_iter()
        .find(|grade| grades.contains(grade))
        .unwrap_or(Grade::Unreadable)
}

/// Lets the entrant correct each response whose gold answer is known with its own first critique of it,
/// greedily, and grades what comes out. A correction that is cut or has no readable answer is missing.
/// Nothing where no row has a gold answer.
pub(super) fn correct(
    entrant: &Entrant,
    data: &BenchData,
    (sampled, samples): (&Sampled, &ContentId),
    max_new_tokens: usize,
    conduct: &Conduct<'_>,
) -> Result<Option<CorrectionScore>> {
    let truths: BTreeMap<usize, Truth> = data
        .items
        .iter()
        .enumerate()
        .filter_map(|(i, item)| Some((i, serde_json::from_value(item.row.clone()).ok()?)))
        .filter(|(_, truth): &(usize, Truth)| !truth.gold.is_empty())
        .collect();
    if truths.is_empty() {
        return Ok(None);
    }
    let prompts = entrant.prompts(conduct)?;
    let sampling = Sampling::greedy(max_new_tokens);
    let mut hasher = ContentHasher::new("contest corrections");
    hasher.text(samples.as_str()).text(CORRECTION_REQUEST).text(prompts.digest().as_str());
    hasher.text(&format!("{sampling:?}"));
    let Engines::Local(mut engines) = entrant.engines(conduct, &mut hasher)? else {
        return Ok(None);
    };
    let engine = engines.first_mut().ok_or_else(|| anyhow!("{} runs no model", entrant.name))?;
    let work = hasher.finish();
    let name = entrant.name.replace(['/', ' '], "-");
    let file = format!("{}--{name}--correction--{:.12}.jsonl", data.slug, work.as_str());
    let mut journal: Journal<String, Corrected> =
        Journal::open(conduct.folder.join("samples").join(file), &work)?;
    let first = |item: &usize| sampled.get(&(*item, 0))?.response.critiques.first();
    let critiques: BTreeMap<Place, &str> =
        truths.keys().filter_map(|item| Some(((*item, 0), first(item)?.text.as_str()))).collect();
    let key = |place: Place, critique: &str| {
        let mut hasher = ContentHasher::new("critique");
        hasher.text(data.address(place).as_str()).text(critique);
        hasher.finish().to_string()
    };
    let open: Vec<(Place, String)> = critiques
        .iter()
        .map(|(&place, critique)| (place, key(place, critique)))
        .filter(|(_, key)| !journal.done().contains_key(key))
        .collect();
    let requests: Vec<GenerateRequest> = open
        .iter()
        .map(|(place, _)| {
            let item = &data.items[place.0];
            let conversation = prompts
                .critiqued(&item.prompt, &item.responses[0], critiques[place])
                .with(Role::User, CORRECTION_REQUEST);
            let seed = conduct.critiques.seed.child("correction").child(&item.id);
            GenerateRequest::new(id(data, *place), conversation, sampling.clone(), seed)
        })
        .collect();
    let title = format!("corrections of {} on {}", entrant.name, data.slug);
    let (mut written, mut failures) = (Ok(()), Vec::new());
    if !open.is_empty() {
        let n_done = critiques.len() - open.len();
        let mut meter = Meter::new(&title, critiques.len() as u64, n_done as u64);
        engine.generate(&requests, &mut |i, result: Result<Vec<Completion>, EngineError>| {
            match result.map(|completions| completions.into_iter().next()) {
                Ok(Some(Completion { text, finish_reason, .. })) => {
                    written = journal.add(open[i].1.clone(), Corrected { text, finish_reason });
                }
                Ok(None) => {}
                Err(error) => failures.push(error.to_string()),
            }
            meter.advance("");
            match written.is_err() || conduct.cancel.is_set() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        meter.finish();
    }
    written?;
    if conduct.cancel.is_set() {
        return Err(Fault::interrupted("the same command"));
    }
    failures.iter().take(3).for_each(|failure| say(format!("{title}: none: {failure}")));
    let rows: Vec<CorrectionRow> = truths
        .iter()
        .map(|(&item, truth)| {
            let found = &data.items[item];
            let corrected = critiques
                .get(&(item, 0))
                .and_then(|critique| journal.done().get(&key((item, 0), critique)));
            let whole = corrected.filter(|one| one.finish_reason == FinishReason::Stop);
            let before = grade(&found.responses[0], &truth.gold);
            CorrectionRow {
                id: found.id.clone(),
                domain: truth.domain.clone(),
                // The label is about the way to the answer where the answer itself cannot be read.
                right_before: match before {
                    Grade::Right => true,
                    Grade::Wrong => false,
                    Grade::Unreadable => truth.is_right,
                },
                right_after: match whole.map(|one| grade(&one.text, &truth.gold)) {
                    Some(Grade::Right) => Some(true),
                    Some(Grade::Wrong) => Some(false),
                    Some(Grade::Unreadable) | None => None,
                },
            }
        })
        .collect();
    Ok(Some(correction_gain(&rows)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_gold_answers_will_do() {
        let gold = |answers: &[&str]| answers.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        assert_eq!(grade("The answer is 4.", &gold(&["five", "4"])), Grade::Right);
        assert_eq!(grade("The answer is 5.", &gold(&["3", "4"])), Grade::Wrong);
        assert_eq!(grade("Who knows?", &gold(&["3"])), Grade::Unreadable);
    }
}
