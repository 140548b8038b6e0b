use super::{Scene, cut, note};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of a step's name.
const LABEL: usize = 34;

/// How many pairs and critiques each step left.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let (steps, palette) = (&scene.state.funnel, scene.palette);
    if steps.is_empty() {
        return note(frame, area, scene, "No critique has been filtered yet.");
    }
    let label = LABEL.min((area.width as usize).saturating_sub(18));
    let room = (area.width as usize).saturating_sub(label + 20).min(50);
    let most = steps.iter().filter_map(|step| step.n_critiques).max().unwrap_or(0).max(1);
    let head = format!("{:<label$}{:>7}{:>11}", "after", "pairs", "critiques");
    let mut lines = vec![Line::default(), Line::styled(head, palette.quiet())];
    for step in steps {
        let name = cut(&step.label, label - 1);
        let pad = " ".repeat(label.saturating_sub(Span::raw(name.as_str()).width()));
        let n = step.n_critiques.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let length = step.n_critiques.map_or(0, |n| (n * room).div_ceil(most));
        lines.push(Line::from(vec![
            Span::raw(format!("{name}{pad}{:>7}{n:>11}  ", step.n_pairs)),
            Span::styled("━".repeat(length), palette.live()),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
