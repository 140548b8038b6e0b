use crate::critique_study::defined;
use crate::{Contestant, EvalError, PredictionScale, StyleFeature};
use critic_stats::calibration::{Calibration, calibration};
use critic_stats::correlation::{kendall_tau_b, pearson, spearman};
use critic_stats::{
    HistogramBin, MarginSummary, StatsError, Temperature, margin_histogram, margin_summary,
};
use critic_types::{PreferencePair, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What lies behind a contestant's accuracy: margins, calibration, and what its numbers go with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Unique in a report.
    pub name: String,
    /// Pairs with both numbers; everything below is over them.
    pub n_scored: usize,
    /// Pairs without.
    pub n_missing: usize,
    /// Chosen − rejected; absent when no pair was scored.
    pub margins: Option<MarginSummary>,
    /// The margins in bars that meet at zero; empty when no pair was scored.
    pub margin_histogram: Vec<HistogramBin>,
    /// Absent when no pair was scored or the numbers only order.
    pub calibration: Option<Calibration>,
    /// The same by domain, for pairs that name one.
    pub calibration_by_domain: BTreeMap<String, Calibration>,
    /// One for each feature.
    pub style: Vec<StyleCorrelation>,
}

/// How a contestant's numbers go with a feature of style; absent where one of the two never varies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StyleCorrelation {
    /// The feature.
    pub feature: StyleFeature,
    /// Over responses, number with count.
    pub pearson: Option<f64>,
    /// Over responses, their ranks.
    pub spearman: Option<f64>,
    /// Over responses.
    pub kendall_tau_b: Option<f64>,
    /// Over pairs, difference of numbers with difference of counts (ranks): what prompts share is gone.
    pub spearman_of_differences: Option<f64>,
    /// Share of pairs whose chosen response has more of the feature, among those that differ: what
    /// the labels themselves prefer.
    pub chosen_has_more: Option<f64>,
}

/// Looks behind a contestant's accuracy.
///
/// `n_bins` bins of confidence between ½ and 1, and up to about twice as many bars for the margins.
///
/// # Errors
/// [`EvalError::NotFinite`] for a number that is not finite, [`EvalError::Statistic`] for `n_bins` = 0
/// and margins that overflow.
pub fn diagnose(
    contestant: &Contestant,
    pairs: &[PreferencePair],
    n_bins: usize,
) -> Result<Diagnostics, EvalError> {
    let scored = scored(contestant, pairs)?;
    let failed =
        |source: StatsError| EvalError::Statistic { contestant: contestant.name.clone(), source };
    let margins: Vec<f64> = scored.iter().map(Scored::margin).collect();
    let mut by_domain: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    for one in &scored {
        if let Some(domain) = &one.pair.domain {
            by_domain.entry(domain).or_default().push(one.margin());
        }
    }
    let mut calibration_by_domain = BTreeMap::new();
    let mut overall = None;
    if contestant.scale == PredictionScale::LogOdds {
        overall = defined(calibration(&margins, n_bins)).map_err(failed)?;
        for (domain, margins) in by_domain {
            let found = calibration(&margins, n_bins).map_err(failed)?;
            calibration_by_domain.insert(domain.clone(), found);
        }
    }
    let style = StyleFeature::ALL
        .into_iter()
        .map(|feature| style_correlation(feature, &scored).map_err(failed))
        .collect::<Result<_, EvalError>>()?;
    Ok(Diagnostics {
        name: contestant.name.clone(),
        n_scored: scored.len(),
        n_missing: pairs.len() - scored.len(),
        margins: defined(margin_summary(&margins)).map_err(failed)?,
        margin_histogram: defined(margin_histogram(&margins, 2 * n_bins))
            .map_err(failed)?
            .unwrap_or_default(),
        calibration: overall,
        calibration_by_domain,
        style,
    })
}

/// The temperature of a contestant's margins, from pairs that are not reported on.
///
/// # Errors
/// [`EvalError::Statistic`] when no temperature fits, [`EvalError::NotFinite`].
pub fn fit_temperature(
    contestant: &Contestant,
    dev_pairs: &[PreferencePair],
) -> Result<Temperature, EvalError> {
    let margins: Vec<f64> = scored(contestant, dev_pairs)?.iter().map(Scored::margin).collect();
    Temperature::fit(&margins)
        .map_err(|source| EvalError::Statistic { contestant: contestant.name.clone(), source })
}

