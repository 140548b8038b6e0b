use super::{RawRow, RowReader, RowsError};
use crate::fields::Object;
use crate::{Place, RowProblem};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use serde_json::Value;
use std::io::{self, BufRead};

/// The rows of a table with a header.
///
/// A cell is a text; an empty one is null. A cell that holds a list of messages, or a list of objects of
/// the formats' own columns, as JSON becomes that list.
pub(super) struct CsvRows<R> {
    reader: Reader<R>,
    header: Option<StringRecord>,
    n_read: usize,
}

impl<R: BufRead> CsvRows<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::None)
            .from_reader(reader);
        Self { reader, header: None, n_read: 0 }
    }

    /// One record; a text that is not UTF-8 is the row's problem, anything else the file's.
    fn record(&mut self) -> io::Result<Option<Result<StringRecord, RowProblem>>> {
        let mut record = StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(Ok(record))),
            Err(error) => match error.into_kind() {
                ErrorKind::Io(error) => Err(error),
                ErrorKind::Utf8 { .. } => Ok(Some(Err(RowProblem::NotUtf8))),
                other => Ok(Some(Err(RowProblem::NotCsv { detail: format!("{other:?}") }))),
            },
        }
    }
}

impl<R: BufRead + Send> RowReader for CsvRows<R> {
    fn next_row(&mut self) -> Result<Option<(Place, RawRow)>, RowsError> {
        if self.header.is_none() {
            let header = match self.record()? {
                None => return Ok(None),
                Some(Ok(header)) => header,
                Some(Err(problem)) => {
                    let what = format!("the header of the table is {problem}");
                    return Err(RowsError::Io(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
            };
            let names = header.iter().enumerate().map(|(at, name)| {
                let name = name.trim();
                if at == 0 { name.trim_start_matches('\u{feff}') } else { name }.to_owned()
            });
            self.header = Some(names.collect());
        }
        let Some(record) = self.record()? else { return Ok(None) };
        self.n_read += 1;
        let header = self.header.as_ref();
        let row = record.and_then(|record| object(header.into_iter().flatten(), &record));
        Ok(Some((Place::Row(self.n_read), RawRow::Table(row))))
    }
}

fn object<'a>(
    header: impl Iterator<Item = &'a str>,
    record: &StringRecord,
) -> Result<Object, RowProblem> {
    let names: Vec<&str> = header.collect();
    if names.len() != record.len() {
        let detail = format!("{} cells below a header of {}", record.len(), names.len());
        return Err(RowProblem::NotCsv { detail });
    }
    Ok(names
        .into_iter()
        .zip(record)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, cell)| (name.to_owned(), value(name, cell)))
        .collect())
}

/// Columns that never hold plain text in any format.
const STRUCTURED: [&str; 14] = [
    "messages",
    "conversations",
    "context",
    "completions",
    "candidates",
    "answers",
    "responses",
    "critiques",
    "output",
    "targets",
    "individual_preference",
    "scores",
    "rejected_messages",
    "history",
];

fn value(name: &str, cell: &str) -> Value {
    if cell.is_empty() {
        return Value::Null;
    }
    if cell.starts_with(['[', '{'])
        && let Ok(parsed) = serde_json::from_str::<Value>(cell)
        && (STRUCTURED.contains(&name) || is_messages(&parsed))
    {
        return parsed;
    }
    Value::String(cell.to_owned())
}

fn is_messages(value: &Value) -> bool {
    let is_message = |item: &Value| {
        (item.get("role").is_some() && item.get("content").is_some())
            || (item.get("from").is_some() && item.get("value").is_some())
    };
    match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(is_message),
        other => is_message(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Object, RowProblem>> {
        let mut rows = CsvRows::new(text.as_bytes(), b',');
        let mut all = Vec::new();
        while let Some((_, row)) = rows.next_row().unwrap() {
            all.push(row.parse());
        }
        all
    }

    #[test]
    fn cells_are_texts_and_messages_are_lists() {
        let text = "\u{feff}prompt, chosen,x,responses\n\"a\n\"\"b\"\"\",[1],,\"[\"\"r\"\"]\"\n\
                    \"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"}]\",7,y,\n";
        let rows = read(text);
        let first = rows[0].as_ref().unwrap();
        assert_eq!(
            (first["prompt"].as_str(), first["chosen"].as_str()),
            (Some("a\n\"b\""), Some("[1]"))
        );
        assert!(first["x"].is_null() && first["responses"].is_array());
        let second = rows[1].as_ref().unwrap();
        assert!(second["prompt"].is_array() && second["chosen"] == "7");
    }

    #[test]
    fn a_row_of_another_length_is_one_bad_row() {
        let rows = read("a,b\n1,2\n3\n4,5,6\n7,8");
        let bad: Vec<bool> = rows.iter().map(Result::is_err).collect();
        assert_eq!(bad, [false, true, true, false]);
        assert!(read("").is_empty() && read("a,b\n").is_empty());
    }
}
