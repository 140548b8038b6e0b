//! Several runs beside each other.

use crate::csv_files::of_sections;
use crate::format::{ABSENT, duration, percent, percent_interval, size};
use crate::markdown::written;
use crate::page::{Card, FigureGroup, Page, Part, browser_html, told, unbroken};
use crate::plots::accuracy_figure;
use crate::table::{Align, Cell, Table};
use crate::tables::{Section, accuracy_cells, comparisons};
use crate::{ItemRecord, ReportError, RunRecord};
use critic_eval::{
    Accuracy, Contestant, ContestantResult, CorrectedComparison, PredictionScale, compare_matches,
    evaluate,
};
use critic_stats::{Bootstrap, TieRule};
use critic_types::{ContentId, PreferencePair, SeedTree, Side};
use std::collections::{BTreeMap, BTreeSet};

/// Runs beside each other on the held-out pairs that all of them scored.
///
/// Contestants are named `RUN: CONTESTANT`; those that the runs are about are tested each against each.
#[derive(Debug, Clone, PartialEq)]
pub struct RunComparison {
    names: Vec<String>,
    records: Vec<RunRecord>,
    /// The pairs in common, with the numbers of every run's contestants.
    items: Vec<ItemRecord>,
    results: Vec<ContestantResult>,
    tests: Vec<CorrectedComparison>,
    notes: Vec<String>,
}

impl RunComparison {
    /// Compares runs, named as a reader knows them; pairs are the same when id, prompt and both responses are.
    ///
    /// # Errors
    /// [`ReportError::NoCommonPair`], [`ReportError::Comparison`].
    pub fn new(runs: Vec<(String, RunRecord)>, seed: SeedTree) -> Result<Self, ReportError> {
        let (names, records): (Vec<String>, Vec<RunRecord>) = runs.into_iter().unzip();
        let mut items: BTreeMap<(&str, ContentId), ItemRecord> = BTreeMap::new();
        let mut seen: BTreeMap<(&str, ContentId), BTreeSet<usize>> = BTreeMap::new();
        for (run, (name, record)) in names.iter().zip(&records).enumerate() {
            for item in &record.items {
                let key = (item.pair_id.as_str(), pair(item).content_id());
                let merged = items
                    .entry(key.clone())
                    .or_insert_with(|| ItemRecord { rewards: BTreeMap::new(), ..item.clone() });
                merged.rewards.extend(
                    item.rewards.iter().map(|(who, both)| (format!("{name}: {who}"), *both)),
                );
                seen.entry(key).or_default().insert(run);
            }
        }
        let common = |key: &(&str, ContentId)| seen[key].len() == records.len();
        let items: Vec<ItemRecord> =
            items.into_iter().filter(|(key, _)| common(key)).map(|(_, item)| item).collect();
        if items.is_empty() {
            return Err(ReportError::NoCommonPair);
        }
        let pairs: Vec<PreferencePair> = items.iter().map(pair).collect();
        let contestants = contestants(&names, &records, &items);
        let results = contestants
            .iter()
            .map(|one| evaluate(one, &pairs, TieRule::Wrong))
            .collect::<Result<Vec<_>, _>>()?;
        let tests = tests(&names, &records, &contestants, &pairs, seed)?;
        let notes = notes(&names, &records, items.len());
        Ok(Self { names, records, items, results, tests, notes })
    }

    /// The page, of the same kind as a run's.
    ///
    /// # Errors
    /// As [`crate::html`].
    pub fn html(&self) -> Result<String, ReportError> {
        let mut parts = Vec::new();
        for section in self.sections() {
            let groups: Vec<FigureGroup> = match section.id {
                "result" => vec![(None, accuracy_figure(&self.results)?.into_iter().collect())],
                _ => Vec::new(),
            };
            parts.push(Part { section, groups, browser: None });
        }
        if let Some(main) = &self.main_name() {
            let section = Section::new("items", "Held-out pairs", []);
            let browser = Some(browser_html(main, &self.items)?);
            parts.insert(1, Part { section, groups: Vec::new(), browser });
        }
        let title = self.title();
        let page = Page {
            title: &title,
            lead: self.lead(),
            cards: self.cards(),
            notes: &self.notes,
            parts,
            command: &self.command(),
        };
        Ok(page.to_html())
    }

