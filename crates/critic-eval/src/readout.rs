use crate::{Contestant, EvalError, PredictionScale, Predictions, SampledResponse, Samples};
use critic_types::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a number for a response is made of its samples, without drawing anything anew.
///
/// "The first m" are the first m critiques in sampling order that succeeded; where fewer did, those; and
/// a response without any has no number and is counted as missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Readout {
    /// The reward without critique: m = 0.
    FastPath,
    /// Mean of the rewards after the first m.
    MeanReward {
        /// Critiques, at least 1.
        m: usize,
    },
    /// Mean of the expected scores of those of the first m that have one; only an order, in points of the scale.
    ExpectedScore {
        /// Critiques, at least 1.
        m: usize,
    },
    /// Mean over the first m of reward + weight · expected score; critiques without one are left out.
    Mixed {
        /// Critiques, at least 1.
        m: usize,
        /// Log-odds for a point of the score; from pairs that are not reported on.
        weight: f64,
    },
    /// Mean reward of the `keep` critiques with the highest meta-judge scores among those of the first m
    /// that have one, earlier ones first among equals (DeepSeek-GRM keeps m / 2).
    MetaSelected {
        /// Critiques, at least 1.
        m: usize,
        /// Those that count, 1 to m.
        keep: usize,
    },
    /// The fast path of both responses where their rewards are at least `threshold` apart, and the mean
    /// reward of the first m of both elsewhere.
    Gated {
        /// Critiques where the margin is small, at least 1.
        m: usize,
        /// Log-odds, 0 or more; 0 never writes a critique.
        threshold: f64,
    },
}

/// A contestant read from samples, and what its numbers would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The numbers.
    pub contestant: Contestant,
    /// Mean critiques that a response with a number needs.
    pub mean_critiques: Option<f64>,
    /// Pairs that the gate sent to critiques; absent for the other ways.
    pub n_escalated: Option<usize>,
}

impl Readout {
    /// The mean reward over m critiques, or the fast path at m = 0.
    pub fn at(m: usize) -> Self {
        if m == 0 { Readout::FastPath } else { Readout::MeanReward { m } }
    }

    /// Names the way in a report.
    pub fn label(&self) -> String {
        match self {
            Readout::FastPath => "m=0".to_owned(),
            Readout::MeanReward { m } => format!("m={m}"),
            Readout::ExpectedScore { m } => format!("expected score m={m}"),
            Readout::Mixed { m, weight } => format!("mixed m={m} weight {weight}"),
            Readout::MetaSelected { m, keep } => format!("meta-judge {keep} of {m}"),
            Readout::Gated { m, threshold } => format!("gated m={m} below {threshold}"),
        }
    }

    fn m(&self) -> usize {
        match *self {
            Readout::FastPath => 0,
            Readout::MeanReward { m }
            | Readout::ExpectedScore { m }
            | Readout::Mixed { m, .. }
            | Readout::MetaSelected { m, .. }
            | Readout::Gated { m, .. } => m,
        }
    }

    fn check(&self) -> Result<(), EvalError> {
        let problem = match *self {
            Readout::FastPath => None,
            _ if self.m() == 0 => Some("needs m of at least 1; the fast path is m = 0"),
            Readout::MetaSelected { m, keep } if keep == 0 || keep > m => {
                Some("keeps none or more than there are; keep 1 to m critiques")
            }
            Readout::Mixed { weight, .. } if !weight.is_finite() => {
                Some("has a weight that is not finite")
            }
            Readout::Gated { threshold, .. } if !(threshold >= 0.0 && threshold.is_finite()) => {
                Some("has a threshold that is not a finite margin of 0 or more")
            }
            _ => None,
        };
        problem.map_or(Ok(()), |problem| Err(EvalError::Readout { readout: self.label(), problem }))
    }

