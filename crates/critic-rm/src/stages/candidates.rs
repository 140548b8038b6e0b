use super::answers::Answers;
use super::critic::{Critic, CriticEngine};
use super::session::Session;
use crate::progress::{News, say, tell};
use anyhow::Result;
use critic_method::{CritiqueSettings, generate, response_id};
use critic_types::{Candidate, ContentId, PreferencePair, Side};

/// Candidates that were written for some pairs, and how.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) candidates: Vec<Candidate>,
    /// Responses whose candidates were in the store already.
    pub(super) n_done: usize,
    pub(super) n_failed: usize,
    /// Of this sitting.
    pub(super) seconds: f64,
    /// What was taken of servers for them.
    pub(super) taken: Vec<(&'static str, String)>,
}

/// Writes N candidates of both responses of every pair, those apart that stand under `key` already; each
/// response's are stored at once.
pub(super) fn write(
    session: &mut Session,
    critic: &Critic,
    pairs: &[PreferencePair],
    settings: &CritiqueSettings,
    key: &ContentId,
    doing: &str,
) -> Result<Written> {
    let done = session.store.has_candidates(key, pairs, settings.n_candidates)?;
    let is_done = |pair: &str, side: Side| done.contains(&(pair.to_owned(), side));
    let names = pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair.id.as_str(), side)));
    let n_done = names.filter(|&(id, side)| is_done(id, side)).count();
    let total = 2 * pairs.len();
    let (mut n_failed, mut seconds, mut taken) = (0, 0.0, Vec::new());
    if n_done < total {
        let mut engine = CriticEngine::new(session, critic, key)?;
        let mut answers = Answers::new(session, &engine, doing, total, n_done);
        session.store.clear_failures("critique", key)?;
        let store = &mut session.store;
        generate(
            pairs,
            &mut engine,
            &session.prompts,
            settings,
            &is_done,
            &mut |place, side, result| {
                answers.take(result, |answer| match answer {
                    Ok(candidates) => {
                        tell(|| News::wrote(&pairs[place], side, &candidates));
                        store.put_candidates(key, &pairs[place], &candidates).map(drop)
                    }
                    Err(error) => {
                        n_failed += 1;
                        let response = response_id(&pairs[place].id, side);
                        store.put_failure("critique", key, &response, &error.kind.to_string())
                    }
                })
            },
        )?;
        seconds = answers.finish(session)?;
        taken = engine.finish()?;
    }
    for (item, reason) in session.store.failures("critique", key)?.into_iter().take(3) {
        say(format!("no critiques of {item}: {reason}"));
    }
    let candidates = session.store.candidates(key, pairs)?;
    Ok(Written { candidates, n_done, n_failed, seconds, taken })
}
