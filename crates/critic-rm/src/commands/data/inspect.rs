use super::args::InspectArgs;
use super::table::{self, count};
use crate::progress::answer;
use anyhow::Result;
use critic_data::{Inspection, Lengths, PairFormat};

/// Describes a source of preference pairs.
pub(super) fn inspect(args: &InspectArgs) -> Result<()> {
    let seen = critic_data::inspect(&args.source, &args.read.options(), args.seed)?;
    if args.json {
        answer(serde_json::to_string_pretty(&seen)?);
        return Ok(());
    }
    print(&args.source.display().to_string(), &seen);
    samples(&seen, args.width);
    Ok(())
}

/// Lists the formats.
pub(super) fn formats(as_json: bool) -> Result<()> {
    if as_json {
        let all: serde_json::Map<_, _> =
            PairFormat::all().map(|format| (format.to_string(), format.columns().into())).collect();
        answer(serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let width = PairFormat::all().map(|format| format.as_str().len()).max().unwrap_or_default();
    for format in PairFormat::all() {
        answer(format!("{format:<width$}  {}", format.columns()));
    }
    Ok(())
}

fn print(source: &str, seen: &Inspection) {
    answer(source);
    let line = |name: &str, value: String| answer(format!("{name:<12} {value}"));
    line(
        "format",
        seen.format.map_or("none that is known".to_owned(), |format| format.to_string()),
    );
    line("rows", count(seen.n_rows));
    line("pairs", count(seen.n_pairs));
    line("prompts", count(seen.n_prompts));
    for (name, n) in [
        ("multi-turn", seen.n_multi_turn),
        ("with system", seen.n_system),
        ("with margin", seen.n_margins),
        ("critiques", seen.n_critiques),
        ("duplicates", seen.n_duplicates),
    ] {
        if n > 0 {
            line(name, count(n));
        }
    }
    if seen.files.len() > 1 {
        answer("files");
        let row = |file: &critic_data::FileSummary| {
            let format = file.format.map_or("–".to_owned(), |format| format.to_string());
            vec![file.path.display().to_string(), format, count(file.n_rows), count(file.n_pairs)]
        };
        let head = ["", "format", "rows", "pairs"].map(str::to_owned).to_vec();
        table::print(
            2,
            &std::iter::once(head).chain(seen.files.iter().map(row)).collect::<Vec<_>>(),
        );
    }
    let is_divided = seen.by_domain.len() > 1 || !seen.by_domain.contains_key("(none)");
    if seen.n_pairs > 0 && is_divided {
        answer("domains");
        let mut domains: Vec<_> = seen.by_domain.iter().collect();
        domains.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let shown = domains.iter().take(20).map(|(name, n)| vec![(*name).clone(), count(**n)]);
        table::print(2, &shown.collect::<Vec<_>>());
        if domains.len() > 20 {
            answer(format!("  and {} more", domains.len() - 20));
        }
    }
    if seen.n_pairs > 0 {
        lengths(seen);
        answer(format!("the longer response is chosen in {:.1} %", 100.0 * seen.longer_chosen));
    }
    table::left_out(&seen.report);
}

fn lengths(seen: &Inspection) {
    let row = |name: &str, l: &Lengths| {
        let mean = [l.median, l.mean].map(|value| format!("{value:.1}"));
        let [median, mean] = mean;
        vec![name.to_owned(), count(l.min), median, mean, count(l.p95), count(l.max)]
    };
    let head = ["words", "min", "median", "mean", "p95", "max"].map(str::to_owned).to_vec();
    table::print(
        0,
        &[
            head,
            row("  prompt", &seen.prompt_words),
            row("  chosen", &seen.chosen_words),
            row("  rejected", &seen.rejected_words),
        ],
    );
}

fn samples(seen: &Inspection, width: usize) {
    for pair in &seen.samples {
        answer(format!("\n[{}]", pair.id));
        for message in pair.prompt.messages() {
            field(message.role.as_str(), &message.content, width);
        }
        field("chosen", &pair.chosen, width);
        field("rejected", &pair.rejected, width);
    }
}

/// A text beside its name, its further lines below its first.
fn field(name: &str, text: &str, width: usize) {
    let n = text.chars().count();
    let shown: String = match width {
        0 => text.to_owned(),
        width => text.chars().take(width).collect(),
    };
    let more = n - shown.chars().count();
    for (at, line) in shown.trim().lines().enumerate() {
        answer(format!("  {:<10} {line}", if at == 0 { name } else { "" }).trim_end());
    }
    if more > 0 {
        answer(format!("  {:<10} … {} more characters", "", count(more)));
    }
}