    /// The number of one response and the critiques it took; the gate reads pairs and not responses.
    fn read(&self, response: &SampledResponse) -> Option<(f64, usize)> {
        let first = &response.critiques[..self.m().min(response.critiques.len())];
        let values: Vec<f64> = match *self {
            Readout::FastPath => return response.without_critique.map(|reward| (reward, 0)),
            Readout::MeanReward { .. } | Readout::Gated { .. } => {
                first.iter().map(|critique| critique.reward).collect()
            }
            Readout::ExpectedScore { .. } => {
                first.iter().filter_map(|critique| critique.expected_score).collect()
            }
            Readout::Mixed { weight, .. } => first
                .iter()
                .filter_map(|critique| Some(critique.reward + weight * critique.expected_score?))
                .collect(),
            Readout::MetaSelected { keep, .. } => {
                let mut judged: Vec<(f64, f64)> = first
                    .iter()
                    .filter_map(|critique| Some((critique.meta_score?, critique.reward)))
                    .collect();
                judged.sort_by(|a, b| b.0.total_cmp(&a.0));
                judged.into_iter().take(keep).map(|(_, reward)| reward).collect()
            }
        };
        (!values.is_empty())
            .then(|| (values.iter().sum::<f64>() / values.len() as f64, first.len()))
    }
}

/// Reads a contestant from samples, named `family label`.
///
/// # Errors
/// [`EvalError::Readout`] for a way that asks for the impossible, [`EvalError::BenchScore`] for a sample
/// with a number that is not finite.
pub fn read_contestant(
    family: &str,
    samples: &Samples,
    readout: Readout,
) -> Result<Reading, EvalError> {
    readout.check()?;
    for ((pair_id, side), response) in samples {
        check_finite(pair_id, *side, response)?;
    }
    let (mut predictions, mut n_critiques, mut n_escalated) = (Predictions::new(), 0, None);
    if let Readout::Gated { threshold, .. } = readout {
        let mut escalated = 0;
        for (pair_id, [chosen, rejected]) in whole_pairs(samples) {
            let (Some(fast_chosen), Some(fast_rejected)) =
                (chosen.without_critique, rejected.without_critique)
            else {
                continue;
            };
            let numbers = if (fast_chosen - fast_rejected).abs() >= threshold {
                Some(((fast_chosen, 0), (fast_rejected, 0)))
            } else {
                escalated += 1;
                readout.read(chosen).zip(readout.read(rejected))
            };
            let Some((of_chosen, of_rejected)) = numbers else { continue };
            for (side, (number, n)) in Side::BOTH.into_iter().zip([of_chosen, of_rejected]) {
                predictions.insert((pair_id.to_owned(), side), number);
                n_critiques += n;
            }
        }
        n_escalated = Some(escalated);
    } else {
        for (key, response) in samples {
            if let Some((number, n)) = readout.read(response) {
                predictions.insert(key.clone(), number);
                n_critiques += n;
            }
        }
    }
    let mean_critiques =
        (!predictions.is_empty()).then(|| n_critiques as f64 / predictions.len() as f64);
    let (scale, family) = match readout {
        Readout::ExpectedScore { .. } => {
            (PredictionScale::Ordinal, format!("{family} expected score"))
        }
        Readout::Mixed { .. } => (PredictionScale::LogOdds, format!("{family} mixed")),
        Readout::MetaSelected { .. } => (PredictionScale::LogOdds, format!("{family} meta-judge")),
        Readout::Gated { .. } => (PredictionScale::LogOdds, format!("{family} gated")),
        Readout::FastPath | Readout::MeanReward { .. } => {
            (PredictionScale::LogOdds, family.to_owned())
        }
    };
    let name = match readout {
        Readout::FastPath | Readout::MeanReward { .. } => format!("{family} {}", readout.label()),
        _ => format!("{family} ({})", readout.label()),
    };
    let n_critiques = Some(readout.m());
    let contestant = Contestant { name, family, n_critiques, scale, predictions };
    Ok(Reading { contestant, mean_critiques, n_escalated })
}

/// Pairs of which both responses have samples.
fn whole_pairs(samples: &Samples) -> BTreeMap<&str, [&SampledResponse; 2]> {
    let both = samples.iter().filter_map(|((pair_id, side), chosen)| {
        let rejected = samples.get(&(pair_id.clone(), Side::Rejected))?;
        (*side == Side::Chosen).then_some((pair_id.as_str(), [chosen, rejected]))
    });
    both.collect()
}

