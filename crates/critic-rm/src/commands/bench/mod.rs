//! Measurements on the committed work of `bench/`: training, generation, scoring, matrix products.
//!
//! The peers' side of each stands in `bench/peers`; `bench/run` runs both and prints the table.

mod args;
mod export;
mod flops;
mod generate;
mod linear_fit;
mod machine;
mod memory;
mod products;
mod scale;
mod score;
mod train;
mod work;

pub(crate) use args::BenchCommand;
pub(crate) use memory::peak_bytes;

use crate::progress::answer;
use anyhow::Result;
use serde::Serialize;

/// Runs a measurement and prints it.
pub(crate) fn bench(command: &BenchCommand) -> Result<()> {
    machine::use_threads(command.threads())?;
    match command {
        BenchCommand::Train(args) if args.scale.is_empty() => {
            print(&train::measure(args)?, args.common.json)
        }
        BenchCommand::Train(args) => print(&scale::measure(args)?, args.common.json),
        BenchCommand::Generate(args) => print(&generate::measure(args)?, args.common.json),
        BenchCommand::Score(args) => print(&score::measure(args)?, args.common.json),
        BenchCommand::Products(args) => {
            print(&products::measure(args.precision.resolved())?, args.json)
        }
        BenchCommand::Export(args) => print(&export::export(args)?, args.common.json),
    }
}

/// One JSON object, or a line for each of its fields.
fn print(result: &impl Serialize, json: bool) -> Result<()> {
    let value = serde_json::to_value(result)?;
    if json {
        answer(serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        answer(format!("{name:<28} {value}"));
    }
    Ok(())
}
