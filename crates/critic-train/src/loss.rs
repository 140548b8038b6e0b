mod preference;
mod readout;

pub(crate) use preference::add_preference;
pub(crate) use readout::Readout;

use crate::{JointForm, TrainError};
use critic_forest::TrainingForest;
use critic_kernels::cross_entropy;
use critic_kernels::matmul;
use critic_model::backprop::{Activations, Batch, Gradients, Parameters, Pass};
use critic_model::query_runs;
use critic_stats::PreferenceLoss;

/// What each summed loss is multiplied by in the joint loss of a step, and how a pair's is taken.
///
/// `convex`: λ/n_critique_tokens and (1 − λ)/n_pairs; `additive`: λ/n_critique_tokens and 1/n_pairs.
/// The counts are those of the whole step, so that the loss does not depend on how a step is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossWeights {
    /// Per nat of a critique token.
    pub critique: f64,
    /// Per nat of a pair.
    pub preference: f64,
    /// The loss of a pair of rewards; Bradley–Terry when neutral.
    pub pair_loss: PreferenceLoss,
    /// Whether gradients end at the hidden states: the reward head alone has one.
    pub head_only: bool,
}

impl LossWeights {
    /// The weights at λ = `critique_weight` for a step of so many critique tokens and pairs.
    pub fn new(
        joint: JointForm,
        critique_weight: f64,
        n_critique_tokens: usize,
        n_pairs: usize,
    ) -> Self {
        let share =
            |weight: f64, count: usize| if count == 0 { 0.0 } else { weight / count as f64 };
        let preference = match joint {
            JointForm::Convex => 1.0 - critique_weight,
            JointForm::Additive => 1.0,
        };
        Self {
            critique: share(critique_weight, n_critique_tokens),
            preference: share(preference, n_pairs),
            pair_loss: PreferenceLoss::default(),
            head_only: false,
        }
    }

    /// The weights of a step of so many pairs that trains the reward head alone.
    pub fn of_head(pair_loss: PreferenceLoss, n_pairs: usize) -> Self {
        let weights = Self::new(JointForm::Additive, 0.0, 0, n_pairs);
        Self { pair_loss, head_only: true, ..weights }
    }
}

/// Sums and counts of the losses of a forest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LossSums {
    /// Nats over all critique tokens.
    pub critique_nats: f64,
    /// Critique tokens.
    pub n_critique_tokens: usize,
    /// Nats over all pairs; of a pair the mean over its comparisons.
    pub preference_nats: f64,
    /// Pairs with a comparison.
    pub n_pairs: usize,
    /// Comparisons whose chosen reward is the higher.
    pub n_correct: usize,
    /// Comparisons.
    pub n_comparisons: usize,
}

impl std::ops::AddAssign for LossSums {
    fn add_assign(&mut self, other: Self) {
        self.critique_nats += other.critique_nats;
        self.n_critique_tokens += other.n_critique_tokens;
        self.preference_nats += other.preference_nats;
        self.n_pairs += other.n_pairs;
        self.n_correct += other.n_correct;
        self.n_comparisons += other.n_comparisons;
    }
}

/// The joint loss of forests and its gradients; its memory is used again by the next forest.
#[derive(Debug)]
pub struct JointLoss {
    pass: Pass,
    cross_entropy: cross_entropy::Scratch,
    /// Nats of each target.
    nll: Vec<f32>,
    /// Of the hidden states that are read: first those with a target, then those with a reward.
    grad_hidden: Vec<f32>,
}

impl JointLoss {
    /// The joint loss of models of so many layers.
    pub fn new(activations: Activations, n_layers: usize) -> Self {
        Self {
            pass: Pass::new(activations, n_layers),
            cross_entropy: cross_entropy::Scratch::default(),
            nll: Vec::new(),
            grad_hidden: Vec::new(),
        }
    }

