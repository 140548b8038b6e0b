//! One frame of the screen, from what is known and what was chosen.

mod critiques;
mod curves;
mod funnel;
mod header;
mod help;
mod log;
mod scores;
mod stages;

use super::palette::Palette;
use super::state::{Pane, State};
use super::view::View;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use std::time::Duration;

/// The least that the screen can be read on.
const LEAST: (u16, u16) = (40, 10);

/// From this width on, stages stand beside the pane.
const WIDE: u16 = 100;

/// Below this height there is no room for stages and log.
const TALL: u16 = 16;

/// What a part of the screen is drawn from.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) state: &'a State,
    pub(super) view: &'a View,
    pub(super) palette: Palette,
    /// Since the screen came up.
    pub(super) now: Duration,
}

/// Draws everything.
pub(super) fn frame(frame: &mut Frame<'_>, scene: Scene<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (w, h) = (area.width, area.height);
        let text = format!(
            "This window is {w} × {h}; the view needs {} × {}. The work goes on; q stops it.",
            LEAST.0, LEAST.1
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [_, area, _] =
        Layout::horizontal([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(area);
    let is_tall = area.height >= TALL;
    let gap = u16::from(is_tall);
    let log_rows = match area.height {
        _ if scene.view.pane(scene.state) == Pane::Log => 0,
        ..TALL => 0,
        TALL..30 => 3,
        _ => 8,
    };
    let [head, _, body, _, log, keys] = Layout::vertical([
        Constraint::Length(if is_tall { 3 } else { 2 }),
        Constraint::Length(gap),
        Constraint::Fill(1),
        Constraint::Length(gap),
        Constraint::Length(log_rows),
        Constraint::Length(1),
    ])
    .areas(area);
    header::draw(frame, head, scene);
    frame.render_widget(key_line(scene, keys.width), keys);
    if scene.view.is_helping {
        help::draw(frame, body.union(log), scene);
        return;
    }
    let n_stages = scene.state.stages.list.len() as u16;
    let pane = if !is_tall {
        body
    } else if area.width >= WIDE {
        let [left, _, right] = Layout::horizontal([
            Constraint::Length(36),
            Constraint::Length(2),
            Constraint::Fill(1),
        ])
        .areas(body);
        stages::draw(frame, left, scene);
        right
    } else {
        let [top, _, rest] = Layout::vertical([
            Constraint::Length(n_stages.min(4)),
            Constraint::Length(u16::from(n_stages > 0)),
            Constraint::Fill(1),
        ])
        .areas(body);
        stages::draw(frame, top, scene);
        rest
    };
    draw_pane(frame, pane, scene);
    if log_rows > 0 {
        log::draw(frame, log, scene);
    }
}

/// The names of the panes, and below them the one that is chosen.
fn draw_pane(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let [names, area] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let shown = scene.view.pane(scene.state);
    let mut spans = Vec::new();
    for pane in Pane::ALL {
        let style = match pane == shown {
            true => scene.palette.strong().underlined(),
            false => scene.palette.quiet(),
        };
        spans.extend([Span::styled(pane.title(), style), Span::raw("  ")]);
    }
    frame.render_widget(Line::from(spans), names);
    match shown {
        Pane::Critiques => critiques::draw(frame, area, scene),
        Pane::Filter => funnel::draw(frame, area, scene),
        Pane::Training => curves::draw(frame, area, scene),
        Pane::Scores => scores::draw(frame, area, scene),
        Pane::Log => log::draw(frame, area, scene),
    }
}

fn key_line(scene: Scene<'_>, width: u16) -> Line<'static> {
    if scene.view.is_stopping {
        let text = "stopping after the item in flight · q again stops at once";
        return Line::styled(text, scene.palette.warn());
    }
    let keys = match width {
        ..60 => "q stop · tab pane · p freeze · ? help",
        _ => "q stop · tab pane · ←→ choose · p freeze · ? help",
    };
    match scene.view.frozen {
        Some(_) => Line::from(vec![
            Span::styled("frozen: p goes on", scene.palette.warn()),
            Span::styled(" · q stop · tab pane", scene.palette.quiet()),
        ]),
        None => Line::styled(keys, scene.palette.quiet()),
    }
}

/// A note where there is nothing to show yet.
fn note(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, text: &'static str) {
    let text = Line::styled(text, scene.palette.quiet());
    frame
        .render_widget(Paragraph::new(vec![Line::default(), text]).wrap(Wrap { trim: true }), area);
}

/// A text in at most `width` columns, cut with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if Span::raw(out.as_str()).width() >= width {
            out.pop();
            break;
        }
    }
    out + "…"
}
