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
}
