use super::{operand, tensor_like, with_values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use critic_stats::{bradley_terry, log_sigmoid};

struct PreferenceNll {
    /// (chosen, rejected, weight) of each comparison.
    comparisons: Vec<(usize, usize, f64)>,
}

/// Σ weight · −ln σ(r_chosen − r_rejected) over comparisons, nats: Bradley–Terry as a softplus.
///
/// Sums in f64. Critic-RM Eq. 4; divide by the number of pairs for nats per pair.
///
/// # Shapes
/// - `rewards`: `[n_rewards]`
/// - `comparisons`: (chosen, rejected, weight), the first two indices into `rewards`
/// - returns a scalar
///
/// # Errors
/// When a reward is not finite or an index is out of range.
pub fn preference_nll_sum(
    rewards: &Tensor,
    comparisons: Vec<(usize, usize, f64)>,
) -> Result<Tensor> {
    let n_rewards = rewards.dims1()?;
    if let Some(&(chosen, rejected, _)) = comparisons.iter().find(|c| c.0.max(c.1) >= n_rewards) {
        return Err(candle_core::Error::Msg(format!(
            "comparison ({chosen}, {rejected}) is out of range for {n_rewards} rewards"
        ))
        .bt());
    }
    rewards.contiguous()?.apply_op1(PreferenceNll { comparisons })
}

impl CustomOp1 for PreferenceNll {
    fn name(&self) -> &'static str {
        "preference-nll-sum"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rewards = operand(storage, layout)?;
        let mut sum = 0.0;
        for &(chosen, rejected, weight) in &self.comparisons {
            let nll = bradley_terry::pairwise_nll(
                f64::from(rewards[chosen]),
                f64::from(rewards[rejected]),
            )
            .map_err(candle_core::Error::wrap)?;
            sum += weight * nll;
        }
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(&self, rewards: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let scale = f64::from(grad.to_scalar::<f32>()?);
        let mut grad_rewards = vec![0.0f64; rewards.elem_count()];
        with_values(rewards, |rewards| {
            for &(chosen, rejected, weight) in &self.comparisons {
                // d/dm softplus(−m) = −σ(−m)
                let margin = f64::from(rewards[chosen]) - f64::from(rewards[rejected]);
                let slope = -log_sigmoid(-margin).exp() * weight * scale;
                grad_rewards[chosen] += slope;
                grad_rewards[rejected] -= slope;
            }
            Ok(())
        })?;
        Ok(Some(tensor_like(grad_rewards.into_iter().map(|g| g as f32).collect(), rewards)?))
    }
}
