use super::answers::Answers;
use super::critic::CriticEngine;
use super::rounds::Round;
use super::session::Session;
use crate::progress::say;
use anyhow::Result;
use critic_eval::Accuracy;
use critic_method::{response_id, response_verdicts};
use critic_stats::TieRule;
use critic_types::{ContentId, Side};

/// What one sitting took to ask.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) seconds: f64,
    /// Of servers; empty for a local critic.
    pub(super) taken: String,
}

/// The address of what a round's critic thinks of the responses before it has written a critique.
fn address(session: &Session, round: &Round) -> ContentId {
    session.critic_hasher("verdicts without critique", &round.critic).finish()
}

/// What a round's critic thinks of the responses before it has written a critique: the row that every
/// table of scores has beside the scores of critiques. Responses that it was asked about are passed over.
pub(super) fn ask(session: &mut Session, round: &Round) -> Result<Asked> {
    let key = address(session, round);
    let pairs = session.train.pairs.clone();
    let done = session.store.response_verdicts(&key, &pairs)?;
    let total = 2 * pairs.len();
    if done.len() == total {
        return Ok(Asked::default());
    }
    let mut engine = CriticEngine::new(session, &round.critic, &key)?;
    let doing = "judging without critique";
    let mut answers = Answers::new(session, &engine, doing, total, done.len());
    let (store, mut failures) = (&mut session.store, Vec::new());
    response_verdicts(
        &pairs,
        &mut engine,
        &session.prompts,
        &|pair, side| done.contains_key(&(pair.to_owned(), side)),
        &mut |place, side, answer| {
            answers.take(answer, |answer| match answer {
                Ok(verdict) => {
                    store.put_response_verdict(&key, &pairs[place], side, verdict).map(drop)
                }
                Err(error) => {
                    let response = response_id(&pairs[place].id, side);
                    failures.push(format!("{response}: {}", error.kind));
                    Ok(())
                }
            })
        },
    )?;
    let taken = answers.taken();
    let seconds = answers.finish(session)?;
    engine.finish()?;
    for failure in failures.iter().take(3) {
        say(format!("not judged without critique: {failure}"));
    }
    Ok(Asked { seconds, taken })
}

/// How often the verdicts without critique rank a pair as its label does, over the pairs whose responses
/// both have one; absent where none has.
pub(super) fn agreement(session: &Session, round: &Round) -> Result<Option<Accuracy>> {
    let pairs = &session.train.pairs;
    let found = session.store.response_verdicts(&address(session, round), pairs)?;
    let verdict = |id: &str, side: Side| found.get(&(id.to_owned(), side)).copied().flatten();
    let scored: Vec<(f64, f64)> = pairs
        .iter()
        .filter_map(|pair| verdict(&pair.id, Side::Chosen).zip(verdict(&pair.id, Side::Rejected)))
        .collect();
    Ok(Accuracy::of(&scored, TieRule::Wrong)?)
}
