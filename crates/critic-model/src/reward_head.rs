//! What reads a reward from a hidden state.

mod arithmetic;
mod layout;
#[cfg(test)]
mod tests;

pub(crate) use arithmetic::{HeadNumbers, HiddenNumbers, KeptFeatures};
pub(crate) use layout::LAYOUTS;
pub use layout::{HeadActivation, HeadLayout, REWARD_HEAD, is_reward_head, known_reward_heads};

use crate::error::ModelError;
use crate::weight::Weight;
use critic_types::SeedTree;
use layout::{HiddenNames, LINEAR, MLP};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A reading of a hidden state: r = w · f + shift, where f is the state itself or a hidden layer over it.
///
/// [`HeadLayout`] says which. The shift is a constant of the head: it cancels in the loss of pairs, so it is
/// kept as it was found and not trained.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardHead {
    frame: HeadFrame,
    hidden: Option<[Weight; 2]>,
    out: Weight,
}

/// What of a head is not trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeadFrame {
    layout: &'static HeadLayout,
    /// Numbers of a hidden state.
    d_model: usize,
    /// Numbers of the hidden layer, and of the state itself where there is none.
    width: usize,
    /// What is added to every reward.
    shift: Option<f32>,
}

impl RewardHead {
    /// The head among these tensors, which lose it.
    ///
    /// # Errors
    /// [`ModelError::SeveralRewardHeads`], [`ModelError::TornRewardHead`] where one lacks a tensor, and
    /// [`ModelError::WeightShape`]; nothing is re-initialised.
    pub fn take(
        tensors: &mut BTreeMap<String, Weight>,
        d_model: usize,
    ) -> Result<Option<Self>, ModelError> {
        let is_found = |layout: &&HeadLayout| layout.names().any(|name| tensors.contains_key(name));
        let found: Vec<&'static HeadLayout> = LAYOUTS.into_iter().filter(is_found).collect();
        let &[layout] = found.as_slice() else {
            if found.is_empty() {
                return Ok(None);
            }
            let heads = found.into_iter().map(|layout| names_in(layout, tensors)).collect();
            return Err(ModelError::SeveralRewardHeads { heads });
        };
        let width = layout.hidden.as_ref().and_then(|names| tensors.get(names.weight));
        let width =
            width.and_then(|weight| weight.shape().first().copied()).unwrap_or(d_model).max(1);
        let lacking = layout.names().find(|&name| !tensors.contains_key(name));
        if let Some(lacking) = lacking {
            return Err(ModelError::TornRewardHead {
                found: names_in(layout, tensors),
                lacking: format!("{lacking} {:?}", layout.shape(lacking, d_model, width)),
            });
        }
        let mut frame = HeadFrame { layout, d_model, width, shift: None };
        if let Some(name) = layout.shift {
            let shift = frame.tensor(name, &mut |name| tensors.remove(name))?;
            frame.shift = shift.values().first().copied();
        }
        frame.filled(|name| tensors.remove(name)).map(Some)
    }

    /// transformers' `score`: r = w · h without bias.
    ///
    /// # Shapes
    /// `weight`: `[1, d_model]`
    ///
    /// # Errors
    /// [`ModelError::WeightShape`] when it has another shape.
    pub fn linear(weight: Weight, d_model: usize) -> Result<Self, ModelError> {
        let mut weight = Some(weight);
        let frame = HeadFrame { layout: &LINEAR, d_model, width: d_model, shift: None };
        frame.filled(|_| weight.take())
    }

    /// A linear head of random weights N(0, 1/(d_model + 1)) that depend on the seed alone (OpenRLHF's
    /// rule).
    pub fn random_linear(d_model: usize, seed: &SeedTree) -> Self {
        let out = random_matrix([1, d_model], &seed.child("reward-head"));
        let frame = HeadFrame { layout: &LINEAR, d_model, width: d_model, shift: None };
        Self { frame, hidden: None, out }
    }

    /// Two layers, r = w · silu(W·h + b): weights N(0, 1/(n_in + 1)) that depend on the seed alone, b = 0.
    pub fn random_mlp(d_model: usize, width: usize, seed: &SeedTree) -> Self {
        let seed = seed.child("reward-head");
        let weight = random_matrix([width, d_model], &seed.child("hidden"));
        let bias = Weight::new([width], vec![0.0; width]).expect("one number for each feature");
        let out = random_matrix([1, width], &seed);
        let frame = HeadFrame { layout: &MLP, d_model, width, shift: None };
        Self { frame, hidden: Some([weight, bias]), out }
    }

