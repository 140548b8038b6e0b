//! What is read of critiques after they were written: no draw, a question each.

use super::asking::id;
use super::contestant::{Conduct, Engines, Entrant, Kind, Place, Sampled, language_model};
use super::items::BenchData;
use crate::exit::Fault;
use crate::journal::Journal;
use crate::progress::{Meter, say};
use anyhow::{Result, anyhow};
use critic_engine::{
    ChoiceRequest, EngineError, EngineErrorKind, Generator, RequestControl, log_odds,
};
use critic_method::expected_score;
use critic_remote::RemoteEngine;
use critic_text::Prompts;
use critic_types::{ContentHasher, ContentId, Conversation, Role};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Critiques whose answers are waited for before those of others are asked for.
const AT_ONCE: usize = 512;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rereading {
    /// How good the critique is, 1–10: what the meta-judge of Critic-RM-Rank expects to say.
    Meta,
    /// The score that the critique comes to, 1–10, where it states it or after its lead.
    Expected,
    /// Log-odds that the response is good, asked after the critique.
    Verdict,
}

/// A number of each critique of a response, in their order; absent where none can be read.
pub(super) type Reread = BTreeMap<Place, Vec<Option<f64>>>;

impl Rereading {
    fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta-judge",
            Self::Expected => "expected-score",
            Self::Verdict => "verdict",
        }
    }

    fn ask(
        self,
        prompts: &Prompts,
        prompt: &Conversation,
        response: &str,
        critique: &str,
    ) -> (Conversation, Vec<String>) {
        match self {
            Self::Meta => (prompts.meta_judge(prompt, response, critique), prompts.meta_choices()),
            Self::Expected => {
                let begun = up_to_score(critique, prompts.score_lead());
                let asked = prompts.critique(prompt, response).with(Role::Assistant, begun);
                (asked, prompts.score_choices())
            }
            Self::Verdict => {
                let asked = prompts
                    .critiqued(prompt, response, critique)
                    .with(Role::User, prompts.verdict_question());
                (asked, prompts.verdict_choices())
            }
        }
    }

    fn number(self, log_probs: &[f64], prompts: &Prompts) -> Option<f64> {
        match self {
            Self::Meta => expected_score(log_probs, &prompts.meta_scale()),
            Self::Expected => expected_score(log_probs, prompts.scale()),
            Self::Verdict => log_odds(log_probs),
        }
    }
}

/// The critique up to where it states its score, the last time; with the score's lead where it states none.
fn up_to_score(critique: &str, lead: &str) -> String {
    let marker = lead.trim();
    let stated = critique.rmatch_indices(marker).find_map(|(at, _)| {
        let rest = &critique[at + marker.len()..];
        let score = rest.trim_start();
        let blanks = rest.len() - score.len();
        score.starts_with(|c: char| c.is_ascii_digit()).then_some(at + marker.len() + blanks)
    });
    match stated {
        Some(end) => critique[..end].to_owned(),
        None => format!("{critique}{lead}"),
    }
}

/// Who is asked.
enum Reader {
    Local(Box<critic_local::LocalEngine>),
    Remote(RemoteEngine),
}

impl Reader {
    fn generator(&mut self) -> &mut dyn Generator {
        match self {
            Self::Local(engine) => engine.as_mut(),
            Self::Remote(engine) => engine,
        }
    }

    /// Who rereads the entrant's critiques: itself, or for [`Rereading::Meta`] whom the contest names.
    fn new(
        what: Rereading,
        entrant: &Entrant,
        conduct: &Conduct<'_>,
        hasher: &mut ContentHasher,
    ) -> Result<Self> {
        let named = match (what, conduct.meta_judge.as_deref()) {
            (Rereading::Meta, Some(named)) => named,
            _ => "self",
        };
        match named {
            "self" => match entrant.engines(conduct, hasher)? {
                Engines::Local(engines) => engines
                    .into_iter()
                    .next()
                    .map(|engine| Self::Local(Box::new(engine)))
                    .ok_or_else(|| anyhow!("{} runs no model", entrant.name)),
                Engines::Server(_) => Err(anyhow!("{} writes no critiques", entrant.name)),
            },
            "remote" => {
                let settings = conduct.remote.clone().ok_or_else(|| {
                    Fault::config(anyhow!(
                        "--meta-judge remote needs --endpoint and --remote-model"
                    ))
                })?;
                hasher.text(&settings.identity());
                Ok(Self::Remote(RemoteEngine::new(settings, None, None)?))
            }
            model => Ok(Self::Local(Box::new(language_model(model, conduct, hasher)?))),
        }
    }
}

