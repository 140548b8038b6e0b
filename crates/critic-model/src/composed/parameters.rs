use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::layout::weight_shapes;
use crate::reward_head::{HeadFrame, RewardHead};
use crate::rope_tables::RopeTables;
use crate::weight::Weight;
use candle_core::{Device, Tensor, Var};
use std::collections::BTreeMap;

/// The parameters of a decoder and of its reward head as variables on a device, by name.
#[derive(Debug)]
pub struct Parameters {
    config: DecoderConfig,
    device: Device,
    variables: BTreeMap<String, Var>,
    pub(super) head_frame: HeadFrame,
    pub(super) rope: RopeTables,
}

impl Parameters {
    /// Copies of these weights on `device`.
    ///
    /// # Shapes
    /// `weights`: those of [`weight_shapes`]
    ///
    /// # Errors
    /// [`ModelError`] naming a weight that is missing, not known, or of another shape, or when the device
    /// has no room.
    pub fn new(
        config: &DecoderConfig,
        weights: &BTreeMap<String, Weight>,
        reward_head: &RewardHead,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut shapes = weight_shapes(config);
        if let Some(name) = weights.keys().find(|&name| !shapes.contains_key(name)) {
            return Err(ModelError::UnknownWeight { name: name.clone() });
        }
        let head_frame = reward_head.frame_over(config.d_model)?;
        let head: BTreeMap<&str, &Weight> = reward_head.trained().collect();
        shapes.extend(
            head.iter().map(|(name, weight)| ((*name).to_owned(), weight.shape().to_vec())),
        );
        let variables = shapes
            .into_iter()
            .map(|(name, shape)| {
                let found = head.get(name.as_str()).copied().or_else(|| weights.get(&name));
                let Some(weight) = found else {
                    return Err(ModelError::MissingWeight { name, expected: shape });
                };
                if weight.shape() != shape {
                    let found = weight.shape().to_vec();
                    return Err(ModelError::WeightShape { name, found, expected: shape });
                }
                let variable = Var::from_slice(&weight.values(), shape, device)?;
                Ok((name, variable))
            })
            .collect::<Result<_, _>>()?;
        let rope = RopeTables::new(config)?;
        Ok(Self { config: config.clone(), device: device.clone(), variables, head_frame, rope })
    }

    /// The decoder's shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Their names, in order; the reward head's are those of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// A parameter's shape.
    ///
    /// # Panics
    /// When there is no parameter of this name.
    pub fn shape(&self, name: &str) -> &[usize] {
        self.variables[name].dims()
    }

    /// A parameter's numbers, copied from the device.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not give them.
    ///
    /// # Panics
    /// When there is no parameter of this name.
    pub fn weight(&self, name: &str) -> Result<Weight, ModelError> {
        Weight::from_tensor(&self.variables[name])
    }

    /// Gives a parameter these numbers.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the shapes differ or the device has no room.
    ///
    /// # Panics
    /// When there is no parameter of this name.
    pub fn set(&self, name: &str, weight: &Weight) -> Result<(), ModelError> {
        let values = Tensor::from_slice(&weight.values(), weight.shape(), &self.device)?;
        Ok(self.variables[name].set(&values)?)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// The LM head, `[vocab_size, d_model]`; the embedding itself when they are tied.
    pub(super) fn lm_head(&self) -> &Tensor {
        self.get(if self.config.tied_embeddings {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        })
    }

    /// A parameter that the architecture has.
    pub(super) fn get(&self, name: &str) -> &Tensor {
        &self.variables[name]
    }

    /// The same, to be updated.
    pub(super) fn variable(&self, name: &str) -> &Var {
        &self.variables[name]
    }

    /// A parameter that only some architectures have.
    pub(super) fn find(&self, name: &str) -> Option<&Tensor> {
        self.variables.get(name).map(Var::as_tensor)
    }

    /// Copies of the decoder's weights and of the reward head.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the device does not give them.
    pub fn weights(&self) -> Result<(BTreeMap<String, Weight>, RewardHead), ModelError> {
        let mut weights = self
            .names()
            .map(|name| Ok((name.to_owned(), self.weight(name)?)))
            .collect::<Result<BTreeMap<_, _>, ModelError>>()?;
        let head = self.head_frame.filled(|name| weights.remove(name))?;
        Ok((weights, head))
    }
}
