use crate::TrainError;
use critic_kernels::Precision;
use critic_model::backprop::{Gradients, LoraConfig, Parameters};
use critic_model::{RewardHead, Weight, config::DecoderConfig};
use critic_types::SeedTree;
use std::collections::BTreeMap;

/// A decoder and a reward head that can be trained.
#[derive(Debug)]
pub struct TrainableModel {
    pub(crate) parameters: Parameters,
}

impl TrainableModel {
    /// These weights with this reward head; see [`RewardHeadConfig::draw`](crate::RewardHeadConfig::draw).
    ///
    /// Weights that nothing else holds are taken over without a copy.
    ///
    /// # Errors
    /// [`TrainError::Model`] when a weight or the head has another shape.
    pub fn new(
        config: &DecoderConfig,
        weights: BTreeMap<String, Weight>,
        reward_head: RewardHead,
        precision: Precision,
    ) -> Result<Self, TrainError> {
        Ok(Self { parameters: Parameters::new(config, weights, reward_head, precision)? })
    }

    /// The same model with adapters that are trained in its place, drawn from `seed`; see
    /// [`Parameters::with_adapters`].
    #[must_use]
    pub fn with_lora(self, lora: &LoraConfig, seed: &SeedTree) -> Self {
        Self { parameters: self.parameters.with_adapters(lora, &seed.child("lora")) }
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Room for a gradient of every parameter that is trained.
    pub fn gradients(&self) -> Gradients {
        Gradients::new(&self.parameters)
    }

    /// The decoder's weights, adapters merged into them, and the reward head.
    pub fn into_weights(self) -> (BTreeMap<String, Weight>, RewardHead) {
        self.parameters.into_weights()
    }
}
