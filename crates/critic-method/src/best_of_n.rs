use critic_types::RewardPrediction;

/// Which of n responses to one prompt has the highest reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestOfN {
    /// Its place; the first one when several share the highest reward.
    pub index: usize,
    /// How many later responses have exactly the same reward.
    pub n_ties: usize,
}

/// The response with the highest mean reward, argmax_i r(x, y_i); ties go to the first.
///
/// Returns nothing when there is no response.
/// Source: best-of-n is the common use of a reward model (as in CLoud §3); the paper's own use of it
/// is not known. The tie rule is our choice.
pub fn best_of_n(predictions: &[RewardPrediction]) -> Option<BestOfN> {
    let (first, rest) = predictions.split_first()?;
    let mut best = (first.mean.value(), BestOfN { index: 0, n_ties: 0 });
    for (place, prediction) in rest.iter().enumerate() {
        let reward = prediction.mean.value();
        if reward > best.0 {
            best = (reward, BestOfN { index: place + 1, n_ties: 0 });
        } else if reward >= best.0 {
            best.1.n_ties += 1;
        }
    }
    Some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_types::Reward;

    fn check(rewards: &[f64], expected: Option<(usize, usize)>) {
        let predictions: Vec<RewardPrediction> = rewards
            .iter()
            .map(|&value| RewardPrediction {
                mean: Reward::new(value, "test").unwrap(),
                std: None,
                without_critique: None,
                critiques: vec![],
                n_failed: 0,
            })
            .collect();
        let best = best_of_n(&predictions);
        assert_eq!(best.map(|b| (b.index, b.n_ties)), expected, "{rewards:?}");
    }

    #[test]
    fn the_highest_reward_wins() {
        check(&[-1.0, 3.0, 2.0], Some((1, 0)));
        check(&[-1.0], Some((0, 0)));
        check(&[], None);
    }

    #[test]
    fn ties_go_to_the_first_and_are_counted() {
        check(&[1.0, 2.0, 2.0, 0.0, 2.0], Some((1, 2)));
        check(&[2.0, 2.0, 3.0], Some((2, 0)));
    }
}
