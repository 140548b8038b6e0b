use crate::stages::critique_counts;
use critic_engine::ScoredResponse;
use critic_method::predict;
use critic_types::{RewardPrediction, Side};
use std::collections::HashMap;

/// How often a model has ranked held-out pairs as their labels do, with m critiques.
#[derive(Debug, Clone)]
pub(crate) struct ModelScores {
    pub(crate) name: String,
    pub(crate) by_count: Vec<AtCount>,
    /// Pairs of which one response has its rewards.
    half: HashMap<String, (Side, Vec<Option<f64>>)>,
}

/// Pairs ranked with m critiques.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AtCount {
    pub(crate) m: usize,
    pub(crate) n_right: usize,
    pub(crate) n_pairs: usize,
}

impl ModelScores {
    pub(crate) fn new(name: String, n_critiques: usize) -> Self {
        let at = |m| AtCount { m, n_right: 0, n_pairs: 0 };
        let by_count = critique_counts(n_critiques).into_iter().map(at).collect();
        Self { name, by_count, half: HashMap::new() }
    }

    /// Adds a response; its pair counts once both responses are there. A tie is wrong.
    pub(crate) fn add(&mut self, pair: String, side: Side, prediction: &RewardPrediction) {
        let rewards: Vec<Option<f64>> =
            self.by_count.iter().map(|at| reward_at(&pair, prediction, at.m)).collect();
        let other = match self.half.remove(&pair) {
            Some((known, other)) if known != side => other,
            _ => {
                self.half.insert(pair, (side, rewards));
                return;
            }
        };
        let (chosen, rejected) =
            if side == Side::Chosen { (rewards, other) } else { (other, rewards) };
        for (at, both) in self.by_count.iter_mut().zip(chosen.into_iter().zip(rejected)) {
            if let (Some(chosen), Some(rejected)) = both {
                at.n_pairs += 1;
                at.n_right += usize::from(chosen > rejected);
            }
        }
    }
}

fn reward_at(pair: &str, prediction: &RewardPrediction, m: usize) -> Option<f64> {
    let scored = ScoredResponse {
        without_critique: prediction.without_critique?,
        critiques: prediction.critiques.clone(),
        n_failed: prediction.n_failed,
        n_dropped_turns: 0,
    };
    predict(pair, &scored, m, true).ok().map(|one| one.mean.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::Reward;

    fn without_critique(reward: f64) -> RewardPrediction {
        let reward = Reward::new(reward, "test").unwrap();
        RewardPrediction {
            mean: reward,
            std: None,
            without_critique: Some(reward),
            critiques: Vec::new(),
            n_failed: 0,
        }
    }

    #[test]
    fn a_pair_counts_once_both_responses_are_there_and_ties_are_wrong() {
        let mut scores = ModelScores::new("rm".to_owned(), 0);
        scores.add("a".to_owned(), Side::Rejected, &without_critique(1.0));
        assert_eq!(scores.by_count, [AtCount { m: 0, n_right: 0, n_pairs: 0 }]);
        scores.add("a".to_owned(), Side::Chosen, &without_critique(2.0));
        scores.add("b".to_owned(), Side::Chosen, &without_critique(2.0));
        scores.add("b".to_owned(), Side::Rejected, &without_critique(2.0));
        assert_eq!(scores.by_count, [AtCount { m: 0, n_right: 1, n_pairs: 2 }]);
    }
}
