use super::{Scene, cut, note};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of a model's name.
const NAME: usize = 22;

/// How often each model ranks held-out pairs as their labels do, so far.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let (scores, palette) = (&scene.state.scores, scene.palette);
    if scores.is_empty() {
        return note(frame, area, scene, "No held-out pair has been scored yet.");
    }
    let room = (area.width as usize).saturating_sub(NAME + 32).min(40);
    let head = format!("{:<NAME$}{:>4}{:>10}{:>12}", "model", "m", "accuracy", "right/n");
    let mut lines = vec![Line::default(), Line::styled(head, palette.quiet())];
    for model in scores {
        for (place, at) in model.by_count.iter().enumerate() {
            let name = if place == 0 { cut(&model.name, NAME - 1) } else { String::new() };
            let share = at.n_right as f64 / at.n_pairs.max(1) as f64;
            let percent = match at.n_pairs {
                0 => "–".to_owned(),
                _ => format!("{:.1} %", 100.0 * share),
            };
            let counts = format!("{}/{}", at.n_right, at.n_pairs);
            let full = (share * room as f64).round() as usize;
            lines.push(Line::from(vec![
                Span::raw(format!("{name:<NAME$}{:>4}{percent:>10}{counts:>12}  ", at.m)),
                Span::styled("━".repeat(full), palette.live()),
                Span::styled("─".repeat(room - full), palette.quiet()),
            ]));
        }
    }
    let about = "m is the number of critiques whose rewards are averaged; a tie is wrong.";
    lines.extend([Line::default(), Line::styled(about, palette.quiet())]);
    frame.render_widget(Paragraph::new(lines), area);
}
