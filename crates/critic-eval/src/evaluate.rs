use crate::{Accuracy, Contestant, EvalError, PredictionScale};
use critic_stats::bradley_terry::pairwise_nll;
use critic_stats::{StatsError, TieRule, mean_std};
use critic_types::PreferencePair;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a contestant did on held-out pairs.
///
/// | field         | unit                                   | absent when                       |
/// |---------------|----------------------------------------|-----------------------------------|
/// | `accuracy`    | share, 0–1                             | no scored pair counts             |
/// | `mean_margin` | the contestant's own (rewards: log-odds) | no pair was scored              |
/// | `mean_nll`    | nats per pair                          | so, or the numbers only order     |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContestantResult {
    /// Unique in a report.
    pub name: String,
    /// What several contestants share; a curve over m joins one family.
    pub family: String,
    /// m, for a reward model that writes critiques.
    pub n_critiques: Option<usize>,
    /// The pairs that were to be scored.
    pub n_pairs: usize,
    /// Pairs with both numbers.
    pub n_scored: usize,
    /// Pairs without; they count neither as right nor as wrong.
    pub n_missing: usize,
    /// Over the scored pairs.
    pub accuracy: Option<Accuracy>,
    /// One for each domain that the pairs name, by name; pairs without a domain are in none.
    pub by_domain: Vec<DomainResult>,
    /// Mean of chosen − rejected over the scored pairs.
    pub mean_margin: Option<f64>,
    /// Mean of −ln σ(chosen − rejected) over the scored pairs.
    pub mean_nll: Option<f64>,
}

/// A contestant in one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainResult {
    /// As the pairs name it.
    pub domain: String,
    /// The domain's pairs.
    pub n_pairs: usize,
    /// Those with both numbers.
    pub n_scored: usize,
    /// Over the scored pairs; absent when none counts.
    pub accuracy: Option<Accuracy>,
}

/// Measures a contestant on held-out pairs.
///
/// A pair is scored when both its responses have a number; the others are counted as missing.
///
/// # Errors
/// [`EvalError::NotFinite`] when a number is NaN or infinite.
///
/// # Examples
/// ```
/// use critic_eval::{LengthUnit, evaluate, length_control};
/// use critic_stats::TieRule;
/// use critic_types::{Conversation, PreferencePair};
/// let pair = PreferencePair {
///     id: "a".to_owned(),
///     prompt: Conversation::from_user("Why is the sky blue?"),
///     chosen: "Air scatters blue light more than red.".to_owned(),
///     rejected: "It is.".to_owned(),
///     margin: None,
///     domain: Some("science".to_owned()),
///     subset: None,
/// };
/// let pairs = [pair];
/// let result = evaluate(&length_control(&pairs, LengthUnit::Words), &pairs, TieRule::Wrong)?;
/// assert_eq!(result.accuracy.expect("one pair").agreement.n_correct, 1);
/// assert_eq!(result.mean_margin, Some(5.0)); // seven words against two
/// # Ok::<(), critic_eval::EvalError>(())
/// ```
pub fn evaluate(
    contestant: &Contestant,
    pairs: &[PreferencePair],
    tie_rule: TieRule,
) -> Result<ContestantResult, EvalError> {
    let failed =
        |source: StatsError| EvalError::Statistic { contestant: contestant.name.clone(), source };
    let mut scored = Vec::with_capacity(pairs.len());
    let mut domains: BTreeMap<&str, DomainRewards> = BTreeMap::new();
    for pair in pairs {
        let rewards = contestant.rewards(pair)?;
        scored.extend(rewards);
        if let Some(domain) = &pair.domain {
            let of_domain = domains.entry(domain).or_default();
            of_domain.n_pairs += 1;
            of_domain.scored.extend(rewards);
        }
    }
    let by_domain = domains
        .into_iter()
        .map(|(domain, DomainRewards { n_pairs, scored })| {
            Ok(DomainResult {
                domain: domain.to_owned(),
                n_pairs,
                n_scored: scored.len(),
                accuracy: Accuracy::of(&scored, tie_rule).map_err(failed)?,
            })
        })
        .collect::<Result<_, EvalError>>()?;
    let margins: Vec<f64> = scored.iter().map(|(chosen, rejected)| chosen - rejected).collect();
    let mean_nll = match contestant.scale {
        PredictionScale::LogOdds => mean_of(&nlls(&scored).map_err(failed)?).map_err(failed)?,
        PredictionScale::Ordinal => None,
    };
    Ok(ContestantResult {
        name: contestant.name.clone(),
        family: contestant.family.clone(),
        n_critiques: contestant.n_critiques,
        n_pairs: pairs.len(),
        n_scored: scored.len(),
        n_missing: pairs.len() - scored.len(),
        accuracy: Accuracy::of(&scored, tie_rule).map_err(failed)?,
        by_domain,
        mean_margin: mean_of(&margins).map_err(failed)?,
        mean_nll,
    })
}

