use super::recipe::Recipe;
use crate::progress::{duration, say};
use anyhow::Result;
use critic_eval::{StudyRow, StudyRun, study};
use critic_stats::{Bootstrap, TieRule};
use critic_types::{SeedTree, atomic_file};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A run that was made.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) run: StudyRun,
    /// Of each stage, over all sittings and wherever it was made.
    pub(super) seconds: BTreeMap<String, f64>,
    pub(super) report: PathBuf,
}

/// A run that could not be made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failure {
    pub(super) run: String,
    pub(super) reason: String,
}

/// What a study found.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    title: String,
    command: String,
    rows: Vec<StudyRow>,
    runs: Vec<RunLine>,
    failures: Vec<Failure>,
}

/// A run in the outcome's file.
#[derive(Debug, Serialize)]
struct RunLine {
    configuration: String,
    seed: u64,
    seconds: BTreeMap<String, f64>,
    report: PathBuf,
}

impl Outcome {
    pub(super) fn new(
        recipe: &Recipe,
        runs: Vec<Run>,
        failures: Vec<Failure>,
        command: String,
        seed: SeedTree,
    ) -> Result<Self> {
        let (mut measured, mut lines) = (Vec::new(), Vec::new());
        for Run { mut run, seconds, report } in runs {
            // Controls see neither settings nor seeds: once is enough.
            if !measured.is_empty() {
                run.contestants
                    .retain(|one| one.family != "length" && one.family != "bag of words");
            }
            lines.push(RunLine {
                configuration: run.configuration.clone(),
                seed: run.seed,
                seconds,
                report,
            });
            measured.push(run);
        }
        let bootstrap = Bootstrap::new(seed.child("study"));
        let rows = study(&measured, TieRule::Wrong, &bootstrap)?;
        Ok(Self { title: recipe.title.clone(), command, rows, runs: lines, failures })
    }

    /// The rows of all pairs as lines of text, in percent.
    pub(super) fn terminal(&self) -> String {
        let rows = || self.rows.iter().filter(|row| row.domain.is_none());
        let width = |name: fn(&StudyRow) -> &str| {
            rows().map(|row| name(row).chars().count()).max().unwrap_or(0)
        };
        let (wide, narrow) = (width(|row| &row.configuration), width(|row| &row.contestant));
        let mut out = format!("\n{}\n", self.title);
        let _ = writeln!(
            out,
            "{:<wide$}  {:<narrow$}  {:>8}  {:>13}  {:>5}  {:>5}  against the first",
            "configuration", "contestant", "accuracy", "95 % interval", "seeds", "sd"
        );
        for row in rows() {
            let percent = |x: f64| 100.0 * x;
            let against = row.against_first.as_ref().map_or(String::new(), |found| {
                format!(
                    "{:+.1} (p {:.3}, Holm {:.3})",
                    percent(found.difference),
                    found.permutation.p,
                    found.holm_p
                )
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
        let seconds: f64 = self.runs.iter().flat_map(|run| run.seconds.values()).sum();
        let _ = write!(out, "{} runs, {} failed", self.runs.len(), self.failures.len());
        if seconds > 0.0 {
            let _ = write!(out, "; one by one, without sharing, {}", duration(seconds));
        }
        out
    }

    /// Writes what was found into the study's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("study.json");
        atomic_file::write(&path, (serde_json::to_string_pretty(self)? + "\n").as_bytes())?;
        say(format!("study: {}", path.display()));
        Ok(())
    }
}
