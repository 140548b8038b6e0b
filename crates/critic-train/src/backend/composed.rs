use super::{Backend, MomentState, SavedMoments, WeightState, nothing_left, take};
use crate::loss::{LossSums, LossWeights, Readout, add_preference};
use crate::optimizer::{clip_scale, squares_of, update_of};
use crate::{TrainConfig, TrainError, TrainableModel};
use critic_forest::TrainingForest;
use critic_kernels::Precision;
use critic_model::backprop::Batch;
use critic_model::composed::{Device, Gradients, Moments, Parameters, Pass};
use critic_model::{Weight, is_reward_head, query_runs};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Any device of candle: its own operations, differentiated by candle, in f32.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(super) parameters: Parameters,
    pub(super) gradients: Gradients,
    moments: BTreeMap<String, Moments>,
}

impl Composed {
    /// A model that was never updated, on a device.
    pub(crate) fn new(model: TrainableModel, device: &Device) -> Result<Self, TrainError> {
        let config = model.parameters.config().clone();
        let (weights, head) = model.into_weights();
        let parameters = Parameters::new(&config, &weights, &head, device)?;
        let moments = parameters
            .names()
            .map(|name| Ok((name.to_owned(), Moments::zeros(&parameters, name)?)))
            .collect::<Result<_, TrainError>>()?;
        Ok(Self { parameters, gradients: Gradients::default(), moments })
    }
}

impl Backend for Composed {
    fn clear(&mut self) {
        self.gradients.clear();
    }

    fn add(
        &mut self,
        forest: &TrainingForest,
        weights: LossWeights,
        _dropout_key: Option<u64>,
    ) -> Result<LossSums, TrainError> {
        let Readout { rows, n_predicting, targets } = Readout::new(forest);
        let runs = query_runs(forest);
        let (tokens, positions) = (forest.tokens.as_slice(), forest.positions.as_slice());
        let batch = Batch { tokens, positions, runs: &runs, read: &rows, dropout_key: None };
        let mut pass = Pass::forward(&self.parameters, &batch)?;
        let nll = pass.cross_entropy(&targets, weights.critique, &mut self.gradients)?;
        let mut sums = LossSums {
            critique_nats: nll.into_iter().map(f64::from).sum(),
            n_critique_tokens: targets.len(),
            ..LossSums::default()
        };
        let rewarded = n_predicting..rows.len();
        let rewards = pass.rewards(rewarded.clone())?;
        let mut slopes = vec![0.0; rewards.len()];
        add_preference(forest, weights, &rewards, &mut slopes, &mut sums)?;
        if weights.preference != 0.0 && sums.n_comparisons > 0 {
            pass.backward_rewards(rewarded, &slopes, &mut self.gradients)?;
        }
        if !weights.head_only {
            pass.backward(&mut self.gradients)?;
        }
        Ok(sums)
    }

    fn without_gradient(&self) -> Result<Vec<(String, &'static str)>, TrainError> {
        let mut found = Vec::new();
        for name in self.parameters.names() {
            match self.gradients.is_zero(name)? {
                None => found.push((name.to_owned(), "none")),
                Some(true) => found.push((name.to_owned(), "zeros")),
                Some(false) => {}
            }
        }
        Ok(found)
    }

    fn step(
        &mut self,
        config: &TrainConfig,
        rate_share: f64,
        step: usize,
    ) -> Result<f64, TrainError> {
        let Self { parameters, gradients, moments } = self;
        let mut squares = 0.0;
        for name in parameters.names() {
            let sum = gradients.sum_of_squares(name)?.unwrap_or(0.0);
            squares += squares_of(name, sum, step)?;
        }
        let norm = squares.sqrt();
        let grad_scale = clip_scale(config, norm);
        for (name, moments) in moments {
            let is_matrix = parameters.shape(name).len() >= 2;
            let update = update_of(config, is_reward_head(name), is_matrix, rate_share);
            moments.step(&update, grad_scale, parameters, gradients, name)?;
        }
        Ok(norm)
    }

    fn weights(&self) -> Result<Vec<WeightState<'_>>, TrainError> {
        let mut states = Vec::with_capacity(self.moments.len());
        for name in self.moments.keys() {
            let values = Cow::Owned(self.parameters.weight(name)?.into_values());
            states.push(WeightState { name, shape: self.parameters.shape(name), values });
        }
        Ok(states)
    }

    fn moments(&self) -> Result<Vec<MomentState<'_>>, TrainError> {
        let state = |moments: &Moments| {
            let [first, second] = moments.weights()?;
            Ok(MomentState {
                n_updates: moments.n_updates(),
                first: Cow::Owned(first.into_values()),
                second: Cow::Owned(second.into_values()),
            })
        };
        self.moments.values().map(state).collect()
    }

    fn restore(&mut self, mut weights: BTreeMap<String, Weight>) -> Result<(), TrainError> {
        for name in self.moments.keys() {
            let weight = take(&mut weights, name, self.parameters.shape(name))?;
            self.parameters.set(name, &weight)?;
        }
        Ok(nothing_left(weights)?)
    }

    fn restore_moments(
        &mut self,
        mut saved: BTreeMap<String, SavedMoments>,
    ) -> Result<(), TrainError> {
        for (name, moments) in &mut self.moments {
            let SavedMoments { n_updates, first, second } =
                SavedMoments::take(&mut saved, name, self.parameters.shape(name))?;
            let (first, second) = (first.values(), second.values());
            *moments = Moments::new(&self.parameters, name, n_updates, &first, &second)?;
        }
        Ok(nothing_left(saved)?)
    }

    fn into_model(self: Box<Self>) -> Result<TrainableModel, TrainError> {
        let (weights, head) = self.parameters.weights()?;
        TrainableModel::new(self.parameters.config(), weights, head, Precision::F32)
    }
}
