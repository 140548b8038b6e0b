use super::{FilterReport, FilterRule, FilterSettings, filter};
use crate::MethodError;
use critic_types::{Candidate, PreferencePair, ScoreKind};

/// What one rule would keep.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleOutcome {
    /// The rule, its threshold and its score.
    pub settings: FilterSettings,
    /// Pairs that stay.
    pub n_pairs: usize,
    /// Critiques that stay.
    pub n_critiques: usize,
}

/// Every rule on stored candidates, and how far each kind of score agrees with the label.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleComparison {
    /// Counts without any rule; its scores are the table of scales.
    pub report: FilterReport,
    /// By score and rule, thresholds rising; `none`, which reads no score, stands first and once.
    pub outcomes: Vec<RuleOutcome>,
}

/// The margins that are tried, in units of the score.
const DELTAS: [f64; 3] = [0.5, 1.0, 2.0];
/// The shares of agreeing combinations that are tried.
const TAUS: [f64; 3] = [0.5, 0.75, 0.9];

/// Compares all rules and thresholds on the same candidates: decisions alone, nothing is generated.
///
/// # Errors
/// As [`filter`].
pub fn compare_rules(
    pairs: &[PreferencePair],
    candidates: &[Candidate],
    keep_truncated: bool,
) -> Result<RuleComparison, MethodError> {
    let plain =
        FilterSettings { rule: FilterRule::None, score: ScoreKind::Verdict, keep_truncated };
    let report = filter(pairs, candidates, &plain)?.report;
    let mut rules = vec![FilterRule::PairMean];
    rules.extend(DELTAS.map(|delta| FilterRule::PairMargin { delta }));
    rules.extend([FilterRule::PerCritique, FilterRule::Cross]);
    rules.extend(TAUS.map(|tau| FilterRule::Majority { tau }));
    let mut outcomes = vec![outcome(pairs, candidates, plain)?];
    for score in [ScoreKind::Parsed, ScoreKind::Expected, ScoreKind::Verdict] {
        for &rule in &rules {
            let settings = FilterSettings { rule, score, keep_truncated };
            outcomes.push(outcome(pairs, candidates, settings)?);
        }
    }
    Ok(RuleComparison { report, outcomes })
}

fn outcome(
    pairs: &[PreferencePair],
    candidates: &[Candidate],
    settings: FilterSettings,
) -> Result<RuleOutcome, MethodError> {
    let found = filter(pairs, candidates, &settings)?;
    let n_pairs = found.pairs.iter().filter(|pair| pair.dropped.is_none()).count();
    let n_critiques = found.verdicts.iter().filter(|verdict| verdict.dropped.is_none()).count();
    Ok(RuleOutcome { settings, n_pairs, n_critiques })
}
