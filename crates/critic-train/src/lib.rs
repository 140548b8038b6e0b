//! Stage 2 of Critic-RM: one decoder trained jointly on writing critiques and on preference.
//!
//! [`Trainer`] is the one loop; methods differ by data and weights ([`TrainConfig`]): a scalar reward
//! model has no critiques and a critique weight of zero, CLoud a constant one, Critic-RM the paper's
//! falling one ([`CritiqueWeight`]). A batch is a [`critic_forest::TrainingForest`]; losses are sums and
//! are divided once per optimizer step.

mod backend;
mod checkpoint;
mod config;
mod critique_weight;
mod dataset;
mod error;
mod evaluation;
mod learning_rate;
mod loss;
mod memory;
mod model;
mod optimizer;
mod record;
mod reward_head;
mod trainer;

pub use config::{JointForm, TrainConfig};
pub use critique_weight::CritiqueWeight;
pub use dataset::{CritiqueText, TrainPair, build_pairs};
pub use error::TrainError;
pub use evaluation::{EvaluationConfig, EvaluationRecord, HeldOut, Keep, Metric};
pub use learning_rate::LearningRate;
pub use loss::{JointLoss, LossSums, LossWeights};
pub use memory::TrainingMemory;
pub use model::TrainableModel;
pub use optimizer::Optimizer;
pub use record::StepRecord;
pub use reward_head::{RewardHeadConfig, RewardHeadKind};
pub use trainer::{Ended, Trainer};
