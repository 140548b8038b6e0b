use super::session::Session;
use crate::exit::Fault;
use crate::progress::{Meter, say};
use anyhow::{Result, anyhow};
use critic_method::{CritiqueSettings, READINGS, generate, response_id};
use critic_report::FunnelStep;
use critic_types::{Candidate, ContentId, FinishReason, Side};
use std::ops::ControlFlow;

/// Candidates with the address of how they were made.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) key: ContentId,
    pub(crate) critiques: Vec<Candidate>,
}

/// Stage 1a: N candidate critiques of every response, by the base model.
pub(crate) fn run(session: &mut Session) -> Result<Candidates> {
    let chosen = &session.resolved.settings.critique;
    let settings = CritiqueSettings {
        n_candidates: chosen.n_candidates,
        sampling: chosen.sampling(),
        seed: session.seed().child("round 0"),
    };
    let mut hasher = session.engine_hasher("candidates");
    hasher.text(&serde_json::to_string(chosen)?).text("round 0").text(READINGS);
    let key = hasher.finish();
    let done = session.store.has_candidates(&key)?;
    let is_done = |pair: &str, side: Side| done.contains(&(pair.to_owned(), side));
    let names =
        session.train.pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (pair.id.as_str(), side)));
    let n_done = names.filter(|&(id, side)| is_done(id, side)).count();
    let total = 2 * session.train.pairs.len();
    let mut n_failed = 0;
    let mut seconds = 0.0;
    if n_done < total {
        let mut engine = session.base_engine()?;
        let mut meter = Meter::new("writing critiques", total as u64, n_done as u64);
        session.store.clear_failures("critique", &key)?;
        let (store, pairs, cancel) =
            (&mut session.store, &session.train.pairs, session.cancel.clone());
        let mut stored = Ok(());
        generate(
            pairs,
            &mut engine,
            &session.prompts,
            &settings,
            &is_done,
            &mut |place, side, result| {
                let put = match result {
                    Ok(candidates) => store.put_candidates(&key, &candidates).map(drop),
                    Err(error) => {
                        n_failed += 1;
                        store.put_failure(
                            "critique",
                            &key,
                            &response_id(&pairs[place].id, side),
                            &error.kind.to_string(),
                        )
                    }
                };
                meter.advance("");
                stored = put;
                if stored.is_err() || cancel.is_set() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        )?;
        seconds = meter.finish();
        stored?;
        if session.cancel.is_set() {
            return Err(session.interrupted());
        }
    }
    for (item, reason) in session.store.failures("critique", &key)?.into_iter().take(3) {
        say(format!("no critiques of {item}: {reason}"));
    }
    let wanted: std::collections::HashSet<&str> =
        session.train.pairs.iter().map(|pair| pair.id.as_str()).collect();
    let critiques: Vec<Candidate> = session
        .store
        .candidates(&key)?
        .into_iter()
        .filter(|candidate| wanted.contains(candidate.pair_id.as_str()))
        .collect();
    if critiques.is_empty() {
        return Err(Fault::data(anyhow!(
            "no critique could be written for any of the {} pairs",
            session.train.pairs.len()
        )));
    }
    let n_tokens: usize = critiques.iter().map(|critique| critique.n_tokens).sum();
    let n_cut =
        critiques.iter().filter(|critique| critique.finish_reason == FinishReason::Length).count();
    let n_parsed = critiques.iter().filter(|critique| critique.scores.parsed.is_some()).count();
    session.records.funnel.push(FunnelStep {
        label: "pairs".to_owned(),
        n_pairs: session.train.pairs.len(),
        n_critiques: None,
    });
    session.records.funnel.push(FunnelStep {
        label: "candidates".to_owned(),
        n_pairs: session.train.pairs.len(),
        n_critiques: Some(critiques.len()),
    });
    session.records.notes.push(format!(
        "{n_parsed} of {} critiques state a readable score of 1–10; {n_cut} were cut at {} tokens.",
        critiques.len(),
        settings.sampling.max_new_tokens
    ));
    let mut facts = vec![
        ("critiques", critiques.len().to_string()),
        ("of them with a readable score", n_parsed.to_string()),
        ("tokens", n_tokens.to_string()),
    ];
    if seconds > 0.0 && n_done == 0 {
        facts.push(("tokens/s", format!("{:.0}", n_tokens as f64 / seconds)));
    }
    if n_failed > 0 {
        facts.push(("responses failed", n_failed.to_string()));
    }
    session.finish("critique", &key, seconds, n_done > 0, facts)?;
    Ok(Candidates { key, critiques })
}