/// Reads something of every critique of the samples whose address is `samples`, those in its journal
/// apart. What cannot be read is absent, and what failed is told and asked for again by the next call.
pub(super) fn reread(
    what: Rereading,
    entrant: &Entrant,
    data: &BenchData,
    (sampled, samples): (&Sampled, &ContentId),
    conduct: &Conduct<'_>,
) -> Result<Reread> {
    let prompts = entrant.prompts(conduct)?;
    let mut hasher = ContentHasher::new("contest rereading");
    hasher.text(what.name()).text(samples.as_str()).text(prompts.digest().as_str());
    let mut reader = Reader::new(what, entrant, conduct, &mut hasher)?;
    let work = hasher.finish();
    let name = entrant.name.replace(['/', ' '], "-");
    let file = format!("{}--{name}--{}--{:.12}.jsonl", data.slug, what.name(), work.as_str());
    let path = conduct.folder.join("samples").join(file);
    let mut journal: Journal<String, Option<f64>> = Journal::open(path, &work)?;
    let mut keys: BTreeMap<(Place, usize), String> = BTreeMap::new();
    for (&place, sample) in sampled {
        for (i, critique) in sample.response.critiques.iter().enumerate() {
            let mut hasher = ContentHasher::new("critique");
            hasher.text(data.address(place).as_str()).text(&critique.text);
            keys.insert((place, i), hasher.finish().to_string());
        }
    }
    let open: Vec<(Place, usize)> = keys
        .iter()
        .filter(|(_, key)| !journal.done().contains_key(*key))
        .map(|(k, _)| *k)
        .collect();
    let title = format!("{} of {} on {}", what.name(), entrant.name, data.slug);
    let mut meter = (!open.is_empty())
        .then(|| Meter::new(&title, keys.len() as u64, (keys.len() - open.len()) as u64));
    let (mut written, mut failures, mut refused) = (Ok(()), Vec::new(), None);
    for part in open.chunks(AT_ONCE) {
        let requests: Vec<ChoiceRequest> = part
            .iter()
            .map(|&(place, i)| {
                let (item, response) = place;
                let found = &data.items[item];
                let critique = &sampled[&place].response.critiques[i].text;
                let (conversation, choices) =
                    what.ask(&prompts, &found.prompt, &found.responses[response], critique);
                let id = format!("{}/{i}", id(data, place));
                ChoiceRequest { id, conversation, choices, control: RequestControl::default() }
            })
            .collect();
        reader.generator().choose(&requests, &mut |i, result: Result<Vec<f64>, EngineError>| {
            match result {
                Ok(log_probs) => {
                    written =
                        journal.add(keys[&part[i]].clone(), what.number(&log_probs, &prompts));
                }
                Err(error) => {
                    if matches!(error.kind, EngineErrorKind::RemoteRefused { .. }) {
                        refused = Some(error.kind.to_string());
                    }
                    failures.push(error.to_string());
                }
            }
            if let Some(meter) = &mut meter {
                meter.advance("");
            }
            match written.is_err() || refused.is_some() || conduct.cancel.is_set() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if written.is_err() || refused.is_some() || conduct.cancel.is_set() {
            break;
        }
    }
    if let Some(meter) = meter {
        meter.finish();
    }
    written?;
    if conduct.cancel.is_set() {
        return Err(Fault::interrupted("the same command"));
    }
    if let Some(reason) = refused {
        return Err(Fault::remote(anyhow!("{title}: {reason}")));
    }
    failures.iter().take(3).for_each(|failure| say(format!("{title}: no number: {failure}")));
    let mut read = Reread::new();
    for ((place, _), key) in &keys {
        let number = journal.done().get(key).copied().flatten();
        read.entry(*place).or_default().push(number);
    }
    Ok(read)
}

/// Reads of every critique what the contest asks for, beside what its sampling read.
pub(super) fn complete(
    entrant: &Entrant,
    data: &BenchData,
    (sampled, samples): (&mut Sampled, &ContentId),
    conduct: &Conduct<'_>,
) -> Result<()> {
    if conduct.meta_judge.is_some() {
        let read = reread(Rereading::Meta, entrant, data, (&*sampled, samples), conduct)?;
        each(sampled, &read, |critique, number| critique.meta_score = number);
    }
    // A judge's sampling reads the expected scores itself.
    if conduct.mixed.is_some() && matches!(entrant.kind, Kind::Reward { .. }) {
        let read = reread(Rereading::Expected, entrant, data, (&*sampled, samples), conduct)?;
        each(sampled, &read, |critique, number| critique.expected_score = number);
    }
    Ok(())
}

fn each(
    sampled: &mut Sampled,
    read: &Reread,
    put: impl Fn(&mut critic_eval::SampledCritique, Option<f64>),
) {
    for (place, numbers) in read {
        let Some(sample) = sampled.get_mut(place) else { continue };
        for (critique, number) in sample.response.critiques.iter_mut().zip(numbers) {
            put(critique, *number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_read_where_it_stands_the_last_time() {
        let lead = "\nScore: ";
        let found = |critique| up_to_score(critique, lead);
        assert_eq!(found("Good.\nScore: 8"), "Good.\nScore: ");
        assert_eq!(found("Score: 3 at first. Score: 10/10."), "Score: 3 at first. Score: ");
        assert_eq!(found("Score:7"), "Score:");
        assert_eq!(found("The Score: is high"), "The Score: is high\nScore: ");
        assert_eq!(found("Good."), "Good.\nScore: ");
    }
}
