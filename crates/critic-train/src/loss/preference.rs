use super::{LossSums, LossWeights};
use crate::TrainError;
use critic_forest::TrainingForest;

/// Adds the preference loss of a forest's rewards to `sums`, and its derivatives by the rewards to `slopes`.
///
/// Σ_pairs mean_comparisons L(r⁺, r⁻, m) with L of [`LossWeights::pair_loss`] and the pair's margin m; the
/// derivatives are those of `weights.preference` times it.
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
    for (pair, &margin) in forest.comparisons.iter().zip(&forest.margins) {
        if pair.is_empty() {
            continue;
        }
        let share = 1.0 / pair.len() as f64;
        sums.n_pairs += 1;
        sums.n_comparisons += pair.len();
        for &(chosen, rejected) in pair {
            let (plus, minus) = (f64::from(rewards[chosen]), f64::from(rewards[rejected]));
            let loss = weights.pair_loss.of(plus, minus, margin)?;
            sums.preference_nats += share * loss.loss;
            sums.n_correct += usize::from(plus > minus);
            slopes[chosen] += loss.chosen_slope * share * weights.preference;
            slopes[rejected] += loss.rejected_slope * share * weights.preference;
        }
    }
    Ok(())
}
