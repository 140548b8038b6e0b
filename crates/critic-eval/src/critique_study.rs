use crate::compare_all::prompt_key;
use crate::{EvalError, SampledResponse, Samples};
use critic_stats::critiques::{
    CritiqueCurve, CritiqueRewards, DuplicateReport, PairwiseCorrelation, critique_curve,
    distinct_rewards, gain_without_duplicates, pairwise_correlation,
};
use critic_stats::{
    Bootstrap, Clusters, StatsError, TieRule, VarianceComponents, effective_sample_size,
    variance_components,
};
use critic_types::{PreferencePair, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the critiques of some pairs are worth; absent where the samples do not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueFindings {
    /// The pairs.
    pub n_pairs: usize,
    /// Pairs of which a response has no samples; in nothing below.
    pub n_missing: usize,
    /// Critiques that failed, over all responses.
    pub n_failed: usize,
    /// Expected accuracy over m, from one set of samples.
    pub curve: Option<CritiqueCurve>,
    /// Correlation of the rewards after two critiques of a response, over responses.
    pub correlation: Option<PairwiseCorrelation>,
    /// Variance of rewards between responses and within them.
    pub variance: Option<VarianceComponents>,
    /// How many independent critiques the most that a response has are worth, by the intraclass
    /// correlation.
    pub effective_critiques: Option<f64>,
    /// What is left of the gain when repeated critiques count once.
    pub duplicates: Option<DuplicateReport>,
}

/// Findings over all pairs and by domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueStudy {
    /// Over all pairs.
    pub overall: CritiqueFindings,
    /// By domain, for pairs that name one.
    pub domains: BTreeMap<String, CritiqueFindings>,
}

