use super::gradients::Gradients;
use super::parameters::{ParameterId, Parameters};
use crate::error::ModelError;
use crate::reward_head::{HeadNumbers, HiddenNumbers, KeptFeatures};
use critic_kernels::Precision;
use critic_kernels::linear::{self, Update, Weight};

/// The parameters of the reward head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewardHeadIds {
    /// Weight and bias of the hidden layer, `[width, d_model]` and `[width]`, where there is one.
    pub hidden: Option<[ParameterId; 2]>,
    /// What reads the reward, `[1, width]`.
    pub out: ParameterId,
}

impl RewardHeadIds {
    /// Whether a parameter is one of them.
    pub fn contains(&self, id: ParameterId) -> bool {
        id == self.out || self.hidden.is_some_and(|ids| ids.contains(&id))
    }
}

/// Rewards of hidden states and their gradients, in memory that is used again.
///
/// In f32 whatever the precision of the decoder's products.
#[derive(Debug, Default)]
pub struct RewardPass {
    kept: KeptFeatures,
}

impl RewardPass {
    /// Rewards, as [`RewardHead::rewards`](crate::RewardHead::rewards).
    ///
    /// # Shapes
    /// - `states`: `[n, d_model]`
    /// - returns `[n]`
    ///
    /// # Errors
    /// When `states` is not whole rows.
    pub fn forward(
        &mut self,
        parameters: &Parameters,
        states: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        numbers(parameters).rewards(states, &mut self.kept)
    }

    /// The gradients of Σ slope · reward after [`forward`](Self::forward) of the same states: the head's are
    /// added to `gradients`, those of the states are written to `grad_states`.
    ///
    /// # Shapes
    /// - `states`, `grad_states`: `[n, d_model]`
    /// - `slopes`: `[n]`
    ///
    /// # Errors
    /// When the lengths do not fit.
    pub fn backward(
        &self,
        parameters: &Parameters,
        states: &[f32],
        slopes: &[f32],
        grad_states: &mut [f32],
        gradients: &mut Gradients,
    ) -> Result<(), ModelError> {
        let HeadNumbers { d_model, hidden, out, .. } = numbers(parameters);
        let ids = parameters.reward_head();
        let grad_out = gradients.add_to(ids.out);
        let (Some(HiddenNumbers { weight, bias, activation }), Some([weight_id, bias_id])) =
            (hidden, ids.hidden)
        else {
            backward_out(&out, states, slopes, grad_states, grad_out);
            return Ok(());
        };
        let KeptFeatures { before, features } = &self.kept;
        let mut grad_before = vec![0.0; before.len()];
        backward_out(&out, features, slopes, &mut grad_before, grad_out);
        for (grad, &x) in grad_before.iter_mut().zip(before) {
            *grad *= activation.slope(x);
        }
        let sizes = [slopes.len(), d_model, bias.len()];
        let grad_weight = gradients.add_to(weight_id);
        linear::backward_weight(Precision::F32, sizes, &grad_before, states, grad_weight)?;
        let grad_bias = gradients.add_to(bias_id);
        for row in grad_before.chunks_exact(bias.len().max(1)) {
            grad_bias.iter_mut().zip(row).for_each(|(sum, grad)| *sum += grad);
        }
        let weight = Weight::F32(&weight);
        linear::backward_input(sizes, &grad_before, weight, grad_states, Update::Write)?;
        Ok(())
    }
}

/// The gradients of Σ slope · (out · feature).
fn backward_out(
    out: &[f32],
    features: &[f32],
    slopes: &[f32],
    grad_features: &mut [f32],
    grad_out: &mut [f32],
) {
    let rows = features.chunks_exact(out.len()).zip(grad_features.chunks_exact_mut(out.len()));
    for (slope, (features, grad_features)) in slopes.iter().zip(rows) {
        for i in 0..out.len() {
            grad_out[i] += slope * features[i];
            grad_features[i] = slope * out[i];
        }
    }
}

fn numbers(parameters: &Parameters) -> HeadNumbers<'_> {
    let RewardHeadIds { hidden, out } = parameters.reward_head();
    let hidden = hidden.map(|ids| ids.map(|id| parameters.values(id)));
    parameters.head_frame().numbers(hidden, parameters.values(out))
}
