use super::{LossSums, LossWeights};
use crate::TrainError;
use critic_forest::TrainingForest;
use critic_stats::bradley_terry::pairwise_nll;
use critic_stats::log_sigmoid;

/// Adds the preference loss of a forest's rewards to `sums`, and its derivatives by the rewards to `slopes`.
///
/// Σ_pairs mean_comparisons softplus(−(r⁺ − r⁻)); the derivatives are those of `weights.preference` times it.
///
/// # Shapes
/// - `rewards`, `slopes`: those of `forest.reward_rows`
///
/// # Errors
/// [`TrainError::Reward`] when a reward is not finite.
pub(crate) fn add_preference(
    forest: &TrainingForest,
    weights: LossWeights,
    rewards: &[f32],
    slopes: &mut [f64],
    sums: &mut LossSums,
) -> Result<(), TrainError> {
    for pair in forest.comparisons.iter().filter(|pair| !pair.is_empty()) {
        let share = 1.0 / pair.len() as f64;
        sums.n_pairs += 1;
        sums.n_comparisons += pair.len();
        for &(chosen, rejected) in pair {
            let (plus, minus) = (f64::from(rewards[chosen]), f64::from(rewards[rejected]));
            sums.preference_nats += share * pairwise_nll(plus, minus)?;
            sums.n_correct += usize::from(plus > minus);
            // d/dm softplus(−m) = −σ(−m)
            let slope = -log_sigmoid(minus - plus).exp() * share * weights.preference;
            slopes[chosen] += slope;
            slopes[rejected] -= slope;
        }
    }
    Ok(())
}
