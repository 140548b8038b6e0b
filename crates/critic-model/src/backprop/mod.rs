//! Training on the CPU: one forward and one backward pass over a forest, by hand, in buffers that are
//! used again.
//!
//! [`Parameters`] hold what is trained, [`Gradients`] what a step adds up, and a [`Pass`] the activations
//! of one forest. The loss stands between [`Pass::forward`] and [`Pass::backward`] and is the business of
//! the caller, as is the update.

mod adapters;
mod dropout;
mod gradients;
mod kept;
mod layer;
mod lora;
mod parameters;
mod pass;
mod projection;
mod reward_head;
mod room;

pub use gradients::Gradients;
pub use kept::Activations;
pub use lora::{LoraConfig, TargetModule};
pub use parameters::{ParameterId, Parameters};
pub use pass::{Batch, Pass};
pub use reward_head::{RewardHeadIds, RewardPass};
