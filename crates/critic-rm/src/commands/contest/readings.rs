use super::contestant::{Entrant, Kind, Sampled};
use super::items::BenchData;
use super::rereading::Reread;
use crate::cli::Mix;
use anyhow::Result;
use critic_eval::{
    Contestant, PredictionScale, Predictions, Readout, SampledCritique, Samples, read_contestant,
};
use critic_stats::mean_std;
use critic_text::ScoreScale;

/// From which score on a response is called right, of 1–10: CriticBench's own reading of ratings.
const RIGHT_SCORE: f64 = 6.0;

/// A contestant, and from which number on it calls a response right where its numbers say so themselves.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) contestant: Contestant,
    pub(super) threshold: Option<f64>,
}

/// Which ways there are beside those of every contest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra<'a> {
    pub(super) gate: Option<f64>,
    pub(super) mixed: Option<Mix>,
    pub(super) meta_judge: bool,
    /// What a reward model's critiques come to by yes or no.
    pub(super) verdicts: Option<&'a Reread>,
}

/// Every way in which one set of samples is read: no smaller m draws anything anew.
pub(super) fn readings(
    entrant: &Entrant,
    sampled: &Sampled,
    data: &BenchData,
    ms: &[usize],
    extra: Extra<'_>,
) -> Result<Vec<Way>> {
    let name = entrant.name.as_str();
    let samples: Samples = sampled
        .iter()
        .map(|(&(item, response), sample)| (data.key(item, response), sample.response.clone()))
        .collect();
    let read = |family: &str, samples: &Samples, readout: Readout| -> Result<Contestant> {
        Ok(read_contestant(family, samples, readout)?.contestant)
    };
    let most = ms.iter().copied().max().unwrap_or(0);
    let mut contestants: Vec<Way> = Vec::new();
    let push = |contestants: &mut Vec<Way>, contestant, threshold| {
        contestants.push(Way { contestant, threshold });
    };
    match &entrant.kind {
        Kind::Reward { reads_critiques: true, .. } => {
            for &m in ms {
                push(&mut contestants, read(name, &samples, Readout::at(m))?, None);
            }
            // The gate compares the two responses of a pair.
            if let (Some(threshold), false) = (extra.gate, data.pairs.is_empty() || most == 0) {
                let gated = Readout::Gated { m: most, threshold };
                push(&mut contestants, read(name, &samples, gated)?, None);
            }
            for readout in extra_ways(&samples, ms, extra) {
                push(&mut contestants, read(name, &samples, readout)?, None);
            }
            if let Some(verdicts) = extra.verdicts {
                let said = instead(sampled, data, |place, i, _| *verdicts.get(&place)?.get(i)?);
                let scale = ScoreScale::default();
                let scores = instead(sampled, data, |_, _, critique| scale.parse(&critique.text));
                for &m in ms.iter().filter(|&&m| m > 0) {
                    let verdict = read(&format!("{name} verdict"), &said, Readout::at(m))?;
                    push(&mut contestants, verdict, Some(0.0));
                    let ordinal = read(&format!("{name} stated score"), &scores, Readout::at(m))?;
                    push(&mut contestants, as_order(ordinal), Some(RIGHT_SCORE));
                }
            }
        }
        Kind::Judge { .. } => {
            for &m in ms {
                let verdict = read(&format!("{name} verdict"), &samples, Readout::at(m))?;
                push(&mut contestants, verdict, Some(0.0));
            }
            let stated = instead(sampled, data, |place, i, _| {
                sampled.get(&place)?.stated.get(i).copied().flatten()
            });
            for &m in ms.iter().filter(|&&m| m > 0) {
                let expected = read(name, &samples, Readout::ExpectedScore { m })?;
                let label = format!("{name} expected score m={m}");
                let expected = Contestant { name: label, ..expected };
                push(&mut contestants, expected, Some(RIGHT_SCORE));
                let ordinal = read(&format!("{name} stated score"), &stated, Readout::at(m))?;
                push(&mut contestants, as_order(ordinal), Some(RIGHT_SCORE));
            }
            for readout in extra_ways(&samples, ms, extra) {
                let is_verdict = matches!(readout, Readout::MetaSelected { .. });
                let threshold = is_verdict.then_some(0.0);
                push(&mut contestants, read(name, &samples, readout)?, threshold);
            }
        }
        Kind::Pairwise { .. } => {
            let mean = |(&(item, response), sample): (&_, &super::contestant::Sample)| {
                let [first, second] = sample.games?;
                Some((data.key(item, response), 0.5 * (first + second)))
            };
            let predictions: Predictions = sampled.iter().filter_map(mean).collect();
            push(&mut contestants, Contestant::scalar(name, predictions), None);
        }
        Kind::Reward { .. } | Kind::Implicit { .. } | Kind::Server(_) => {
            let only = read(name, &samples, Readout::FastPath)?;
            push(&mut contestants, Contestant::scalar(name, only.predictions), None);
        }
    }
    Ok(contestants)
}

fn as_order(contestant: Contestant) -> Contestant {
    Contestant { scale: PredictionScale::Ordinal, ..contestant }
}

