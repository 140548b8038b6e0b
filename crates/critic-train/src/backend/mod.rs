//! Where the arithmetic of a step is done.

mod composed;
mod kernels;
#[cfg(test)]
mod tests;

pub(crate) use composed::Composed;
pub(crate) use kernels::Kernels;

use crate::loss::{LossSums, LossWeights};
use crate::{TrainConfig, TrainError, TrainableModel};
use critic_forest::TrainingForest;
use critic_model::{ModelError, Weight};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// A model in training with its gradients and AdamW's moments, wherever they are.
///
/// All of them compute the same losses and take the same steps, each in its own rounding, and give and take
/// the same states: a training may go on with another one.
pub(crate) trait Backend: Debug {
    /// Forgets the gradients.
    fn clear(&mut self);

    /// The losses of a forest; their gradients are added to those of the step. A loss whose weight is zero
    /// has none.
    fn add(
        &mut self,
        forest: &TrainingForest,
        weights: LossWeights,
    ) -> Result<LossSums, TrainError>;

    /// The names of parameters whose gradient is absent (`none`) or zero everywhere (`zeros`).
    fn without_gradient(&self) -> Result<Vec<(String, &'static str)>, TrainError>;

    /// One update of every parameter that has a gradient; returns the norm of all gradients before clipping.
    ///
    /// A norm that is not finite is an error, and no parameter has changed then.
    fn step(
        &mut self,
        config: &TrainConfig,
        rate_share: f64,
        step: usize,
    ) -> Result<f64, TrainError>;

    /// Everything that the next step depends on.
    fn states(&self) -> Result<Vec<ParameterState<'_>>, TrainError>;

    /// Goes on from these states: exactly one for each parameter.
    fn restore(&mut self, states: BTreeMap<String, SavedParameter>) -> Result<(), TrainError>;

    /// The model as it stands.
    fn into_model(self: Box<Self>) -> Result<TrainableModel, TrainError>;
}

/// A parameter and its moments, as a checkpoint writes them.
#[derive(Debug)]
pub(crate) struct ParameterState<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) values: Cow<'a, [f32]>,
    /// Updates so far.
    pub(crate) n_updates: u64,
    pub(crate) first: Cow<'a, [f32]>,
    pub(crate) second: Cow<'a, [f32]>,
}

/// A parameter and its moments, all of one shape, as a checkpoint gives them.
#[derive(Debug)]
pub(crate) struct SavedParameter {
    pub(crate) weight: Weight,
    pub(crate) n_updates: u64,
    pub(crate) first: Weight,
    pub(crate) second: Weight,
}

/// The state of a parameter, taken out of `states`.
fn take(
    states: &mut BTreeMap<String, SavedParameter>,
    name: &str,
    shape: &[usize],
) -> Result<SavedParameter, ModelError> {
    let (name, expected) = (name.to_owned(), shape.to_vec());
    match states.remove(&name) {
        None => Err(ModelError::MissingWeight { name, expected }),
        Some(saved) if saved.weight.shape() != shape => {
            Err(ModelError::WeightShape { name, found: saved.weight.shape().to_vec(), expected })
        }
        Some(saved) => Ok(saved),
    }
}

/// Nothing may be left once every parameter has its state.
fn nothing_left(states: BTreeMap<String, SavedParameter>) -> Result<(), ModelError> {
    match states.into_keys().next() {
        None => Ok(()),
        Some(name) => Err(ModelError::UnknownWeight { name }),
    }
}
