use crate::format::{ABSENT, number, optional, percent};
use crate::table::{Cell, Table};
use crate::{StepPoint, TrainingCurve};

/// How each training ended.
pub(super) fn summary(training: &[TrainingCurve]) -> Option<Table> {
    let mut table = Table::new(
        "training",
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
    for curve in training {
        let arrow = |pick: &dyn Fn(&StepPoint) -> Option<f64>, write: fn(f64) -> String| {
            let (first, last) = ends(curve, pick);
            match (first, last) {
                (None, None) => ABSENT.to_owned(),
                _ => format!("{} → {}", optional(first, write), optional(last, write)),
            }
        };
        table.row([
            curve.name.as_str().into(),
            Cell::count(curve.steps.len()),
            arrow(&|step| step.critique_loss, number).into(),
            arrow(&|step| step.preference_loss, number).into(),
            arrow(&|step| Some(step.joint_loss), number).into(),
            arrow(&|step| step.accuracy, percent).into(),
        ]);
    }
    table.if_any()
}

/// What held-out pairs said on the way.
pub(super) fn held_out(training: &[TrainingCurve]) -> Option<Table> {
    let mut table = Table::new(
        "held-out",
        "Held-out pairs during training",
        &[
            "training",
            "set",
            "#step",
            "#preference loss (nats/pair)",
            "#critique loss (nats/token)",
            "#accuracy",
        ],
    );
    for curve in training {
        for point in &curve.held_out {
            table.row([
                curve.name.as_str().into(),
                point.set.as_str().into(),
                Cell::count(point.step),
                Cell::number(point.preference_loss, number),
                Cell::number(point.critique_loss, number),
                Cell::percent(point.accuracy),
            ]);
        }
    }
    table.if_any()
}

/// Every step of every training.
pub(super) fn steps(training: &[TrainingCurve]) -> Option<Table> {
    let mut table = Table::new(
        "steps",
        "Every optimizer step",
        &[
            "training",
            "#step",
            "#critique weight",
            "#critique loss",
            "#preference loss",
            "#joint loss",
            "#accuracy",
            "#learning rate",
            "#gradient norm",
        ],
    );
    for curve in training {
        for step in &curve.steps {
            table.row([
                curve.name.as_str().into(),
                Cell::count(step.step),
                Cell::number(step.critique_weight, number),
                Cell::number(step.critique_loss, number),
                Cell::number(step.preference_loss, number),
                Cell::number(step.joint_loss, number),
                Cell::number(step.accuracy, number),
                Cell::number(step.learning_rate, number),
                Cell::number(step.grad_norm, number),
            ]);
        }
    }
    table.if_any()
}

/// Means over the first and the last tenth of the steps that have the value.
fn ends(
    curve: &TrainingCurve,
    pick: &dyn Fn(&StepPoint) -> Option<f64>,
) -> (Option<f64>, Option<f64>) {
    let values: Vec<f64> = curve.steps.iter().filter_map(pick).collect();
    let tenth = values.len().div_ceil(10);
    let mean = |part: &[f64]| critic_stats::mean_std(part).ok().map(|spread| spread.mean);
    (mean(&values[..tenth]), mean(&values[values.len() - tenth..]))
}
