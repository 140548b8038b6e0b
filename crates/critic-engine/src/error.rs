use critic_types::NonFiniteReward;

/// One request failed; its neighbours did not.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("request `{id}`: {kind}")]
pub struct EngineError {
    /// The request's id.
    pub id: String,
    /// What went wrong.
    #[source]
    pub kind: EngineErrorKind,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// The rendered request and its answer do not fit the model.
    #[error(
        "{n_tokens} tokens and up to {n_new} new ones exceed the context of {context}; shorten the prompt or lower max_new_tokens"
    )]
    TooLong {
        /// Length of the rendered request.
        n_tokens: usize,
        /// Tokens that may be added: critique, questions and answers.
        n_new: usize,
        /// The model's context.
        context: usize,
    },
    /// The conversation cannot be rendered with this model's template.
    #[error("the conversation cannot be rendered: {reason}")]
    Render {
        /// What the template said.
        reason: String,
    },
    /// Another request of the call has the same id.
    #[error(
        "the id stands twice in one call; ids must be unique: rename one, or remove the duplicate"
    )]
    DuplicateId,
    /// Another request of the call would draw the same answers.
    #[error(
        "request `{other}` has the same seed and the same conversation, so both would give the same answers; give them different seeds, or ask once with a larger n"
    )]
    DuplicateSeed {
        /// The id of the other request.
        other: String,
    },
    /// The request was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
    /// The deadline passed before an answer had begun.
    #[error(
        "the deadline passed before the prompt was read; allow more time, or send fewer requests at once"
    )]
    Deadline,
    /// A sampling setting is out of its range.
    #[error(transparent)]
    Sampling(#[from] crate::SamplingError),
    /// The model's numbers are not finite.
    #[error("the model gave non-finite {what}; check the checkpoint for NaN weights")]
    NonFinite {
        /// Which numbers.
        what: String,
    },
    /// A reward is not finite.
    #[error(transparent)]
    Reward(#[from] NonFiniteReward),
    /// The keys and values of the request do not fit the memory limit.
    #[error(
        "keys and values for {n_tokens} tokens exceed the limit of {limit}; raise engine.kv_tokens, shorten the prompt or lower max_new_tokens"
    )]
    OutOfMemory {
        /// Tokens that the request must keep at once: prompt, one answer, questions after it.
        n_tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// Rewards were asked of a model without a reward head.
    #[error("the model has no reward head; train one, or name a checkpoint that has one")]
    NoRewardHead,
    /// A remote server cannot answer this request, however often it is asked.
    #[error("{reason}")]
    Remote {
        /// What happened, and the way out.
        reason: String,
    },
    /// No remote server answered, however often it was asked; the same request may work later.
    #[error("{reason}")]
    RemoteUnavailable {
        /// What happened, and the way out.
        reason: String,
    },
    /// No request can be answered until a setting is changed; the others of the call fail alike.
    #[error("{reason}")]
    RemoteRefused {
        /// What happened, and the way out.
        reason: String,
    },
    /// The arithmetic failed.
    #[error("the model could not be run: {reason}")]
    Compute {
        /// What the tensor library said.
        reason: String,
    },
}

impl EngineErrorKind {
    /// Whether the request itself was not found wanting: the same one may work another time, so nothing
    /// may be concluded from its failure.
    pub fn stays_open(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::Deadline
                | Self::RemoteUnavailable { .. }
                | Self::RemoteRefused { .. }
        )
    }
}

impl EngineError {
    /// An error of the request `id`.
    pub fn new(id: impl Into<String>, kind: impl Into<EngineErrorKind>) -> Self {
        Self { id: id.into(), kind: kind.into() }
    }
}
