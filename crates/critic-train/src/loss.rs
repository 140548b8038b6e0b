use crate::{JointForm, TrainError, TrainableModel};
use candle_core::Tensor;
use critic_forest::TrainingForest;
use critic_model::{Attention, ForestAttention, ops};

/// What each summed loss is multiplied by in the joint loss of a step.
///
/// `convex`: λ/n_critique_tokens and (1 − λ)/n_pairs; `additive`: λ/n_critique_tokens and 1/n_pairs.
/// The counts are those of the whole step, so that the loss does not depend on how a step is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossWeights {
    /// Per nat of a critique token.
    pub critique: f64,
    /// Per nat of a pair.
    pub preference: f64,
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
        }
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

/// The joint loss of a forest and its parts.
///
/// L = w_c · Σ −ln P(critique token) + w_p · Σ_pairs mean_comparisons softplus(−(r⁺ − r⁻)).
/// Critic-RM §3.2.3 (Eq. 4, 5 and the joint loss; the numbering is our reading). The tensor carries the
/// graph and is absent when both weights are zero.
///
/// # Errors
/// [`TrainError::Tensor`] when a reward is not finite or a shape does not fit.
pub fn joint_loss(
    model: &TrainableModel,
    forest: &TrainingForest,
    weights: LossWeights,
) -> Result<(Option<Tensor>, LossSums), TrainError> {
    joint_loss_with(model, forest, weights, &mut ForestAttention::new(forest))
}

/// [`joint_loss`] under another attention.
pub(crate) fn joint_loss_with(
    model: &TrainableModel,
    forest: &TrainingForest,
    weights: LossWeights,
    attention: &mut dyn Attention,
) -> Result<(Option<Tensor>, LossSums), TrainError> {
    let positions = forest.positions.clone().into();
    let hidden = model.decoder.hidden(&forest.tokens, &positions, attention)?;
    let gather = |rows: Vec<u32>| -> candle_core::Result<Tensor> {
        let n = rows.len();
        hidden.index_select(&Tensor::from_vec(rows, n, hidden.device())?, 0)
    };
    let mut sums = LossSums::default();
    let mut joint: Option<Tensor> = None;
    let mut add = |loss: &Tensor, weight: f64| -> candle_core::Result<()> {
        let weighted = (loss * weight)?;
        joint = Some(match joint.take() {
            Some(sum) => (sum + weighted)?,
            None => weighted,
        });
        Ok(())
    };
    if !forest.targets.is_empty() {
        let rows = gather(forest.targets.iter().map(|target| target.row as u32).collect())?;
        let targets = forest.targets.iter().map(|target| target.token).collect();
        let nats = ops::critique_nll_sum(
            &rows,
            model.decoder.lm_head(),
            &targets,
            weights.critique != 0.0,
        )?;
        sums.critique_nats = f64::from(nats.to_scalar::<f32>()?);
        sums.n_critique_tokens = forest.targets.len();
        if weights.critique != 0.0 {
            add(&nats, weights.critique)?;
        }
    }
    let comparisons: Vec<(usize, usize, f64)> = forest
        .comparisons
        .iter()
        .flat_map(|pair| {
            pair.iter().map(|&(chosen, rejected)| (chosen, rejected, 1.0 / pair.len() as f64))
        })
        .collect();
    if !comparisons.is_empty() {
        let rewards = model
            .head
            .rewards(&gather(forest.reward_rows.iter().map(|&row| row as u32).collect())?)?;
        let values = rewards.to_vec1::<f32>()?;
        sums.n_pairs = forest.comparisons.iter().filter(|pair| !pair.is_empty()).count();
        sums.n_comparisons = comparisons.len();
        sums.n_correct = comparisons
            .iter()
            .filter(|&&(chosen, rejected, _)| values[chosen] > values[rejected])
            .count();
        let nats = ops::preference_nll_sum(&rewards, comparisons)?;
        sums.preference_nats = f64::from(nats.to_scalar::<f32>()?);
        if weights.preference != 0.0 {
            add(&nats, weights.preference)?;
        }
    }
    Ok((joint, sums))
}

#[cfg(test)]
pub(crate) mod tests;
