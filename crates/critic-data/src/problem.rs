use std::fmt;
use std::path::PathBuf;

/// Where a row stands in its file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A line of a JSONL file, blank lines counted.
    Line(usize),
    /// An item of a JSON array.
    Item(usize),
    /// A row of a table: CSV below its header, or Parquet.
    Row(usize),
}

impl Place {
    /// The place in eight bytes, for maps that hold one for each row.
    pub(crate) fn pack(self) -> u64 {
        match self {
            Place::Line(n) => (n as u64) << 2,
            Place::Item(n) => (n as u64) << 2 | 1,
            Place::Row(n) => (n as u64) << 2 | 2,
        }
    }

    /// The place that was packed.
    pub(crate) fn unpack(packed: u64) -> Self {
        let n = (packed >> 2) as usize;
        match packed & 3 {
            0 => Place::Line(n),
            1 => Place::Item(n),
            _ => Place::Row(n),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(n) => write!(f, "line {n}"),
            Place::Item(n) => write!(f, "item {n}"),
            Place::Row(n) => write!(f, "row {n}"),
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
    /// The line does not fit the table.
    #[error("not CSV")]
    NotCsv {
        /// What the parser said.
        detail: String,
    },
    /// JSON, but not `{…}`.
    #[error("not an object")]
    NotAnObject,
    /// The columns belong to no format in the table.
    #[error("columns of no known format")]
    UnknownColumns {
        /// Their names.
        columns: String,
    },
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
    /// No response is preferred to another.
    #[error("tie")]
    Tie,
    /// Nothing to compare with.
    #[error("fewer than two responses to the prompt")]
    TooFewResponses,
    /// Fewer or more labels than responses.
    #[error("`{labels}` and `{responses}` differ in number")]
    UnequalLists {
        /// The field with the responses.
        responses: &'static str,
        /// The field with their labels.
        labels: &'static str,
    },
    /// A gold solution without `<<expression=value>>`, or with one that cannot be read.
    #[error("no `<<expression=value>>` steps that can be read")]
    NoSteps,
    /// A gold solution one of whose steps does not hold.
    #[error("a step that is not true")]
    FalseStep,
    /// No step of a gold solution can be altered so that the error can be followed to the answer.
    #[error("no step whose error could be followed to the answer")]
    NotCorruptible,
    /// The two conversations part before their last turn.
    #[error("prompts differ")]
    PromptsDiffer,
    /// Prompt and both responses stand in an earlier row.
    #[error("duplicate of an earlier row")]
    Duplicate {
        /// That row.
        of: Place,
        /// Its file, when it is another.
        file: Option<PathBuf>,
    },
}

impl RowProblem {
    /// Whether the row is at fault: a tie is an honest row that holds no preference.
    pub(crate) fn is_fault(&self) -> bool {
        !matches!(self, RowProblem::Tie)
    }

    /// What is particular to this row and not part of the reason it is counted under.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            RowProblem::NotJson { detail } | RowProblem::NotCsv { detail } => Some(detail.clone()),
            RowProblem::UnknownColumns { columns } => Some(columns.clone()),
            RowProblem::Duplicate { of, file: None } => Some(format!("same as {of}")),
            RowProblem::Duplicate { of, file: Some(file) } => {
                Some(format!("same as {of} of {}", file.display()))
            }
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
