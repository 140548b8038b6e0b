//! The runs of a study beside each other.

use crate::ReportError;
use crate::csv_files::of_sections;
use crate::format::{duration, p_value, points, points_interval, size};
use crate::markdown::written;
use crate::page::{Card, FigureGroup, Page, Part};
use crate::plots::{SharePoint, share_figure};
use crate::table::{Align, Cell, Table};
use crate::tables::Section;
use critic_eval::{StudyDifference, StudyRow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a study found: a grid of settings over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyReport {
    /// The heading.
    pub title: String,
    /// The command line that makes the study again, or goes on with it.
    pub command: String,
    /// Contestants of every configuration, over all pairs first, then by domain.
    pub rows: Vec<StudyRow>,
    /// The runs that were made, in order.
    pub runs: Vec<StudyRunRecord>,
    /// The runs that could not be made.
    pub failures: Vec<StudyFailure>,
}

/// A run of a study that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRunRecord {
    /// The configuration's name.
    pub configuration: String,
    /// The seed.
    pub seed: u64,
    /// Seconds of every stage, wherever in the study it was made.
    pub seconds: BTreeMap<String, f64>,
    /// The path of its own report, from the study's folder.
    pub report: String,
}

/// A run of a study that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyFailure {
    /// The run.
    pub run: String,
    /// Why.
    pub reason: String,
}

impl StudyReport {
    /// The page, of the same kind as a run's.
    ///
    /// # Errors
    /// As [`crate::html`].
    pub fn html(&self) -> Result<String, ReportError> {
        let mut parts = Vec::new();
        for section in self.sections() {
            let groups: Vec<FigureGroup> = match section.id {
                "result" if !self.rows.is_empty() => vec![(None, vec![self.figure()?])],
                _ => Vec::new(),
            };
            parts.push(Part { section, groups, browser: None });
        }
        let configurations: BTreeSet<&str> =
            self.runs.iter().map(|run| run.configuration.as_str()).collect();
        let seeds: BTreeSet<u64> = self.runs.iter().map(|run| run.seed).collect();
        let seconds: f64 = self.runs.iter().flat_map(|run| run.seconds.values()).sum();
        let notes = self.notes();
        let page = Page {
            title: &self.title,
            lead: None,
            cards: vec![
                Card::plain("Configurations", size(configurations.len())),
                Card::plain("Seeds", size(seeds.len())),
                Card::plain("Runs", size(self.runs.len())),
                Card::plain("Time, if nothing were shared", duration(seconds)),
            ],
            notes: &notes,
            parts,
            command: &self.command,
        };
        Ok(page.to_html())
    }

    /// The same tables as Markdown.
    pub fn markdown(&self) -> String {
        written(&self.title, &self.notes(), &self.sections(), &self.command)
    }

    /// The same tables as CSV files, with their names.
    ///
    /// # Errors
    /// As [`crate::csv_files`].
    pub fn csv_files(&self) -> Result<Vec<(String, String)>, ReportError> {
        of_sections(&self.sections())
    }

