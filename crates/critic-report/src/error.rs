/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A plot could not be drawn.
    #[error("could not draw the figure `{figure}`: {reason}")]
    Figure {
        /// Which figure.
        figure: &'static str,
        /// What the drawing library said.
        reason: String,
    },
    /// A run record is not readable.
    #[error("run record is not readable; it should be the JSON that a run wrote")]
    Unreadable(#[from] serde_json::Error),
    /// A run record was written by a newer program.
    #[error(
        "run record has format version {found}, this program reads up to {supported}; use the program that wrote it"
    )]
    TooNew {
        /// The record's version.
        found: u32,
        /// The newest that is read.
        supported: u32,
    },
}
