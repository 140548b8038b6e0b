//! Everyone on every bench in one table, each by the number that the bench is known by.

use super::BenchResult;
use super::tables::{cell, in_percent};

/// The first numbers of several benches.
#[derive(Debug, PartialEq)]
pub(super) struct Overview {
    benches: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq)]
struct Row {
    contestant: String,
    values: Vec<Option<f64>>,
    /// Over the benches, each counted once; for who has a number on all of them.
    mean: Option<f64>,
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
            let value = |result: &BenchResult| {
                result.numbers.iter().find(|numbers| numbers.contestant == *name)?.parts[0].value
            };
            let values: Vec<Option<f64>> = results.iter().map(value).collect();
            let sum: Option<f64> = values.iter().copied().sum();
            let mean = sum.map(|sum| sum / values.len() as f64);
            Row { contestant: (*name).to_owned(), values, mean }
        };
        let rows = names.iter().map(row).collect();
        Some(Self { benches: results.iter().map(|result| result.bench.clone()).collect(), rows })
    }

    /// In percent, as Markdown.
    pub(super) fn markdown(&self) -> String {
        let head: Vec<String> = self.benches.iter().map(|name| cell(name)).collect();
        let mut out = format!(
            "\n## All benches\n\nThe first number of each; the mean counts every bench once.\n\n| contestant | {} | mean |\n|{}\n",
            head.join(" | "),
            "---|".repeat(head.len() + 2)
        );
        for Row { contestant, values, mean } in &self.rows {
            let values: Vec<String> = values.iter().copied().map(in_percent).collect();
            out += &format!(
                "| {} | {} | {} |\n",
                cell(contestant),
                values.join(" | "),
                in_percent(*mean)
            );
        }
        out
    }

    /// In percent, a line for each contestant; benches under their numbers where they do not fit a column.
    pub(super) fn terminal(&self) -> String {
        let width = self.rows.iter().map(|row| row.contestant.chars().count()).max().unwrap_or(0);
        let width = width.max("contestant".len());
        let mut out = String::from("\nAll benches, the first number of each\n");
        let columns = self.benches.iter().enumerate().map(|(i, _)| format!("{:>6}", i + 1));
        out += &format!("{:<width$}{}   mean", "contestant", columns.collect::<String>());
        for Row { contestant, values, mean } in &self.rows {
            let values: String =
                values.iter().map(|value| format!("{:>6}", in_percent(*value))).collect();
            out += &format!("\n{contestant:<width$}{values}{:>7}", in_percent(*mean));
        }
        let names: Vec<String> =
            self.benches.iter().enumerate().map(|(i, name)| format!("{} {name}", i + 1)).collect();
        out + "\n" + &names.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::{Number, Numbers};
    use super::*;
    use critic_eval::benches::Arithmetic;
    use std::collections::BTreeMap;

    fn result(bench: &str, numbers: &[(&str, Option<f64>)]) -> BenchResult {
        let numbers = numbers.iter().map(|&(name, value)| Numbers {
            contestant: name.to_owned(),
            parts: vec![Number { name: "accuracy".to_owned(), value, interval: None, n: None }],
            n_items: 4,
            n_missing: 0,
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
            "| contestant | a\\|b | c | mean |",
            "| ours | 50.0 | 100.0 | 75.0 |",
            "| judge | 25.0 | – | – |",
            "| length | – | 0.0 | – |",
        ] {
            assert!(page.contains(line), "{page}");
        }
        let lines = overview.terminal();
        assert!(lines.contains("ours        50.0 100.0   75.0"), "{lines}");
        assert!(lines.ends_with("1 a|b · 2 c"), "{lines}");
    }

    #[test]
    fn one_bench_needs_no_overview() {
        assert_eq!(Overview::of(&[result("a", &[("ours", Some(0.5))])]), None);
    }
}