    /// The same tables as Markdown.
    pub fn markdown(&self) -> String {
        written(&self.title(), &self.notes, &self.sections(), &self.command())
    }

    /// The same tables as CSV files, with their names.
    ///
    /// # Errors
    /// As [`crate::csv_files`].
    pub fn csv_files(&self) -> Result<Vec<(String, String)>, ReportError> {
        of_sections(&self.sections())
    }

    fn title(&self) -> String {
        format!("Runs side by side: {}", self.names.join(" · "))
    }

    /// Which runs differ, in a sentence or two.
    fn lead(&self) -> Option<String> {
        let told =
            |one: &CorrectedComparison| format!("{} differs from {}", one.comparison.a, told(one));
        let differing: Vec<String> =
            self.tests.iter().filter(|one| one.holm_p < 0.05).map(told).collect();
        let text = match (self.tests.len(), differing.is_empty()) {
            (0, _) => return None,
            (_, true) => {
                "The contestants that the runs are about are not told apart by these pairs \
                          (permutation tests, Holm's correction)."
                    .to_owned()
            }
            (_, false) => format!("{}.", differing.join("; ")),
        };
        Some(unbroken(&text))
    }

    /// The accuracy of each run's main contestant.
    fn cards(&self) -> Vec<Card> {
        let mut cards = Vec::new();
        for (name, record) in self.names.iter().zip(&self.records) {
            let Some(main) = &record.main else { continue };
            let full = format!("{name}: {main}");
            let found = self.results.iter().find(|result| result.name == full);
            if let Some(accuracy) = found.and_then(|result| result.accuracy.as_ref()) {
                cards.push(Card {
                    label: full,
                    value: percent(accuracy.agreement.accuracy),
                    remark: Some(percent_interval(&accuracy.interval)),
                });
            }
        }
        cards.push(Card::plain("Held-out pairs in common", size(self.items.len())));
        cards
    }

    fn command(&self) -> String {
        format!("critic-rm report --compare {}", self.names.join(" "))
    }

    fn main_name(&self) -> Option<String> {
        Some(format!("{}: {}", self.names.first()?, self.records.first()?.main.as_ref()?))
    }

    fn sections(&self) -> [Section; 3] {
        [
            Section::new("result", "Result", [self.accuracies(), comparisons(&self.tests)]),
            Section::new("runs", "The runs", [self.runs(), self.stages()]),
            Section::new("settings", "Settings that differ", [self.settings()]),
        ]
    }

    /// A row a contestant, two columns a run.
    fn accuracies(&self) -> Option<Table> {
        let caption = format!(
            "Accuracy of every contestant in every run, on the {} held-out pairs in common",
            size(self.items.len())
        );
        let mut table = Table::new("accuracies", caption, &["contestant"]);
        for name in &self.names {
            table.column(name.clone(), Align::Number);
            table.column(format!("{name} interval"), Align::Interval);
        }
        for who in in_order(self.records.iter().flat_map(|r| r.contestants.iter().map(|c| &c.name)))
        {
            let found: Vec<Option<&Accuracy>> = self
                .names
                .iter()
                .map(|name| {
                    let full = format!("{name}: {who}");
                    let found = self.results.iter().find(|result| result.name == full);
                    found.and_then(|result| result.accuracy.as_ref())
                })
                .collect();
            if found.iter().any(Option::is_some) {
                let mut cells: Vec<Cell> = vec![who.as_str().into()];
                cells.extend(found.into_iter().flat_map(accuracy_cells));
                table.row(cells);
            }
        }
        table.if_any()
    }

    /// What was run and on what.
    fn runs(&self) -> Option<Table> {
        let mut table = Table::new(
            "runs",
            "What was run and on what",
            &[
                "run",
                "model",
                "training file",
                "#training pairs",
                "#held-out pairs",
                "#time",
                "command",
            ],
        );
        for (name, record) in self.names.iter().zip(&self.records) {
            let seconds: f64 = record.stages.iter().map(|stage| stage.seconds).sum();
            table.row([
                name.as_str().into(),
                record.model.name.as_str().into(),
                record.data.train.file.as_str().into(),
                Cell::count(record.data.train.n_pairs),
                Cell::count(record.data.eval.as_ref().map_or(0, |eval| eval.n_pairs)),
                Cell::number(seconds, duration),
                record.command.as_str().into(),
            ]);
        }
        table.if_any()
    }

