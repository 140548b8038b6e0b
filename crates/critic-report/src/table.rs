use maud::{Markup, html};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Text,
    Number,
}

/// One column's head.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: &'static str,
    align: Align,
}

/// One cell: its text and, where a bar helps the eye, a share of the widest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    text: String,
    share: Option<f64>,
}

impl Cell {
    /// A cell with a bar behind its number; `share` is within 0–1.
    pub(crate) fn with_bar(text: String, share: f64) -> Self {
        Self { text, share: Some(share.clamp(0.0, 1.0)) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, share: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// A table that HTML and Markdown write alike; the first column names the row.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table; a column whose name starts with `#` holds numbers.
    pub(crate) fn new(caption: impl Into<String>, columns: &[&'static str]) -> Self {
        let columns = columns
            .iter()
            .map(|column| match column.strip_prefix('#') {
                Some(name) => Column { name, align: Align::Number },
                None => Column { name: column, align: Align::Text },
            })
            .collect();
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "{}", self.caption);
        self.rows.push(cells.into());
    }

    /// The table, unless it has no rows.
    pub(crate) fn if_any(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }

    /// What stands above it.
    pub(crate) fn caption(&self) -> &str {
        &self.caption
    }

    /// How many rows it has, without the head.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// As an HTML table with caption and scopes.
    pub(crate) fn to_html(&self) -> Markup {
        html! {
            div.scroll role="region" tabindex="0" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for column in &self.columns {
                                th scope="col" class=[class(column)] { (column.name) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (i, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                                    @if i == 0 {
                                        th scope="row" class=[class(column)] { (cell_html(cell)) }
                                    } @else {
                                        td class=[class(column)] { (cell_html(cell)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// As a GitHub-flavored Markdown table under its caption.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("*{}*\n\n", escape_markdown(&self.caption));
        let mut line = |cells: Vec<String>| {
            text.push_str("| ");
            text.push_str(&cells.join(" | "));
            text.push_str(" |\n");
        };
        line(self.columns.iter().map(|column| column.name.to_owned()).collect());
        line(
            self.columns
                .iter()
                .map(|column| if column.align == Align::Number { "---:" } else { "---" }.to_owned())
                .collect(),
        );
        for row in &self.rows {
            line(row.iter().map(|cell| escape_markdown(&cell.text)).collect());
        }
        text
    }
}

fn class(column: &Column) -> Option<&'static str> {
    (column.align == Align::Number).then_some("number")
}

fn cell_html(cell: &Cell) -> Markup {
    html! {
        @if let Some(share) = cell.share {
            span.bar {
                span { span style={ "inline-size:" (format!("{:.1}", 100.0 * share)) "%" } {} }
                bdi { (cell.text) }
            }
        } @else {
            bdi { (cell.text) }
        }
    }
}

/// Untrusted text on one line of Markdown: nothing in it marks up, links or ends a cell.
pub(crate) fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Bare addresses would become links.
            ':' => escaped.push_str("&#58;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Two | rows", &["name", "#n"]);
        table.row(["<b>a</b>|b".into(), "1".into()]);
        table.row(["x\ny".into(), Cell::with_bar("2".to_owned(), 1.0)]);
        table
    }

    #[test]
    fn markdown_cells_cannot_break_the_table() {
        let text = table().to_markdown();
        assert_eq!(
            text,
            "*Two \\| rows*\n\n| name | n |\n| --- | ---: |\n| &lt;b&gt;a&lt;/b&gt;\\|b | 1 |\n| x y | 2 |\n"
        );
    }

    #[test]
    fn html_cells_are_escaped_and_scoped() {
        let text = table().to_html().into_string();
        assert!(
            text.contains(r#"<th scope="row"><bdi>&lt;b&gt;a&lt;/b&gt;|b</bdi></th>"#),
            "{text}"
        );
        assert!(text.contains(r#"<th scope="col" class="number">n</th>"#), "{text}");
        assert!(text.contains("<caption>Two | rows</caption>"));
    }

    #[test]
    fn a_table_without_rows_is_left_out() {
        assert!(Table::new("Nothing", &["a"]).if_any().is_none());
    }
}
