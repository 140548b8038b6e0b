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
    /// A run record was written by a program of another version.
    #[error(
        "run record has format version {found}, this program reads {supported}: write it again with `critic-rm report` and the folder of its run"
    )]
    OtherVersion {
        /// The record's version.
        found: u32,
        /// The one that is read.
        supported: u32,
    },
    /// A table could not be written as CSV.
    #[error("the table `{table}` cannot be written as CSV")]
    Csv {
        /// Which table.
        table: String,
        /// What the writer said.
        source: csv::Error,
    },
    /// Runs could not be compared.
    #[error("the runs cannot be compared")]
    Comparison(#[from] critic_eval::EvalError),
    /// There is nothing that two runs were both measured on.
    #[error(
        "the runs have no held-out pair in common: compare runs that were evaluated on the same data"
    )]
    NoCommonPair,
}
