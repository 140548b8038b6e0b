//! Run records to an HTML page.
//!
//! A [`RunRecord`] is what a run knows about itself; [`html`] and [`markdown`] are pure functions of it.
//! The page is one file that loads nothing: its style and its plots stand in it, it reads in light and
//! dark and prints. The Markdown has the same tables with the same numbers.
//! Texts from data are untrusted and reach the page only escaped.
//! This crate measures nothing and opens no file.

mod error;
mod format;
mod markdown;
mod page;
mod plots;
mod run_record;
mod table;
mod tables;

pub use error::ReportError;
pub use markdown::markdown;
pub use page::html;
pub use run_record::{
    DataRecord, Fact, FunnelStep, ItemRecord, ModelRecord, RunRecord, ScoreAgreement,
    SettingRecord, SplitRecord, StageRecord, StepPoint, TrainingCurve,
};

#[cfg(test)]
mod fixtures;
