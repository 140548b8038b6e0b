use crate::format::{ABSENT, count, duration, parameters, size};
use crate::table::{Cell, Table};
use crate::{RunRecord, SplitRecord, StageRecord};

/// Facts of a stage that have a column of their own.
const COUNTED: [&str; 2] = ["tokens", "tokens/s"];

/// Model and data.
pub(super) fn provenance(record: &RunRecord) -> Table {
    let mut table = Table::new("provenance", "Model and data", &["what", "value"]);
    let mut fact = |label: &str, value: String| table.row([label.into(), value.into()]);
    fact("model", record.model.name.clone());
    fact("weights from", record.model.source.clone());
    fact("digest of the weights", record.model.digest.clone().unwrap_or_else(|| ABSENT.to_owned()));
    let n_parameters = record.model.n_parameters;
    fact("parameters", format!("{} ({})", count(n_parameters), parameters(n_parameters)));
    let mut split = |label: &str, split: &SplitRecord| {
        fact(&format!("{label} file"), split.file.clone());
        fact(&format!("{label} pairs"), size(split.n_pairs));
        for (reason, &n) in &split.dropped {
            fact(&format!("{label} rows left out: {reason}"), size(n));
        }
    };
    split("training", &record.data.train);
    if let Some(eval) = &record.data.eval {
        split("held-out", eval);
    }
    table
}

/// What was done, and what it cost.
pub(super) fn stages(stages: &[StageRecord]) -> Option<Table> {
    let mut table = Table::new(
        "stages",
        "Stages and their cost",
        &["stage", "#time", "#tokens", "#tokens/s", "result", "resumed"],
    );
    for stage in stages {
        let counted = COUNTED.map(|label| {
            let fact = stage.summary.iter().find(|fact| fact.label == label);
            let value = fact.and_then(|fact| fact.value.replace(',', "").parse().ok());
            Cell::number(value, |value: f64| size(value.round() as usize))
        });
        let facts: Vec<String> = stage
            .summary
            .iter()
            .filter(|fact| !COUNTED.contains(&fact.label.as_str()))
            .map(|fact| format!("{}: {}", fact.label, fact.value))
            .collect();
        let [tokens, rate] = counted;
        table.row([
            stage.name.as_str().into(),
            Cell::number(stage.seconds, duration),
            tokens,
            rate,
            facts.join(" · ").into(),
            if stage.resumed { "yes" } else { "no" }.into(),
        ]);
    }
    table.if_any()
}

/// Every resolved setting.
pub(super) fn settings(record: &RunRecord) -> Option<Table> {
    let mut table =
        Table::new("settings", "Settings and who set them", &["setting", "value", "origin"]);
    for setting in &record.settings {
        table.row([
            setting.key.as_str().into(),
            setting.value.as_str().into(),
            setting.origin.as_str().into(),
        ]);
    }
    table.if_any()
}