    /// The study as indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`ReportError::Unreadable`] when a field cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    fn of_all_pairs(&self) -> impl Iterator<Item = &StudyRow> {
        self.rows.iter().filter(|row| row.domain.is_none())
    }

    fn sections(&self) -> [Section; 3] {
        [
            Section::new(
                "result",
                "Result",
                [self.accuracies(), self.within(), self.differences()],
            ),
            Section::new("domains", "By domain", [self.domains()]),
            Section::new("runs", "The runs", [self.of_runs(), self.failed()]),
        ]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.failures.is_empty() {
            notes.push(format!(
                "{} of {} runs could not be made; they are named below with their reasons.",
                size(self.failures.len()),
                size(self.failures.len() + self.runs.len())
            ));
        }
        if self.runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().len() == 1 {
            notes.push(
                "With one seed nothing is known of what another would give: the intervals are for other pairs alone."
                    .to_owned(),
            );
        }
        notes
    }

    fn figure(&self) -> Result<crate::plots::Figure, ReportError> {
        let mut configurations: Vec<&str> = Vec::new();
        for row in self.of_all_pairs() {
            if !configurations.contains(&row.configuration.as_str()) {
                configurations.push(&row.configuration);
            }
        }
        let is_only_one = configurations.len() == 1;
        let point = |row: &StudyRow| SharePoint {
            name: match is_only_one {
                true => row.contestant.clone(),
                false => format!("{}: {}", row.configuration, row.contestant),
            },
            series: configurations.iter().position(|name| *name == row.configuration).unwrap_or(0),
            share: row.accuracy,
            interval: row.interval,
        };
        let shown: Vec<SharePoint> = self.of_all_pairs().map(point).collect();
        let caption = "Mean accuracy of the seeds on the held-out pairs with its 95\u{a0}% bootstrap \
                       interval over prompts. m is how many critiques a reward is the mean over. The \
                       dashed line is chance."
            .to_owned();
        share_figure("Accuracy by configuration", caption, &shown)
    }

    /// A row a contestant and configuration.
    fn accuracies(&self) -> Option<Table> {
        let mut table = Table::new(
            "accuracies",
            "Accuracy over all seeds: the interval is for other prompts and these seeds, the t interval for \
             other seeds and these pairs, the standard error for both at once",
            &[
                "configuration",
                "contestant",
                "#pairs",
                "#seeds",
                "#accuracy",
                "~interval",
                "#deviation of seeds",
                "~t interval",
                "#standard error",
            ],
        );
        for row in self.of_all_pairs() {
            table.row([
                row.configuration.as_str().into(),
                row.contestant.as_str().into(),
                Cell::count(row.n_pairs),
                Cell::count(row.by_seed.len()),
                Cell::percent(row.accuracy),
                Cell::percents(Some(&row.interval)),
                Cell::percent(row.seeds.as_ref().map(|seeds| seeds.std)),
                Cell::percents(row.seeds.as_ref().map(|seeds| &seeds.interval)),
                Cell::percent(row.effects.as_ref().map(|effects| effects.standard_error)),
            ]);
        }
        table.if_any()
    }

    /// A row a contestant that is not its configuration's main one.
    fn within(&self) -> Option<Table> {
        let titles = (
            "within",
            "Against the main contestant of the same configuration, the first method at its most critiques",
        );
        self.against(titles, |row| row.against_main.as_ref())
    }

    fn differences(&self) -> Option<Table> {
        let titles = ("differences", "Against the first configuration");
        self.against(titles, |row| row.against_first.as_ref())
    }

    fn against(
        &self,
        (name, title): (&'static str, &str),
        of: impl Fn(&StudyRow) -> Option<&StudyDifference>,
    ) -> Option<Table> {
        let title = format!(
            "{title}: difference of accuracy in percentage points with its bootstrap \
             interval over prompts, permutation test over prompts, and the same after Holm's correction for \
             looking several times"
        );
        let mut table = Table::new(
            name,
            title,
            &[
                "configuration",
                "contestant",
                "#pairs",
                "#difference",
                "~interval",
                "#permutation p",
                "#Holm p",
            ],
        );
        for row in self.of_all_pairs() {
            let Some(found) = of(row) else { continue };
            table.row([
                row.configuration.as_str().into(),
                row.contestant.as_str().into(),
                Cell::count(found.n_pairs),
                Cell::number(found.difference, points),
                Cell::interval(Some(&found.interval), points_interval),
                Cell::number(found.permutation.p, p_value),
                Cell::number(found.holm_p, p_value),
            ]);
        }
        table.if_any()
    }

    fn domains(&self) -> Option<Table> {
        let mut table = Table::new(
            "domains",
            "Accuracy over all seeds by domain",
            &["domain", "configuration", "contestant", "#pairs", "#accuracy", "~interval"],
        );
        for row in &self.rows {
            let Some(domain) = &row.domain else { continue };
            table.row([
                domain.as_str().into(),
                row.configuration.as_str().into(),
                row.contestant.as_str().into(),
                Cell::count(row.n_pairs),
                Cell::percent(row.accuracy),
                Cell::percents(Some(&row.interval)),
            ]);
        }
        table.if_any()
    }

    /// The time of every stage of every run.
    fn of_runs(&self) -> Option<Table> {
        let mut table = Table::new(
            "runs",
            "The runs, and what their stages took; what runs have in common was made once",
            &["configuration", "#seed"],
        );
        let mut stages: Vec<&String> = Vec::new();
        for stage in self.runs.iter().flat_map(|run| run.seconds.keys()) {
            if !stages.contains(&stage) {
                stages.push(stage);
            }
        }
        for stage in &stages {
            table.column((*stage).clone(), Align::Number);
        }
        table.column("report".to_owned(), Align::Text);
        for run in &self.runs {
            let mut cells: Vec<Cell> =
                vec![run.configuration.as_str().into(), Cell::from(run.seed.to_string())];
            cells.extend(
                stages.iter().map(|stage| Cell::number(run.seconds.get(*stage).copied(), duration)),
            );
            cells.push(run.report.as_str().into());
            table.row(cells);
        }
        table.if_any()
    }

    fn failed(&self) -> Option<Table> {
        let mut table = Table::new("failures", "Runs that could not be made", &["run", "reason"]);
        for failure in &self.failures {
            table.row([failure.run.as_str().into(), failure.reason.as_str().into()]);
        }
        table.if_any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_stats::{Interval, PermutationTest};

    fn interval(low: f64, high: f64) -> Interval {
        Interval { low, high, confidence: 0.95 }
    }

    fn row(configuration: &str, accuracy: f64, difference: Option<f64>) -> StudyRow {
        StudyRow {
            configuration: configuration.to_owned(),
            contestant: "critic-rm m=4".to_owned(),
            domain: None,
            n_pairs: 40,
            by_seed: BTreeMap::from([(0, accuracy)]),
            accuracy,
            interval: interval(accuracy - 0.1, accuracy + 0.1),
            seeds: None,
            effects: None,
            against_first: difference.map(difference_of),
            against_main: None,
        }
    }

    fn difference_of(difference: f64) -> StudyDifference {
        StudyDifference {
            n_pairs: 40,
            difference,
            interval: interval(difference - 0.1, difference + 0.1),
            permutation: PermutationTest { p: 0.03, exact: true, n_assignments: 8 },
            holm_p: 0.06,
        }
    }

    fn report() -> StudyReport {
        let scalar = StudyRow {
            contestant: "scalar".to_owned(),
            against_main: Some(difference_of(0.125)),
            ..row("constant", 0.675, None)
        };
        let mut of_domain = row("<b>paper</b>", 0.7, None);
        of_domain.domain = Some("math".to_owned());
        let run = StudyRunRecord {
            configuration: "<b>paper</b>".to_owned(),
            seed: 0,
            seconds: BTreeMap::from([("critique".to_owned(), 90.0)]),
            report: "runs/paper/report.html".to_owned(),
        };
        StudyReport {
            title: "The weight".to_owned(),
            command: "critic-rm study schedule".to_owned(),
            rows: vec![
                row("<b>paper</b>", 0.6, None),
                row("constant", 0.55, Some(-0.05)),
                scalar,
                of_domain,
            ],
            runs: vec![run],
            failures: vec![StudyFailure {
                run: "reverse".to_owned(),
                reason: "no pair".to_owned(),
            }],
        }
    }

    #[test]
    fn every_form_has_what_was_found() {
        let report = report();
        let page = report.html().unwrap();
        for part in [
            "Accuracy by configuration",
            "constant",
            "1 of 2 runs could not be made",
            "1\u{a0}min\u{a0}30\u{a0}s",
        ] {
            assert!(page.contains(part), "{part} is not on the page");
        }
        assert!(!page.contains("<b>paper"));
        let text = report.markdown();
        assert!(
            text.contains("60.0") && text.contains("0.06") && text.contains("no pair"),
            "{text}"
        );
        let files = report.csv_files().unwrap();
        let named = |name: &str| &files.iter().find(|(found, _)| found == name).unwrap().1;
        assert!(named("differences.csv").contains("constant,critic-rm m=4,40,-0.05"));
        assert!(named("within.csv").contains("constant,scalar,40,0.125"));
        assert!(named("domains.csv").contains("math"));
        let again: StudyReport = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(again, report);
    }

    #[test]
    fn a_study_of_nothing_has_a_page() {
        let empty = StudyReport { rows: Vec::new(), runs: Vec::new(), ..report() };
        assert!(empty.html().unwrap().contains("could not be made"));
    }
}
