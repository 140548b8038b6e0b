//! The tables of a run record; absent where the record has nothing to put in them.

mod behind;
mod critiques;
mod items;
mod result;
mod run;
mod training;

use crate::RunRecord;
use crate::table::{Cell, Table};
use critic_eval::Accuracy;

pub(crate) use result::{accuracy_cells, comparisons};

/// Tables that stand together under a heading.
pub(crate) struct Section {
    /// What an address in the page ends with.
    pub(crate) id: &'static str,
    /// The heading.
    pub(crate) heading: &'static str,
    /// Its tables; may be empty.
    pub(crate) tables: Vec<Table>,
}

impl Section {
    /// A section of the tables that there are.
    pub(crate) fn new(
        id: &'static str,
        heading: &'static str,
        tables: impl IntoIterator<Item = Option<Table>>,
    ) -> Self {
        Self { id, heading, tables: tables.into_iter().flatten().collect() }
    }
}

/// All tables in the order of the report.
pub(crate) fn sections(record: &RunRecord) -> [Section; 6] {
    [
        Section::new(
            "result",
            "Result",
            [
                result::contestants(&record.contestants),
                result::comparisons(&record.comparisons),
                result::domains(&record.contestants),
            ],
        ),
        Section::new(
            "behind",
            "Behind the numbers",
            [
                behind::calibration(&record.diagnostics),
                behind::calibration_by_domain(&record.diagnostics),
                behind::margins(&record.diagnostics),
                behind::style(&record.diagnostics),
            ],
        ),
        Section::new(
            "critiques",
            "Critiques",
            [
                critiques::agreement(&record.critique_studies),
                critiques::worth(&record.critique_studies),
                critiques::curve(&record.critique_studies),
                critiques::rounds(record),
                critiques::funnel(&record.rounds),
                critiques::reasons(&record.rounds),
                critiques::filter_by_domain(&record.rounds),
                critiques::score_agreement(&record.rounds),
                critiques::audits(&record.rounds),
                critiques::meta_judge(&record.rounds),
            ],
        ),
        Section::new(
            "training",
            "Training",
            [training::summary(&record.training), training::held_out(&record.training)],
        ),
        Section::new("items", "Held-out pairs", [items::wrong(record)]),
        Section::new(
            "run",
            "The run",
            [Some(run::provenance(record)), run::stages(&record.stages), run::settings(record)],
        ),
    ]
}

/// The tables that are too long for a page: files only.
pub(crate) fn long_tables(record: &RunRecord) -> Vec<Table> {
    [items::all(record), training::steps(&record.training), critiques::histograms(&record.rounds)]
        .into_iter()
        .flatten()
        .collect()
}

fn correct_and_ties(accuracy: Option<&Accuracy>) -> [Cell; 2] {
    match accuracy {
        Some(found) => {
            [Cell::count(found.agreement.n_correct), Cell::count(found.agreement.n_ties)]
        }
        None => [Cell::number(None, |_| String::new()), Cell::number(None, |_| String::new())],
    }
}

#[cfg(test)]
mod tests;
