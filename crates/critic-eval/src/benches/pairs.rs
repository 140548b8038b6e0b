use super::{Part, mean_of_all};
use crate::compare_all::prompt_key;
use crate::{Accuracy, Contestant, ContestantResult, EvalError, evaluate};
use critic_stats::{Bootstrap, Clusters, Interval, StatsError, TieRule, clustered_share_interval};
use critic_types::PreferencePair;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A contestant on one subset of a domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetResult {
    /// The domain, as the pairs name it.
    pub domain: Option<String>,
    /// The subset, as the pairs name it.
    pub subset: String,
    /// The subset's pairs.
    pub n_pairs: usize,
    /// Those with both numbers.
    pub n_scored: usize,
    /// Over the scored pairs; absent when none counts.
    pub accuracy: Option<Accuracy>,
}

/// A contestant on any preference file with `domain` and `subset` columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairBenchScore {
    /// Overall and by domain.
    pub result: ContestantResult,
    /// By domain and subset, for pairs that name a subset.
    pub subsets: Vec<SubsetResult>,
    /// Plain mean of the domains' accuracies; absent without domains or when nothing of one counts.
    pub mean_of_domains: Option<f64>,
    /// Distinct prompts of the pairs that count.
    pub n_prompts: usize,
    /// Interval of the overall accuracy, drawing prompts with all their pairs
    /// ([`clustered_share_interval`]).
    pub clustered_interval: Option<Interval>,
}

/// Scores a contestant on pairs, overall, by domain and by subset.
///
/// # Errors
/// [`EvalError::NotFinite`] for a number that is not finite, [`EvalError::Statistic`] when `bootstrap`
/// asks for an impossible interval.
pub fn pair_bench(
    contestant: &Contestant,
    pairs: &[PreferencePair],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<PairBenchScore, EvalError> {
    let result = evaluate(contestant, pairs, tie_rule)?;
    let failed =
        |source: StatsError| EvalError::Statistic { contestant: contestant.name.clone(), source };
    let (mut credits, mut prompts) = (Vec::new(), Vec::new());
    let mut members: BTreeMap<(Option<&str>, &str), Part> = BTreeMap::new();
    for pair in pairs {
        let rewards = contestant.rewards(pair)?;
        if let Some(subset) = &pair.subset {
            let part = members.entry((pair.domain.as_deref(), subset)).or_default();
            part.n_rows += 1;
            part.scored.extend(rewards);
        }
        if let Some(credit) = rewards.and_then(|(c, r)| tie_rule.credit(c, r)) {
            credits.push(credit);
            prompts.push(prompt_key(pair));
        }
    }
    let clusters = Clusters::by_key(prompts);
    let clustered_interval = match credits.is_empty() {
        true => None,
        false => Some(clustered_share_interval(&credits, &clusters, bootstrap).map_err(failed)?),
    };
    let subsets = members
        .into_iter()
        .map(|((domain, subset), Part { n_rows: n_pairs, scored })| {
            Ok(SubsetResult {
                domain: domain.map(str::to_owned),
                subset: subset.to_owned(),
                n_pairs,
                n_scored: scored.len(),
                accuracy: Accuracy::of(&scored, tie_rule).map_err(failed)?,
            })
        })
        .collect::<Result<_, EvalError>>()?;
    let of_domains: Vec<Option<f64>> = result
        .by_domain
        .iter()
        .map(|domain| domain.accuracy.map(|accuracy| accuracy.agreement.accuracy))
        .collect();
    Ok(PairBenchScore {
        mean_of_domains: mean_of_all(&of_domains),
        result,
        subsets,
        n_prompts: clusters.n_clusters(),
        clustered_interval,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pairs};
    use critic_types::{Conversation, SeedTree};

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 400, ..Bootstrap::new(SeedTree::new(0)) }
    }

    #[test]
    fn subsets_stand_within_their_domain() {
        let mut pairs = pairs(4);
        for (pair, (domain, subset)) in
            pairs.iter_mut().zip([("a", "x"), ("a", "x"), ("a", "y"), ("b", "x")])
        {
            pair.domain = Some(domain.to_owned());
            pair.subset = Some(subset.to_owned());
        }
        let who = contestant("w", &[(1.0, 0.0), (0.0, 1.0), (1.0, 0.0)]);
        let found = pair_bench(&who, &pairs, TieRule::Wrong, &bootstrap()).unwrap();
        let parts: Vec<(&str, usize, usize)> =
            found.subsets.iter().map(|s| (s.subset.as_str(), s.n_pairs, s.n_scored)).collect();
        assert_eq!(parts, [("x", 2, 2), ("y", 1, 1), ("x", 1, 0)]);
        assert_eq!(found.mean_of_domains, None);
        assert_eq!(found.result.n_missing, 1);
        let who = contestant("w", &[(1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 0.0)]);
        let found = pair_bench(&who, &pairs, TieRule::Wrong, &bootstrap()).unwrap();
        assert_eq!(found.mean_of_domains, Some((2.0 / 3.0 + 1.0) / 2.0));
    }

    #[test]
    fn pairs_of_one_prompt_are_drawn_together() {
        let rewards: Vec<(f64, f64)> =
            (0..40).map(|i| if i < 20 { (1.0, 0.0) } else { (0.0, 1.0) }).collect();
        let who = contestant("w", &rewards);
        let same = pair_bench(&who, &pairs(40), TieRule::Wrong, &bootstrap()).unwrap();
        assert_eq!(same.n_prompts, 1);
        assert!(same.clustered_interval.is_some_and(|i| i.low < 0.1 && i.high > 0.9));
        let mut different = pairs(40);
        for (i, pair) in different.iter_mut().enumerate() {
            pair.prompt = Conversation::from_user(format!("Why {i}?"));
        }
        let found = pair_bench(&who, &different, TieRule::Wrong, &bootstrap()).unwrap();
        let interval = found.clustered_interval.unwrap();
        assert!(found.n_prompts == 40 && interval.low < 0.4 && interval.high > 0.6);
    }

    #[test]
    fn nothing_scored_has_no_interval() {
        let found =
            pair_bench(&contestant("w", &[]), &pairs(2), TieRule::Wrong, &bootstrap()).unwrap();
        assert_eq!((found.clustered_interval, found.n_prompts), (None, 0));
    }
}
