use crate::ReportError;
use crate::format::{ABSENT, percent, percent_interval, size};
use critic_stats::Interval;
use maud::{Markup, html};
use std::borrow::Cow;

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Text,
    Number,
    /// Two numbers, which stand in two columns of a CSV file.
    Interval,
}

/// One column's head.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: Cow<'static, str>,
    align: Align,
}

/// One cell: its text, the numbers behind it, and where a bar helps the eye a share of the widest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    text: String,
    share: Option<f64>,
    /// What CSV files hold instead of the text; one or, in a column of intervals, two.
    raw: Option<Vec<String>>,
}

impl Cell {
    /// A count.
    pub(crate) fn count(n: usize) -> Self {
        Self { text: size(n), share: None, raw: Some(vec![n.to_string()]) }
    }

    /// A count with a bar of its share of `most`.
    pub(crate) fn bar(n: usize, most: usize) -> Self {
        let share = n as f64 / most.max(1) as f64;
        Self { share: Some(share.clamp(0.0, 1.0)), ..Self::count(n) }
    }

    /// A number that may be absent, written for readers by `write`.
    pub(crate) fn number(value: impl Into<Option<f64>>, write: impl FnOnce(f64) -> String) -> Self {
        let value = value.into().filter(|value| value.is_finite());
        let raw = value.map(|value| value.to_string()).unwrap_or_default();
        Self {
            text: value.map_or_else(|| ABSENT.to_owned(), write),
            share: None,
            raw: Some(vec![raw]),
        }
    }

    /// A share in percent.
    pub(crate) fn percent(share: impl Into<Option<f64>>) -> Self {
        Self::number(share, percent)
    }

    /// An interval that may be absent, written for readers by `write`.
    pub(crate) fn interval(
        interval: Option<&Interval>,
        write: impl FnOnce(&Interval) -> String,
    ) -> Self {
        let raw = interval.map_or_else(
            || vec![String::new(); 2],
            |interval| vec![interval.low.to_string(), interval.high.to_string()],
        );
        let text = interval.map_or_else(|| ABSENT.to_owned(), write);
        Self { text, share: None, raw: Some(raw) }
    }

    /// An interval of shares in percent.
    pub(crate) fn percents(interval: Option<&Interval>) -> Self {
        Self::interval(interval, percent_interval)
    }

    /// The fields of a CSV file.
    fn fields(&self) -> Vec<Cow<'_, str>> {
        match &self.raw {
            Some(raw) => raw.iter().map(|field| Cow::Borrowed(field.as_str())).collect(),
            None => vec![not_a_formula(&self.text)],
        }
    }
}

/// A text that no spreadsheet takes for a formula.
fn not_a_formula(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, share: None, raw: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// A table that HTML, Markdown and CSV write alike; the first column names the row.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    id: &'static str,
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table, `id` unique in a report; a column whose name starts with `#` holds numbers, one
    /// whose name starts with `~` intervals.
    pub(crate) fn new(
        id: &'static str,
        caption: impl Into<String>,
        columns: &[&'static str],
    ) -> Self {
        let mut table = Self { id, caption: caption.into(), columns: Vec::new(), rows: Vec::new() };
        for column in columns {
            let (align, name) = match (column.strip_prefix('#'), column.strip_prefix('~')) {
                (Some(name), _) => (Align::Number, name),
                (_, Some(name)) => (Align::Interval, name),
                _ => (Align::Text, *column),
            };
            table.columns.push(Column { name: Cow::Borrowed(name), align });
        }
        table
    }

    /// Adds a column before there are rows.
    pub(crate) fn column(&mut self, name: String, align: Align) {
        debug_assert!(self.rows.is_empty(), "{}", self.caption);
        self.columns.push(Column { name: Cow::Owned(name), align });
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.caption);
        self.rows.push(cells);
    }

    /// The table, unless it has no rows.
    pub(crate) fn if_any(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }

    /// What its file is called.
    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// What stands above it.
    pub(crate) fn caption(&self) -> &str {
        &self.caption
    }

    /// How many rows it has, without the head.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// As a CSV file: numbers in full precision, shares from 0 to 1, an absent number as nothing.
    ///
    /// No text in it is taken for a formula by a spreadsheet.
    pub(crate) fn to_csv(&self) -> Result<String, ReportError> {
        let failed = |source| ReportError::Csv { table: self.id.to_owned(), source };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut names = Vec::new();
        for column in &self.columns {
            let name = column.name.replace(' ', "_");
            match column.align {
                Align::Interval => names.extend([format!("{name}_low"), format!("{name}_high")]),
                _ => names.push(not_a_formula(&name).into_owned()),
            }
        }
        writer.write_record(&names).map_err(failed)?;
        for row in &self.rows {
            let fields: Vec<Cow<'_, str>> = row.iter().flat_map(Cell::fields).collect();
            writer.write_record(fields.iter().map(|field| field.as_bytes())).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
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
                                th scope="col" class=[class(column)] { bdi { (column.name) } }
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
        line(self.columns.iter().map(|column| escape_markdown(&column.name)).collect());
        line(
            self.columns
                .iter()
                .map(|column| if column.align == Align::Text { "---" } else { "---:" }.to_owned())
                .collect(),
        );
        for row in &self.rows {
            line(row.iter().map(|cell| escape_markdown(&cell.text)).collect());
        }
        text
    }
}

fn class(column: &Column) -> Option<&'static str> {
    (column.align != Align::Text).then_some("number")
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
        let mut table = Table::new("two", "Two | rows", &["name", "#n"]);
        table.row(["<b>a</b>|b".into(), "1".into()]);
        table.row(["x\ny".into(), Cell::bar(2, 2)]);
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
        assert!(text.contains(r#"<th scope="col" class="number"><bdi>n</bdi></th>"#), "{text}");
        assert!(text.contains("<caption>Two | rows</caption>"));
    }

    #[test]
    fn a_table_without_rows_is_left_out() {
        assert!(Table::new("nothing", "Nothing", &["a"]).if_any().is_none());
    }

    #[test]
    fn csv_has_full_numbers_and_no_formulas() {
        let mut table = Table::new("x", "X", &["name", "#share", "~interval"]);
        let interval = Interval { low: 0.25, high: 0.5, confidence: 0.95 };
        table.row(["=1+1,\"a\"".into(), Cell::percent(1.0 / 3.0), Cell::percents(Some(&interval))]);
        table.row(["-2".into(), Cell::percent(None), Cell::percents(None)]);
        let text = table.to_csv().unwrap();
        assert_eq!(
            text,
            "name,share,interval_low,interval_high\n\"'=1+1,\"\"a\"\"\",0.3333333333333333,0.25,0.5\n'-2,,,\n"
        );
    }
}
