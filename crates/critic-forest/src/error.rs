/// A sequence cannot stand in the forest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForestError {
    /// The rows are used up.
    #[error(
        "{wanted} rows are wanted and no run of them is free under the limit of {limit}; raise the limit or release leaves"
    )]
    OutOfRows {
        /// Rows asked for in one run.
        wanted: usize,
        /// The most rows the forest may hold.
        limit: usize,
    },
    /// A sequence has no tokens.
    #[error("a sequence has no tokens; every sequence needs at least one")]
    EmptySequence,
}
