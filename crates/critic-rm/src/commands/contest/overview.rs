//! Everyone on every bench in one table, each by the number that the bench is known by.

use super::BenchResult;
use super::numbers::Numbers;
use super::tables::{between, cell, in_percent};
use critic_eval::benches::interval_of_mean;

/// The first numbers of several benches.
#[derive(Debug, PartialEq)]
pub(super) struct Overview {
    benches: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq)]
struct Row {
    contestant: String,
    values: Vec<Option<First>>,
    /// Over the benches, each counted once; for who lacks no item of any.
    mean: Option<f64>,
    /// Of the mean, at 95 %; where every bench has one.
    interval: Option<(f64, f64)>,
}

/// The first number of a bench.
#[derive(Debug, Clone, Copy, PartialEq)]
struct First {
    value: f64,
    interval: Option<(f64, f64)>,
    n_scored: usize,
    n_items: usize,
}

impl First {
    fn of(numbers: &Numbers) -> Option<Self> {
        let Numbers { n_items, n_missing, .. } = *numbers;
        let number = &numbers.parts[0];
        let (value, interval) = (number.value?, number.interval);
        Some(Self { value, interval, n_scored: n_items - n_missing, n_items })
    }

    fn is_of_all(self) -> bool {
        self.n_scored == self.n_items
    }
}

impl Overview {
    /// Of two benches or more; contestants in the order in which they first appear.
    pub(super) fn of(results: &[BenchResult]) -> Option<Self> {
        if results.len() < 2 {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        for numbers in results.iter().flat_map(|result| &result.numbers) {
            if !names.contains(&numbers.contestant.as_str()) {
                names.push(&numbers.contestant);
            }
        }
        let row = |name: &&str| {
            let first = |result: &BenchResult| {
                let mut all = result.numbers.iter();
                First::of(all.find(|numbers| numbers.contestant == *name)?)
            };
            let values: Vec<Option<First>> = results.iter().map(first).collect();
            let of_all = |value: &Option<First>| value.filter(|first| first.is_of_all());
            let whole: Option<Vec<First>> = values.iter().map(of_all).collect();
            let mean = whole.as_ref().map(|whole| {
                whole.iter().map(|first| first.value).sum::<f64>() / whole.len() as f64
            });
            let interval = whole.and_then(|whole| {
                let numbers = whole.iter().map(|first| Some((first.value, first.interval?)));
                interval_of_mean(&numbers.collect::<Option<Vec<_>>>()?)
            });
            Row { contestant: (*name).to_owned(), values, mean, interval }
        };
        let rows = names.iter().map(row).collect();
        Some(Self { benches: results.iter().map(|result| result.bench.clone()).collect(), rows })
    }

    /// In percent, as Markdown.
    pub(super) fn markdown(&self) -> String {
        let head: Vec<String> = self.benches.iter().map(|name| cell(name)).collect();
        let mut out = format!(
            "\n## All benches\n\nThe first number of each, with the items it is of where some are missing; the mean counts every bench once, and its interval holds where they share no prompts.\n\n| contestant | {} | mean | 95 % interval |\n|{}\n",
            head.join(" | "),
            "---|".repeat(head.len() + 3)
        );
        for Row { contestant, values, mean, interval } in &self.rows {
            let told = |first: &Option<First>| {
                let number = in_percent(first.map(|first| first.value));
                let missing = first.filter(|first| !first.is_of_all());
                missing.map_or(number.clone(), |First { n_scored, n_items, .. }| {
                    format!("{number} ({n_scored} of {n_items})")
                })
            };
            let values: Vec<String> = values.iter().map(told).collect();
            out += &format!(
                "| {} | {} | {} | {} |\n",
                cell(contestant),
                values.join(" | "),
                in_percent(*mean),
                between(*interval)
            );
        }
        out
    }

    /// In percent, a line for each contestant; the benches stand below under their numbers.
    pub(super) fn terminal(&self) -> String {
        let width = self.rows.iter().map(|row| row.contestant.chars().count()).max().unwrap_or(0);
        let width = width.max("contestant".len());
        let mut has_missing = false;
        let mut out = String::from("\nAll benches, the first number of each\n");
        let columns = self.benches.iter().enumerate().map(|(i, _)| format!("{:>7}", i + 1));
        out += &format!(
            "{:<width$}{}   mean  95 % interval",
            "contestant",
            columns.collect::<String>()
        );
        for Row { contestant, values, mean, interval } in &self.rows {
            let told = |first: &Option<First>| {
                let mark = if first.is_none_or(First::is_of_all) { "" } else { "*" };
                format!("{:>7}", in_percent(first.map(|first| first.value)) + mark)
            };
            let values: String = values.iter().map(told).collect();
            has_missing |= values.contains('*');
            let line = format!(
                "{contestant:<width$}{values}{:>7}  {:>13}",
                in_percent(*mean),
                between(*interval)
            );
            out.push('\n');
            out += line.trim_end();
        }
        let names: Vec<String> =
            self.benches.iter().enumerate().map(|(i, name)| format!("{} {name}", i + 1)).collect();
        out += &format!("\n{}", names.join(" · "));
        if has_missing {
            out += "\n* some items are missing";
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::Number;
    use super::*;
    use critic_eval::benches::Arithmetic;
    use std::collections::BTreeMap;

    fn result(bench: &str, numbers: &[(&str, Option<f64>)]) -> BenchResult {
        let numbers = numbers.iter().map(|&(name, value)| Numbers {
            contestant: name.to_owned(),
            parts: vec![Number {
                name: "accuracy".to_owned(),
                value,
                interval: value.map(|value| (value - 0.1, value)).filter(|_| name == "ours"),
                n: None,
            }],
            n_items: 4,
            n_missing: usize::from(name == "judge"),
            detail: serde_json::Value::Null,
        });
        BenchResult {
            bench: bench.to_owned(),
            title: bench.to_owned(),
            arithmetic: Arithmetic::Pairs,
            numbers: numbers.collect(),
            comparisons: vec![],
            diagnostics: vec![],
            critiques: BTreeMap::new(),
            corrections: BTreeMap::new(),
            notes: vec![],
        }
    }

    #[test]
    fn a_mean_is_of_who_has_a_number_on_every_bench() {
        let one = result("a|b", &[("ours", Some(0.5)), ("judge", Some(0.25))]);
        let two = result("c", &[("ours", Some(1.0)), ("judge", None), ("length", Some(0.0))]);
        let overview = Overview::of(&[one, two]).unwrap();
        let page = overview.markdown();
        for line in [
            "| contestant | a\\|b | c | mean | 95 % interval |",
            "| ours | 50.0 | 100.0 | 75.0 | 67.9 – 75.0 |",
            "| judge | 25.0 (3 of 4) | – | – |  |",
            "| length | – | 0.0 | – |  |",
        ] {
            assert!(page.contains(line), "{page}");
        }
        let lines = overview.terminal();
        assert!(lines.contains("ours         50.0  100.0   75.0    67.9 – 75.0"), "{lines}");
        assert!(lines.contains("judge       25.0*      –      –"), "{lines}");
        assert!(lines.ends_with("1 a|b · 2 c\n* some items are missing"), "{lines}");
    }

    #[test]
    fn one_bench_needs_no_overview() {
        assert_eq!(Overview::of(&[result("a", &[("ours", Some(0.5))])]), None);
    }
}
