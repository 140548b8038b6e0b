//! `critic-rm data …`: what a set holds, sets out of sets, and what a run's store holds.

mod args;
mod inspect;
mod sets;
mod store;
mod synth;
mod table;

use anyhow::Result;
pub(crate) use args::DataCommand;

/// Runs one of the `data` commands.
pub(crate) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Inspect(args) => inspect::inspect(args),
        DataCommand::Formats { json } => inspect::formats(*json),
        DataCommand::Convert(args) => sets::convert(args),
        DataCommand::Split(args) => sets::split(args),
        DataCommand::Mix(args) => sets::mix(args),
        DataCommand::Overlap(args) => sets::overlap(args),
        DataCommand::Export(args) => store::export(args),
        DataCommand::Import(args) => store::import(args),
        DataCommand::Synth(command) => synth::run(command),
    }
}
