use crate::{Contestant, Predictions, SampledCritique, SampledResponse, Samples};
use critic_types::{Conversation, PreferencePair, Side};

/// Pairs `p0`, `p1`, … of one domain.
pub(crate) fn pairs(n: usize) -> Vec<PreferencePair> {
    (0..n).map(|i| pair(&format!("p{i}"), "a good response", "a bad one")).collect()
}

/// A pair that says this.
pub(crate) fn pair(id: &str, chosen: &str, rejected: &str) -> PreferencePair {
    PreferencePair {
        id: id.to_owned(),
        prompt: Conversation::from_user("Why?"),
        chosen: chosen.to_owned(),
        rejected: rejected.to_owned(),
        margin: None,
        domain: Some("chat".to_owned()),
        subset: None,
    }
}

/// A reward model with these (chosen, rejected) rewards for `p0`, `p1`, ….
pub(crate) fn contestant(name: &str, rewards: &[(f64, f64)]) -> Contestant {
    let predictions: Predictions = rewards
        .iter()
        .enumerate()
        .flat_map(|(i, &(chosen, rejected))| {
            let id = format!("p{i}");
            [((id.clone(), Side::Chosen), chosen), ((id, Side::Rejected), rejected)]
        })
        .collect();
    Contestant::scalar(name, predictions)
}

/// A response's reward without critique and after each critique.
type Rewards<'a> = (f64, &'a [f64]);

/// Samples of one pair; expected score 5 + reward, meta-judge's score −reward.
pub(crate) fn samples(id: &str, chosen: Rewards<'_>, rejected: Rewards<'_>) -> Samples {
    let response = |(without, rewards): Rewards<'_>| SampledResponse {
        without_critique: Some(without),
        critiques: rewards
            .iter()
            .enumerate()
            .map(|(index, &reward)| SampledCritique {
                text: format!("critique {index}"),
                reward,
                expected_score: Some(5.0 + reward),
                meta_score: Some(-reward),
            })
            .collect(),
        n_failed: 0,
    };
    Samples::from([
        ((id.to_owned(), Side::Chosen), response(chosen)),
        ((id.to_owned(), Side::Rejected), response(rejected)),
    ])
}
