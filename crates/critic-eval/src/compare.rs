use crate::{Contestant, EvalError};
use critic_stats::{
    Bootstrap, Interval, PairedDifference, StatsError, TieRule, mcnemar, paired_bootstrap,
};
use critic_types::PreferencePair;
use serde::{Deserialize, Serialize};

/// Whether two contestants differ on the same pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// The first contestant's name.
    pub a: String,
    /// The second's.
    pub b: String,
    /// Pairs that count for both.
    pub n_pairs: usize,
    /// Accuracy of a − accuracy of b over those pairs, −1 to 1.
    pub difference: f64,
    /// Its interval by paired bootstrap.
    pub interval: Interval,
    /// Pairs that a has better than b.
    pub n_only_a: usize,
    /// Pairs that b has better than a.
    pub n_only_b: usize,
    /// Exact two-sided p-value that `n_only_a` and `n_only_b` come from a fair coin.
    pub mcnemar_p: f64,
    /// What a tie counted as.
    pub tie_rule: TieRule,
}

/// Compares two contestants pair by pair.
///
/// Only pairs on which both have both numbers count; under [`TieRule::Exclude`] a tie of either leaves
/// the pair out. The test is McNemar's exact one; where a tie counts half it is the sign test over the
/// pairs that the two rank differently.
///
/// # Errors
/// [`EvalError::NothingInCommon`] when no pair counts for both, [`EvalError::NotFinite`], and
/// [`EvalError::Statistic`] when `bootstrap` asks for an impossible interval.
pub fn compare(
    a: &Contestant,
    b: &Contestant,
    pairs: &[PreferencePair],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<PairedComparison, EvalError> {
    let CommonCredits { a: credits_a, b: credits_b, .. } = common_credits(a, b, pairs, tie_rule)?;
    let PairedDifference { difference, interval } =
        paired_bootstrap(&credits_a, &credits_b, bootstrap).map_err(|source: StatsError| {
            EvalError::Statistic { contestant: format!("{} − {}", a.name, b.name), source }
        })?;
    let n_better = |left: &[f64], right: &[f64]| {
        left.iter().zip(right).filter(|(left, right)| left > right).count()
    };
    let n_only_a = n_better(&credits_a, &credits_b);
    let n_only_b = n_better(&credits_b, &credits_a);
    Ok(PairedComparison {
        a: a.name.clone(),
        b: b.name.clone(),
        n_pairs: credits_a.len(),
        difference,
        interval,
        n_only_a,
        n_only_b,
        mcnemar_p: mcnemar::exact(n_only_a as u64, n_only_b as u64),
        tie_rule,
    })
}

/// What each pair that counts for both contestants is worth to them.
pub(crate) struct CommonCredits<'a> {
    /// Of the first.
    pub(crate) a: Vec<f64>,
    /// Of the second.
    pub(crate) b: Vec<f64>,
    /// The pairs.
    pub(crate) pairs: Vec<&'a PreferencePair>,
}

/// The credits on the pairs that both contestants scored and the rule leaves in.
pub(crate) fn common_credits<'a>(
    a: &Contestant,
    b: &Contestant,
    pairs: &'a [PreferencePair],
    tie_rule: TieRule,
) -> Result<CommonCredits<'a>, EvalError> {
    let mut common = CommonCredits { a: Vec::new(), b: Vec::new(), pairs: Vec::new() };
    for pair in pairs {
        let credit = |who: &Contestant| -> Result<Option<f64>, EvalError> {
            let rewards = who.rewards(pair)?;
            Ok(rewards.and_then(|(chosen, rejected)| tie_rule.credit(chosen, rejected)))
        };
        if let (Some(credit_a), Some(credit_b)) = (credit(a)?, credit(b)?) {
            common.a.push(credit_a);
            common.b.push(credit_b);
            common.pairs.push(pair);
        }
    }
    if common.pairs.is_empty() {
        return Err(EvalError::NothingInCommon { a: a.name.clone(), b: b.name.clone() });
    }
    Ok(common)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};
    use critic_types::SeedTree;

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 500, ..Bootstrap::new(SeedTree::new(3)) }
    }

    #[test]
    fn only_pairs_that_both_scored_count() {
        let a = contestant("a", &[(1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]);
        let b = contestant("b", &[(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]);
        let result = compare(&a, &b, &pairs(4), TieRule::Wrong, &bootstrap()).unwrap();
        assert_eq!((result.n_pairs, result.n_only_a, result.n_only_b), (3, 2, 0));
        assert!((result.difference - 2.0 / 3.0).abs() < 1e-15);
        assert!((result.mcnemar_p - 0.5).abs() < 1e-12);
        assert!(result.interval.low <= result.difference);
        assert!(result.difference <= result.interval.high);
    }

    #[test]
    fn swapping_the_two_turns_the_sign() {
        let a = contestant("a", &[(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        let b = contestant("b", &[(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]);
        let forward = compare(&a, &b, &pairs(3), TieRule::Half, &bootstrap()).unwrap();
        let backward = compare(&b, &a, &pairs(3), TieRule::Half, &bootstrap()).unwrap();
        assert!((forward.difference + backward.difference).abs() < 1e-15);
        assert_eq!(forward.n_only_a, backward.n_only_b);
        assert!((forward.difference - 0.5 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn excluded_ties_leave_the_pair_out_for_both() {
        let a = contestant("a", &[(1.0, 1.0), (1.0, 0.0)]);
        let b = contestant("b", &[(1.0, 0.0), (1.0, 0.0)]);
        let result = compare(&a, &b, &pairs(2), TieRule::Exclude, &bootstrap()).unwrap();
        assert_eq!((result.n_pairs, result.difference), (1, 0.0));
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let a = contestant("a", &[(1.0, 0.0)]);
        let nobody = contestant("nobody", &[]);
        let error = compare(&a, &nobody, &pairs(1), TieRule::Wrong, &bootstrap()).unwrap_err();
        assert!(error.to_string().contains("`a` and `nobody` have no pair in common"));
    }
}
