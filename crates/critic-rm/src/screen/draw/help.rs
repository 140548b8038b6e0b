use super::Scene;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

const KEYS: [(&str, &str); 7] = [
    ("q, ^C", "stop, all is kept; again: now"),
    ("tab", "next pane"),
    ("← →", "another curve or critique"),
    ("↑ ↓", "scroll a long critique"),
    ("esc", "follow the work again"),
    ("p", "freeze the view, not the work"),
    ("?", "close this"),
];

/// What the keys do.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let line = |(key, does): (&'static str, &'static str)| {
        let key = Span::styled(format!("{key:<8}"), scene.palette.strong());
        Line::from(vec![key, Span::raw(does)])
    };
    frame.render_widget(Paragraph::new(KEYS.map(line).to_vec()), area);
}