    /// The losses of a forest; the gradients of the joint loss are added to `gradients`.
    ///
    /// L = w_c · Σ −ln P(critique token) + w_p · Σ_pairs mean_comparisons L(r⁺, r⁻), where L is softplus(−(r⁺ − r⁻))
    /// or what [`LossWeights::pair_loss`] makes of it.
    /// Critic-RM §3.2.3 (Eq. 4, 5 and the joint loss; the numbering is our reading). A loss whose weight is
    /// zero is given and has no gradient.
    ///
    /// # Errors
    /// [`TrainError::Reward`] when a reward is not finite; [`TrainError::Model`] when the forest does not
    /// fit the model.
    pub fn add(
        &mut self,
        parameters: &Parameters,
        forest: &TrainingForest,
        weights: LossWeights,
        gradients: &mut Gradients,
    ) -> Result<LossSums, TrainError> {
        self.add_dropped(parameters, forest, weights, None, gradients)
    }

    /// As [`add`](Self::add), with the adapters' dropout drawn from `dropout_key` if there is one.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_dropped(
        &mut self,
        parameters: &Parameters,
        forest: &TrainingForest,
        weights: LossWeights,
        dropout_key: Option<u64>,
        gradients: &mut Gradients,
    ) -> Result<LossSums, TrainError> {
        let d_model = parameters.config().d_model;
        let Readout { rows: read, n_predicting, targets } = Readout::new(forest);
        let runs = query_runs(forest);
        let (tokens, positions) = (forest.tokens.as_slice(), forest.positions.as_slice());
        let batch = Batch { tokens, positions, runs: &runs, read: &read, dropout_key };
        let hidden = self.pass.forward(parameters, &batch)?;
        self.grad_hidden.clear();
        self.grad_hidden.resize(hidden.len(), 0.0);
        let (predicting, rewarded) = hidden.split_at(n_predicting * d_model);
        let (grad_predicting, grad_rewarded) =
            self.grad_hidden.split_at_mut(n_predicting * d_model);

        let mut sums = LossSums::default();
        if !targets.is_empty() {
            let lm_head = parameters.lm_head();
            let sizes = [n_predicting, d_model, parameters.config().vocab_size];
            let matrix = parameters.matrix(lm_head);
            let softcap = parameters.config().variant.final_softcap;
            self.nll.resize(targets.len(), 0.0);
            sums.n_critique_tokens = targets.len();
            sums.critique_nats = if weights.critique == 0.0 {
                cross_entropy::forward(
                    sizes,
                    predicting,
                    matrix,
                    softcap,
                    &targets,
                    &mut self.nll,
                    &mut self.cross_entropy,
                )?
            } else {
                cross_entropy::forward_backward(
                    sizes,
                    predicting,
                    matrix,
                    softcap,
                    &targets,
                    weights.critique as f32,
                    &mut self.nll,
                    grad_predicting,
                    gradients.has_room(lm_head).then(|| gradients.add_to(lm_head)),
                    &mut self.cross_entropy,
                )?
            };
        }
        preference(parameters, forest, weights, rewarded, grad_rewarded, gradients, &mut sums)?;
        let is_read = weights.critique != 0.0 && !targets.is_empty()
            || weights.preference != 0.0 && sums.n_comparisons > 0;
        if is_read && !weights.head_only {
            self.pass.backward(parameters, &batch, &self.grad_hidden, gradients)?;
        }
        Ok(sums)
    }
}

/// The preference loss of rewards read from `hidden`, and its gradients.
fn preference(
    parameters: &Parameters,
    forest: &TrainingForest,
    weights: LossWeights,
    hidden: &[f32],
    grad_hidden: &mut [f32],
    gradients: &mut Gradients,
    sums: &mut LossSums,
) -> Result<(), TrainError> {
    let (d_model, n) = (parameters.config().d_model, forest.reward_rows.len());
    let head = parameters.values(parameters.reward_head());
    let mut rewards = vec![0.0; n];
    matmul::nt_row_invariant(n, d_model, 1, hidden, &head, &mut rewards)?;
    let mut slopes = vec![0.0; n];
    add_preference(forest, weights, &rewards, &mut slopes, sums)?;
    if weights.preference == 0.0 || sums.n_comparisons == 0 {
        return Ok(());
    }
    let grad_head = gradients.add_to(parameters.reward_head());
    let rows = hidden.chunks_exact(d_model).zip(grad_hidden.chunks_exact_mut(d_model));
    for (slope, (hidden, grad_hidden)) in slopes.into_iter().map(|slope| slope as f32).zip(rows) {
        for i in 0..d_model {
            grad_head[i] += slope * hidden[i];
            grad_hidden[i] = slope * head[i];
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
