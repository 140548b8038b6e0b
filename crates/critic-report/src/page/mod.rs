//! The page itself.

mod items;

use crate::format::{duration, percent, percent_interval, size};
use crate::plots::{Figure, accuracy_figure, critiques_figure, curve_figures, palette};
use crate::tables::{Section, sections};
use crate::{ReportError, RunRecord};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Nothing may be loaded from anywhere: what is not in the file does not appear.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The report as one HTML file that loads nothing.
///
/// Its style and its plots stand in the file; it has no script. It follows the reader's choice of a
/// light or dark screen, prints, and can be walked by keyboard. Sections without content are left out.
/// Texts from the record reach the page only escaped.
///
/// # Errors
/// [`ReportError::Figure`] when a plot cannot be drawn.
pub fn html(record: &RunRecord) -> Result<String, ReportError> {
    let mut parts = Vec::new();
    for section in sections(record) {
        let figures = figures(record, section.id)?;
        if !(section.tables.is_empty() && figures.is_empty()) {
            parts.push((section, figures));
        }
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "critic-rm " (env!("CARGO_PKG_VERSION")) };
                title { (record.title) }
                style {
                    (PreEscaped(include_str!("style.css")))
                    (PreEscaped(palette::style_sheet()))
                }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    h1 { bdi { (record.title) } }
                    (glance(record))
                    nav aria-label="Sections" {
                        ul {
                            @for (section, _) in &parts {
                                li { a href={ "#" (section.id) } { (section.heading) } }
                            }
                        }
                    }
                }
                main #content tabindex="-1" {
                    @if !record.notes.is_empty() {
                        section.notes aria-labelledby="notes" {
                            h2 #notes { "Remarks" }
                            ul { @for note in &record.notes { li { bdi { (note) } } } }
                        }
                    }
                    @for (section, figures) in &parts { (section_html(record, section, figures)) }
                }
                footer {
                    p { "Made by" }
                    pre { code { (record.command) } }
                }
            }
        }
    };
    Ok(page.into_string())
}

/// Figures with the heading above them, where they have one.
type FigureGroup = (Option<String>, Vec<Figure>);

/// The figures of a section, each group under its own heading where it has one.
fn figures(record: &RunRecord, section: &str) -> Result<Vec<FigureGroup>, ReportError> {
    let mut groups = Vec::new();
    match section {
        "result" => {
            let mut drawn = Vec::new();
            drawn.extend(accuracy_figure(&record.contestants)?);
            drawn.extend(critiques_figure(&record.contestants)?);
            groups.push((None, drawn));
        }
        "training" => {
            for curve in &record.training {
                groups.push((Some(curve.name.clone()), curve_figures(curve)?));
            }
        }
        _ => {}
    }
    groups.retain(|(_, drawn)| !drawn.is_empty());
    Ok(groups)
}

fn section_html(record: &RunRecord, section: &Section, groups: &[FigureGroup]) -> Markup {
    let heading_id = format!("{}-heading", section.id);
    html! {
        section id=(section.id) aria-labelledby=(heading_id) {
            h2 id=(heading_id) { (section.heading) }
            @for (name, drawn) in groups {
                @if let Some(name) = name { h3 { bdi { (name) } } }
                div.figures { @for figure in drawn { (figure.to_html()) } }
            }
            @for table in &section.tables {
                @if table.n_rows() > FOLD_FROM {
                    details {
                        summary { (table.caption()) " (" (size(table.n_rows())) " rows)" }
                        (table.to_html())
                    }
                } @else {
                    (table.to_html())
                }
            }
            @if section.id == "items" {
                @for (i, item) in record.items.iter().enumerate() {
                    (items::item_html(item, i == 0))
                }
            }
        }
    }
}

/// A table with more rows than this is folded.
const FOLD_FROM: usize = 16;

/// The few numbers a reader looks for first.
fn glance(record: &RunRecord) -> Markup {
    let seconds: f64 = record.stages.iter().map(|stage| stage.seconds).sum();
    html! {
        dl.glance {
            div { dt { "Model" } dd { bdi { (record.model.name) } } }
            div { dt { "Training pairs" } dd { (size(record.data.train.n_pairs)) } }
            @if let Some(eval) = &record.data.eval {
                div { dt { "Held-out pairs" } dd { (size(eval.n_pairs)) } }
            }
            @for result in &record.contestants {
                @if let Some(accuracy) = &result.accuracy {
                    div {
                        dt { bdi { (result.name) } }
                        dd {
                            (percent(accuracy.agreement.accuracy))
                            small { (percent_interval(&accuracy.interval)) }
                        }
                    }
                }
            }
            @if !record.stages.is_empty() {
                div { dt { "Time" } dd { (duration(seconds)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
