use critic_engine::SamplingError;
use critic_types::NonFiniteReward;

/// Why a procedure could not start, or a prediction could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// A setting is out of its range.
    #[error("{field} is {value}; it must be {rule}")]
    Setting {
        /// The setting, as in a run file.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// A sampling setting is out of its range.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// Two pairs share an id, so their critiques could not be told apart.
    #[error("pair id `{id}` stands twice; ids must be unique: rename one, or remove the duplicate")]
    DuplicatePair {
        /// The id.
        id: String,
    },
    /// A surviving critique names a pair that was not given.
    #[error(
        "a critique belongs to pair `{id}`, which is not among the pairs; refine with the pairs that were filtered"
    )]
    UnknownPair {
        /// The id.
        id: String,
    },
    /// No critique of a response can be averaged.
    #[error(
        "none of the {n_critiques} critiques of `{id}` has a reward that can be used; raise max_new_tokens, keep truncated critiques, or score with n_critiques = 0"
    )]
    NoCritique {
        /// The response's id.
        id: String,
        /// How many critiques were asked for.
        n_critiques: usize,
    },
    /// The mean of finite rewards is not finite.
    #[error(transparent)]
    Reward(#[from] NonFiniteReward),
}
