use critic_stats::StatsError;
use critic_types::Side;

/// Why contestants could not be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A prediction is NaN or infinite.
    #[error(
        "`{contestant}` predicts {value} for the {} response of pair `{pair_id}`; predictions must be finite: leave a failed one out, it is then counted as missing",
        side.as_str()
    )]
    NotFinite {
        /// Whose prediction.
        contestant: String,
        /// The pair.
        pair_id: String,
        /// The response.
        side: Side,
        /// What was found.
        value: f64,
    },
    /// Two contestants have no pair on which both can be read.
    #[error(
        "`{a}` and `{b}` have no pair in common on which both count; compare contestants on the same pairs"
    )]
    NothingInCommon {
        /// The first.
        a: String,
        /// The second.
        b: String,
    },
    /// A control has nothing to learn from.
    #[error(
        "the bag-of-words control has no training pairs; give it the pairs that the reward model was trained on"
    )]
    NoTrainingPairs,
    /// A bench's row has a score that is NaN or infinite.
    #[error(
        "{bench}: item `{item}` has the score {value}; scores must be finite: leave a failed one out, it is then counted as missing"
    )]
    BenchScore {
        /// Whose arithmetic.
        bench: &'static str,
        /// The row.
        item: String,
        /// What was found.
        value: f64,
    },
    /// A bench's row has a part that its arithmetic does not know.
    #[error("{bench}: item `{item}` has the {column} `{found}`; known are {known}")]
    BenchValue {
        /// Whose arithmetic.
        bench: &'static str,
        /// The row.
        item: String,
        /// The column.
        column: &'static str,
        /// What was found.
        found: String,
        /// What may stand there.
        known: String,
    },
    /// A bench's row has too few or too many numbers.
    #[error("{bench}: item `{item}` has {found} {what}; it needs {needed}")]
    BenchCount {
        /// Whose arithmetic.
        bench: &'static str,
        /// The row.
        item: String,
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: String,
    },
    /// Two rows of a bench have the same id.
    #[error("{bench}: item `{item}` stands twice; ids are unique within a bench")]
    BenchTwice {
        /// Whose arithmetic.
        bench: &'static str,
        /// The row.
        item: String,
    },
    /// No bench has this name.
    #[error("no bench is named `{name}`{}; known are {known}", nearest.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default())]
    UnknownBench {
        /// What was asked for.
        name: String,
        /// The name that differs least, when one is close.
        nearest: Option<&'static str>,
        /// All names.
        known: String,
    },
    /// Rows are not the published data of a bench.
    #[error(
        "these rows are not the data of {bench}: {part} has {found} rows and the published data {published}; give them a name of their own"
    )]
    NotOriginal {
        /// The bench.
        bench: &'static str,
        /// The subset whose count differs, or the total.
        part: String,
        /// Rows found.
        found: usize,
        /// Rows published.
        published: usize,
    },
    /// A bench's published counts are not known, so nothing can be shown to be its data.
    #[error("the published counts of {bench} are not known; give the rows a name of their own")]
    CountsUnknown {
        /// The bench.
        bench: &'static str,
    },
    /// Other data would carry the name of a published bench.
    #[error(
        "`{name}` is the name of the published {bench}; name other data otherwise, such as by its file"
    )]
    ReservedName {
        /// What was asked for.
        name: String,
        /// Whose name it is.
        bench: &'static str,
    },
    /// A way to read predictions asks for something impossible.
    #[error("`{readout}` {problem}")]
    Readout {
        /// The way.
        readout: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// Predictions could not be written.
    #[error("could not write {}: {reason}; check that the folder is writable and has free space", path.display())]
    Write {
        /// The file that was to appear.
        path: std::path::PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A statistic failed.
    #[error("measuring `{contestant}`")]
    Statistic {
        /// Whose.
        contestant: String,
        /// Why.
        #[source]
        source: StatsError,
    },
}
