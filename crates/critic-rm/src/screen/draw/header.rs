use super::{Scene, cut};
use crate::progress::duration;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// What runs, how far it is, how long it takes.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let width = area.width as usize;
    let mut lines = vec![title(scene, width), bar(scene, width)];
    if area.height > 2 {
        lines.push(times(scene));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Folder and model on the left, the stage's number on the right.
fn title(scene: Scene<'_>, width: usize) -> Line<'static> {
    let Scene { state, palette, .. } = scene;
    let (n, running) = (state.stages.list.len(), state.stages.running());
    let place = match n {
        0 => String::new(),
        _ if running == n => format!("all {n} stages done"),
        _ => format!("stage {} of {n}", running + 1),
    };
    let room = width.saturating_sub("critic-rm  ".len() + place.len() + 2);
    let model = if state.model.is_empty() { "opening" } else { &state.model };
    let name = cut(&format!("{} · {model}", state.folder), room);
    let gap = " ".repeat(room.saturating_sub(Span::raw(name.as_str()).width()) + 2);
    Line::from(vec![
        Span::styled("critic-rm  ", palette.strong()),
        Span::raw(name),
        Span::raw(gap),
        Span::styled(place, palette.quiet()),
    ])
}

/// What is counted, as a bar.
fn bar(scene: Scene<'_>, width: usize) -> Line<'static> {
    let Scene { state, palette, .. } = scene;
    let Some(work) = &state.stages.work else {
        let stage = state.stages.list.get(state.stages.running());
        let doing = stage.map_or_else(|| "…".to_owned(), |stage| format!("{} …", stage.name));
        return Line::styled(cut(&doing, width), palette.live());
    };
    let count = format!("{}/{}", work.done, work.total);
    let name = cut(&work.name, width.saturating_sub(count.len() + 14).min(28));
    let room = width.saturating_sub(Span::raw(name.as_str()).width() + count.len() + 4).min(60);
    let share = work.done as f64 / work.total.max(1) as f64;
    let full = ((share * room as f64).floor() as usize).min(room);
    Line::from(vec![
        Span::styled(name, palette.live()),
        Span::raw("  "),
        Span::styled("━".repeat(full), palette.live()),
        Span::styled("─".repeat(room - full), palette.quiet()),
        Span::raw("  "),
        Span::raw(count),
    ])
}

/// What was taken and what is left.
fn times(scene: Scene<'_>) -> Line<'static> {
    let Scene { state, palette, now, .. } = scene;
    let mut words = vec![format!("{} so far", duration(now.as_secs_f64()))];
    let stage = state.stages.work.as_ref().and_then(|work| work.left(now));
    let stage = stage.map(|left| format!("{} of the stage", duration(left)));
    let run = state.stages.left(now).map(|left| format!("{} of the run", duration(left)));
    let left: Vec<String> = stage.into_iter().chain(run).collect();
    words.extend((!left.is_empty()).then(|| format!("left: about {}", left.join(", "))));
    Line::styled(words.join(" · "), palette.quiet())
}
