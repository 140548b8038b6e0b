use critic_forest::ForestError;
use critic_model::ModelError;
use critic_stats::StatsError;
use critic_text::TextError;
use critic_types::atomic_file::WriteError;
use std::path::PathBuf;

/// Training cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error("train.{field} is {value}; it must be {rule}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// A setting asks for what only the CPU's kernels do.
    #[error(
        "train.{setting} is {value}, which only training on the cpu does; set it to {way}, or train.device to cpu"
    )]
    NotOnDevice {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: &'static str,
        /// A value that every device takes.
        way: &'static str,
    },
    /// The model has a head already, and another one is asked for.
    #[error(
        "train.reward_head asks for an {wanted}, and training goes on from the head that the model has ({found}); leave train.reward_head out to keep that, or start from a model without a reward head"
    )]
    OtherHead {
        /// What is asked for.
        wanted: String,
        /// The head of the model.
        found: String,
    },
    /// There is nothing to train on.
    #[error("no pair is left to train on; loosen the filter, or let pairs without critiques in")]
    NoPairs,
    /// A pair cannot be rendered.
    #[error("pair `{pair_id}`: {source}")]
    Render {
        /// The pair.
        pair_id: String,
        /// What the renderer said.
        #[source]
        source: TextError,
    },
    /// A pair is longer than is trained on.
    #[error(
        "pair `{pair_id}` has {n_tokens} distinct tokens; train.max_pair_tokens is {limit}: raise it or shorten the pair"
    )]
    PairTooLong {
        /// The pair.
        pair_id: String,
        /// Its distinct tokens.
        n_tokens: usize,
        /// The most that a pair may have.
        limit: usize,
    },
    /// A sequence is longer than the model's context.
    #[error(
        "pair `{pair_id}` has a sequence of {n_tokens} tokens; the model's context is {context}: shorten it or leave it out"
    )]
    BeyondContext {
        /// The pair.
        pair_id: String,
        /// The longest sequence.
        n_tokens: usize,
        /// The model's context.
        context: usize,
    },
    /// A margin that the loss uses cannot be used.
    #[error(
        "pair `{pair_id}` has the margin {margin}; train.preference.margin takes finite margins of at least 0: mend the data, or set it to \"ignore\""
    )]
    Margin {
        /// The pair.
        pair_id: String,
        /// Its margin.
        margin: f64,
    },
    /// The loss is to use margins and there are none.
    #[error(
        "none of the {n_pairs} pairs states a margin; set train.preference.margin to \"ignore\", or name data that has margins"
    )]
    NoMargins {
        /// The pairs.
        n_pairs: usize,
    },
    /// A parameter that the loss depends on got no gradient, or one of zeros.
    #[error(
        "parameter `{name}` got {found} at the first step that trains it; an operation on its path has lost its backward"
    )]
    NoGradient {
        /// The parameter.
        name: String,
        /// What came instead.
        found: &'static str,
    },
    /// The loss or a gradient is not finite.
    #[error(
        "{what} is {value} at step {step}; lower the learning rate, or check the data of that step"
    )]
    NonFinite {
        /// Which number.
        what: String,
        /// Its value.
        value: f64,
        /// The step, from 0.
        step: usize,
    },
    /// The model could not be made or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A forest could not be built.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// A reward is not finite.
    #[error(transparent)]
    Reward(#[from] StatsError),
    /// A kernel refused its operands.
    #[error(transparent)]
    Kernel(#[from] critic_kernels::KernelError),
    /// A checkpoint could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A checkpoint could not be read.
    #[error("checkpoint {}: {reason}; delete the folder to train from the start", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
