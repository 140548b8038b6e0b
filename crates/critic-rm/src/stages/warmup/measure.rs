use super::super::candidates;
use super::super::critic::Critic;
use super::super::session::Session;
use anyhow::Result;
use critic_method::{CritiqueSettings, filter, locates_mistake};
use critic_types::{Candidate, OracleCritique, PreferencePair, Provenance, Side};
use std::collections::HashMap;
use std::fmt;

/// What a critic does on held-out pairs with one critique of each response.
#[derive(Debug)]
pub(super) struct CriticQuality {
    n_critiques: usize,
    /// Share of critiques with a readable score.
    parse_rate: f64,
    /// Pairs whose forced verdict ranks the chosen response higher, of how many.
    verdict_agreement: Option<(usize, usize)>,
    /// Critiques of a wrong response that quote its first wrong line, of how many such responses.
    located: Option<(usize, usize)>,
}

impl fmt::Display for CriticQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.parse_rate;
        write!(f, "{percent:.0} % of {} critiques state a readable score", self.n_critiques)?;
        if let Some((right, n)) = self.verdict_agreement {
            write!(f, ", the forced verdict agrees with the label in {right} of {n} pairs")?;
        }
        if let Some((found, n)) = self.located {
            write!(f, ", {found} of {n} mistakes are located")?;
        }
        Ok(())
    }
}

/// Measures a critic on the first held-out pairs; nothing when that is not asked for.
pub(super) fn run(
    session: &mut Session,
    critic: &Critic,
    stage: &str,
) -> Result<Option<CriticQuality>> {
    let n = session.resolved.settings.warmup.measure_pairs.min(session.eval.pairs.len());
    if n == 0 {
        return Ok(None);
    }
    let chosen = &session.resolved.settings.critique;
    let settings = CritiqueSettings {
        n_candidates: 1,
        sampling: chosen.sampling(),
        seed: session.seed().child("critic quality"),
        knows_label: false,
    };
    let mut hasher = session.critic_hasher("critic quality", critic);
    hasher.text(&serde_json::to_string(&(chosen, &session.eval.content))?);
    let key = hasher.finish();
    let pairs: Vec<PreferencePair> = session.eval.pairs[..n].to_vec();
    let written =
        candidates::write(session, critic, &pairs, &settings, &key, "measuring the critic")?;
    let quality = measured(session, &pairs, &written.candidates)?;
    let mut facts = vec![("critiques", written.candidates.len().to_string())];
    facts.extend(written.taken);
    session.finish(stage, &key, written.seconds, written.n_done > 0, facts)?;
    Ok(Some(quality))
}

fn measured(
    session: &Session,
    pairs: &[PreferencePair],
    critiques: &[Candidate],
) -> Result<CriticQuality> {
    let mut rules = session.resolved.settings.filter.clone();
    rules.keep_truncated = true;
    let report = filter(pairs, critiques, &rules)?.report;
    let [parsed, _, verdict] = &report.scores;
    let constructed: HashMap<&str, &OracleCritique> = session
        .eval
        .critiques
        .iter()
        .filter(|critique| critique.provenance == Provenance::Constructed)
        .filter(|critique| critique.side == Some(Side::Rejected))
        .map(|critique| (critique.pair_id.as_str(), critique))
        .collect();
    let responses: HashMap<&str, &str> =
        pairs.iter().map(|pair| (pair.id.as_str(), pair.rejected.as_str())).collect();
    let (mut found, mut n) = (0, 0);
    for critique in critiques.iter().filter(|critique| critique.side == Side::Rejected) {
        let id = critique.pair_id.as_str();
        let (Some(known), Some(response)) = (constructed.get(id), responses.get(id)) else {
            continue;
        };
        if let Some(located) = locates_mistake(response, &known.text, &critique.text) {
            n += 1;
            found += usize::from(located);
        }
    }
    Ok(CriticQuality {
        n_critiques: critiques.len(),
        parse_rate: parsed.parse_rate().unwrap_or(0.0),
        verdict_agreement: (verdict.n_pairs > 0).then_some((verdict.n_agree, verdict.n_pairs)),
        located: (n > 0).then_some((found, n)),
    })
}
