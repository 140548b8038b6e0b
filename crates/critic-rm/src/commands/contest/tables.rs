use super::BenchResult;
use super::numbers::{Number, Numbers};
use super::overview::Overview;
use critic_eval::benches::CorrectionGain;

/// The parts of a bench beside its first number that a terminal shows.
const MAX_PARTS: usize = 4;

/// Columns of a part in a terminal.
const PART_WIDTH: usize = 14;

/// A share in percent, or a dash.
pub(super) fn in_percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

fn percent(number: &Number) -> String {
    in_percent(number.value)
}

/// Names that fit columns: where one is too long, all without what they begin and end with alike, and then
/// the end of what still does not fit.
fn told_apart(names: &[&str]) -> Vec<String> {
    let names: Vec<Vec<char>> = names.iter().map(|name| name.chars().collect()).collect();
    let alike = |of: &dyn Fn(&[char], usize) -> Option<char>| {
        let shortest = names.iter().map(Vec::len).min().unwrap_or(0);
        let same = |i: &usize| names.iter().all(|name| of(name, *i) == of(&names[0], *i));
        (0..shortest.saturating_sub(1)).take_while(same).count()
    };
    let (mut start, mut end) = (0, 0);
    if names.len() > 1 && names.iter().any(|name| name.len() > PART_WIDTH) {
        start = alike(&|name, i| name.get(i).copied());
        let end_at_most = names.iter().map(Vec::len).min().unwrap_or(0).saturating_sub(start + 1);
        end = alike(&|name, i| name.iter().rev().nth(i).copied()).min(end_at_most);
    }
    let fitting = |name: &Vec<char>| {
        let name = &name[start..name.len() - end];
        match name.len() > PART_WIDTH {
            false => name.iter().collect(),
            true => {
                let from = name.len() - PART_WIDTH + 1;
                std::iter::once(&'…').chain(&name[from..]).collect()
            }
        }
    };
    names.iter().map(fitting).collect()
}

/// An interval in percent, or nothing.
pub(super) fn between(interval: Option<(f64, f64)>) -> String {
    interval
        .map_or(String::new(), |(low, high)| format!("{:.1} – {:.1}", 100.0 * low, 100.0 * high))
}

fn first(numbers: &Numbers) -> &Number {
    &numbers.parts[0]
}

/// A bench as lines of text, in percent.
pub(super) fn terminal(result: &BenchResult) -> String {
    let width = result.numbers.iter().map(|row| row.contestant.chars().count()).max().unwrap_or(0);
    let Some(some) = result.numbers.first() else { return result.title.clone() };
    let n_parts = some.parts.len().min(MAX_PARTS + 1);
    let mut out = format!("\n{}\n", result.title);
    let names: Vec<&str> = some.parts[1..n_parts].iter().map(|part| part.name.as_str()).collect();
    let head: Vec<String> =
        told_apart(&names).iter().map(|name| format!("{name:>PART_WIDTH$}")).collect();
    let head = format!(
        "{:<width$}  {:>10.10}  {:>13}  {:>7} {:>7}  {}",
        "contestant",
        first(some).name,
        "95 % interval",
        "items",
        "missing",
        head.join(" ")
    );
    out += head.trim_end();
    for row in &result.numbers {
        let parts: Vec<String> = row
            .parts
            .iter()
            .take(n_parts)
            .skip(1)
            .map(|part| format!("{:>PART_WIDTH$}", percent(part)))
            .collect();
        let line = format!(
            "{:<width$}  {:>10}  {:>13}  {:>7} {:>7}  {}",
            row.contestant,
            percent(first(row)),
            between(first(row).interval),
            row.n_items,
            row.n_missing,
            parts.join(" ")
        );
        out.push('\n');
        out += line.trim_end();
    }
    for (name, found) in &result.corrections {
        out += &format!("\n{name}: corrected with its own critiques, {}", gain(&found.overall));
    }
    for note in &result.notes {
        out.push('\n');
        out += note;
    }
    out
}

