use crate::cli::RunArgs;
use crate::progress::{Cancel, answer, duration, say};
use crate::run_folder::RunFolder;
use crate::screen::Screen;
use crate::stages::{self, Session, Stage};
use anyhow::Result;
use std::time::Instant;

/// Compares all filters on the critiques of the first round that are stored.
pub(crate) fn compare_filters(args: &RunArgs) -> Result<()> {
    let (resolved, folder) = RunFolder::resolve(args)?;
    let mut session = Session::open(resolved, &folder, Cancel::listen())?;
    stages::compare_filters(&mut session)
}

/// Runs the stages of a run up to `last`; what is stored already is taken up.
pub(crate) fn run(args: &RunArgs, last: Stage) -> Result<()> {
    let (resolved, folder) = RunFolder::resolve(args)?;
    if args.explain {
        for (key, value, origin) in &resolved.values {
            answer(format!("{key} = {value}  # {origin}"));
        }
        return Ok(());
    }
    let started = Instant::now();
    let cancel = Cancel::listen();
    let _screen = Screen::open(args.tui, &folder.display().to_string(), &cancel)?;
    let mut session = Session::open(resolved, &folder, cancel)?;
    stages::run_to(&mut session, last)?;
    say(format!("done in {}", duration(started.elapsed().as_secs_f64())));
    Ok(())
}
