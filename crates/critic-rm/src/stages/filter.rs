use super::critique::Candidates;
use super::response_verdicts;
use super::rounds::Round;
use super::session::Session;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_eval::Accuracy;
use critic_method::{FilterReport, audit, filter};
use critic_report::{FilterRecord, ScoreAgreement};
use critic_stats::TieRule;
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
    if !candidates.kept.is_empty() {
        hasher.text("and those that stay whatever it says");
    }
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
    let mut critiques = outcome.kept(&candidates.critiques);
    critiques.extend_from_slice(&candidates.kept);
    let n_pairs =
        critiques.iter().map(|critique| critique.pair_id.as_str()).collect::<HashSet<_>>().len();
    let label = format!("filter by {} score", settings.score.as_str());
    session.records.funnel(label, n_pairs, Some(critiques.len()));
    let agreement = outcome
        .report
        .scores
        .iter()
        .find(|report| report.score == settings.score)
        .and_then(critic_method::ScoreReport::agreement);
    let agreements = score_agreement(&outcome.report)?;
    let audited = |which: &str, critiques: &[Candidate]| -> Result<_> {
        let found = audit(&session.train.pairs, critiques, session.prompts.scale())?;
        Ok((which.to_owned(), found))
    };
    let audits = vec![audited("candidates", &candidates.critiques)?, audited("kept", &critiques)?];
    let without_critique = response_verdicts::agreement(session, round)?;
    if let Some(record) = session.records.rounds.last_mut() {
        let FilterReport { pairs, critiques, by_domain, .. } = outcome.report;
        record.filter = Some(FilterRecord { pairs, critiques, by_domain });
        record.score_agreement = agreements;
        record.verdict_without_critique = without_critique;
        record.audits = audits;
    }
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

/// How far each kind of score agrees with the label, from the filter's counts.
fn score_agreement(report: &FilterReport) -> Result<Vec<ScoreAgreement>> {
    let agreement = |score: &critic_method::ScoreReport| {
        let n_below = score.n_pairs - score.n_agree - score.n_ties;
        let mut pairs = vec![(1.0, 0.0); score.n_agree];
        pairs.extend(vec![(0.0, 0.0); score.n_ties]);
        pairs.extend(vec![(0.0, 1.0); n_below]);
        Ok(ScoreAgreement {
            kind: score.score,
            n_pairs: report.pairs.n_seen(),
            accuracy: Accuracy::of(&pairs, TieRule::Wrong)?,
        })
    };
    report.scores.iter().map(agreement).collect()
}
