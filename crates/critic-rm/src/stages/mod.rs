//! The stages of a run. Each takes up what is stored, does the rest, and stores every result as it comes.

mod candidates;
mod critic;
mod critique;
mod estimate;
mod eval;
mod filter;
mod filter_table;
mod histograms;
mod outage;
mod pairs;
mod refine;
mod report;
mod rounds;
mod score;
mod session;
mod train;
mod warmup;

pub(crate) use eval::critique_counts;
pub(crate) use filter_table::compare_filters;
pub(crate) use report::write as write_report;
pub(crate) use session::{Session, load_model};
pub(crate) use train::TrainedModel;

use anyhow::Result;

/// The stages in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Warmup,
    Critique,
    Filter,
    Refine,
    Train,
    Score,
    Eval,
    Report,
}

/// Runs every stage up to `last`.
pub(crate) fn run_to(session: &mut Session, last: Stage) -> Result<()> {
    estimate::announce(session, last)?;
    let start = warmup::run(session)?;
    if last < Stage::Critique {
        return Ok(());
    }
    let Some(trained) = rounds::run(session, &start, last)? else { return Ok(()) };
    if last < Stage::Score {
        return Ok(());
    }
    let predictions = score::run(session, &trained)?;
    if last < Stage::Eval {
        return Ok(());
    }
    let results = eval::run(session, &predictions)?;
    if last < Stage::Report {
        return Ok(());
    }
    report::run(session, results, &predictions)
}
