use super::args::{ConvertArgs, MixArgs, OverlapArgs, SplitArgs};
use super::table::{self, count};
use crate::progress::{answer, say};
use anyhow::Result;
use critic_data::{DataError, OverlapKind, PairReader, PairWriter};
use critic_types::DropReport;
use std::path::Path;

/// Writes the pairs of a source in another format.
pub(super) fn convert(args: &ConvertArgs) -> Result<()> {
    let mut reader = PairReader::open(&args.source, &args.read.options())?;
    let mut out = PairWriter::create(&args.output, args.to)?;
    for pair in &mut reader {
        out.write(pair?)?;
    }
    let report = reader.report().clone();
    if report.n_kept == 0 {
        return Err(DataError::NoRows { path: args.source.clone(), report }.into());
    }
    let n = out.finish()?;
    let format = reader.files().iter().find_map(|file| file.format);
    let from = format.map_or(String::new(), |format| format!(" from {format}"));
    let place = if args.output == Path::new("-") {
        "standard output".to_owned()
    } else {
        args.output.display().to_string()
    };
    say(format!("{} pairs{from} to {}: {place}", count(n), args.to));
    warn(&report);
    Ok(())
}

/// What was left out, on stderr: stdout may carry the pairs.
fn warn(report: &DropReport) {
    for (reason, n) in &report.dropped {
        let places = report.examples.get(reason).map_or(String::new(), |list| list.join(", "));
        say(format!("left out: {} × {reason} ({places})", count(*n)));
    }
}

/// Splits a source by prompt.
pub(super) fn split(args: &SplitArgs) -> Result<()> {
    let report = critic_data::split(
        &args.source,
        &args.read.options(),
        &args.parts,
        &args.output,
        args.ending.trim_start_matches('.'),
    )?;
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let total = report.report.n_kept;
    let share = |n: usize| format!("{:.1} %", 100.0 * n as f64 / total as f64);
    let mut rows: Vec<Vec<String>> = report
        .parts
        .iter()
        .map(|(_, path, n)| vec![path.display().to_string(), count(*n), share(*n)])
        .collect();
    if report.n_held_back > 0 {
        let n = report.n_held_back;
        rows.push(vec!["(in no part)".to_owned(), count(n), share(n)]);
    }
    table::print(0, &rows);
    table::left_out(&report.report);
    Ok(())
}

/// Mixes sources by weight.
pub(super) fn mix(args: &MixArgs) -> Result<()> {
    let report =
        critic_data::mix(&args.sources, &args.read.options(), args.pairs, args.seed, &args.output)?;
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let head = ["", "pairs", "taken", "share"].map(str::to_owned).to_vec();
    let rows = report.sources.iter().map(|(path, n, taken)| {
        let share = 100.0 * *taken as f64 / report.n_pairs.max(1) as f64;
        vec![path.display().to_string(), count(*n), count(*taken), format!("{share:.1} %")]
    });
    table::print(0, &std::iter::once(head).chain(rows).collect::<Vec<_>>());
    answer(format!("{} pairs: {}", count(report.n_pairs), args.output.display()));
    Ok(())
}

/// Holds a source against benches.
pub(super) fn overlap(args: &OverlapArgs) -> Result<()> {
    let report = critic_data::overlap(
        &args.source,
        &args.against,
        &args.read.options(),
        args.drop.as_deref(),
    )?;
    if args.json {
        answer(serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let head =
        ["against", "bench pairs", "met", "same prompt", "13 words"].map(str::to_owned).to_vec();
    let rows = report.benches.iter().map(|bench| {
        let n = [bench.n_bench, bench.n_bench_met, bench.n_same_prompt, bench.n_shared_words];
        std::iter::once(bench.path.display().to_string()).chain(n.map(count)).collect()
    });
    table::print(0, &std::iter::once(head).chain(rows).collect::<Vec<_>>());
    for bench in &report.benches {
        for (ours, theirs, kind) in &bench.examples {
            let how = match kind {
                OverlapKind::SamePrompt => "has the prompt of",
                OverlapKind::SharedWords => "shares 13 words with",
            };
            answer(format!("  {ours} {how} {theirs}"));
        }
    }
    let share = 100.0 * report.n_clean as f64 / report.n_pairs as f64;
    answer(format!(
        "{} of {} pairs meet no bench ({share:.1} %)",
        count(report.n_clean),
        count(report.n_pairs)
    ));
    match &args.drop {
        Some(path) => answer(format!("they stand in {}", path.display())),
        None if report.n_clean < report.n_pairs => {
            answer("write them to a file with --drop FILE");
        }
        None => {}
    }
    Ok(())
}
