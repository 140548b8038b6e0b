use super::Figure;
use super::axis::{Axis, plottable};
use super::canvas::{Anchor, draw};
use super::palette::Series;
use crate::{HeldOutPoint, ReportError, StepPoint, TrainingCurve};

/// A figure has at most this many points a line; more are averaged in equal parts.
const MAX_POINTS: usize = 400;
/// A line with more points than this is drawn faint, under its moving average.
const SMOOTH_FROM: usize = 40;

/// One line: its name, its value at a step, and which look it has.
struct Line {
    name: &'static str,
    value: fn(&StepPoint) -> Option<f64>,
    look: usize,
}

/// What one figure shows.
struct Plan {
    title: &'static str,
    unit: &'static str,
    caption: &'static str,
    /// Drawn in at most this many CSS pixels.
    size: (u32, u32),
    /// The vertical axis holds these as well.
    holds: &'static [f64],
    /// Whether the values jump from step to step.
    noisy: bool,
    /// Whether a line that is zero throughout says nothing.
    hides_zero: bool,
    lines: &'static [Line],
    /// What held-out pairs said, drawn as points on a line.
    held_out: &'static [HeldOutLine],
}

/// One line of held-out pairs.
struct HeldOutLine {
    name: &'static str,
    value: fn(&HeldOutPoint) -> Option<f64>,
    look: usize,
}

const WIDE: (u32, u32) = (940, 320);
const HALF: (u32, u32) = (450, 220);

const PLANS: [Plan; 5] = [
    Plan {
        title: "Losses",
        unit: "nats",
        caption: "Critique loss in nats per token, preference loss in nats per pair, and the joint \
                  loss that was minimized. An undecided model has a preference loss of ln 2 = 0.693.",
        size: WIDE,
        holds: &[0.0],
        noisy: true,
        hides_zero: false,
        lines: &[
            Line { name: "critique loss", value: |step| step.critique_loss, look: 0 },
            Line { name: "preference loss", value: |step| step.preference_loss, look: 1 },
            Line { name: "joint loss", value: |step| Some(step.joint_loss), look: 2 },
        ],
        held_out: &[
            HeldOutLine { name: "critique loss", value: |point| point.critique_loss, look: 0 },
            HeldOutLine { name: "preference loss", value: |point| point.preference_loss, look: 1 },
        ],
    },
    Plan {
        title: "Critique weight λ(t)",
        unit: "λ",
        caption: "How much of the joint loss is the critique loss.",
        size: HALF,
        holds: &[0.0, 1.0],
        noisy: false,
        hides_zero: true,
        lines: &[Line { name: "λ(t)", value: |step| Some(step.critique_weight), look: 0 }],
        held_out: &[],
    },
    Plan {
        title: "Accuracy in training",
        unit: "accuracy, %",
        caption: "On each step's own pairs, before the step.",
        size: HALF,
        holds: &[0.0, 100.0],
        noisy: true,
        hides_zero: false,
        lines: &[Line {
            name: "accuracy",
            value: |step| step.accuracy.map(|a| 100.0 * a),
            look: 1,
        }],
        held_out: &[HeldOutLine {
            name: "accuracy",
            value: |point| point.accuracy.map(|a| 100.0 * a),
            look: 2,
        }],
    },
    Plan {
        title: "Learning rate",
        unit: "learning rate",
        caption: "Of the decoder.",
        size: HALF,
        holds: &[0.0],
        noisy: false,
        hides_zero: true,
        lines: &[Line { name: "learning rate", value: |step| Some(step.learning_rate), look: 2 }],
        held_out: &[],
    },
    Plan {
        title: "Gradient norm",
        unit: "norm",
        caption: "Over all trained parameters, before clipping.",
        size: HALF,
        holds: &[0.0],
        noisy: true,
        hides_zero: false,
        lines: &[Line { name: "gradient norm", value: |step| Some(step.grad_norm), look: 3 }],
        held_out: &[],
    },
];

/// The figures of one training; those that would say nothing are left out.
pub(crate) fn curve_figures(curve: &TrainingCurve) -> Result<Vec<Figure>, ReportError> {
    let mut figures = Vec::new();
    for plan in &PLANS {
        figures.extend(figure(plan, curve)?);
    }
    Ok(figures)
}

/// Steps and values of one line.
type Points = Vec<(f64, f64)>;

