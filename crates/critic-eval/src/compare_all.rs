use crate::compare::{CommonCredits, common_credits};
use crate::{Contestant, EvalError, PairedComparison, compare};
use critic_stats::{
    Bootstrap, Clusters, PairedDifference, PermutationTest, StatsError, TieRule,
    clustered_paired_bootstrap, holm, mcnemar, paired_permutation_test,
};
use critic_types::{ContentHasher, ContentId, PreferencePair};
use serde::{Deserialize, Serialize};

/// One comparison of several, with every test that is read beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorrectedComparison {
    /// The two, their difference and McNemar's exact p-value.
    pub comparison: PairedComparison,
    /// The difference with an interval that draws whole prompts.
    pub clustered: PairedDifference,
    /// McNemar's mid-p-value.
    pub mcnemar_mid_p: f64,
    /// McNemar's χ² p-value with continuity correction.
    pub mcnemar_corrected_p: f64,
    /// The permutation test that swaps the two on whole prompts.
    pub permutation: PermutationTest,
    /// The permutation test's p-value after Holm's correction over all comparisons of the list.
    pub holm_p: f64,
}

/// Compares one contestant with several others on the same pairs, corrected for looking often.
///
/// The corrected p-value is the permutation test's, since it respects that pairs of one prompt go
/// together. Contestants that have no pair in common with `one` are an error: leave them out before.
///
/// # Errors
/// As [`compare`].
pub fn compare_all(
    one: &Contestant,
    others: &[&Contestant],
    pairs: &[PreferencePair],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<Vec<CorrectedComparison>, EvalError> {
    let matches: Vec<(&Contestant, &Contestant)> =
        others.iter().map(|other| (one, *other)).collect();
    compare_matches(&matches, pairs, tie_rule, bootstrap)
}

/// Compares the two contestants of every match on the same pairs, corrected for looking so often.
///
/// As [`compare_all`], which has the same contestant in every match.
///
/// # Errors
/// As [`compare`].
pub fn compare_matches(
    matches: &[(&Contestant, &Contestant)],
    pairs: &[PreferencePair],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<Vec<CorrectedComparison>, EvalError> {
    let mut found = Vec::with_capacity(matches.len());
    for &(one, other) in matches {
        let comparison = compare(one, other, pairs, tie_rule, bootstrap)?;
        let CommonCredits { a, b, pairs } = common_credits(one, other, pairs, tie_rule)?;
        let clusters = Clusters::by_key(pairs.into_iter().map(prompt_key));
        let failed = |source: StatsError| EvalError::Statistic {
            contestant: format!("{} − {}", one.name, other.name),
            source,
        };
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let sums = clusters.sums(&differences).map_err(failed)?;
        let seed = bootstrap.seed.child("permutation");
        let (only_a, only_b) = (comparison.n_only_a as u64, comparison.n_only_b as u64);
        found.push(CorrectedComparison {
            clustered: clustered_paired_bootstrap(&a, &b, &clusters, bootstrap).map_err(failed)?,
            mcnemar_mid_p: mcnemar::mid_p(only_a, only_b),
            mcnemar_corrected_p: mcnemar::continuity_corrected(only_a, only_b),
            permutation: paired_permutation_test(&sums, bootstrap.n_resamples, seed)
                .map_err(failed)?,
            holm_p: 1.0,
            comparison,
        });
    }
    let p_values: Vec<f64> = found.iter().map(|corrected| corrected.permutation.p).collect();
    let corrected = holm(&p_values).map_err(|source| EvalError::Statistic {
        contestant: matches.first().map_or_else(String::new, |(one, _)| one.name.clone()),
        source,
    })?;
    for (comparison, holm_p) in found.iter_mut().zip(corrected) {
        comparison.holm_p = holm_p;
    }
    Ok(found)
}

/// What pairs of one prompt share.
pub(crate) fn prompt_key(pair: &PreferencePair) -> ContentId {
    let mut hasher = ContentHasher::new("prompt");
    hasher.conversation(&pair.prompt);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};
    use critic_types::{Conversation, SeedTree};

    #[test]
    fn looking_often_costs() {
        let mut pairs = pairs(8);
        for (i, pair) in pairs.iter_mut().enumerate() {
            pair.prompt = Conversation::from_user(format!("Why {i}?"));
        }
        let right = contestant("right", &[(1.0, 0.0); 8]);
        let wrong = contestant("wrong", &[(0.0, 1.0); 8]);
        let bootstrap = Bootstrap { n_resamples: 1000, ..Bootstrap::new(SeedTree::new(1)) };
        let both =
            compare_all(&right, &[&wrong, &right], &pairs, TieRule::Wrong, &bootstrap).unwrap();
        assert!((both[0].permutation.p - 2.0 / 256.0).abs() < 1e-12 && both[0].permutation.exact);
        assert!((both[0].holm_p - 4.0 / 256.0).abs() < 1e-12);
        assert_eq!((both[1].holm_p, both[1].clustered.difference), (1.0, 0.0));
        assert!(both[0].mcnemar_mid_p < both[0].comparison.mcnemar_p);
    }

    #[test]
    fn matches_are_corrected_together() {
        let all = pairs(8);
        let right = contestant("right", &[(1.0, 0.0); 8]);
        let wrong = contestant("wrong", &[(0.0, 1.0); 8]);
        let bootstrap = Bootstrap { n_resamples: 100, ..Bootstrap::new(SeedTree::new(1)) };
        let compare =
            |matches: &[_]| compare_matches(matches, &all, TieRule::Wrong, &bootstrap).unwrap();
        let found = compare(&[(&right, &wrong), (&wrong, &right)]);
        assert_eq!(found[0].comparison.difference, -found[1].comparison.difference);
        assert_eq!(found[1].comparison.a, "wrong");
        assert!(compare(&[]).is_empty());
    }

    #[test]
    fn eight_pairs_of_one_prompt_are_one_observation() {
        let right = contestant("right", &[(1.0, 0.0); 8]);
        let wrong = contestant("wrong", &[(0.0, 1.0); 8]);
        let bootstrap = Bootstrap { n_resamples: 100, ..Bootstrap::new(SeedTree::new(1)) };
        let found = compare_all(&right, &[&wrong], &pairs(8), TieRule::Wrong, &bootstrap).unwrap();
        assert_eq!(found[0].permutation.p, 1.0);
        let nobody = contestant("nobody", &[]);
        assert!(compare_all(&right, &[&nobody], &pairs(8), TieRule::Wrong, &bootstrap).is_err());
    }
}
