use super::critique::Candidates;
use super::rounds::Round;
use super::session::Session;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_method::filter;
use critic_report::FunnelStep;
use critic_store::FilterVerdict;
use critic_types::{Candidate, ContentId};
use std::collections::HashSet;
use std::time::Instant;

/// The candidates that agree with the label.
#[derive(Debug)]
pub(crate) struct Survivors {
    pub(crate) key: ContentId,
    pub(crate) critiques: Vec<Candidate>,
}

/// Stage 1b: the consistency filter.
pub(crate) fn run(
    session: &mut Session,
    round: &Round,
    candidates: &Candidates,
) -> Result<Survivors> {
    let started = Instant::now();
    let settings = &session.resolved.settings.filter;
    let mut hasher = session.critic_hasher("filter", &round.critic);
    hasher
        .text(candidates.key.as_str())
        .text(session.train.content.as_str())
        .text(&serde_json::to_string(settings)?);
    let key = hasher.finish();
    let outcome = filter(&session.train.pairs, &candidates.critiques, settings)?;
    let verdicts: Vec<FilterVerdict> = outcome
        .verdicts
        .iter()
        .map(|verdict| FilterVerdict {
            pair_id: verdict.pair_id.clone(),
            side: verdict.side,
            index: verdict.index,
            kept: verdict.dropped.is_none(),
            reason: verdict.dropped.map(|reason| reason.as_str().to_owned()),
        })
        .collect();
    session.store.put_verdicts(&key, &verdicts)?;
    let critiques = outcome.kept(&candidates.critiques);
    let n_pairs =
        critiques.iter().map(|critique| critique.pair_id.as_str()).collect::<HashSet<_>>().len();
    let label = format!("filter by {} score", settings.score.as_str());
    session.records.funnel.push(FunnelStep { label, n_pairs, n_critiques: Some(critiques.len()) });
    let agreement = outcome
        .report
        .scores
        .iter()
        .find(|report| report.score == settings.score)
        .and_then(critic_method::ScoreReport::agreement);
    session.records.filter = Some(outcome.report);
    if critiques.is_empty() {
        return Err(Fault::data(anyhow!(
            "no critique agrees with the label by its {} score: use another score (filter.score=verdict), another rule, or more candidates",
            settings.score.as_str()
        )));
    }
    let mut facts =
        vec![("critiques kept", critiques.len().to_string()), ("pairs kept", n_pairs.to_string())];
    if let Some(agreement) = agreement {
        facts.push(("label agreement", format!("{:.1} %", 100.0 * agreement)));
    }
    session.finish(&round.name("filter"), &key, started.elapsed().as_secs_f64(), false, facts)?;
    Ok(Survivors { key, critiques })
}