fn figure(plan: &Plan, curve: &TrainingCurve) -> Result<Option<Figure>, ReportError> {
    let mut lines: Vec<(&Line, Points)> = Vec::new();
    for line in plan.lines {
        let points = points(&curve.steps, line.value);
        let says_nothing = plan.hides_zero && points.iter().all(|&(_, value)| value == 0.0);
        // Without critiques the joint loss is the preference loss: one line tells it.
        let is_drawn = lines.iter().any(|(_, drawn)| *drawn == points);
        if !(points.is_empty() || says_nothing || is_drawn) {
            lines.push((line, points));
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let held_out = held_out(plan, curve);
    let (width, height) = (f64::from(plan.size.0), f64::from(plan.size.1));
    let (left, right, top, bottom) = (62.0, width - 14.0, 28.0, height - 48.0);
    let drawn = || lines.iter().map(|(_, points)| points).chain(held_out.iter().map(|h| &h.2));
    let values = drawn().flatten().map(|&(_, value)| value);
    let y = Axis::around(values.chain(plan.holds.iter().copied()), (bottom, top), 4);
    let steps = drawn().flatten().map(|&(step, _)| step);
    let x = Axis::within(steps.chain([0.0]), (left, right), if width > 500.0 { 9 } else { 5 });
    // A line that stands alone needs no dashes.
    let class = if plan.lines.len() > 1 { "lines" } else { "points" };
    let mut is_smoothed = false;
    let description = format!("{}, {}. {}", plan.title, curve.name, plan.caption);
    let svg = draw("training curve", class, &description, plan.size, |canvas| {
        x.draw_below(canvas, (top, bottom), "step")?;
        y.draw_left(canvas, (left, right))?;
        canvas.label(plan.unit, (6.0, 10.0), Anchor::Left)?;
        for (line, points) in &lines {
            let look = Series::lines(line.look);
            let pixels = |points: &Points| -> Points {
                points.iter().map(|&(step, value)| (x.at(step), y.at(value))).collect()
            };
            if plan.noisy && points.len() > SMOOTH_FROM {
                is_smoothed = true;
                canvas.line(&pixels(points), look.ink, 1.0, 0.25)?;
                canvas.line(&pixels(&smoothed(points, points.len() / 20)), look.ink, 2.25, 1.0)?;
            } else if let [alone] = pixels(points)[..] {
                canvas.marker(look.marker, alone, look.ink)?;
            } else {
                canvas.line(&pixels(points), look.ink, 2.25, 1.0)?;
            }
        }
        for (_, line, points) in &held_out {
            let look = Series::points(line.look);
            let points: Points =
                points.iter().map(|&(step, value)| (x.at(step), y.at(value))).collect();
            canvas.line(&points, look.ink, 1.5, 0.7)?;
            for point in points {
                canvas.marker(look.marker, point, look.ink)?;
            }
        }
        Ok(())
    })?;
    let mut caption = match (plan.lines.len(), lines.as_slice()) {
        (2.., [(alone, _)]) => format!("The {} alone, in {}.", alone.name, plan.unit),
        _ => plan.caption.to_owned(),
    };
    if !held_out.is_empty() {
        caption.push_str(" Points: pairs that training looks at and does not learn from.");
    }
    if is_smoothed {
        caption.push_str(" Faint: as measured; strong: smoothed over a tenth of the steps.");
    }
    let mut legend: Vec<(String, Series)> = Vec::new();
    if plan.lines.len() > 1 || !held_out.is_empty() {
        legend
            .extend(lines.iter().map(|(line, _)| (line.name.to_owned(), Series::lines(line.look))));
        legend.extend(
            held_out.iter().map(|(set, line, _)| {
                (format!("{} on {set}", line.name), Series::points(line.look))
            }),
        );
    }
    Ok(Some(Figure {
        title: plan.title.to_owned(),
        caption,
        is_wide: plan.size == WIDE,
        legend,
        svg,
    }))
}

/// The lines of each held-out set that has values.
fn held_out<'a>(
    plan: &Plan,
    curve: &'a TrainingCurve,
) -> Vec<(&'a str, &'static HeldOutLine, Points)> {
    let mut sets: Vec<&str> = curve.held_out.iter().map(|point| point.set.as_str()).collect();
    sets.sort_unstable();
    sets.dedup();
    let mut found = Vec::new();
    for set in sets {
        for line in plan.held_out {
            let points: Points = curve
                .held_out
                .iter()
                .filter(|point| point.set == set)
                .filter_map(|point| Some((point.step as f64, (line.value)(point)?)))
                .filter(|&(step, value)| plottable(step) && plottable(value))
                .collect();
            if !points.is_empty() {
                found.push((set, line, points));
            }
        }
    }
    found
}

/// The plottable values over their steps, averaged in equal parts where there are too many.
fn points(steps: &[StepPoint], value: fn(&StepPoint) -> Option<f64>) -> Points {
    let all: Points = steps
        .iter()
        .filter_map(|step| value(step).map(|value| (step.step as f64, value)))
        .filter(|&(step, value)| plottable(step) && plottable(value))
        .collect();
    let part = all.len().div_ceil(MAX_POINTS).max(1);
    all.chunks(part).map(mean_point).collect()
}

fn mean_point(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (steps, values) =
        points.iter().fold((0.0, 0.0), |(s, v), &(step, value)| (s + step, v + value));
    (steps / n, values / n)
}

/// At each point the line of least squares through the `window` points on either side, as far as there
/// are any: unlike a mean it does not bend at the ends.
fn smoothed(points: &Points, window: usize) -> Points {
    (0..points.len())
        .map(|i| {
            let around = &points[i.saturating_sub(window)..(i + window + 1).min(points.len())];
            let (step_mean, value_mean) = mean_point(around);
            let (mut covariance, mut variance) = (0.0, 0.0);
            for &(step, value) in around {
                covariance += (step - step_mean) * (value - value_mean);
                variance += (step - step_mean) * (step - step_mean);
            }
            let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
            (points[i].0, value_mean + slope * (points[i].0 - step_mean))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_are_averaged_and_none_is_lost() {
        let step = |i: usize| StepPoint {
            step: i + 1,
            critique_weight: 1.0,
            critique_loss: None,
            preference_loss: Some(f64::NAN),
            joint_loss: i as f64,
            accuracy: None,
            learning_rate: 1e-5,
            grad_norm: 1.0,
        };
        let steps: Vec<StepPoint> = (0..10_000).map(step).collect();
        let joint = points(&steps, |step| Some(step.joint_loss));
        assert_eq!(joint.len(), 400);
        let mean = joint.iter().map(|(_, value)| value).sum::<f64>() / 400.0;
        assert!((mean - 4999.5).abs() < 1e-9);
        assert!(points(&steps, |step| step.preference_loss).is_empty());
        let figures =
            curve_figures(&TrainingCurve { name: "x".to_owned(), steps, held_out: vec![] })
                .unwrap();
        let titles: Vec<&str> = figures.iter().map(|figure| figure.title.as_str()).collect();
        assert_eq!(titles, ["Losses", "Critique weight λ(t)", "Learning rate", "Gradient norm"]);
    }

    #[test]
    fn smoothing_keeps_a_straight_line_and_quiets_a_wobble() {
        let line: Points = (0..50).map(|i| (f64::from(i), 2.0 * f64::from(i))).collect();
        for (step, value) in smoothed(&line, 5) {
            assert!((value - 2.0 * step).abs() < 1e-9);
        }
        let wobble: Points = (0..50).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        assert!(smoothed(&wobble, 5).iter().all(|(_, value)| (value - 0.5).abs() < 0.35));
        assert_eq!(smoothed(&vec![(3.0, 1.0), (3.0, 2.0)], 5)[0], (3.0, 1.5));
    }

    #[test]
    fn a_single_step_is_a_point() {
        let steps = vec![StepPoint {
            step: 1,
            critique_weight: 0.5,
            critique_loss: Some(2.0),
            preference_loss: Some(0.7),
            joint_loss: 1.35,
            accuracy: Some(1.0),
            learning_rate: 1e-4,
            grad_norm: 3.0,
        }];
        let figures =
            curve_figures(&TrainingCurve { name: "x".to_owned(), steps, held_out: vec![] })
                .unwrap();
        assert_eq!(figures.len(), 5);
        assert!(figures[0].svg.0.contains("<circle"));
        assert!(
            curve_figures(&TrainingCurve { name: "x".to_owned(), steps: vec![], held_out: vec![] })
                .unwrap()
                .is_empty()
        );
    }
}
