use crate::TrainError;
use critic_model::RewardHead;
use critic_types::SeedTree;
use serde::{Deserialize, Serialize};

/// The shapes of reward heads that training draws.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RewardHeadKind {
    /// r = w · h.
    #[default]
    Linear,
    /// r = w · silu(W·h + b) (BaseReward, arXiv 2509.16127).
    Mlp,
}

/// The reward head of a model that has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardHeadConfig {
    /// Its shape.
    pub kind: RewardHeadKind,
    /// Width of the hidden layer of an `mlp`; that of the decoder where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
}

impl RewardHeadConfig {
    /// A head of random weights that depend on the seed alone, over hidden states of `d_model` numbers.
    pub fn draw(&self, d_model: usize, seed: &SeedTree) -> RewardHead {
        match self.kind {
            RewardHeadKind::Linear => RewardHead::random_linear(d_model, seed),
            RewardHeadKind::Mlp => RewardHead::random_mlp(d_model, self.width(d_model), seed),
        }
    }

    /// How many numbers of it are trained.
    pub fn n_numbers(&self, d_model: usize) -> usize {
        match self.kind {
            RewardHeadKind::Linear => d_model,
            RewardHeadKind::Mlp => self.width(d_model) * (d_model + 2),
        }
    }

    /// Checks that a training may go on from this head: one that asks for nothing but the default takes
    /// every head.
    ///
    /// # Errors
    /// [`TrainError::OtherHead`] when the head is not the `mlp` that is asked for.
    pub fn check_start(&self, head: &RewardHead) -> Result<(), TrainError> {
        let is_mlp = head.layout().kind == "mlp";
        let has_width = self.hidden.is_none_or(|width| width == head.width());
        if self.kind == RewardHeadKind::Linear || is_mlp && has_width {
            return Ok(());
        }
        let wanted = match self.hidden {
            Some(width) => format!("mlp of {width} features"),
            None => "mlp".to_owned(),
        };
        Err(TrainError::OtherHead { wanted, found: head.to_string() })
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn width(&self, d_model: usize) -> usize {
        self.hidden.unwrap_or(d_model)
    }
}