/// The pairs of one domain.
#[derive(Default)]
struct DomainRewards {
    n_pairs: usize,
    /// (chosen, rejected) of those with both numbers.
    scored: Vec<(f64, f64)>,
}

fn nlls(rewards: &[(f64, f64)]) -> Result<Vec<f64>, StatsError> {
    rewards.iter().map(|&(chosen, rejected)| pairwise_nll(chosen, rejected)).collect()
}

/// The mean, absent for an empty list.
fn mean_of(values: &[f64]) -> Result<Option<f64>, StatsError> {
    if values.is_empty() { Ok(None) } else { mean_std(values).map(|spread| Some(spread.mean)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};

    #[test]
    fn a_missing_prediction_is_counted_and_not_imputed() {
        let pairs = pairs(4);
        let mut who = contestant("critic-rm", &[(2.0, 1.0), (0.0, 1.0), (3.0, 0.0), (1.0, 0.0)]);
        who.predictions.remove(&("p2".to_owned(), critic_types::Side::Rejected));
        let result = evaluate(&who, &pairs, TieRule::Wrong).unwrap();
        assert_eq!((result.n_pairs, result.n_scored, result.n_missing), (4, 3, 1));
        let agreement = result.accuracy.unwrap().agreement;
        assert_eq!((agreement.n, agreement.n_correct), (3, 2));
        assert!((result.mean_margin.unwrap() - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn what_was_not_scored_is_absent_and_not_zero() {
        let nobody = contestant("nobody", &[]);
        let result = evaluate(&nobody, &pairs(2), TieRule::Wrong).unwrap();
        assert_eq!((result.accuracy, result.mean_margin, result.mean_nll), (None, None, None));
        assert_eq!(result.n_missing, 2);
        assert_eq!(result.by_domain[0].accuracy, None);
        assert_eq!(evaluate(&nobody, &[], TieRule::Wrong).unwrap().n_pairs, 0);
    }

    #[test]
    fn domains_are_told_apart_and_named_in_order() {
        let mut pairs = pairs(4);
        pairs[0].domain = Some("math".to_owned());
        pairs[1].domain = Some("chat".to_owned());
        pairs[2].domain = Some("math".to_owned());
        pairs[3].domain = None;
        let who = contestant("x", &[(1.0, 0.0), (0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]);
        let result = evaluate(&who, &pairs, TieRule::Wrong).unwrap();
        let shares: Vec<(&str, usize, f64)> = result
            .by_domain
            .iter()
            .map(|d| (d.domain.as_str(), d.n_pairs, d.accuracy.unwrap().agreement.accuracy))
            .collect();
        assert_eq!(shares, [("chat", 1, 0.0), ("math", 2, 0.5)]);
        assert!((result.accuracy.unwrap().agreement.accuracy - 0.5).abs() < 1e-15);
    }

    #[test]
    fn numbers_that_only_order_have_no_likelihood() {
        let mut who = contestant("x", &[(0.0, 0.0)]);
        let nll = evaluate(&who, &pairs(1), TieRule::Wrong).unwrap().mean_nll.unwrap();
        assert!((nll - std::f64::consts::LN_2).abs() < 1e-15);
        who.scale = PredictionScale::Ordinal;
        assert_eq!(evaluate(&who, &pairs(1), TieRule::Wrong).unwrap().mean_nll, None);
    }

    #[test]
    fn a_nan_is_an_error_with_its_pair() {
        let who = contestant("x", &[(0.0, 1.0), (0.0, f64::NAN)]);
        let message = evaluate(&who, &pairs(2), TieRule::Wrong).unwrap_err().to_string();
        assert!(message.contains("NaN for the rejected response of pair `p1`"), "{message}");
    }

    #[test]
    fn a_result_survives_its_file() {
        let who = contestant("x", &[(0.25, 0.0), (0.0, 1.5)]);
        let result = evaluate(&who, &pairs(2), TieRule::Half).unwrap();
        let text = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<ContestantResult>(&text).unwrap(), result);
    }
}
