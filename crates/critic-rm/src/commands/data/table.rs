//! Aligned columns on a terminal.

use crate::progress::answer;
use critic_types::DropReport;

/// Prints rows whose cells line up: the first column to the left, the others to the right.
pub(super) fn print(indent: usize, rows: &[Vec<String>]) {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (at, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[at] - cell.chars().count());
            match at {
                0 => line += &format!("{cell}{gap}"),
                _ => line += &format!("  {gap}{cell}"),
            }
        }
        answer(line.trim_end());
    }
}

/// A count with thousands apart.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Prints what was left out, with the places of the first few.
pub(super) fn left_out(report: &DropReport) {
    if report.n_dropped() == 0 {
        return;
    }
    answer(format!("left out     {}", count(report.n_dropped())));
    let mut reasons: Vec<_> = report.dropped.iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let width = reasons.iter().map(|(_, n)| count(**n).chars().count()).max().unwrap_or_default();
    for (reason, n) in reasons {
        let places = report.examples.get(reason).map_or(String::new(), |list| list.join(", "));
        let more = if *n > DropReport::EXAMPLES_PER_REASON { ", …" } else { "" };
        answer(format!("  {:>width$}  {reason}  ({places}{more})", count(*n)));
    }
}
