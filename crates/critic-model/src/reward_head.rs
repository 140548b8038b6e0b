use crate::error::ModelError;
use crate::weight::Weight;
use critic_kernels::matmul;
use critic_types::SeedTree;

/// A linear reading of a hidden state: r = w · h, without bias (transformers' `score`).
#[derive(Debug, Clone)]
pub struct RewardHead {
    weight: Weight,
}

/// The name of the weight in a Hugging Face sequence classifier.
pub const REWARD_HEAD: &str = "score.weight";

impl RewardHead {
    /// A head over this weight, `[1, d_model]`.
    ///
    /// # Errors
    /// [`ModelError::WeightShape`] when it has another shape; nothing is re-initialised.
    pub fn new(weight: Weight, d_model: usize) -> Result<Self, ModelError> {
        if weight.shape() != [1, d_model] {
            let found = weight.shape().to_vec();
            return Err(ModelError::WeightShape {
                name: REWARD_HEAD.to_owned(),
                found,
                expected: vec![1, d_model],
            });
        }
        Ok(Self { weight })
    }

    /// A random weight N(0, 1/(d_model + 1)) that depends on the seed alone (OpenRLHF's rule).
    pub fn random_weight(d_model: usize, seed: &SeedTree) -> Weight {
        let node = seed.child("reward-head");
        let std = 1.0 / ((d_model + 1) as f64).sqrt();
        let values = (0..d_model)
            .map(|i| {
                // Box–Muller; 1 − u keeps the logarithm finite.
                let (u, v) =
                    (node.index(2 * i as u64).uniform(), node.index(2 * i as u64 + 1).uniform());
                ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos() * std) as f32
            })
            .collect();
        Weight::new([1, d_model], values).expect("one number for each column")
    }

    /// The weight, `[1, d_model]`.
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// Rewards of hidden states; a reward's bits do not depend on the other rows.
    ///
    /// # Shapes
    /// - `hidden`: `[n, d_model]`
    /// - returns `[n]`
    ///
    /// # Errors
    /// When `hidden` is not whole rows.
    pub fn rewards(&self, hidden: &[f32]) -> Result<Vec<f32>, ModelError> {
        let d_model = self.weight.shape()[1];
        let n = hidden.len() / d_model.max(1);
        let mut rewards = vec![0.0; n];
        matmul::nt_row_invariant(n, d_model, 1, hidden, &self.weight.values(), &mut rewards)?;
        Ok(rewards)
    }
}
