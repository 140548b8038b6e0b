//! The stages of a run. Each takes up what is stored, does the rest, and stores every result as it comes.

mod answers;
mod candidates;
mod critic;
mod critique;
mod estimate;
mod eval;
mod filter;
mod filter_table;
mod given;
mod histograms;
mod meta_judge;
mod model_card;
mod pairs;
mod plan;
mod refine;
mod report;
mod response_verdicts;
mod rounds;
mod score;
mod session;
mod train;
mod warmup;

pub(crate) use eval::critique_counts;
pub(crate) use filter_table::compare_filters;
pub(crate) use given::GivenCritiques;
pub(crate) use pairs::read_train;
pub(crate) use report::write as write_report;
pub(crate) use session::{Session, load_model, load_model_as};
pub(crate) use train::{TrainedModel, copy_notes, prompts_path};

use anyhow::Result;
use critic_eval::Contestant;

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

/// Runs every stage up to `last`; gives who was measured, where that was asked for.
pub(crate) fn run_to(session: &mut Session, last: Stage) -> Result<Option<Vec<Contestant>>> {
    estimate::announce(session, last)?;
    let start = warmup::run(session)?;
    if last < Stage::Critique {
        return Ok(None);
    }
    let Some(trained) = rounds::run(session, &start, last)? else { return Ok(None) };
    if last < Stage::Score {
        return Ok(None);
    }
    let predictions = score::run(session, &trained)?;
    if last < Stage::Eval {
        return Ok(None);
    }
    let results = eval::run(session, &predictions)?;
    let entrants = results.entrants.clone();
    if last == Stage::Report {
        model_card::run(session, &trained, &results, &predictions)?;
        report::run(session, results, &predictions)?;
    }
    Ok(Some(entrants))
}