/// All benches with every part, and the comparisons.
pub(super) fn markdown(results: &[BenchResult]) -> String {
    let mut out = String::from(
        "# Contest\n\nNumbers in percent; a missing number is counted and never imputed; a tie is wrong.\n",
    );
    out += &Overview::of(results).map_or_else(String::new, |overview| overview.markdown());
    for result in results {
        out += &format!("\n## {}\n\n", cell(&result.title));
        let Some(some) = result.numbers.first() else { continue };
        out += &format!(
            "| contestant | {} | 95 % interval | items | missing |",
            cell(&first(some).name)
        );
        some.parts[1..].iter().for_each(|part| out += &format!(" {} |", cell(&part.name)));
        out += &format!("\n|{}\n", "---|".repeat(some.parts.len() + 4));
        for row in &result.numbers {
            let (number, between) = (percent(first(row)), between(first(row).interval));
            out += &format!(
                "| {} | {number} | {between} | {} | {} |",
                cell(&row.contestant),
                row.n_items,
                row.n_missing
            );
            row.parts[1..].iter().for_each(|part| out += &format!(" {} |", percent(part)));
            out.push('\n');
        }
        if !result.comparisons.is_empty() {
            out += "\n| a | b | pairs | a − b | 95 % interval, whole prompts | McNemar p | permutation p | Holm |\n|---|---|---|---|---|---|---|---|\n";
        }
        for corrected in &result.comparisons {
            let comparison = &corrected.comparison;
            let between = corrected.clustered.interval;
            out += &format!(
                "| {} | {} | {} | {:+.1} | {:+.1} – {:+.1} | {:.3} | {:.3} | {:.3} |\n",
                cell(&comparison.a),
                cell(&comparison.b),
                comparison.n_pairs,
                100.0 * comparison.difference,
                100.0 * between.low,
                100.0 * between.high,
                comparison.mcnemar_p,
                corrected.permutation.p,
                corrected.holm_p
            );
        }
        out += &calibration(result);
        if !result.corrections.is_empty() {
            out += "\n| corrected with its own critiques | right before | right after | gain | mended | spoilt | items | missing |\n|---|---|---|---|---|---|---|---|\n";
        }
        for (name, found) in &result.corrections {
            let CorrectionGain {
                n_rows, n_missing, before, after, gain, n_mended, n_spoilt, ..
            } = found.overall;
            out += &format!(
                "| {} | {} | {} | {} | {n_mended} | {n_spoilt} | {n_rows} | {n_missing} |\n",
                cell(name),
                in_percent(before),
                in_percent(after),
                in_percent(gain)
            );
        }
        for note in &result.notes {
            out += &format!("\n{}\n", cell(note));
        }
    }
    out
}

fn gain(found: &CorrectionGain) -> String {
    match (found.before, found.after, found.gain) {
        (Some(before), Some(after), Some(gain)) => format!(
            "{:.1} → {:.1} ({:+.1}) of {} right; {} more have no readable correction.",
            100.0 * before,
            100.0 * after,
            100.0 * gain,
            found.n_rows - found.n_missing,
            found.n_missing
        ),
        _ => format!("none of {} has a readable correction.", found.n_rows),
    }
}

fn calibration(result: &BenchResult) -> String {
    let calibrated =
        result.diagnostics.iter().filter_map(|one| Some((one, one.calibration.as_ref()?)));
    let mut lines = String::new();
    for (one, found) in calibrated {
        lines += &format!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} |\n",
            cell(&one.name),
            found.expected_error,
            found.adaptive_error,
            found.brier_score,
            found.log_loss
        );
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\n| calibration | ECE | adaptive ECE | Brier | log loss |\n|---|---|---|---|---|\n{lines}"
    )
}

/// Text that cannot leave its cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        assert_eq!(told_apart(&["hep-cpp", "hep-go"]), ["hep-cpp", "hep-go"]);
        let names = [
            "LLMBar__Adversarial__GPTOut__dataset.json",
            "LLMBar__Adversarial__Manual__dataset.json",
            "LLMBar__Natural__dataset.json",
        ];
        assert_eq!(told_apart(&names), ["…arial__GPTOut", "…arial__Manual", "Natural"]);
        assert_eq!(told_apart(&["a", "a-long-name-of-a-part"]), ["a", "…ame-of-a-part"]);
        assert_eq!(told_apart(&[]), [""; 0]);
    }
}
