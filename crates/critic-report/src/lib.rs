//! Run records to an HTML page.
//!
//! A [`RunRecord`] is what a run knows about itself; [`html`], [`markdown`] and [`csv_files`] are pure
//! functions of it, [`RunComparison`] sets several beside each other, [`StudyReport`] those of a study.
//! The page is one file that loads nothing: its style, its plots and the data of its browser of items
//! stand in it, it reads in light and dark and prints. Markdown and CSV have the same tables.
//! Texts from data are untrusted and reach the page only as text.
//! This crate opens no file; what it shows was measured by others, the comparison of runs apart, which
//! `critic_eval` makes.

mod comparison;
mod csv_files;
mod error;
mod format;
mod markdown;
mod page;
mod plots;
mod run_record;
mod study;
mod table;
mod tables;

pub use comparison::RunComparison;
pub use csv_files::csv_files;
pub use error::ReportError;
pub use markdown::markdown;
pub use page::html;
pub use run_record::{
    DataRecord, Fact, FilterRecord, FunnelStep, HeldOutPoint, HistogramRecord, ItemRecord,
    ModelRecord, RoundRecord, RunRecord, ScoreAgreement, SettingRecord, SplitRecord, StageRecord,
    StepPoint, StudyRecord, TrainingCurve,
};
pub use study::{StudyFailure, StudyReport, StudyRunRecord};

#[cfg(test)]
mod fixtures;
