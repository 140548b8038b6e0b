use super::contestant::{Entrant, Kind, Sampled};
use super::items::BenchData;
use anyhow::Result;
use critic_eval::{Contestant, PredictionScale, Predictions, Readout, Samples, read_contestant};

/// Every way in which one set of samples is read: no smaller m draws anything anew.
pub(super) fn readings(
    entrant: &Entrant,
    sampled: &Sampled,
    data: &BenchData,
    ms: &[usize],
    gate: Option<f64>,
) -> Result<Vec<Contestant>> {
    let name = entrant.name.as_str();
    let samples: Samples = sampled
        .iter()
        .map(|(&(item, response), sample)| (data.key(item, response), sample.response.clone()))
        .collect();
    let read = |family: &str, samples: &Samples, readout: Readout| -> Result<Contestant> {
        Ok(read_contestant(family, samples, readout)?.contestant)
    };
    let most = ms.iter().copied().max().unwrap_or(0);
    let mut contestants = Vec::new();
    match &entrant.kind {
        Kind::Reward { .. } => {
            for &m in ms {
                contestants.push(read(name, &samples, Readout::at(m))?);
            }
            // The gate compares the two responses of a pair.
            if let (Some(threshold), false) = (gate, data.pairs.is_empty() || most == 0) {
                contestants.push(read(name, &samples, Readout::Gated { m: most, threshold })?);
            }
        }
        Kind::Judge { .. } => {
            for &m in ms {
                contestants.push(read(&format!("{name} verdict"), &samples, Readout::at(m))?);
            }
            let stated = stated(sampled, data);
            for &m in ms.iter().filter(|&&m| m > 0) {
                let expected = read(name, &samples, Readout::ExpectedScore { m })?;
                let label = format!("{name} expected score m={m}");
                contestants.push(Contestant { name: label, ..expected });
                let ordinal = read(&format!("{name} stated score"), &stated, Readout::at(m))?;
                contestants.push(Contestant { scale: PredictionScale::Ordinal, ..ordinal });
            }
        }
        Kind::Pairwise { .. } => {
            let mean = |(&(item, response), sample): (&_, &super::contestant::Sample)| {
                let [first, second] = sample.games?;
                Some((data.key(item, response), 0.5 * (first + second)))
            };
            let predictions: Predictions = sampled.iter().filter_map(mean).collect();
            contestants.push(Contestant::scalar(name, predictions));
        }
        Kind::Implicit { .. } => {
            let only = read(name, &samples, Readout::FastPath)?;
            contestants.push(Contestant::scalar(name, only.predictions));
        }
    }
    Ok(contestants)
}

/// The scores that critiques state, in the place of rewards.
fn stated(sampled: &Sampled, data: &BenchData) -> Samples {
    let of_response = |(&(item, response), sample): (&_, &super::contestant::Sample)| {
        let mut scored = sample.response.clone();
        scored.without_critique = None;
        scored.critiques = scored
            .critiques
            .into_iter()
            .zip(&sample.stated)
            .filter_map(|(critique, stated)| {
                Some(critic_eval::SampledCritique { reward: (*stated)?, ..critique })
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
