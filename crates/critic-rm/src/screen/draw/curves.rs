use super::super::state::{Curve, Training};
use super::{Scene, note};
use crate::memory::gigabytes;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

/// The least rows and columns of a curve among others.
const LEAST: (u16, u16) = (34, 5);

/// Columns of the values at an axis.
const LABEL: usize = 7;

/// The numbers of the last step, and how they came about.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let training = &scene.state.training;
    if training.last().is_none() {
        return note(frame, area, scene, "No step has been trained yet.");
    }
    let [top, area] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(facts(training, scene), top);
    let columns = (area.width / LEAST.0).min(2);
    let rows = Curve::ALL.len() as u16 / columns.max(1);
    match scene.view.curve {
        None if columns > 0 && area.height >= rows * LEAST.1 => grid(frame, area, columns, scene),
        chosen => one(frame, area, &Curve::ALL[chosen.unwrap_or(0) % Curve::ALL.len()], scene),
    }
}

fn facts(training: &Training, scene: Scene<'_>) -> Line<'static> {
    let mut words = vec![training.name.clone()];
    if let Some(last) = training.last() {
        words.push(format!("step {} of {}", last.step + 1, training.n_steps));
        words.push(format!("epoch {}", last.epoch + 1));
    }
    words.push(format!("{:.0} tokens/s", training.tokens_per_second()));
    words.extend(training.peak_bytes.map(|bytes| format!("peak {}", gigabytes(bytes))));
    Line::styled(words.join(" · "), scene.palette.quiet())
}

/// All curves side by side.
fn grid(frame: &mut Frame<'_>, area: Rect, columns: u16, scene: Scene<'_>) {
    let n_rows = Curve::ALL.len() / columns as usize;
    let rows = Layout::vertical(vec![Constraint::Fill(1); n_rows]).split(area);
    for (row, curves) in rows.iter().zip(Curve::ALL.chunks(columns as usize)) {
        let cells =
            Layout::horizontal(vec![Constraint::Fill(1); columns as usize]).spacing(3).split(*row);
        for (cell, curve) in cells.iter().zip(curves) {
            draw_curve(frame, *cell, curve, scene);
        }
    }
}

/// One curve, and the last values of the others where there is room.
fn one(frame: &mut Frame<'_>, area: Rect, shown: &Curve, scene: Scene<'_>) {
    let training = &scene.state.training;
    let with_others = area.height >= 6;
    let n_others = u16::from(with_others) * 2;
    let [chart, others] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(n_others)]).areas(area);
    draw_curve(frame, chart, shown, scene);
    let others_of = |curves: &[Curve]| {
        let value = |curve: &Curve| {
            let last = training.points(curve).last().map(|(_, value)| curve.text(*value));
            format!("{} {}", curve.title, last.unwrap_or_else(|| "–".to_owned()))
        };
        Line::styled(
            curves.iter().map(value).collect::<Vec<_>>().join(" · "),
            scene.palette.quiet(),
        )
    };
    let (first, second) = Curve::ALL.split_at(3);
    frame.render_widget(Paragraph::new(vec![others_of(first), others_of(second)]), others);
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, curve: &Curve, scene: Scene<'_>) {
    let (training, palette) = (&scene.state.training, scene.palette);
    let [title, area] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let (points, held_out) = (training.points(curve), training.held_out(curve));
    let mut spans =
        vec![Span::styled(curve.title, palette.strong()), Span::raw(" "), Span::raw(curve.unit)];
    spans.extend(
        points
            .last()
            .map(|(_, value)| Span::styled(format!("  {}", curve.text(*value)), palette.live())),
    );
    spans.extend(held_out.last().map(|(_, value)| {
        Span::styled(format!("  • held out {}", curve.text(*value)), palette.warn())
    }));
    frame.render_widget(Line::from(spans), title);
    if points.is_empty() {
        return note(frame, area, scene, "not part of this training so far");
    }
    let [low, high] = curve.range.unwrap_or_else(|| extremes(&points, &held_out));
    let label = |value: f64| format!("{:>LABEL$}", curve.text(value));
    let labels = match area.height {
        ..4 => vec![label(low), label(high)],
        _ => vec![label(low), label(0.5 * (low + high)), label(high)],
    };
    let points = thinned(&points, 4 * area.width as usize);
    let line = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(palette.live())
        .data(&points);
    let dots = Dataset::default()
        .marker(Marker::Dot)
        .graph_type(GraphType::Scatter)
        .style(palette.warn())
        .data(&held_out);
    let last = (training.n_steps.max(2)) as f64;
    let chart = Chart::new(vec![line, dots])
        .x_axis(Axis::default().bounds([1.0, last]).style(palette.quiet()))
        .y_axis(Axis::default().bounds([low, high]).labels(labels).style(palette.quiet()))
        .style(Style::new())
        .legend_position(None);
    frame.render_widget(chart, area);
}

/// The least and the largest value; some room about a value that never changes.
fn extremes(points: &[(f64, f64)], held_out: &[(f64, f64)]) -> [f64; 2] {
    let values = || points.iter().chain(held_out).map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    if high - low > 1e-9 * high.abs() {
        return [low, high];
    }
    let room = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
    [low - room, high + room]
}

/// At most about `most` points, each the mean of its neighbours'.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(most.max(1)).max(1);
    let mean = |some: &[(f64, f64)]| {
        let n = some.len() as f64;
        (some.iter().map(|p| p.0).sum::<f64>() / n, some.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(each).map(mean).collect()
}
