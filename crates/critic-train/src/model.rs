use crate::TrainError;
use candle_core::{Tensor, Var};
use critic_model::{Decoder, REWARD_HEAD, RewardHead, config::DecoderConfig};
use critic_types::SeedTree;
use std::collections::BTreeMap;

/// A decoder and a reward head over variables.
#[derive(Debug)]
pub struct TrainableModel {
    pub(crate) parameters: BTreeMap<String, Var>,
    pub(crate) decoder: Decoder,
    pub(crate) head: RewardHead,
}

impl TrainableModel {
    /// Copies of these weights with a reward head drawn from `seed`, or the given one.
    ///
    /// # Errors
    /// [`TrainError::Model`] when a weight or the head has another shape.
    pub fn new(
        config: &DecoderConfig,
        weights: &BTreeMap<String, Tensor>,
        reward_head: Option<&Tensor>,
        seed: &SeedTree,
    ) -> Result<Self, TrainError> {
        let head_weight = match reward_head {
            Some(weight) => weight.clone(),
            None => RewardHead::random_weight(config.d_model, seed)?,
        };
        let mut parameters = BTreeMap::new();
        for (name, weight) in weights {
            // A variable writes its storage in place: it must not share the storage of the given weights.
            parameters.insert(name.clone(), Var::from_tensor(&weight.copy()?)?);
        }
        parameters.insert(REWARD_HEAD.to_owned(), Var::from_tensor(&head_weight.copy()?)?);
        Self::over(config, parameters)
    }

    /// The model over these variables.
    pub(crate) fn over(
        config: &DecoderConfig,
        parameters: BTreeMap<String, Var>,
    ) -> Result<Self, TrainError> {
        let tensors: BTreeMap<String, Tensor> =
            parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let decoder = Decoder::new(config, &tensors)?;
        let head = RewardHead::new(tensors[REWARD_HEAD].clone(), config.d_model)?;
        Ok(Self { parameters, decoder, head })
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The reward head.
    pub fn head(&self) -> &RewardHead {
        &self.head
    }

    /// The variables by name.
    pub fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    /// The decoder's weights and the reward head's, apart from the variables.
    pub fn into_weights(self) -> (BTreeMap<String, Tensor>, Tensor) {
        let mut weights: BTreeMap<String, Tensor> = self
            .parameters
            .into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect();
        let head = weights.remove(REWARD_HEAD).unwrap_or_else(|| self.head.weight().detach());
        (weights, head)
    }
}
