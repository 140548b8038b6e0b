//! The tables of a run record; absent where the record has nothing to put in them.

use crate::format::{
    ABSENT, count, duration, number, optional, p_value, parameters, percent, percent_interval,
    points, points_interval, signed, size,
};
use crate::table::{Cell, Table};
use crate::{RunRecord, SplitRecord, TrainingCurve};
use critic_eval::{Accuracy, ContestantResult};

/// Tables that stand together under a heading.
pub(crate) struct Section {
    /// What an address in the page ends with.
    pub(crate) id: &'static str,
    /// The heading.
    pub(crate) heading: &'static str,
    /// Its tables; may be empty.
    pub(crate) tables: Vec<Table>,
}

/// All tables in the order of the report.
pub(crate) fn sections(record: &RunRecord) -> [Section; 5] {
    let section = |id, heading, tables: Vec<Option<Table>>| Section {
        id,
        heading,
        tables: tables.into_iter().flatten().collect(),
    };
    [
        section(
            "result",
            "Result",
            vec![contestants(record), comparisons(record), domains(record)],
        ),
        section("critiques", "Critiques", vec![funnel(record), score_agreement(record)]),
        section("training", "Training", vec![training(record)]),
        section("items", "Held-out pairs", vec![items(record)]),
        section("run", "The run", vec![Some(provenance(record)), stages(record), settings(record)]),
    ]
}

/// Who ranked how many held-out pairs right.
fn contestants(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        format!("Contestants on held-out pairs{}", tie_remark(&record.contestants)),
        &[
            "contestant",
            "#pairs",
            "#scored",
            "#missing",
            "#correct",
            "#ties",
            "#accuracy",
            "#interval",
            "#mean margin",
            "#nats per pair",
        ],
    );
    for result in &record.contestants {
        let [n_correct, n_ties] = correct_and_ties(result.accuracy.as_ref());
        let [accuracy, interval] = accuracy_cells(result.accuracy.as_ref());
        table.row([
            result.name.as_str().into(),
            size(result.n_pairs).into(),
            size(result.n_scored).into(),
            size(result.n_missing).into(),
            n_correct,
            n_ties,
            accuracy,
            interval,
            optional(result.mean_margin, |margin| signed(margin, 3)).into(),
            optional(result.mean_nll, number).into(),
        ]);
    }
    table.if_any()
}

/// Which contestants differ.
fn comparisons(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        "Paired comparisons: difference of accuracy in percentage points, bootstrap interval over \
         pairs, exact McNemar test",
        &[
            "first",
            "second",
            "#pairs",
            "#difference",
            "#interval",
            "#only first right",
            "#only second right",
            "#p",
        ],
    );
    for comparison in &record.comparisons {
        table.row([
            comparison.a.as_str().into(),
            comparison.b.as_str().into(),
            size(comparison.n_pairs).into(),
            points(comparison.difference).into(),
            points_interval(&comparison.interval).into(),
            size(comparison.n_only_a).into(),
            size(comparison.n_only_b).into(),
            p_value(comparison.mcnemar_p).into(),
        ]);
    }
    table.if_any()
}

/// The contestants in each domain.
fn domains(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        "By domain",
        &["domain", "contestant", "#pairs", "#scored", "#accuracy", "#interval"],
    );
    let mut rows: Vec<_> = record
        .contestants
        .iter()
        .flat_map(|result| result.by_domain.iter().map(move |domain| (domain, &result.name)))
        .collect();
    rows.sort_by_key(|(domain, _)| domain.domain.as_str());
    for (domain, name) in rows {
        let [accuracy, interval] = accuracy_cells(domain.accuracy.as_ref());
        table.row([
            domain.domain.as_str().into(),
            name.as_str().into(),
            size(domain.n_pairs).into(),
            size(domain.n_scored).into(),
            accuracy,
            interval,
        ]);
    }
    table.if_any()
}

/// What is left from the candidates to the training data.
fn funnel(record: &RunRecord) -> Option<Table> {
    let mut table =
        Table::new("From candidates to training data", &["step", "#pairs", "#critiques"]);
    let most_pairs = record.funnel.iter().map(|step| step.n_pairs).max().unwrap_or(0);
    let most_critiques =
        record.funnel.iter().filter_map(|step| step.n_critiques).max().unwrap_or(0);
    let bar = |n: usize, most: usize| Cell::with_bar(size(n), n as f64 / most.max(1) as f64);
    for step in &record.funnel {
        table.row([
            step.label.as_str().into(),
            bar(step.n_pairs, most_pairs),
            step.n_critiques.map_or_else(|| ABSENT.into(), |n| bar(n, most_critiques)),
        ]);
    }
    table.if_any()
}

/// How often the critiques' scores agree with the label.
fn score_agreement(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        "Critique scores against the label: chosen above rejected, by the mean over a response's critiques",
        &["score", "#pairs", "#with the score on both sides", "#ties", "#agreement", "#interval"],
    );
    for score in &record.score_agreement {
        let [accuracy, interval] = accuracy_cells(score.accuracy.as_ref());
        let [_, n_ties] = correct_and_ties(score.accuracy.as_ref());
        table.row([
            score.kind.as_str().into(),
            size(score.n_pairs).into(),
            size(score.accuracy.map_or(0, |accuracy| accuracy.n_scored())).into(),
            n_ties,
            accuracy,
            interval,
        ]);
    }
    table.if_any()
}

