use super::LossSums;
use crate::TrainError;
use critic_forest::TrainingForest;
use critic_stats::bradley_terry::pairwise_nll;
use critic_stats::log_sigmoid;

/// The preference loss of a forest's rewards: Σ_pairs mean_comparisons softplus(−(r⁺ − r⁻)).
///
/// Its nats and counts are added to `sums`; `weight` times its derivatives are added to `slopes`.
///
/// # Shapes
/// - `rewards`, `slopes`: one for each of the forest's `reward_rows`
///
/// # Errors
/// [`TrainError::Reward`] when a reward is not finite.
pub(crate) fn preference(
    forest: &TrainingForest,
    rewards: &[f32],
    weight: f64,
    sums: &mut LossSums,
    slopes: &mut [f64],
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
            let slope = -log_sigmoid(minus - plus).exp() * share * weight;
            slopes[chosen] += slope;
            slopes[rejected] -= slope;
        }
    }
    Ok(())
}
