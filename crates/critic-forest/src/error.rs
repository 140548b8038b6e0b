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
    /// An item is larger than the budget it must fit.
    #[error(
        "item {item} needs {n_tokens} tokens and a pack holds {budget}; raise the token budget or shorten the item"
    )]
    OverBudget {
        /// Place of the item in the list.
        item: usize,
        /// Its tokens.
        n_tokens: usize,
        /// The budget.
        budget: usize,
    },
}
