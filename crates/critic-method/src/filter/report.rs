use super::rule::{exceeds, mean};
use super::{DropReason, FilterSettings, PairVerdict, check_text, readable};
use crate::response::{ByResponse, critique_id};
use critic_types::{Candidate, DropReport, PreferencePair, ScoreKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the filter kept and left out, and how far each score agrees with the label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilterReport {
    /// The pairs.
    pub pairs: DropReport,
    /// The critiques.
    pub critiques: DropReport,
    /// The pairs of each domain; those without one stand under [`FilterReport::NO_DOMAIN`].
    pub by_domain: BTreeMap<String, DropReport>,
    /// Each kind of score, whichever one the rule read: parsed, expected, verdict.
    pub scores: [ScoreReport; 3],
}

/// How one kind of score agrees with the preference label.
///
/// A pair counts when both its responses have a critique with this score among those whose text can
/// be used (not empty, not cut unless cut ones are kept). Its responses' scores are their means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// Which score.
    pub score: ScoreKind,
    /// Critiques of the pairs, cut and empty ones included.
    pub n_critiques: usize,
    /// Critiques among them that have this score.
    pub n_scored: usize,
    /// Pairs that count.
    pub n_pairs: usize,
    /// Pairs whose chosen response has the higher mean.
    pub n_agree: usize,
    /// Pairs whose means are equal.
    pub n_ties: usize,
    /// Mean over the pairs of the chosen response's mean; absent when no pair counts.
    pub mean_chosen: Option<f64>,
    /// Mean over the pairs of the rejected response's mean; absent when no pair counts.
    pub mean_rejected: Option<f64>,
}

impl ScoreReport {
    /// The share of pairs that rank the chosen response higher, in [0, 1]; a tie is not agreement.
    pub fn agreement(&self) -> Option<f64> {
        share(self.n_agree, self.n_pairs)
    }

    /// The share of pairs with equal means, in [0, 1].
    pub fn tie_rate(&self) -> Option<f64> {
        share(self.n_ties, self.n_pairs)
    }

    /// The share of critiques that have this score, in [0, 1]; of the parsed one, the parse rate.
    pub fn parse_rate(&self) -> Option<f64> {
        share(self.n_scored, self.n_critiques)
    }

    fn new(
        score: ScoreKind,
        candidates: &[Candidate],
        grouped: &ByResponse,
        keep_truncated: bool,
    ) -> Self {
        let places = || grouped.pairs.iter().flatten().flatten();
        let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
        let (mut n_agree, mut n_ties) = (0, 0);
        for responses in &grouped.pairs {
            let [high, low] = responses.each_ref().map(|response| {
                let usable: Vec<f64> = response
                    .iter()
                    .map(|&place| &candidates[place])
                    .filter(|c| check_text(c, keep_truncated).is_ok())
                    .filter_map(|c| readable(c, score))
                    .collect();
                (!usable.is_empty()).then(|| mean(&usable))
            });
            if let (Some(high), Some(low)) = (high, low) {
                chosen.push(high);
                rejected.push(low);
                n_agree += usize::from(exceeds(high, low));
                n_ties += usize::from(!exceeds(high, low) && !exceeds(low, high));
            }
        }
        let mean_of = |means: &[f64]| (!means.is_empty()).then(|| mean(means));
        Self {
            score,
            n_critiques: places().count(),
            n_scored: places().filter(|&&p| readable(&candidates[p], score).is_some()).count(),
            n_pairs: chosen.len(),
            n_agree,
            n_ties,
            mean_chosen: mean_of(&chosen),
            mean_rejected: mean_of(&rejected),
        }
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl FilterReport {
    /// The name in `by_domain` of the pairs that state no domain.
    pub const NO_DOMAIN: &'static str = "no domain";

    /// The numbers of one kind of score.
    pub fn score(&self, kind: ScoreKind) -> &ScoreReport {
        match kind {
            ScoreKind::Parsed => &self.scores[0],
            ScoreKind::Expected => &self.scores[1],
            ScoreKind::Verdict => &self.scores[2],
        }
    }

    pub(super) fn new(
        pairs: &[PreferencePair],
        candidates: &[Candidate],
        grouped: &ByResponse,
        settings: &FilterSettings,
        pair_verdicts: &[PairVerdict],
        dropped: &[Option<DropReason>],
    ) -> Self {
        let mut pair_report = DropReport::default();
        let mut by_domain: BTreeMap<String, DropReport> = BTreeMap::new();
        for (pair, verdict) in pairs.iter().zip(pair_verdicts) {
            let domain = pair.domain.as_deref().unwrap_or(Self::NO_DOMAIN);
            let of_domain = by_domain.entry(domain.to_owned()).or_default();
            for report in [&mut pair_report, of_domain] {
                count(report, verdict.dropped, || pair.id.clone());
            }
        }
        let mut critiques = DropReport::default();
        for (candidate, reason) in candidates.iter().zip(dropped) {
            count(&mut critiques, *reason, || critique_id(candidate));
        }
        let kinds = [ScoreKind::Parsed, ScoreKind::Expected, ScoreKind::Verdict];
        let scores =
            kinds.map(|kind| ScoreReport::new(kind, candidates, grouped, settings.keep_truncated));
        Self { pairs: pair_report, critiques, by_domain, scores }
    }
}

fn count(report: &mut DropReport, dropped: Option<DropReason>, item: impl FnOnce() -> String) {
    match dropped {
        None => report.keep(),
        Some(reason) => report.drop(reason.as_str(), item()),
    }
}
