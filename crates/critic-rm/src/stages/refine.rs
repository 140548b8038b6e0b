use super::answers::Answers;
use super::critic::CriticEngine;
use super::filter::Survivors;
use super::meta_judge;
use super::rounds::Round;
use super::session::Session;
use crate::progress::{News, say, tell};
use anyhow::Result;
use critic_method::{MetaJudge, RefineSettings, Refinement, refine, response_id};
use critic_types::{Candidate, ContentId, Side};
use std::collections::{BTreeSet, HashSet};

/// The critiques that training sees.
#[derive(Debug)]
pub(crate) struct Refined {
    pub(crate) key: ContentId,
    pub(crate) critiques: Vec<Candidate>,
}

/// Stage 1c: rank or summarize.
pub(crate) fn run(session: &mut Session, round: &Round, survivors: &Survivors) -> Result<Refined> {
    let settings = RefineSettings {
        refinement: session.resolved.settings.refine,
        sampling: session.resolved.settings.critique.sampling(),
        keep_truncated: session.resolved.settings.filter.keep_truncated,
        seed: session.seed().child(&format!("round {}", round.index)),
    };
    let mut hasher = session.critic_hasher("refine", &round.critic);
    hasher.text(survivors.key.as_str()).text(&serde_json::to_string(&settings.refinement)?);
    let is_pairwise =
        matches!(settings.refinement, Refinement::Rank { judge: MetaJudge::Pairwise, .. });
    if is_pairwise {
        hasher.text(session.prompts.meta_judge_pairwise_digest().as_str());
    }
    let key = hasher.finish();
    let named = |critiques: &[Candidate]| -> BTreeSet<(String, Side)> {
        critiques.iter().map(|critique| (critique.pair_id.clone(), critique.side)).collect()
    };
    let done = named(&session.store.critiques(&key, &session.train.pairs)?);
    let wanted = named(&survivors.critiques);
    let n_done = wanted.intersection(&done).count();
    let (mut seconds, mut taken, mut n_not_refined) = (0.0, Vec::new(), 0);
    if n_done < wanted.len() && session.store.stage(&round.name("refine"), &key)?.is_none() {
        let mut engine = CriticEngine::new(session, &round.critic, &key)?;
        let verb = match settings.refinement {
            Refinement::Rank { .. } => "ranking critiques",
            Refinement::Summarize { .. } => "summarizing critiques",
            Refinement::None => "taking critiques over",
        };
        let mut answers = Answers::new(session, &engine, verb, wanted.len(), n_done);
        let (store, pairs) = (&mut session.store, &session.train.pairs);
        let is_done = |pair: &str, side: Side| done.contains(&(pair.to_owned(), side));
        let mut failures = Vec::new();
        refine(
            pairs,
            &survivors.critiques,
            &mut engine,
            &session.prompts,
            &settings,
            &is_done,
            &mut |place, side, result| {
                answers.take(result, |answer| match answer {
                    Ok(refined) => {
                        if matches!(settings.refinement, Refinement::Summarize { .. }) {
                            tell(|| News::wrote(&pairs[place], side, &refined.critiques));
                        }
                        meta_judge::put(store, &key, &pairs[place].id, side, &refined)?;
                        store.put_critiques(&key, &pairs[place], &refined.critiques).map(drop)
                    }
                    Err(error) => {
                        let response = response_id(&pairs[place].id, side);
                        failures.push(format!("{response}: {}", error.kind));
                        Ok(())
                    }
                })
            },
        )?;
        seconds = answers.finish(session)?;
        taken = engine.finish()?;
        n_not_refined = failures.len();
        for failure in failures.iter().take(3) {
            say(format!("not refined: {failure}"));
        }
    }
    let critiques = session.store.critiques(&key, &session.train.pairs)?;
    let n_pairs =
        critiques.iter().map(|critique| critique.pair_id.as_str()).collect::<HashSet<_>>().len();
    let label = match settings.refinement {
        Refinement::None => "not refined".to_owned(),
        Refinement::Rank { keep, judge: MetaJudge::Pointwise } => {
            format!("ranked, best {keep} of a response")
        }
        Refinement::Rank { keep, judge: MetaJudge::Pairwise } => {
            format!("ranked two by two, best {keep} of a response")
        }
        Refinement::Summarize { drafts } => format!("summarized, {drafts} drafts of a response"),
    };
    session.records.funnel(label, n_pairs, Some(critiques.len()));
    let mut facts = vec![("critiques to train on", critiques.len().to_string())];
    if is_pairwise {
        let found = meta_judge::consistency(&session.store, &key)?;
        facts.extend(meta_judge::facts(&found));
        if let Some(record) = session.records.rounds.last_mut() {
            record.meta_judge = Some(found);
        }
    }
    if n_not_refined > 0 {
        facts.push(("responses not refined", n_not_refined.to_string()));
    }
    facts.extend(taken);
    session.finish(&round.name("refine"), &key, seconds, n_done > 0, facts)?;
    Ok(Refined { key, critiques })
}