    /// How it is put together.
    pub fn layout(&self) -> &'static HeadLayout {
        self.frame.layout
    }

    /// Numbers of a hidden state.
    pub fn d_model(&self) -> usize {
        self.frame.d_model
    }

    /// Numbers of the hidden layer, and of the state itself where there is none.
    pub fn width(&self) -> usize {
        self.frame.width
    }

    /// How many numbers are trained.
    pub fn n_numbers(&self) -> usize {
        self.trained().map(|(_, weight)| weight.shape().iter().product::<usize>()).sum()
    }

    /// Its tensors by their names in files.
    pub fn tensors(&self) -> BTreeMap<&'static str, Weight> {
        let trained = self.trained().map(|(name, weight)| (name, weight.clone()));
        let shift = |shift| Weight::new([1], vec![shift]).expect("a shift is one number");
        trained.chain(self.layout().shift.zip(self.frame.shift.map(shift))).collect()
    }

    /// What of it is trained, by name.
    pub(crate) fn trained(&self) -> impl Iterator<Item = (&'static str, &Weight)> {
        let names = self.layout().hidden.iter().flat_map(|names| [names.weight, names.bias]);
        names.zip(self.hidden.iter().flatten()).chain([(self.layout().out, &self.out)])
    }

    /// What is trained, by name.
    pub(crate) fn into_trained(self) -> impl Iterator<Item = (&'static str, Weight)> {
        let layout = self.layout();
        let names = layout.hidden.iter().flat_map(|names| [names.weight, names.bias]);
        names.zip(self.hidden.into_iter().flatten()).chain([(layout.out, self.out)])
    }

    /// What of it is not trained, of a head over hidden states of `d_model` numbers.
    pub(crate) fn frame_over(&self, d_model: usize) -> Result<HeadFrame, ModelError> {
        let frame = HeadFrame { d_model, ..self.frame };
        let mut trained: BTreeMap<_, _> = self.trained().collect();
        frame.filled(|name| trained.remove(name).cloned())?;
        Ok(frame)
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
        let layer = self.hidden.as_ref().map(|layer| layer.each_ref().map(Weight::values));
        let numbers = self.frame.numbers(layer, self.out.values());
        numbers.rewards(hidden, &mut KeptFeatures::default())
    }
}

impl HeadFrame {
    pub(crate) fn layout(&self) -> &'static HeadLayout {
        self.layout
    }

    pub(crate) fn shift(&self) -> Option<f32> {
        self.shift
    }

    /// The head with the tensors that `tensor` gives by name.
    pub(crate) fn filled(
        self,
        mut tensor: impl FnMut(&str) -> Option<Weight>,
    ) -> Result<RewardHead, ModelError> {
        let hidden = match &self.layout.hidden {
            Some(HiddenNames { weight, bias, .. }) => {
                Some([self.tensor(weight, &mut tensor)?, self.tensor(bias, &mut tensor)?])
            }
            None => None,
        };
        let out = self.tensor(self.layout.out, &mut tensor)?;
        Ok(RewardHead { frame: self, hidden, out })
    }

    /// A tensor in the shape that it must have.
    fn tensor(
        &self,
        name: &str,
        tensor: &mut impl FnMut(&str) -> Option<Weight>,
    ) -> Result<Weight, ModelError> {
        let expected = self.layout.shape(name, self.d_model, self.width);
        let name = name.to_owned();
        let Some(weight) = tensor(&name) else {
            return Err(ModelError::MissingWeight { name, expected });
        };
        if weight.shape() != expected {
            let found = weight.shape().to_vec();
            return Err(ModelError::WeightShape { name, found, expected });
        }
        Ok(weight)
    }

    /// The head whose hidden layer, weight and bias, and last weight are these.
    pub(crate) fn numbers<'a>(
        &self,
        hidden: Option<[Cow<'a, [f32]>; 2]>,
        out: Cow<'a, [f32]>,
    ) -> HeadNumbers<'a> {
        let hidden = self.layout.hidden.as_ref().zip(hidden);
        HeadNumbers {
            d_model: self.d_model,
            hidden: hidden.map(|(names, [weight, bias])| HiddenNumbers {
                weight,
                bias,
                activation: names.activation,
            }),
            out,
            shift: self.shift,
        }
    }
}

impl std::fmt::Display for RewardHead {
    /// Its kind, and its tensors with their shapes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tensors = self.tensors();
        let tensor = |name| format!("{name} {:?}", tensors[name].shape());
        let tensors: Vec<String> = self.layout().names().map(tensor).collect();
        write!(f, "{}: {}", self.layout().kind, tensors.join(", "))
    }
}

/// The tensors of a layout that are there, with their shapes.
fn names_in(layout: &HeadLayout, tensors: &BTreeMap<String, Weight>) -> String {
    let found = layout
        .names()
        .filter_map(|name| tensors.get(name).map(|weight| format!("{name} {:?}", weight.shape())));
    found.collect::<Vec<_>>().join(", ")
}

fn random_matrix([n_out, n_in]: [usize; 2], node: &SeedTree) -> Weight {
    let std = 1.0 / ((n_in + 1) as f64).sqrt();
    let values = (0..n_out * n_in)
        .map(|i| {
            // Box–Muller; 1 − u keeps the logarithm finite.
            let (u, v) =
                (node.index(2 * i as u64).uniform(), node.index(2 * i as u64 + 1).uniform());
            ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos() * std) as f32
        })
        .collect();
    Weight::new([n_out, n_in], values).expect("one number for each place")
}