struct Scored<'a> {
    pair: &'a PreferencePair,
    rewards: (f64, f64),
}

impl Scored<'_> {
    fn margin(&self) -> f64 {
        self.rewards.0 - self.rewards.1
    }
}

fn scored<'a>(
    contestant: &Contestant,
    pairs: &'a [PreferencePair],
) -> Result<Vec<Scored<'a>>, EvalError> {
    let mut found = Vec::with_capacity(pairs.len());
    for pair in pairs {
        found.extend(contestant.rewards(pair)?.map(|rewards| Scored { pair, rewards }));
    }
    Ok(found)
}

fn style_correlation(
    feature: StyleFeature,
    scored: &[Scored<'_>],
) -> Result<StyleCorrelation, StatsError> {
    let (mut numbers, mut counts) = (Vec::new(), Vec::new());
    let (mut margins, mut differences) = (Vec::new(), Vec::new());
    for one in scored {
        let [chosen, rejected] =
            Side::BOTH.map(|side| feature.count(one.pair.response(side)) as f64);
        numbers.extend([one.rewards.0, one.rewards.1]);
        counts.extend([chosen, rejected]);
        margins.push(one.margin());
        differences.push(chosen - rejected);
    }
    let n_more = differences.iter().filter(|&&difference| difference > 0.0).count();
    let n_differ = differences.iter().filter(|&&difference| difference != 0.0).count();
    Ok(StyleCorrelation {
        feature,
        pearson: defined(pearson(&numbers, &counts))?,
        spearman: defined(spearman(&numbers, &counts))?,
        kendall_tau_b: defined(kendall_tau_b(&numbers, &counts))?,
        spearman_of_differences: defined(spearman(&margins, &differences))?,
        chosen_has_more: (n_differ > 0).then(|| n_more as f64 / n_differ as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{contestant, pair, pairs};
    use crate::{LengthUnit, length_control};

    #[test]
    fn the_length_control_goes_with_length() {
        let pairs = [pair("p0", "a b c", "a"), pair("p1", "a", "a b"), pair("p2", "a b c d", "")];
        let found = diagnose(&length_control(&pairs, LengthUnit::Words), &pairs, 10).unwrap();
        let words = found.style[0];
        assert_eq!((words.feature, words.chosen_has_more), (StyleFeature::Words, Some(2.0 / 3.0)));
        for value in [words.pearson, words.spearman, words.kendall_tau_b] {
            assert!((value.unwrap() - 1.0).abs() < 1e-12);
        }
        assert_eq!((found.calibration, found.style[2].pearson), (None, None));
        assert_eq!(found.margins.unwrap().n_negative, 1);
    }

    #[test]
    fn calibration_is_by_domain_too() {
        let mut pairs = pairs(3);
        pairs[0].domain = Some("math".to_owned());
        pairs[1].domain = None;
        let who = contestant("w", &[(9.0, 0.0), (0.0, 9.0), (0.0, 0.0)]);
        let found = diagnose(&who, &pairs, 10).unwrap();
        assert_eq!(found.calibration.unwrap().n, 3);
        assert_eq!(found.calibration_by_domain.len(), 2);
        assert!(found.calibration_by_domain["math"].expected_error < 1e-3);
        assert!(diagnose(&who, &pairs, 0).is_err());
    }

    #[test]
    fn nothing_scored_has_nothing_behind_it() {
        let found = diagnose(&contestant("w", &[]), &pairs(2), 10).unwrap();
        assert_eq!((found.n_scored, found.n_missing, found.margins), (0, 2, None));
        assert!(found.margin_histogram.is_empty() && found.calibration.is_none());
    }

    #[test]
    fn the_temperature_comes_from_the_margins() {
        let who = contestant("w", &[(4.0, 0.0), (4.0, 0.0), (0.0, 4.0), (5.0, 1.0)]);
        let temperature = fit_temperature(&who, &pairs(4)).unwrap();
        assert!((temperature.value() - 4.0 / 3f64.ln()).abs() < 1e-9);
        assert!(fit_temperature(&who, &pairs(1)).is_err());
    }
}