/// Studies the critiques of held-out pairs: accuracy over `ms`, agreement, variance and duplicates.
///
/// Intervals draw whole prompts. A pair without samples for both responses is counted as missing.
///
/// # Errors
/// [`EvalError::Statistic`] for a number that is not finite and for an impossible bootstrap.
pub fn study_critiques(
    samples: &Samples,
    pairs: &[PreferencePair],
    ms: &[usize],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<CritiqueStudy, EvalError> {
    let findings = |pairs: &[&PreferencePair], name: &str| {
        find(samples, pairs, ms, tie_rule, bootstrap).map_err(|source| EvalError::Statistic {
            contestant: format!("the critiques of {name}"),
            source,
        })
    };
    let mut members: BTreeMap<&String, Vec<&PreferencePair>> = BTreeMap::new();
    for pair in pairs {
        if let Some(domain) = &pair.domain {
            members.entry(domain).or_default().push(pair);
        }
    }
    let domains = members
        .into_iter()
        .map(|(domain, pairs)| Ok((domain.clone(), findings(&pairs, domain)?)))
        .collect::<Result<_, EvalError>>()?;
    let overall = findings(&pairs.iter().collect::<Vec<_>>(), "all pairs")?;
    Ok(CritiqueStudy { overall, domains })
}

fn find(
    samples: &Samples,
    pairs: &[&PreferencePair],
    ms: &[usize],
    tie_rule: TieRule,
    bootstrap: &Bootstrap,
) -> Result<CritiqueFindings, StatsError> {
    let (mut all, mut distinct, mut prompts, mut rows) = Default::default();
    let mut n_failed = 0;
    for pair in pairs {
        let of = |side| samples.get(&(pair.id.clone(), side));
        let (Some(chosen), Some(rejected)) = (of(Side::Chosen), of(Side::Rejected)) else {
            continue;
        };
        n_failed += chosen.n_failed + rejected.n_failed;
        collect(&pair.id, chosen, rejected, &mut all, &mut distinct, &mut rows)?;
        Vec::push(&mut prompts, prompt_key(pair));
    }
    let clusters = Clusters::by_key(prompts);
    let variance = defined(variance_components(&rows))?;
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    Ok(CritiqueFindings {
        n_pairs: pairs.len(),
        n_missing: pairs.len() - all.len(),
        n_failed,
        curve: defined(critique_curve(&all, ms, tie_rule, &clusters, bootstrap))?,
        correlation: defined(pairwise_correlation(&rows))?,
        effective_critiques: match variance {
            Some(parts) => {
                Some(effective_sample_size(most, parts.intraclass_correlation.min(1.0))?)
            }
            None => None,
        },
        variance,
        duplicates: defined(gain_without_duplicates(&all, &distinct, &clusters, bootstrap))?,
    })
}

fn collect(
    id: &str,
    chosen: &SampledResponse,
    rejected: &SampledResponse,
    all: &mut Vec<CritiqueRewards>,
    distinct: &mut Vec<CritiqueRewards>,
    rows: &mut Vec<Vec<f64>>,
) -> Result<(), StatsError> {
    let rewards = |response: &SampledResponse| -> Vec<f64> {
        response.critiques.iter().map(|critique| critique.reward).collect()
    };
    let of_distinct = |response: &SampledResponse| {
        let texts: Vec<&str> = response.critiques.iter().map(|c| c.text.as_str()).collect();
        distinct_rewards(&texts, &rewards(response))
    };
    let item = CritiqueRewards {
        id: id.to_owned(),
        without_critique: chosen.without_critique.zip(rejected.without_critique),
        chosen: rewards(chosen),
        rejected: rewards(rejected),
    };
    rows.extend([item.chosen.clone(), item.rejected.clone()]);
    distinct.push(CritiqueRewards {
        chosen: of_distinct(chosen)?,
        rejected: of_distinct(rejected)?,
        ..item.clone()
    });
    all.push(item);
    Ok(())
}

/// Turns "not defined for these numbers" into absence and keeps every other error.
pub(crate) fn defined<T>(result: Result<T, StatsError>) -> Result<Option<T>, StatsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StatsError::Empty { .. } | StatsError::TooFew { .. } | StatsError::Constant { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{pairs, samples};
    use critic_types::SeedTree;

    fn bootstrap() -> Bootstrap {
        Bootstrap { n_resamples: 100, ..Bootstrap::new(SeedTree::new(0)) }
    }

    #[test]
    fn one_set_of_samples_serves_every_m() {
        let mut both = samples("p0", (1.0, &[3.0, 0.0]), (0.0, &[1.0, 1.0]));
        both.extend(samples("p1", (0.0, &[2.0, 2.5]), (1.0, &[0.0, 1.0])));
        let mut pairs = pairs(3);
        pairs[1].domain = Some("math".to_owned());
        let study =
            study_critiques(&both, &pairs, &[0, 1, 2], TieRule::Wrong, &bootstrap()).unwrap();
        let accuracies = |findings: &CritiqueFindings| -> Vec<f64> {
            findings.curve.as_ref().unwrap().points.iter().map(|point| point.accuracy).collect()
        };
        assert_eq!(accuracies(&study.overall), [0.5, 0.75, 1.0]);
        assert_eq!(accuracies(&study.domains["chat"]), [1.0, 0.5, 1.0]);
        assert_eq!((study.overall.n_pairs, study.overall.n_missing), (3, 1));
        let duplicates = study.overall.duplicates.unwrap();
        assert_eq!((duplicates.gain, duplicates.share_left), (0.25, Some(1.0)));
        let effective = study.overall.effective_critiques.unwrap();
        assert!((1.0..=2.0).contains(&effective));
    }

    #[test]
    fn no_samples_have_no_findings() {
        let study = study_critiques(&Samples::new(), &pairs(2), &[1], TieRule::Wrong, &bootstrap())
            .unwrap();
        assert_eq!((study.overall.n_missing, study.overall.curve), (2, None));
        assert_eq!((study.overall.variance, study.overall.duplicates), (None, None));
    }

    #[test]
    fn a_nan_is_an_error() {
        let broken = samples("p0", (1.0, &[f64::NAN]), (0.0, &[1.0]));
        assert!(study_critiques(&broken, &pairs(1), &[1], TieRule::Wrong, &bootstrap()).is_err());
    }
}
