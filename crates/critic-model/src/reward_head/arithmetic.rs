use super::HeadActivation;
use crate::error::ModelError;
use critic_kernels::matmul;
use std::borrow::Cow;

/// A head's numbers, wherever they are.
#[derive(Debug, Clone)]
pub(crate) struct HeadNumbers<'a> {
    pub(crate) d_model: usize,
    pub(crate) hidden: Option<HiddenNumbers<'a>>,
    /// `[1, width]`
    pub(crate) out: Cow<'a, [f32]>,
    pub(crate) shift: Option<f32>,
}

/// The numbers of a hidden layer.
#[derive(Debug, Clone)]
pub(crate) struct HiddenNumbers<'a> {
    /// `[width, d_model]`
    pub(crate) weight: Cow<'a, [f32]>,
    /// `[width]`
    pub(crate) bias: Cow<'a, [f32]>,
    pub(crate) activation: HeadActivation,
}

/// What a backward pass needs of the hidden layer; empty without one.
#[derive(Debug, Default)]
pub(crate) struct KeptFeatures {
    /// `W·h + b`, `[n, width]`
    pub(crate) before: Vec<f32>,
    /// Its activation, `[n, width]`
    pub(crate) features: Vec<f32>,
}

impl HeadNumbers<'_> {
    /// Rewards of hidden states; a reward's bits do not depend on the other rows.
    ///
    /// # Shapes
    /// - `states`: `[n, d_model]`
    /// - returns `[n]`
    pub(crate) fn rewards(
        &self,
        states: &[f32],
        kept: &mut KeptFeatures,
    ) -> Result<Vec<f32>, ModelError> {
        let n = states.len() / self.d_model.max(1);
        let features = match &self.hidden {
            None => states,
            Some(HiddenNumbers { weight, bias, activation }) => {
                let KeptFeatures { before, features } = kept;
                before.clear();
                before.resize(n * bias.len(), 0.0);
                matmul::nt_row_invariant(n, self.d_model, bias.len(), states, weight, before)?;
                let rows = before.chunks_exact_mut(bias.len().max(1));
                rows.for_each(|row| row.iter_mut().zip(&**bias).for_each(|(x, b)| *x += b));
                features.clear();
                features.extend(before.iter().map(|&x| activation.of(x)));
                features
            }
        };
        let mut rewards = vec![0.0; n];
        matmul::nt_row_invariant(n, self.out.len(), 1, features, &self.out, &mut rewards)?;
        if let Some(shift) = self.shift {
            rewards.iter_mut().for_each(|reward| *reward += shift);
        }
        Ok(rewards)
    }
}
