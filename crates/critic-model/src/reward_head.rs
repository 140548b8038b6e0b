use crate::error::ModelError;
use crate::ops;
use candle_core::{Device, Result, Tensor};
use critic_types::SeedTree;

/// A linear reading of a hidden state: r = w · h, without bias (transformers' `score`).
#[derive(Debug, Clone)]
pub struct RewardHead {
    weight: Tensor,
}

/// The name of the weight in a Hugging Face sequence classifier.
pub const REWARD_HEAD: &str = "score.weight";

impl RewardHead {
    /// A head over this weight, `[1, d_model]`.
    ///
    /// # Errors
    /// [`ModelError::WeightShape`] when it has another shape; nothing is re-initialised.
    pub fn new(weight: Tensor, d_model: usize) -> std::result::Result<Self, ModelError> {
        if weight.dims() != [1, d_model] {
            let found = weight.dims().to_vec();
            return Err(ModelError::WeightShape {
                name: REWARD_HEAD.to_owned(),
                found,
                expected: vec![1, d_model],
            });
        }
        Ok(Self { weight })
    }

    /// A random weight N(0, 1/(d_model + 1)) that depends on the seed alone (OpenRLHF's rule).
    ///
    /// # Errors
    /// When the tensor cannot be made.
    pub fn random_weight(d_model: usize, seed: &SeedTree) -> Result<Tensor> {
        let node = seed.child("reward-head");
        let std = 1.0 / ((d_model + 1) as f64).sqrt();
        let values: Vec<f32> = (0..d_model)
            .map(|i| {
                // Box–Muller; 1 − u keeps the logarithm finite.
                let (u, v) =
                    (node.index(2 * i as u64).uniform(), node.index(2 * i as u64 + 1).uniform());
                ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos() * std) as f32
            })
            .collect();
        Tensor::from_vec(values, (1, d_model), &Device::Cpu)
    }

    /// The weight, `[1, d_model]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Rewards of hidden states.
    ///
    /// # Shapes
    /// - `hidden`: `[n, d_model]`
    /// - returns `[n]`, f32
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn rewards(&self, hidden: &Tensor) -> Result<Tensor> {
        ops::linear(hidden, &self.weight)?.squeeze(1)
    }
}
