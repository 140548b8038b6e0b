use crate::bradley_terry::finite_margin;
use crate::{StatsError, log_sigmoid, softplus};
use serde::{Deserialize, Serialize};

/// What the data's margin, m ≥ 0, does to the loss of a pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginUse {
    /// Nothing.
    #[default]
    Ignore,
    /// The rewards must differ by it: it is subtracted from r⁺ − r⁻ (Llama 2, arXiv 2307.09288, Eq. 2).
    Subtract,
    /// It weighs the pair (scaled Bradley–Terry of HelpSteer2-Preference, arXiv 2410.01257).
    Scale,
}

/// The loss of one compared pair of rewards.
///
/// With d = r⁺ − r⁻, lowered by m under [`MarginUse::Subtract`], and w = m under [`MarginUse::Scale`], else 1:
///
/// L = w·[(1 − ε)·softplus(−d) + ε·softplus(d)] + c·(r⁺ + r⁻)²
///
/// ε is the share of labels that are held to be wrong (label smoothing, as in the conservative loss of TRL's
/// `DPOConfig.label_smoothing`),
/// c draws the rewards to a mean of zero (TRL's `center_rewards_coefficient`, after arXiv 2312.09244).
/// All neutral, it is [`pairwise_nll`](crate::bradley_terry::pairwise_nll).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferenceLoss {
    /// What the data's margin does.
    pub margin: MarginUse,
    /// ε, at least 0 and below one half.
    pub label_smoothing: f64,
    /// c, at least 0.
    pub centering: f64,
}

/// A loss with its derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairLoss {
    /// L, in nats where nothing is scaled or centered.
    pub loss: f64,
    /// ∂L/∂r⁺.
    pub chosen_slope: f64,
    /// ∂L/∂r⁻.
    pub rejected_slope: f64,
}

impl PreferenceLoss {
    /// The loss of two rewards; a pair whose data states no `margin` is taken as m = 0 when it is
    /// subtracted, and as m = 1 when it scales.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`] when a reward, the margin, or the loss is not finite.
    pub fn of(
        &self,
        chosen_reward: f64,
        rejected_reward: f64,
        margin: Option<f64>,
    ) -> Result<PairLoss, StatsError> {
        let difference = finite_margin(chosen_reward, rejected_reward)?;
        let (d, weight) = match (self.margin, margin) {
            (MarginUse::Subtract, Some(margin)) => (difference - margin, 1.0),
            (MarginUse::Scale, Some(margin)) => (difference, margin),
            _ => (difference, 1.0),
        };
        let smoothing = self.label_smoothing;
        let total = chosen_reward + rejected_reward;
        let loss = weight * ((1.0 - smoothing) * softplus(-d) + smoothing * softplus(d))
            + self.centering * total * total;
        crate::error::all_finite("preference loss", &[loss])?;
        let right = log_sigmoid(-d).exp();
        let wrong = log_sigmoid(d).exp();
        let slope = weight * (smoothing * wrong - (1.0 - smoothing) * right);
        let pull = 2.0 * self.centering * total;
        Ok(PairLoss { loss, chosen_slope: slope + pull, rejected_slope: pull - slope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bradley_terry::pairwise_nll;
    use proptest::prelude::*;

    #[test]
    fn the_neutral_loss_is_bradley_terry() {
        let loss = PreferenceLoss::default().of(1.5, -0.25, Some(3.0)).unwrap();
        assert_eq!(loss.loss, pairwise_nll(1.5, -0.25).unwrap());
    }

    #[test]
    fn a_pair_without_margin_is_neither_shifted_nor_scaled() {
        let plain = PreferenceLoss::default().of(0.5, 0.1, None).unwrap();
        for margin in [MarginUse::Subtract, MarginUse::Scale] {
            let loss = PreferenceLoss { margin, ..PreferenceLoss::default() };
            assert_eq!(loss.of(0.5, 0.1, None).unwrap(), plain);
        }
    }

    #[test]
    fn a_margin_that_is_not_finite_is_refused() {
        let loss = PreferenceLoss { margin: MarginUse::Subtract, ..PreferenceLoss::default() };
        assert!(loss.of(0.0, 0.0, Some(f64::NAN)).is_err());
        assert!(loss.of(f64::INFINITY, 0.0, None).is_err());
    }

    proptest! {
        #[test]
        fn slopes_are_the_derivatives(
            chosen in -8.0f64..8.0,
            rejected in -8.0f64..8.0,
            margin in 0.0f64..4.0,
            smoothing in 0.0f64..0.5,
            centering in 0.0f64..0.1,
            kind in 0usize..3,
        ) {
            let margin_use = [MarginUse::Ignore, MarginUse::Subtract, MarginUse::Scale][kind];
            let loss = PreferenceLoss { margin: margin_use, label_smoothing: smoothing, centering };
            let of = |chosen, rejected| loss.of(chosen, rejected, Some(margin)).unwrap();
            let h = 1e-5;
            let at = of(chosen, rejected);
            let by_chosen = (of(chosen + h, rejected).loss - of(chosen - h, rejected).loss) / (2.0 * h);
            let by_rejected = (of(chosen, rejected + h).loss - of(chosen, rejected - h).loss) / (2.0 * h);
            prop_assert!((at.chosen_slope - by_chosen).abs() < 1e-6);
            prop_assert!((at.rejected_slope - by_rejected).abs() < 1e-6);
        }
    }
}
