use crate::{
    CritiqueWeight, EvaluationConfig, Keep, LearningRate, RewardHeadConfig, RewardHeadKind,
    TrainError,
};
use critic_kernels::Precision;
use critic_model::backprop::{Activations, LoraConfig};
use critic_stats::PreferenceLoss;
use serde::{Deserialize, Serialize};

/// How the two losses are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JointForm {
    /// λ·L_critique + (1 − λ)·L_preference.
    Convex,
    /// L_preference + λ·L_critique.
    Additive,
}

/// Everything that training depends on besides the model and the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the pairs.
    pub epochs: usize,
    /// Pairs of one optimizer step.
    pub pairs_per_step: usize,
    /// The most distinct tokens of one forward and backward pass of several pairs; a step takes several
    /// passes where it must, and one for each pair that is longer.
    pub tokens_per_pack: usize,
    /// Of the operands of linear layers' products.
    pub precision: Precision,
    /// What the forward pass keeps for the backward pass.
    pub activations: Activations,
    /// Rate of the decoder and the LM head.
    pub learning_rate: LearningRate,
    /// Peak rate of the reward head, which starts from random.
    pub reward_head_learning_rate: f64,
    /// AdamW's decay of matrices, per unit of learning rate.
    pub weight_decay: f64,
    /// AdamW's β₁.
    pub beta1: f64,
    /// AdamW's β₂.
    pub beta2: f64,
    /// AdamW's ε.
    pub epsilon: f64,
    /// The gradient is scaled down to this norm over all parameters.
    pub max_grad_norm: f64,
    /// How the losses are joined.
    pub joint: JointForm,
    /// λ(t).
    pub critique_weight: CritiqueWeight,
    /// The loss of a pair of rewards.
    pub preference: PreferenceLoss,
    /// Critiques of a response that an epoch draws; 0 takes all.
    pub critiques_per_response: usize,
    /// Probability that a pair's reward is read without critique too.
    pub critique_dropout: f64,
    /// Held-out pairs during training.
    pub evaluation: EvaluationConfig,
    /// The newest checkpoints of a training under way that stay; at least 1.
    pub keep_checkpoints: usize,
    /// Adapters that are trained in place of the decoder; absent, everything is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Steps before all others in which the reward head alone learns the preference, at its full rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub head_warmup_steps: usize,
    /// The reward head of a model that has none.
    #[serde(default, skip_serializing_if = "RewardHeadConfig::is_default")]
    pub reward_head: RewardHeadConfig,
}

/// What is zero is not written, so that the addresses of trainings stay what they were.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl TrainConfig {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            ("epochs", self.epochs as f64, self.epochs > 0, "at least 1"),
            ("pairs_per_step", self.pairs_per_step as f64, self.pairs_per_step > 0, "at least 1"),
            (
                "tokens_per_pack",
                self.tokens_per_pack as f64,
                self.tokens_per_pack > 0,
                "at least 1",
            ),
            (
                "learning_rate.peak",
                self.learning_rate.peak,
                positive(self.learning_rate.peak),
                "above 0",
            ),
            (
                "learning_rate.warmup",
                self.learning_rate.warmup,
                share(self.learning_rate.warmup),
                "between 0 and 1",
            ),
            (
                "learning_rate.floor",
                self.learning_rate.floor,
                share(self.learning_rate.floor),
                "between 0 and 1",
            ),
            (
                "reward_head_learning_rate",
                self.reward_head_learning_rate,
                positive(self.reward_head_learning_rate),
                "above 0",
            ),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "at least 0"),
            ("beta1", self.beta1, share(self.beta1) && self.beta1 < 1.0, "at least 0 and below 1"),
            ("beta2", self.beta2, share(self.beta2) && self.beta2 < 1.0, "at least 0 and below 1"),
            ("epsilon", self.epsilon, positive(self.epsilon), "above 0"),
            ("max_grad_norm", self.max_grad_norm, positive(self.max_grad_norm), "above 0"),
            (
                "keep_checkpoints",
                self.keep_checkpoints as f64,
                self.keep_checkpoints > 0,
                "at least 1",
            ),
            (
                "preference.label_smoothing",
                self.preference.label_smoothing,
                (0.0..0.5).contains(&self.preference.label_smoothing),
                "at least 0 and below 0.5",
            ),
            (
                "preference.centering",
                self.preference.centering,
                self.preference.centering >= 0.0 && self.preference.centering.is_finite(),
                "at least 0",
            ),
            (
                "evaluation.every",
                self.evaluation.every as f64,
                self.evaluation.every > 0
                    || (self.evaluation.keep == Keep::Last && self.evaluation.patience == 0),
                "above 0 where evaluation.keep is \"best\" or evaluation.patience is above 0",
            ),
            (
                "critique_dropout",
                self.critique_dropout,
                share(self.critique_dropout),
                "between 0 and 1",
            ),
        ];
        let of_head = self.reward_head.hidden.map(|width| {
            let (is_mlp, rule) = match self.reward_head.kind {
                RewardHeadKind::Mlp => (true, "at least 1"),
                RewardHeadKind::Linear => {
                    (false, "left out where train.reward_head.kind is linear")
                }
            };
            ("reward_head.hidden", width as f64, is_mlp && width > 0, rule)
        });
        let of_lora = self.lora.iter().flat_map(|lora| {
            let n_targets = lora.target_modules.len();
            [
                ("lora.rank", lora.rank as f64, lora.rank > 0, "at least 1"),
                ("lora.alpha", lora.alpha, positive(lora.alpha), "above 0"),
                (
                    "lora.dropout",
                    lora.dropout,
                    share(lora.dropout) && lora.dropout < 1.0,
                    "at least 0 and below 1",
                ),
                (
                    "lora.target_modules",
                    n_targets as f64,
                    n_targets > 0,
                    "a list of at least one module",
                ),
            ]
        });
        match checks.into_iter().chain(of_head).chain(of_lora).find(|check| !check.2) {
            Some((field, value, _, rule)) => Err(TrainError::Config { field, value, rule }),
            None => Ok(()),
        }
    }

    /// Checks that other devices than the CPU can train so: candle computes in f32, and keeps every
    /// activation as it is, so that [`Activations::Bf16`] saves nothing there.
    ///
    /// # Errors
    /// [`TrainError::NotOnDevice`] for adapters, for products in bf16 and for [`Activations::Recompute`].
    pub fn check_composed(&self) -> Result<(), TrainError> {
        let refused = |setting, value| Err(TrainError::NotOnDevice { setting, value, way: "f32" });
        if self.lora.is_some() {
            let (setting, value, way) = ("lora", "a table", "nothing (leave it out)");
            return Err(TrainError::NotOnDevice { setting, value, way });
        }
        if self.precision != Precision::F32 {
            return refused("precision", "bf16");
        }
        match self.activations {
            Activations::Recompute => refused("activations", "recompute"),
            Activations::F32 | Activations::Bf16 => Ok(()),
        }
    }
}
