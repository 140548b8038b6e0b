use std::fmt;

/// Where a row stands in its file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A line of a JSONL file, blank lines counted.
    Line(usize),
    /// An item of a JSON array.
    Item(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(n) => write!(f, "line {n}"),
            Place::Item(n) => write!(f, "item {n}"),
        }
    }
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// The bytes are not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text is not JSON.
    #[error("not JSON")]
    NotJson {
        /// What the parser said.
        detail: String,
    },
    /// JSON, but not `{…}`.
    #[error("not an object")]
    NotAnObject,
    /// A needed field is absent or null.
    #[error("missing field `{field}`")]
    MissingField {
        /// Its name, or the names of which one is needed.
        field: &'static str,
    },
    /// A field holds another kind of value.
    #[error("field `{field}` is not {expected}")]
    WrongType {
        /// Its name.
        field: &'static str,
        /// What it must hold.
        expected: &'static str,
    },
    /// A `prompt` in a file whose format has none.
    #[error("has a `prompt`, but the file is read as {format}, which takes it from the responses")]
    UnexpectedPrompt {
        /// The format.
        format: crate::PairFormat,
    },
    /// A list of messages or a dialogue whose last turn is not the model's.
    #[error("`{field}` does not end with an assistant turn")]
    NoFinalAnswer {
        /// The field.
        field: &'static str,
    },
    /// Nothing was asked.
    #[error("empty prompt")]
    EmptyPrompt,
    /// The prompt ends with a turn that is not the person's.
    #[error("prompt does not end with a user turn")]
    PromptEnd,
    /// A response without text.
    #[error("empty response")]
    EmptyResponse,
    /// Both responses are the same text.
    #[error("identical responses")]
    IdenticalResponses,
    /// The two conversations part before their last turn.
    #[error("prompts differ")]
    PromptsDiffer,
    /// Prompt and both responses stand in an earlier row.
    #[error("duplicate of an earlier row")]
    Duplicate {
        /// That row.
        of: Place,
    },
}

impl RowProblem {
    /// What is particular to this row and not part of the reason it is counted under.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            RowProblem::NotJson { detail } => Some(detail.clone()),
            RowProblem::Duplicate { of } => Some(format!("same as {of}")),
            _ => None,
        }
    }

    /// The row at `place` as a report names it.
    pub(crate) fn named(&self, place: Place) -> String {
        match self.detail() {
            Some(detail) => format!("{place}: {detail}"),
            None => place.to_string(),
        }
    }
}