    /// The time of every stage.
    fn stages(&self) -> Option<Table> {
        let mut table = Table::new("stages", "Time by stage", &["stage"]);
        for name in &self.names {
            table.column(name.clone(), Align::Number);
        }
        for stage in in_order(self.records.iter().flat_map(|r| r.stages.iter().map(|s| &s.name))) {
            let mut cells: Vec<Cell> = vec![stage.as_str().into()];
            cells.extend(self.records.iter().map(|record| {
                let found = record.stages.iter().find(|one| one.name == *stage);
                Cell::number(found.map(|one| one.seconds), duration)
            }));
            table.row(cells);
        }
        table.if_any()
    }

    /// The settings that are not the same in all runs.
    fn settings(&self) -> Option<Table> {
        let mut table =
            Table::new("settings", "Settings that are not the same in all runs", &["setting"]);
        for name in &self.names {
            table.column(name.clone(), Align::Text);
        }
        for key in in_order(self.records.iter().flat_map(|r| r.settings.iter().map(|s| &s.key))) {
            let values: Vec<&str> = self
                .records
                .iter()
                .map(|record| {
                    let found = record.settings.iter().find(|setting| setting.key == *key);
                    found.map_or(ABSENT, |setting| setting.value.as_str())
                })
                .collect();
            if values.iter().any(|value| *value != values[0]) {
                let name = std::iter::once(Cell::from(key.as_str()));
                table.row(name.chain(values.into_iter().map(Cell::from)).collect::<Vec<_>>());
            }
        }
        table.if_any()
    }
}

/// The names, each once, in the order of their first appearance.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

fn pair(item: &ItemRecord) -> PreferencePair {
    PreferencePair {
        id: item.pair_id.clone(),
        prompt: item.prompt.clone(),
        chosen: item.chosen.clone(),
        rejected: item.rejected.clone(),
        margin: None,
        domain: item.domain.clone(),
        subset: None,
    }
}

/// Every contestant of every run, with its numbers on these items.
fn contestants(names: &[String], records: &[RunRecord], items: &[ItemRecord]) -> Vec<Contestant> {
    let mut found = Vec::new();
    for (name, record) in names.iter().zip(records) {
        for result in &record.contestants {
            let full = format!("{name}: {}", result.name);
            let mut predictions = BTreeMap::new();
            for item in items {
                let Some(both) = item.rewards.get(&full) else { continue };
                for (side, reward) in Side::BOTH.into_iter().zip(both) {
                    predictions.insert((item.pair_id.clone(), side), *reward);
                }
            }
            let is_calibrated = record
                .diagnostics
                .iter()
                .any(|found| found.name == result.name && found.calibration.is_some());
            found.push(Contestant {
                name: full,
                family: name.clone(),
                n_critiques: result.n_critiques,
                scale: if is_calibrated {
                    PredictionScale::LogOdds
                } else {
                    PredictionScale::Ordinal
                },
                predictions,
            });
        }
    }
    found
}

/// The contestants that the runs are about, each against each.
fn tests(
    names: &[String],
    records: &[RunRecord],
    contestants: &[Contestant],
    pairs: &[PreferencePair],
    seed: SeedTree,
) -> Result<Vec<CorrectedComparison>, ReportError> {
    let mains: Vec<&Contestant> = names
        .iter()
        .zip(records)
        .filter_map(|(name, record)| {
            let full = format!("{name}: {}", record.main.as_ref()?);
            contestants.iter().find(|one| one.name == full && !one.predictions.is_empty())
        })
        .collect();
    let mut matches = Vec::new();
    for (i, one) in mains.iter().enumerate() {
        matches.extend(mains[i + 1..].iter().map(|other| (*one, *other)));
    }
    Ok(compare_matches(&matches, pairs, TieRule::Wrong, &Bootstrap::new(seed))?)
}

/// What a reader must not miss.
fn notes(names: &[String], records: &[RunRecord], n_common: usize) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, record) in names.iter().zip(records) {
        let n = record.items.len();
        if n > n_common {
            notes.push(format!("{} of the {} pairs that {name} scored were not scored by all runs, or are other pairs there; they are left out.", size(n - n_common), size(n)));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