/// How each training ended.
fn training(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        "Mean over the first and the last tenth of the steps of each training",
        &[
            "training",
            "#steps",
            "#critique loss (nats/token)",
            "#preference loss (nats/pair)",
            "#joint loss",
            "#accuracy in training",
        ],
    );
    for curve in &record.training {
        let arrow = |pick: &dyn Fn(&crate::StepPoint) -> Option<f64>, write: fn(f64) -> String| {
            let (first, last) = ends(curve, pick);
            match (first, last) {
                (None, None) => ABSENT.to_owned(),
                _ => format!("{} → {}", optional(first, write), optional(last, write)),
            }
        };
        table.row([
            curve.name.as_str().into(),
            size(curve.steps.len()).into(),
            arrow(&|step| step.critique_loss, number).into(),
            arrow(&|step| step.preference_loss, number).into(),
            arrow(&|step| Some(step.joint_loss), number).into(),
            arrow(&|step| step.accuracy, percent).into(),
        ]);
    }
    table.if_any()
}

/// The pairs that are shown in full on the page.
fn items(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new(
        "Some held-out pairs",
        &["pair", "domain", "#reward of chosen", "#reward of rejected", "#margin", "ranked"],
    );
    for item in &record.items {
        let chosen = item.chosen_prediction.mean.value();
        let rejected = item.rejected_prediction.mean.value();
        table.row([
            item.pair_id.as_str().into(),
            item.domain.as_deref().unwrap_or(ABSENT).into(),
            signed(chosen, 3).into(),
            signed(rejected, 3).into(),
            signed(chosen - rejected, 3).into(),
            if item.correct { "right" } else { "wrong" }.into(),
        ]);
    }
    table.if_any()
}

/// Model and data.
fn provenance(record: &RunRecord) -> Table {
    let mut table = Table::new("Model and data", &["what", "value"]);
    let mut fact = |label: &str, value: String| table.row([label.into(), value.into()]);
    fact("model", record.model.name.clone());
    fact("weights from", record.model.source.clone());
    fact(
        "SHA-256 of the weights",
        record.model.digest.clone().unwrap_or_else(|| ABSENT.to_owned()),
    );
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

/// What was done.
fn stages(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new("Stages", &["stage", "#time", "result", "resumed"]);
    for stage in &record.stages {
        let facts: Vec<String> =
            stage.summary.iter().map(|fact| format!("{}: {}", fact.label, fact.value)).collect();
        table.row([
            stage.name.as_str().into(),
            duration(stage.seconds).into(),
            facts.join(" · ").into(),
            if stage.resumed { "yes" } else { "no" }.into(),
        ]);
    }
    table.if_any()
}

/// Every resolved setting.
fn settings(record: &RunRecord) -> Option<Table> {
    let mut table = Table::new("Settings and who set them", &["setting", "value", "origin"]);
    for setting in &record.settings {
        table.row([
            setting.key.as_str().into(),
            setting.value.as_str().into(),
            setting.origin.as_str().into(),
        ]);
    }
    table.if_any()
}

fn accuracy_cells(accuracy: Option<&Accuracy>) -> [Cell; 2] {
    match accuracy {
        Some(found) => {
            [percent(found.agreement.accuracy).into(), percent_interval(&found.interval).into()]
        }
        None => [ABSENT.into(), ABSENT.into()],
    }
}

fn correct_and_ties(accuracy: Option<&Accuracy>) -> [Cell; 2] {
    match accuracy {
        Some(found) => {
            [size(found.agreement.n_correct).into(), size(found.agreement.n_ties).into()]
        }
        None => [ABSENT.into(), ABSENT.into()],
    }
}

/// The rule for ties and the confidence, when all contestants share them.
fn tie_remark(results: &[ContestantResult]) -> String {
    let accuracies: Vec<&Accuracy> = results.iter().filter_map(|r| r.accuracy.as_ref()).collect();
    let Some(first) = accuracies.first() else { return String::new() };
    let (rule, confidence) = (first.agreement.tie_rule, first.interval.confidence);
    if accuracies
        .iter()
        .any(|a| a.agreement.tie_rule != rule || a.interval.confidence != confidence)
    {
        return String::new();
    }
    let ties = match rule {
        critic_stats::TieRule::Wrong => "a tie counts as wrong",
        critic_stats::TieRule::Half => "a tie counts half",
        critic_stats::TieRule::Exclude => "ties are left out",
    };
    format!(" ({}\u{a0}% Wilson intervals; {ties})", (confidence * 1000.0).round() / 10.0)
}

/// Means over the first and the last tenth of the steps that have the value.
fn ends(
    curve: &TrainingCurve,
    pick: &dyn Fn(&crate::StepPoint) -> Option<f64>,
) -> (Option<f64>, Option<f64>) {
    let values: Vec<f64> = curve.steps.iter().filter_map(pick).collect();
    let tenth = values.len().div_ceil(10);
    let mean = |part: &[f64]| critic_stats::mean_std(part).ok().map(|spread| spread.mean);
    (mean(&values[..tenth]), mean(&values[values.len() - tenth..]))
}

#[cfg(test)]
mod tests;
