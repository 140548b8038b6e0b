use super::Scene;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// The last lines of the log that there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let log = &scene.state.log;
    let first = log.len().saturating_sub(area.height as usize);
    let lines: Vec<Line<'_>> = log
        .iter()
        .skip(first)
        .map(|line| {
            let style = if line.is_warning { scene.palette.warn() } else { scene.palette.quiet() };
            Line::styled(super::cut(&line.text, area.width as usize), style)
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}
