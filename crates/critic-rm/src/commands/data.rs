use crate::progress::answer;
use anyhow::Result;
use critic_data::{Inspection, Lengths, ReadOptions, inspect as inspect_pairs, read_pairs};
use std::path::Path;

/// Describes a file of preference pairs.
pub(crate) fn inspect(file: &Path, as_json: bool, strict: bool) -> Result<()> {
    let set = read_pairs(file, &ReadOptions { strict, limit: None, format: None })?;
    let inspection = inspect_pairs(&set);
    if as_json {
        answer(serde_json::to_string_pretty(&inspection)?);
    } else {
        print(file, &inspection);
    }
    Ok(())
}

fn print(file: &Path, inspection: &Inspection) {
    answer(format!(
        "{}: {} pairs, format {}",
        file.display(),
        inspection.n_pairs,
        inspection.format
    ));
    for (domain, n) in &inspection.by_domain {
        answer(format!("  {domain:<24} {n:>7}"));
    }
    answer(format!(
        "{:<12} {:>6} {:>8} {:>8} {:>6} {:>6}",
        "words", "min", "median", "mean", "p95", "max"
    ));
    let row = |name: &str, l: &Lengths| {
        answer(format!(
            "  {name:<10} {:>6} {:>8.1} {:>8.1} {:>6} {:>6}",
            l.min, l.median, l.mean, l.p95, l.max
        ));
    };
    row("prompt", &inspection.prompt_words);
    row("chosen", &inspection.chosen_words);
    row("rejected", &inspection.rejected_words);
    answer(format!("the longer response is chosen in {:.1} %", 100.0 * inspection.longer_chosen));
    for (reason, n) in &inspection.dropped {
        answer(format!("left out: {n} {reason}"));
    }
    for pair in &inspection.samples {
        answer(format!(
            "\n[{}]\nprompt:   {}\nchosen:   {}\nrejected: {}",
            pair.id,
            pair.prompt.last_user_text(),
            pair.chosen,
            pair.rejected
        ));
    }
}
