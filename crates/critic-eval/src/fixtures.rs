use crate::{Contestant, Predictions};
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
