use super::browser;
use crate::format::size;
use crate::plots::{Figure, palette};
use crate::tables::Section;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A table with more rows than this is folded.
const FOLD_FROM: usize = 16;

/// Figures with the heading above them, where they have one.
pub(crate) type FigureGroup = (Option<String>, Vec<Figure>);

/// A number at the top of the page.
pub(crate) struct Card {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) remark: Option<String>,
}

impl Card {
    /// A card without a remark.
    pub(crate) fn plain(label: &str, value: String) -> Self {
        Self { label: label.to_owned(), value, remark: None }
    }
}

/// A section of the page.
pub(crate) struct Part {
    pub(crate) section: Section,
    pub(crate) groups: Vec<FigureGroup>,
    /// The browser of items.
    pub(crate) browser: Option<Markup>,
}

/// Everything that a page shows; parts without content are left out.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    pub(crate) lead: Option<String>,
    pub(crate) cards: Vec<Card>,
    pub(crate) notes: &'a [String],
    pub(crate) parts: Vec<Part>,
    pub(crate) command: &'a str,
}

impl Page<'_> {
    /// The file.
    pub(crate) fn to_html(&self) -> String {
        let parts: Vec<&Part> = self
            .parts
            .iter()
            .filter(|part| {
                let is_empty = part.section.tables.is_empty() && part.groups.is_empty();
                part.browser.is_some() || !is_empty
            })
            .collect();
        let has_script = parts.iter().any(|part| part.browser.is_some());
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy(has_script));
                    meta name="referrer" content="no-referrer";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content={ "critic-rm " (env!("CARGO_PKG_VERSION")) };
                    title { (self.title) }
                    style {
                        (PreEscaped(include_str!("style.css")))
                        (PreEscaped(palette::style_sheet()))
                    }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        p.brand { "critic-rm" }
                        h1 { bdi { (self.title) } }
                        @if let Some(lead) = &self.lead { p.lead { bdi { (lead) } } }
                        (cards_html(&self.cards))
                    }
                    nav aria-label="Sections" {
                        ul {
                            @for part in &parts {
                                li { a href={ "#" (part.section.id) } { (part.section.heading) } }
                            }
                        }
                    }
                    main #content tabindex="-1" {
                        @if !self.notes.is_empty() {
                            section.notes aria-labelledby="notes" {
                                h2 #notes { "Remarks" }
                                ul { @for note in self.notes { li { bdi { (note) } } } }
                            }
                        }
                        @for part in &parts { (part.to_html()) }
                    }
                    footer {
                        p { "Made by" }
                        pre { code { (self.command) } }
                    }
                }
            }
        };
        page.into_string()
    }
}

/// Nothing may be loaded from anywhere, no script may run but the page's own, and no text may become
/// markup while it does.
fn policy(has_script: bool) -> String {
    let script = if has_script { browser::script_hash() } else { "'none'".to_owned() };
    format!(
        "default-src 'none'; script-src {script}; style-src 'unsafe-inline'; base-uri 'none'; \
         form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

impl Part {
    fn to_html(&self) -> Markup {
        let section = &self.section;
        let heading_id = format!("{}-heading", section.id);
        html! {
            section id=(section.id) aria-labelledby=(heading_id) {
                h2 id=(heading_id) { (section.heading) }
                @for (name, drawn) in &self.groups {
                    @if let Some(name) = name { h3 { bdi { (name) } } }
                    div.figures { @for figure in drawn { (figure.to_html()) } }
                }
                @if let Some(browser) = &self.browser { (browser) }
                @for table in &section.tables {
                    @if table.n_rows() > FOLD_FROM || self.browser.is_some() {
                        details {
                            summary { (table.caption()) " (" (rows(table.n_rows())) ")" }
                            (table.to_html())
                        }
                    } @else {
                        (table.to_html())
                    }
                }
            }
        }
    }
}

fn rows(n: usize) -> String {
    format!("{} row{}", size(n), if n == 1 { "" } else { "s" })
}

fn cards_html(cards: &[Card]) -> Markup {
    html! {
        dl.glance {
            @for card in cards {
                div {
                    dt { bdi { (card.label) } }
                    dd {
                        bdi { (card.value) }
                        @if let Some(remark) = &card.remark { small { (remark) } }
                    }
                }
            }
        }
    }
}
