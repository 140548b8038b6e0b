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
    /// has none. Adapters drop what `dropout_key` draws, and nothing without one.
    fn add(
        &mut self,
        forest: &TrainingForest,
        weights: LossWeights,
        dropout_key: Option<u64>,
    ) -> Result<LossSums, TrainError>;

    /// The names of trained parameters whose gradient is absent (`none`) or zero everywhere (`zeros`) though
    /// no other parameter's value makes it so.
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

    /// What is trained.
    fn weights(&self) -> Result<Vec<WeightState<'_>>, TrainError>;

    /// AdamW's state of what is trained, in the order of [`weights`](Self::weights).
    fn moments(&self) -> Result<Vec<MomentState<'_>>, TrainError>;

    /// Takes these weights: exactly one for each of [`weights`](Self::weights).
    fn restore(&mut self, weights: BTreeMap<String, Weight>) -> Result<(), TrainError>;

    /// Takes these moments: exactly one for each of [`weights`](Self::weights).
    fn restore_moments(
        &mut self,
        moments: BTreeMap<String, SavedMoments>,
    ) -> Result<(), TrainError>;

    /// The model as it stands.
    fn into_model(self: Box<Self>) -> Result<TrainableModel, TrainError>;
}

/// A parameter, as a checkpoint writes it.
#[derive(Debug)]
pub(crate) struct WeightState<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) values: Cow<'a, [f32]>,
}

/// The moments of a parameter, as a checkpoint writes them.
#[derive(Debug)]
pub(crate) struct MomentState<'a> {
    /// Updates so far.
    pub(crate) n_updates: u64,
    pub(crate) first: Cow<'a, [f32]>,
    pub(crate) second: Cow<'a, [f32]>,
}

/// The moments of a parameter, as a checkpoint gives them.
#[derive(Debug)]
pub(crate) struct SavedMoments {
    pub(crate) n_updates: u64,
    pub(crate) first: Weight,
    pub(crate) second: Weight,
}

impl SavedMoments {
    /// The moments of a parameter, taken out of `all`.
    fn take(
        all: &mut BTreeMap<String, Self>,
        name: &str,
        shape: &[usize],
    ) -> Result<Self, ModelError> {
        let Some(saved) = all.remove(name) else { return Err(missing(name, shape)) };
        check_shape(name, &saved.first, shape)?;
        check_shape(name, &saved.second, shape)?;
        Ok(saved)
    }
}

/// A parameter, taken out of `weights`.
fn take(
    weights: &mut BTreeMap<String, Weight>,
    name: &str,
    shape: &[usize],
) -> Result<Weight, ModelError> {
    let weight = weights.remove(name).ok_or_else(|| missing(name, shape))?;
    check_shape(name, &weight, shape)?;
    Ok(weight)
}

fn missing(name: &str, shape: &[usize]) -> ModelError {
    ModelError::MissingWeight { name: name.to_owned(), expected: shape.to_vec() }
}

fn check_shape(name: &str, weight: &Weight, shape: &[usize]) -> Result<(), ModelError> {
    if weight.shape() == shape {
        return Ok(());
    }
    let (found, expected) = (weight.shape().to_vec(), shape.to_vec());
    Err(ModelError::WeightShape { name: name.to_owned(), found, expected })
}

/// Nothing may be left once every parameter has its own.
fn nothing_left<T>(states: BTreeMap<String, T>) -> Result<(), ModelError> {
    match states.into_keys().next() {
        None => Ok(()),
        Some(name) => Err(ModelError::UnknownWeight { name }),
    }
}
