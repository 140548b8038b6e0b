use critic_model::ModelError;

/// The local engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The model's weights do not fit its configuration.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A limit is out of range.
    #[error("engine.{field} is {value}; it must be {rule}")]
    Limit {
        /// The limit.
        field: &'static str,
        /// Its value.
        value: usize,
        /// What it must be.
        rule: &'static str,
    },
    /// The model cannot end its turn.
    #[error(
        "the end-of-turn token {id} is not in the vocabulary of {vocab_size}, so no answer could be closed; name the model's own end-of-turn token in its tokenizer_config.json (eos_token)"
    )]
    NoEndOfTurn {
        /// The token.
        id: u32,
        /// Rows of the model's vocabulary.
        vocab_size: usize,
    },
}
