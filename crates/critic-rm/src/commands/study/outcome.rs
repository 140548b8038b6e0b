use super::recipe::Recipe;
use crate::progress::{duration, say};
use crate::stages;
use anyhow::Result;
use critic_eval::{StudyRow, StudyRun, study};
use critic_report::{StudyFailure, StudyReport, StudyRunRecord};
use critic_stats::{Bootstrap, TieRule};
use critic_types::{SeedTree, atomic_file};
use std::fmt::Write as _;
use std::path::Path;

/// What the runs say together.
pub(super) fn report(
    recipe: &Recipe,
    runs: Vec<(StudyRunRecord, StudyRun)>,
    failures: Vec<StudyFailure>,
    command: String,
) -> Result<StudyReport> {
    let (lines, mut measured): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    // Controls see neither settings nor seeds: once is enough.
    for run in measured.iter_mut().skip(1) {
        run.contestants.retain(|one| one.family != "length" && one.family != "bag of words");
    }
    let bootstrap = Bootstrap::new(SeedTree::new(0).child("study"));
    let rows = study(&measured, TieRule::Wrong, &bootstrap)?;
    Ok(StudyReport { title: recipe.title.clone(), command, rows, runs: lines, failures })
}

/// The rows of all pairs as lines of text, in percent.
pub(super) fn terminal(report: &StudyReport) -> String {
    let rows = || report.rows.iter().filter(|row| row.domain.is_none());
    let width = |name: fn(&StudyRow) -> &str| {
        rows().map(|row| name(row).chars().count()).max().unwrap_or(0)
    };
    let (wide, narrow) = (width(|row| &row.configuration), width(|row| &row.contestant));
    let mut out = format!("\n{}\n", report.title);
    // One configuration has no other to be set against, but several contestants.
    let first = rows().next().map(|row| &row.configuration);
    let is_one = rows().all(|row| Some(&row.configuration) == first);
    let main = rows().find(|row| row.against_main.is_none()).map(|row| row.contestant.as_str());
    let against = match main {
        Some(main) if is_one => format!("against {main}"),
        _ => "against the first".to_owned(),
    };
    let _ = writeln!(
        out,
        "{:<wide$}  {:<narrow$}  {:>8}  {:>13}  {:>5}  {:>5}  {against}",
        "configuration", "contestant", "accuracy", "95 % interval", "seeds", "sd"
    );
    for row in rows() {
        let percent = |x: f64| 100.0 * x;
        let found = if is_one { &row.against_main } else { &row.against_first };
        let against = found.as_ref().map_or(String::new(), |found| {
            let (p, holm) = (found.permutation.p, found.holm_p);
            format!("{:+.1} (p {p:.3}, Holm {holm:.3})", percent(found.difference))
        });
        let spread = row
            .seeds
            .as_ref()
            .map_or("–".to_owned(), |seeds| format!("{:.1}", percent(seeds.std)));
        let line = format!(
            "{:<wide$}  {:<narrow$}  {:>8.1}  {:>5.1} – {:>5.1}  {:>5}  {:>5}  {against}",
            row.configuration,
            row.contestant,
            percent(row.accuracy),
            percent(row.interval.low),
            percent(row.interval.high),
            row.by_seed.len(),
            spread,
        );
        out += line.trim_end();
        out.push('\n');
    }
    let seconds: f64 = report.runs.iter().flat_map(|run| run.seconds.values()).sum();
    let _ = write!(out, "{} runs, {} failed", report.runs.len(), report.failures.len());
    if seconds > 0.0 {
        let _ = write!(out, "; had nothing been shared, {}", duration(seconds));
    }
    out
}

/// Writes `report.html`, `report.md`, `tables/*.csv` and `study.json` into the study's folder.
pub(super) fn write(report: &StudyReport, folder: &Path) -> Result<()> {
    atomic_file::write(&folder.join("study.json"), report.to_json()?.as_bytes())?;
    stages::write_report(folder, &report.html()?, &report.markdown(), &report.csv_files()?)?;
    say(format!("report: {}", folder.join("report.html").display()));
    Ok(())
}
