use serde::{Deserialize, Serialize};

/// A reward was NaN or infinite.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "reward of `{item}` is {value}; rewards must be finite: check the checkpoint for NaN weights"
)]
pub struct NonFiniteReward {
    /// The item whose reward it is.
    pub item: String,
    /// What was found.
    pub value: f64,
}

/// A scalar from the reward head, on the log-odds scale of Bradley–Terry; always finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Reward(f64);

impl Reward {
    /// Wraps a finite number.
    ///
    /// # Errors
    /// [`NonFiniteReward`] with `item` in its message when `value` is NaN or infinite.
    pub fn new(value: f64, item: &str) -> Result<Self, NonFiniteReward> {
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err(NonFiniteReward { item: item.to_owned(), value })
        }
    }

    /// The number, log-odds.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Reward {
    type Error = NonFiniteReward;
    fn try_from(value: f64) -> Result<Self, NonFiniteReward> {
        Self::new(value, "a stored reward")
    }
}

impl From<Reward> for f64 {
    fn from(reward: Reward) -> f64 {
        reward.0
    }
}

/// One sampled critique with the reward read after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CritiqueReward {
    /// The critique's text.
    pub text: String,
    /// r(x, y, z).
    pub reward: Reward,
    /// Whether the critique closed itself or was cut; a cut one is closed before the reward is read.
    pub finish_reason: crate::FinishReason,
    /// Its length in tokens.
    pub n_tokens: usize,
}

/// The reward of a response: r(x, y) = mean over m critiques of r(x, y, z), or the fast path at m = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardPrediction {
    /// The mean over the critiques that succeeded; the reward without critique when none was asked for.
    pub mean: Reward,
    /// Sample standard deviation over the critiques (n − 1), absent below two.
    pub std: Option<f64>,
    /// The reward read right after the response, without critique.
    pub without_critique: Option<Reward>,
    /// Each critique with its reward.
    pub critiques: Vec<CritiqueReward>,
    /// Critiques that were asked for and could not be had; left out of the mean, never imputed.
    pub n_failed: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reward_is_never_nan() {
        let error = Reward::new(f64::NAN, "pair-3/chosen").unwrap_err();
        assert!(error.to_string().contains("pair-3/chosen"));
        assert!(Reward::new(f64::INFINITY, "x").is_err());
        assert!((Reward::new(-2.5, "x").unwrap().value() + 2.5).abs() < f64::EPSILON);
    }
}
