//! The consistency filter: keeps the critiques whose scores agree with the preference label.

mod compare;
mod report;
mod rule;

pub use compare::{RuleComparison, RuleOutcome, compare_rules};
pub use report::{FilterReport, ScoreReport};
pub use rule::{FilterRule, agreeing_combinations};

use crate::MethodError;
use crate::response::ByResponse;
use critic_types::{Candidate, FinishReason, PreferencePair, ScoreKind, Side};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How critiques are filtered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSettings {
    /// Which pairs and critiques agree with the label.
    pub rule: FilterRule,
    /// The score that the rule reads.
    pub score: ScoreKind,
    /// Whether a critique that the token limit cut may be used.
    pub keep_truncated: bool,
}

/// Why a pair or a critique was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The critique's pair is not among the pairs.
    UnknownPair,
    /// The critique has no text.
    Empty,
    /// The token limit cut the critique.
    Truncated,
    /// The critique lacks the score that the rule reads.
    NoScore,
    /// The critique's own score speaks against the label.
    ScoreDisagrees,
    /// A response of the pair has no critique.
    NoCritique,
    /// Every critique of a response of the pair is empty, cut or without a score.
    NoUsableCritique,
    /// The chosen response has the lower mean score.
    MeanDisagrees,
    /// Both responses have the same score.
    Tie,
    /// The mean scores agree with the label by no more than `delta`.
    SmallMargin,
    /// No critique of the chosen response scores above one of the rejected response.
    NoCombination,
    /// The share of agreeing combinations is not above `tau`.
    FewCombinations,
}

impl DropReason {
    /// The reason in words, as reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::UnknownPair => "pair is not in the data",
            DropReason::Empty => "empty critique",
            DropReason::Truncated => "cut by the token limit",
            DropReason::NoScore => "no readable score",
            DropReason::ScoreDisagrees => "score does not agree with the label",
            DropReason::NoCritique => "a response has no critique",
            DropReason::NoUsableCritique => "a response has no usable critique",
            DropReason::MeanDisagrees => "mean score does not agree with the label",
            DropReason::Tie => "tie",
            DropReason::SmallMargin => "mean scores agree by too little",
            DropReason::NoCombination => "no combination agrees with the label",
            DropReason::FewCombinations => "too few combinations agree with the label",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the filter says of one critique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateVerdict {
    /// The critique's pair.
    pub pair_id: String,
    /// The response it is about.
    pub side: Side,
    /// Which of the response's candidates.
    pub index: usize,
    /// Why it was left out; absent when it stays.
    pub dropped: Option<DropReason>,
}

/// What the filter says of one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairVerdict {
    /// The pair.
    pub pair_id: String,
    /// Why it was left out; absent when it stays.
    pub dropped: Option<DropReason>,
}

/// What the filter kept and why not the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterOutcome {
    /// One for each critique, in the order given.
    pub verdicts: Vec<CandidateVerdict>,
    /// One for each pair, in the order given.
    pub pairs: Vec<PairVerdict>,
    /// Counts of both.
    pub report: FilterReport,
}

impl FilterOutcome {
    /// The critiques that stay, from the slice that was filtered.
    pub fn kept(&self, candidates: &[Candidate]) -> Vec<Candidate> {
        let stays = self.verdicts.iter().map(|verdict| verdict.dropped.is_none());
        candidates.iter().zip(stays).filter(|(_, stays)| *stays).map(|(c, _)| c.clone()).collect()
    }
}

