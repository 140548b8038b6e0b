//! The Bradley–Terry model: the chance that one response beats another is σ of the reward difference.

use crate::{StatsError, softplus};

/// Negative log-likelihood of one preference: −ln σ(r⁺ − r⁻).
///
/// Computed as softplus(r⁻ − r⁺), so that it neither overflows nor loses the tail.
/// Critic-RM §3.2 (the preference term of the joint loss); the model is due to Bradley and Terry, 1952.
///
/// | name              | unit                      | range      |
/// |-------------------|---------------------------|------------|
/// | `chosen_reward`   | reward, log-odds          | finite     |
/// | `rejected_reward` | reward, log-odds          | finite     |
/// | returns           | nats, for this pair alone | `[0, +∞)`  |
///
/// # Errors
/// [`StatsError::NotFinite`] when a reward or their difference is not finite.
///
/// # Examples
/// ```
/// use critic_stats::bradley_terry::pairwise_nll;
/// let nats = pairwise_nll(2.0, 2.0)?;
/// assert!((nats - std::f64::consts::LN_2).abs() < 1e-15); // an undecided model pays ln 2
/// assert!(pairwise_nll(3.0, -1.0)? < pairwise_nll(1.0, 0.0)?);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn pairwise_nll(chosen_reward: f64, rejected_reward: f64) -> Result<f64, StatsError> {
    Ok(softplus(-finite_margin(chosen_reward, rejected_reward)?))
}

/// The chance that the chosen response is preferred: σ(r⁺ − r⁻), in `[0, 1]`.
///
/// # Errors
/// [`StatsError::NotFinite`] when a reward or their difference is not finite.
///
/// # Examples
/// ```
/// use critic_stats::bradley_terry::probability;
/// assert_eq!(probability(0.3, 0.3)?, 0.5);
/// assert!((probability(1.0, 0.0)? - 0.731_058_578_630_005).abs() < 1e-15);
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn probability(chosen_reward: f64, rejected_reward: f64) -> Result<f64, StatsError> {
    let margin = finite_margin(chosen_reward, rejected_reward)?;
    // e^{-|m|} never overflows, and the smaller of the two chances keeps its digits.
    let tail = (-margin.abs()).exp();
    Ok(if margin >= 0.0 { 1.0 / (1.0 + tail) } else { tail / (1.0 + tail) })
}

pub(crate) fn finite_margin(chosen_reward: f64, rejected_reward: f64) -> Result<f64, StatsError> {
    crate::error::all_finite("reward", &[chosen_reward, rejected_reward])?;
    let margin = chosen_reward - rejected_reward;
    crate::error::all_finite("reward difference", &[margin])?;
    Ok(margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reward_that_is_not_finite_is_refused() {
        let error = pairwise_nll(0.0, f64::NAN).unwrap_err();
        assert!(error.to_string().contains("reward number 1 is NaN"));
        assert!(probability(f64::INFINITY, 0.0).is_err());
        assert!(pairwise_nll(f64::MAX, -f64::MAX).is_err());
    }

    #[test]
    fn a_hopeless_pair_costs_its_margin() {
        assert_eq!(pairwise_nll(-500.0, 500.0).unwrap(), 1000.0);
        assert_eq!(pairwise_nll(500.0, -500.0).unwrap(), 0.0);
    }

    proptest! {
        #[test]
        fn the_loss_is_minus_the_log_of_the_chance(a in -20.0f64..20.0, b in -20.0f64..20.0) {
            let nll = pairwise_nll(a, b).unwrap();
            prop_assert!((nll + probability(a, b).unwrap().ln()).abs() < 1e-11);
            prop_assert!((probability(a, b).unwrap() + probability(b, a).unwrap() - 1.0).abs() < 1e-15);
        }
    }
}
