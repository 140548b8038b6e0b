use super::{Scene, cut};
use crate::progress::duration;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of a stage's name.
const NAME: usize = 20;

/// Columns of how long it took.
const TIME: usize = 12;

/// The stages, the running one in view: a line each, and what came of them beside or below.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let (list, running) = (&scene.state.stages.list, scene.state.stages.running());
    let height = area.height as usize;
    let beside = (area.width as usize).checked_sub(2 + NAME + TIME + 2).filter(|room| *room > 10);
    let below = beside.is_none() && 2 * list.len() <= height;
    let n_shown = height / if below { 2 } else { 1 };
    let last = list.len().saturating_sub(n_shown);
    let first = running.saturating_sub(n_shown / 2).min(last);
    let mut lines = Vec::new();
    for (place, stage) in list.iter().enumerate().skip(first).take(n_shown) {
        let palette = scene.palette;
        let (mark, style) = match &stage.outcome {
            Some(_) => (Span::styled("✓ ", palette.good()), palette.strong()),
            None if place == running => {
                (Span::styled("▸ ", palette.live()), palette.live().patch(palette.strong()))
            }
            // Passed over: it had nothing to do.
            None if place < running => (Span::raw("– "), palette.quiet()),
            None => (Span::styled("· ", palette.quiet()), palette.quiet()),
        };
        let (time, result) = match (&stage.outcome, stage.expected) {
            (Some((seconds, result)), _) => (duration(*seconds), result.as_str()),
            (None, Some(expected)) if expected >= 1.0 => (format!("~ {}", duration(expected)), ""),
            _ => (String::new(), ""),
        };
        let name = cut(&stage.name, NAME);
        let pad = " ".repeat(NAME.saturating_sub(Span::raw(name.as_str()).width()));
        let mut spans = vec![mark, Span::styled(name, style), Span::raw(pad)];
        spans.push(Span::styled(format!("{time:>TIME$}"), palette.quiet()));
        if let Some(room) = beside {
            spans.push(Span::raw(format!("  {}", cut(result, room))));
        }
        lines.push(Line::from(spans));
        if below {
            let room = (area.width as usize).saturating_sub(2);
            lines.push(Line::styled(format!("  {}", cut(result, room)), palette.quiet()));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}