/// Keeps the critiques that agree with the preference label, by `settings.rule`.
///
/// In this order, for every pair (x, y⁺, y⁻):
/// 1. A critique that is empty, that the token limit cut (unless `keep_truncated`), or that lacks the
///    score the rule reads is left out; no score is ever imputed. [`FilterRule::None`] reads none.
/// 2. A response without a critique that can be used drops its pair.
/// 3. The rule decides on the scores that are left; ties never pass.
///
/// A kept pair keeps at least one critique on either side; a dropped pair keeps none, and its critiques
/// bear its reason. The outcome does not depend on the order of the critiques.
/// Source: the digest has the filter and its unit, the pair; every rule's equation and the handling of
/// missing scores are our reading.
///
/// # Errors
/// [`MethodError::Setting`] when the rule's parameter is out of its range,
/// [`MethodError::DuplicatePair`] when two pairs share an id.
pub fn filter(
    pairs: &[PreferencePair],
    candidates: &[Candidate],
    settings: &FilterSettings,
) -> Result<FilterOutcome, MethodError> {
    settings.rule.validate()?;
    let grouped = ByResponse::new(pairs, candidates)?;
    let mut dropped: Vec<Option<DropReason>> = vec![None; candidates.len()];
    for &place in &grouped.unknown {
        dropped[place] = Some(DropReason::UnknownPair);
    }
    let mut pair_verdicts = Vec::with_capacity(pairs.len());
    for (pair, responses) in pairs.iter().zip(&grouped.pairs) {
        let reason = filter_pair(responses, candidates, settings, &mut dropped).err();
        pair_verdicts.push(PairVerdict { pair_id: pair.id.clone(), dropped: reason });
    }
    let report = FilterReport::new(pairs, candidates, &grouped, settings, &pair_verdicts, &dropped);
    let verdicts = candidates
        .iter()
        .zip(dropped)
        .map(|(candidate, dropped)| CandidateVerdict {
            pair_id: candidate.pair_id.clone(),
            side: candidate.side,
            index: candidate.index,
            dropped,
        })
        .collect();
    Ok(FilterOutcome { verdicts, pairs: pair_verdicts, report })
}

/// Decides on one pair: notes in `dropped` which of its critiques are left out, and gives the reason
/// when it is left out itself.
fn filter_pair(
    responses: &[Vec<usize>; 2],
    candidates: &[Candidate],
    settings: &FilterSettings,
    dropped: &mut [Option<DropReason>],
) -> Result<(), DropReason> {
    let mut usable = [Vec::new(), Vec::new()];
    let mut scores = [Vec::new(), Vec::new()];
    for (side, response) in responses.iter().enumerate() {
        for &place in response {
            match usable_score(&candidates[place], settings) {
                Ok(score) => {
                    usable[side].push(place);
                    scores[side].extend(score);
                }
                Err(reason) => dropped[place] = Some(reason),
            }
        }
    }
    let decision = if responses.iter().any(Vec::is_empty) {
        Err(DropReason::NoCritique)
    } else if usable.iter().any(Vec::is_empty) {
        Err(DropReason::NoUsableCritique)
    } else {
        settings.rule.decide(&scores[0], &scores[1])
    };
    match decision {
        Ok(agrees) => {
            for (places, agrees) in usable.iter().zip(&agrees) {
                for (&place, _) in places.iter().zip(agrees).filter(|(_, agrees)| !**agrees) {
                    dropped[place] = Some(DropReason::ScoreDisagrees);
                }
            }
            Ok(())
        }
        Err(reason) => {
            for &place in usable.iter().flatten() {
                dropped[place] = Some(reason);
            }
            Err(reason)
        }
    }
}

/// The score that the rule reads from this critique (absent when it reads none), or why the critique
/// cannot be used.
fn usable_score(
    candidate: &Candidate,
    settings: &FilterSettings,
) -> Result<Option<f64>, DropReason> {
    check_text(candidate, settings.keep_truncated)?;
    if settings.rule == FilterRule::None {
        return Ok(None);
    }
    readable(candidate, settings.score).map(Some).ok_or(DropReason::NoScore)
}

/// Whether a critique's text can be used, whatever its scores.
fn check_text(candidate: &Candidate, keep_truncated: bool) -> Result<(), DropReason> {
    if candidate.text.trim().is_empty() {
        return Err(DropReason::Empty);
    }
    if candidate.finish_reason != FinishReason::Stop && !keep_truncated {
        return Err(DropReason::Truncated);
    }
    Ok(())
}

/// The critique's score of this kind when it is a finite number.
fn readable(candidate: &Candidate, kind: ScoreKind) -> Option<f64> {
    candidate.scores.get(kind).filter(|score| score.is_finite())
}

#[cfg(test)]
mod tests;
