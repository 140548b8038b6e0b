use super::answers::Answers;
use super::critic::{Critic, CriticEngine};
use super::session::Session;
use crate::progress::say;
use anyhow::Result;
use critic_engine::{ChoiceRequest, Generator, RequestControl, log_odds};
use critic_text::Ending;
use critic_types::{
    Candidate, ContentHasher, ContentId, Conversation, CritiqueScores, FinishReason, Role, Side,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What becomes of critiques that come with the training pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GivenCritiques {
    /// The warm-up alone may use them.
    #[default]
    Ignore,
    /// They are candidates beside the critic's own, and pass the filter or not.
    Filter,
    /// They are candidates that the filter keeps whatever they say.
    Keep,
}

/// The critiques that came with the training pairs as candidates, with indices from `first` on, in the
/// order of the data.
///
/// The written score is read from the text; the verdict is the critic's: it is asked the verdict question
/// after them, as after its own. They have no expected score. One whose question cannot be answered has no
/// verdict.
pub(super) fn candidates(
    session: &mut Session,
    critic: &Critic,
    own: &ContentId,
    first: usize,
) -> Result<Vec<Candidate>> {
    let mut hasher = ContentHasher::new("given critiques");
    hasher.text(own.as_str()).text(&serde_json::to_string(&session.train.critiques)?);
    let key = hasher.finish();
    let pairs = session.train.pairs.clone();
    let places: HashMap<&str, usize> =
        pairs.iter().enumerate().map(|(place, pair)| (pair.id.as_str(), place)).collect();
    let stored = session.store.candidates(&key, &pairs)?;
    let done: HashSet<(&str, Side, usize)> =
        stored.iter().map(|one| (one.pair_id.as_str(), one.side, one.index)).collect();
    let (mut open, mut questions) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<(&str, Side), usize> = BTreeMap::new();
    let (mut n_wanted, mut n_of_both, mut n_unfit) = (0, 0, 0);
    for critique in &session.train.critiques {
        let Some(&place) = places.get(critique.pair_id.as_str()) else { continue };
        let Some(side) = critique.side else {
            n_of_both += 1;
            continue;
        };
        let count = counts.entry((critique.pair_id.as_str(), side)).or_default();
        let index = first + *count;
        *count += 1;
        let pair = &pairs[place];
        let read = session.prompts.critiqued(&pair.prompt, pair.response(side), &critique.text);
        let Ok(rendered) = session.base.renderer.render(&read, Ending::Closed) else {
            n_unfit += 1;
            continue;
        };
        n_wanted += 1;
        if done.contains(&(critique.pair_id.as_str(), side, index)) {
            continue;
        }
        questions.push(question(session, &pair.id, side, index, read));
        open.push((
            place,
            Candidate {
                pair_id: pair.id.clone(),
                side,
                index,
                scores: CritiqueScores {
                    parsed: session.prompts.scale().parse(&critique.text),
                    ..CritiqueScores::default()
                },
                finish_reason: FinishReason::Stop,
                n_tokens: rendered.label_span.map_or(0, |span| span.len()),
                provenance: critique.provenance,
                text: critique.text.clone(),
            },
        ));
    }
    if n_of_both > 0 || n_unfit > 0 {
        let note = format!(
            "Of the critiques that came with the pairs {n_of_both} are about both responses and {n_unfit} cannot be rendered; they are left out."
        );
        say(&note);
        session.records.notes.push(note);
    }
    if !open.is_empty() {
        let mut engine = CriticEngine::new(session, critic, &key)?;
        let n_done = n_wanted - open.len();
        let doing = "judging given critiques";
        let mut answers = Answers::new(session, &engine, doing, n_wanted, n_done);
        let store = &mut session.store;
        engine.choose(&questions, &mut |i, result| {
            let (place, candidate) = &open[i];
            answers.take(result, |answer| {
                let mut candidate = candidate.clone();
                match answer {
                    Ok(log_probs) => candidate.scores.verdict = log_odds(&log_probs),
                    Err(error) => say(format!("no verdict on {}: {error}", questions[i].id)),
                }
                store.put_candidates(&key, &pairs[*place], &[candidate]).map(drop)
            })
        });
        answers.finish(session)?;
        engine.finish()?;
    }
    Ok(session.store.candidates(&key, &pairs)?)
}

fn question(
    session: &Session,
    pair_id: &str,
    side: Side,
    index: usize,
    read: Conversation,
) -> ChoiceRequest {
    ChoiceRequest {
        id: format!("{pair_id}/{}/{index}", side.as_str()),
        conversation: read.with(Role::User, session.prompts.verdict_question()),
        choices: session.prompts.verdict_choices(),
        control: RequestControl::default(),
    }
}
