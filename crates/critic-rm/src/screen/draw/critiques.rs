use super::{Scene, note};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

/// How much was written, and the newest critique below its response.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let (critiques, palette) = (&scene.state.critiques, scene.palette);
    let Some(newest) = &critiques.newest else {
        return note(frame, area, scene, "No critique was written yet since the program started.");
    };
    let share = 100.0 * critiques.n_parsed as f64 / critiques.n.max(1) as f64;
    let mut facts = format!(
        "{} written · {share:.0} % with a readable score · {:.0} tokens/s",
        critiques.n,
        critiques.tokens_per_second()
    );
    if critiques.n_cut > 0 {
        facts += &format!(" · {} cut short", critiques.n_cut);
    }
    let question_rows = if area.height >= 8 { 1 } else { 0 };
    let response_rows = match area.height {
        ..8 => 1,
        8..16 => 2,
        _ => area.height / 4,
    };
    let [top, question, response, title, text] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(question_rows),
        Constraint::Length(response_rows),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    frame.render_widget(Line::styled(facts, palette.quiet()), top);
    labelled(frame, question, "prompt    ", &newest.prompt, scene);
    labelled(frame, response, "response  ", &newest.response, scene);
    let n = newest.critiques.len();
    let back = scene.view.back.min(n.saturating_sub(1));
    let Some(shown) = newest.critiques.get(n.saturating_sub(back + 1)) else { return };
    let cut = if shown.is_cut { " · cut short" } else { "" };
    let heading = Line::from(vec![
        Span::styled(format!("critique {} of {n}  ", n - back), palette.quiet()),
        Span::styled(format!("{}{cut}", shown.scores), palette.live()),
        Span::styled(format!("  {} of {}", newest.side.as_str(), newest.pair), palette.quiet()),
    ]);
    frame.render_widget(heading, title);
    let body = Paragraph::new(Text::from(shown.text.as_str())).wrap(Wrap { trim: false });
    frame.render_widget(body.scroll((scene.view.scroll, 0)), text);
}

/// A text beside what it is.
fn labelled(frame: &mut Frame<'_>, area: Rect, label: &'static str, text: &str, scene: Scene<'_>) {
    let [left, right] =
        Layout::horizontal([Constraint::Length(10), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Line::styled(label, scene.palette.quiet()), left);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), right);
}
