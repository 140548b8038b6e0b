use super::{Backend, MomentState, SavedMoments, WeightState, nothing_left, take};
use crate::loss::{JointLoss, LossSums, LossWeights};
use crate::optimizer::{Moments, Optimizer};
use crate::{TrainConfig, TrainError, TrainableModel};
use critic_forest::TrainingForest;
use critic_model::Weight;
use critic_model::backprop::{Activations, Gradients};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The CPU: passes by hand in memory that the next step uses again.
#[derive(Debug)]
pub(crate) struct Kernels {
    pub(super) model: TrainableModel,
    optimizer: Optimizer,
    pub(super) gradients: Gradients,
    joint_loss: JointLoss,
}

impl Kernels {
    /// A model that was never updated.
    pub(crate) fn new(model: TrainableModel, activations: Activations) -> Self {
        let parameters = &model.parameters;
        Self {
            optimizer: Optimizer::new(parameters),
            gradients: Gradients::new(parameters),
            joint_loss: JointLoss::new(activations, parameters.config().n_layers),
            model,
        }
    }
}

impl Backend for Kernels {
    fn clear(&mut self) {
        self.gradients.clear();
    }

    fn add(
        &mut self,
        forest: &TrainingForest,
        weights: LossWeights,
        dropout_key: Option<u64>,
    ) -> Result<LossSums, TrainError> {
        let Self { model, joint_loss, gradients, .. } = self;
        // Inside the pool a small operation does not wait for a thread to wake up.
        rayon::scope(|_| {
            joint_loss.add_dropped(&model.parameters, forest, weights, dropout_key, gradients)
        })
    }

    fn without_gradient(&self) -> Result<Vec<(String, &'static str)>, TrainError> {
        let parameters = &self.model.parameters;
        let found = |id| {
            let found = match self.gradients.get(id) {
                None => "none",
                Some(gradient) if gradient.iter().all(|&g| g == 0.0) => "zeros",
                Some(_) => return None,
            };
            Some((parameters.name(id).to_owned(), found))
        };
        Ok(parameters
            .trained_ids()
            .filter(|&id| !parameters.waits_for_another(id))
            .filter_map(found)
            .collect())
    }

    fn step(
        &mut self,
        config: &TrainConfig,
        rate_share: f64,
        step: usize,
    ) -> Result<f64, TrainError> {
        let Self { model, optimizer, gradients, .. } = self;
        rayon::scope(|_| optimizer.step(&mut model.parameters, gradients, config, rate_share, step))
    }

    fn weights(&self) -> Result<Vec<WeightState<'_>>, TrainError> {
        let parameters = &self.model.parameters;
        let states = parameters.trained_ids().map(|id| WeightState {
            name: parameters.name(id),
            shape: parameters.shape(id),
            values: parameters.values(id),
        });
        Ok(states.collect())
    }

    fn moments(&self) -> Result<Vec<MomentState<'_>>, TrainError> {
        let states = self.optimizer.moments.iter().map(|moments| MomentState {
            n_updates: moments.n_updates,
            first: Cow::Borrowed(&moments.first),
            second: Cow::Borrowed(&moments.second),
        });
        Ok(states.collect())
    }

    fn restore(&mut self, mut weights: BTreeMap<String, Weight>) -> Result<(), TrainError> {
        let parameters = &mut self.model.parameters;
        for id in parameters.trained_ids() {
            let weight = take(&mut weights, parameters.name(id), parameters.shape(id))?;
            parameters.values_mut(id).copy_from_slice(&weight.values());
        }
        nothing_left(weights)?;
        Ok(parameters.pack()?)
    }

    fn restore_moments(
        &mut self,
        mut saved: BTreeMap<String, SavedMoments>,
    ) -> Result<(), TrainError> {
        let parameters = &self.model.parameters;
        for (id, moments) in parameters.trained_ids().zip(&mut self.optimizer.moments) {
            let SavedMoments { n_updates, first, second } =
                SavedMoments::take(&mut saved, parameters.name(id), parameters.shape(id))?;
            let (first, second) = (first.into_values(), second.into_values());
            *moments = Moments { n_updates, first, second };
        }
        Ok(nothing_left(saved)?)
    }

    fn into_model(self: Box<Self>) -> Result<TrainableModel, TrainError> {
        Ok(self.model)
    }
}
