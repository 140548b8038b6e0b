use crate::commands::data::args::CorruptedArgs;
use crate::commands::data::table::{self, count};
use crate::progress::answer;
use anyhow::Result;
use critic_data::synth::corrupt_all;

/// Makes pairs of gold solutions and their corrupted twins.
pub(super) fn corrupted(args: &CorruptedArgs) -> Result<()> {
    let report = corrupt_all(&args.source, args.seed, Some(&args.domain), &args.output)?;
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    answer(format!(
        "{} pairs, {} with a wrong value and {} with a wrong operation, each with two critiques: {}",
        count(report.n_pairs),
        count(report.n_arithmetic),
        count(report.n_operation),
        args.output.display()
    ));
    table::left_out(&report.report);
    Ok(())
}