/// The ways that are asked for apart: only critiques that the meta-judge finds best (one of the first m;
/// half of the most), and rewards mixed with expected scores.
fn extra_ways(samples: &Samples, ms: &[usize], extra: Extra<'_>) -> Vec<Readout> {
    let most = ms.iter().copied().max().unwrap_or(0);
    let mut ways = Vec::new();
    if extra.meta_judge {
        let several = ms.iter().copied().filter(|&m| m > 1);
        ways.extend(several.map(|m| Readout::MetaSelected { m, keep: 1 }));
        ways.extend((most > 3).then_some(Readout::MetaSelected { m: most, keep: most / 2 }));
    }
    if let Some(mix) = extra.mixed {
        let weight = match mix {
            Mix::Weight(weight) => Some(weight),
            Mix::Equal => equal_weight(samples),
        };
        let mixed = ms.iter().copied().filter(|&m| m > 0);
        ways.extend(
            weight
                .into_iter()
                .flat_map(|weight| mixed.clone().map(move |m| Readout::Mixed { m, weight })),
        );
    }
    ways
}

/// The weight at which reward and expected score vary alike over the critiques: the ratio of their standard
/// deviations, so that the mix orders responses as the sum of both z-scores does. It knows no label.
/// Four digits of it count, which a report can show. Absent where either does not vary.
fn equal_weight(samples: &Samples) -> Option<f64> {
    let critiques = samples.values().flat_map(|sample| &sample.critiques);
    let both = critiques.filter_map(|critique| Some((critique.reward, critique.expected_score?)));
    let (rewards, scores): (Vec<f64>, Vec<f64>) = both.unzip();
    let spread = |values: &[f64]| mean_std(values).ok()?.std.filter(|std| *std > 0.0);
    let weight = spread(&rewards)? / spread(&scores)?;
    format!("{weight:.3e}").parse().ok().filter(|weight: &f64| weight.is_finite())
}

/// The samples with another number of each critique in the place of its reward; critiques without one are
/// left out.
fn instead(
    sampled: &Sampled,
    data: &BenchData,
    number: impl Fn((usize, usize), usize, &SampledCritique) -> Option<f64>,
) -> Samples {
    let of_response = |(&(item, response), sample): (&_, &super::contestant::Sample)| {
        let mut scored = sample.response.clone();
        scored.without_critique = None;
        scored.critiques = scored
            .critiques
            .into_iter()
            .enumerate()
            .filter_map(|(i, critique)| {
                let reward = number((item, response), i, &critique)?;
                Some(SampledCritique { reward, ..critique })
            })
            .collect();
        (data.key(item, response), scored)
    };
    sampled.iter().map(of_response).collect()
}

/// Critiques of a judge, and those of them that state a readable score.
pub(super) fn parse_counts(sampled: &Sampled) -> (usize, usize) {
    let stated = sampled.values().flat_map(|sample| &sample.stated);
    stated.fold((0, 0), |(n, read), score| (n + 1, read + usize::from(score.is_some())))
}

/// Pairs that a judge of two responses decides, and those that it decides otherwise when they are swapped.
pub(super) fn position_counts(sampled: &Sampled) -> (usize, usize) {
    let games = sampled.iter().filter(|((_, response), _)| *response == 0);
    games.filter_map(|(_, sample)| sample.games).fold((0, 0), |(n, swayed), [first, second]| {
        (n + 1, swayed + usize::from((first > 0.0) != (second > 0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_eval::SampledResponse;
    use critic_types::Side;

    #[test]
    fn an_equal_mix_orders_as_z_scores_do() {
        let critique = |reward: f64, score: f64| SampledCritique {
            text: String::new(),
            reward,
            expected_score: Some(score),
            meta_score: None,
        };
        let numbers = [(0.0, 5.0), (0.1, 2.0), (0.5, 7.0), (-0.3, 9.0)];
        let samples: Samples = numbers
            .iter()
            .enumerate()
            .map(|(i, &(reward, score))| {
                let critiques = vec![critique(reward, score)];
                let response = SampledResponse { critiques, ..Default::default() };
                ((i.to_string(), Side::Chosen), response)
            })
            .collect();
        let weight = equal_weight(&samples).unwrap();
        let z = |values: Vec<f64>| {
            let found = mean_std(&values).unwrap();
            let std = found.std.unwrap();
            values.iter().map(|value| (value - found.mean) / std).collect::<Vec<f64>>()
        };
        let (rewards, scores) = numbers.iter().copied().unzip();
        let sums: Vec<f64> = z(rewards).iter().zip(z(scores)).map(|(a, b)| a + b).collect();
        let mixed: Vec<f64> =
            numbers.iter().map(|(reward, score)| reward + weight * score).collect();
        let order = |values: &[f64]| {
            let mut places: Vec<usize> = (0..values.len()).collect();
            places.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
            places
        };
        assert_eq!(order(&mixed), order(&sums));
        let constant = [("a".to_owned(), Side::Chosen)].map(|key| {
            let critiques = vec![critique(1.0, 3.0), critique(2.0, 3.0)];
            (key, SampledResponse { critiques, ..Default::default() })
        });
        assert_eq!(equal_weight(&constant.into_iter().collect()), None);
    }
}