fn check_finite(pair_id: &str, side: Side, response: &SampledResponse) -> Result<(), EvalError> {
    let of_critiques = response
        .critiques
        .iter()
        .flat_map(|critique| [Some(critique.reward), critique.expected_score, critique.meta_score]);
    let mut numbers = of_critiques.chain([response.without_critique]).flatten();
    match numbers.find(|number| !number.is_finite()) {
        Some(value) => Err(EvalError::BenchScore {
            bench: "samples",
            item: format!("{pair_id}/{}", side.as_str()),
            value,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::samples;

    /// Chosen: 0.2 without, then 1, 3, −1; rejected: 0.0 without, then 2, 0.
    fn two() -> Samples {
        samples("p0", (0.2, &[1.0, 3.0, -1.0]), (0.0, &[2.0, 0.0]))
    }

    #[track_caller]
    fn check(readout: Readout, chosen: f64, rejected: f64) {
        let reading = read_contestant("x", &two(), readout).unwrap();
        let number = |side| reading.contestant.predictions[&("p0".to_owned(), side)];
        assert!((number(Side::Chosen) - chosen).abs() < 1e-12, "{reading:?}");
        assert!((number(Side::Rejected) - rejected).abs() < 1e-12, "{reading:?}");
    }

    #[test]
    fn every_m_reads_the_same_samples() {
        check(Readout::at(0), 0.2, 0.0);
        check(Readout::at(1), 1.0, 2.0);
        check(Readout::at(2), 2.0, 1.0);
        check(Readout::at(16), 1.0, 1.0);
    }

    #[test]
    fn scores_can_be_read_instead_or_beside() {
        // The fixture's expected score is 5 + reward, its meta-judge's score minus the reward.
        check(Readout::ExpectedScore { m: 2 }, 7.0, 6.0);
        check(Readout::Mixed { m: 1, weight: 0.5 }, 1.0 + 3.0, 2.0 + 3.5);
        check(Readout::MetaSelected { m: 3, keep: 1 }, -1.0, 0.0);
        check(Readout::MetaSelected { m: 3, keep: 3 }, 1.0, 1.0);
    }

    #[test]
    fn the_gate_opens_where_the_margin_is_small() {
        let read =
            |threshold| read_contestant("x", &two(), Readout::Gated { m: 2, threshold }).unwrap();
        check(Readout::Gated { m: 2, threshold: 0.1 }, 0.2, 0.0);
        check(Readout::Gated { m: 2, threshold: 0.5 }, 2.0, 1.0);
        assert_eq!((read(0.1).n_escalated, read(0.1).mean_critiques), (Some(0), Some(0.0)));
        assert_eq!((read(0.5).n_escalated, read(0.5).mean_critiques), (Some(1), Some(2.0)));
    }

    #[test]
    fn a_response_without_critiques_has_no_number() {
        let mut samples = two();
        let rejected = ("p0".to_owned(), Side::Rejected);
        samples.insert(rejected.clone(), SampledResponse { n_failed: 3, ..Default::default() });
        let reading = read_contestant("x", &samples, Readout::at(4)).unwrap();
        assert!(!reading.contestant.predictions.contains_key(&rejected));
        assert_eq!(
            (reading.mean_critiques, reading.contestant.name.as_str()),
            (Some(3.0), "x m=4")
        );
        let gated =
            read_contestant("x", &samples, Readout::Gated { m: 1, threshold: 1.0 }).unwrap();
        assert!(gated.contestant.predictions.is_empty());
        assert_eq!(
            read_contestant("x", &Samples::new(), Readout::at(1)).unwrap().mean_critiques,
            None
        );
    }

    #[test]
    fn impossible_ways_are_refused() {
        for readout in [
            Readout::MeanReward { m: 0 },
            Readout::MetaSelected { m: 4, keep: 5 },
            Readout::MetaSelected { m: 4, keep: 0 },
            Readout::Mixed { m: 1, weight: f64::NAN },
            Readout::Gated { m: 1, threshold: -1.0 },
        ] {
            let error = read_contestant("x", &two(), readout).unwrap_err();
            assert!(matches!(error, EvalError::Readout { .. }), "{error}");
        }
        let broken = samples("p7", (f64::NAN, &[]), (0.0, &[]));
        let error = read_contestant("x", &broken, Readout::FastPath).unwrap_err().to_string();
        assert!(error.contains("`p7/chosen` has the score NaN"), "{error}");
    }
}
