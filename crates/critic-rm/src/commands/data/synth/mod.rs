//! Pairs that are made: of gold solutions, and by models.

mod asking;
mod corrupted;
mod modified;
mod verifiable;

use super::args::SynthCommand;
use crate::exit::Fault;
use anyhow::{Context, Result};
use critic_text::{PromptSource, SynthPrompt, SynthTask};
use std::path::Path;

pub(super) fn run(command: &SynthCommand) -> Result<()> {
    match command {
        SynthCommand::Corrupted(args) => corrupted::corrupted(args),
        SynthCommand::Verifiable(args) => verifiable::verifiable(args),
        SynthCommand::Modified(args) => modified::modified(args),
    }
}

/// The built-in text of a task, or a file's.
fn prompt(task: SynthTask, file: Option<&Path>) -> Result<SynthPrompt> {
    let Some(file) = file else { return Ok(SynthPrompt::builtin(task)) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("--prompt: could not read {}", file.display()))
        .map_err(Fault::config)?;
    let source = PromptSource { file: file.display().to_string(), text };
    SynthPrompt::new(task, &source).map_err(|error| Fault::config(error.into()))
}
