use super::{RawRow, RowReader, RowsError};
use crate::{Place, RowProblem};
use serde_json::{Map, Value};
use std::io::{self, BufRead, Chain, Cursor, Read};

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Lines,
    Array,
    ArrayEnded,
}

/// The rows of a text: the lines of JSONL, or the items of a JSON array; holds one row at a time.
pub(super) struct JsonRows<R> {
    reader: Chain<Cursor<Vec<u8>>, R>,
    layout: Layout,
    line: usize,
    item: usize,
}

impl<R: BufRead> JsonRows<R> {
    /// Leaves out a byte order mark and looks at the first character to tell the layout.
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let mut start = Vec::new();
        reader.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
        if start == BYTE_ORDER_MARK {
            start.clear();
        }
        let reader = Cursor::new(start).chain(reader);
        let mut rows = Self { reader, layout: Layout::Lines, line: 1, item: 0 };
        if rows.skip_space()? == Some(b'[') {
            rows.reader.consume(1);
            rows.layout = Layout::Array;
        }
        Ok(rows)
    }

    fn next_line(&mut self) -> io::Result<Option<(Place, Vec<u8>)>> {
        loop {
            let mut bytes = Vec::new();
            if self.reader.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            let place = Place::Line(self.line);
            self.line += 1;
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some((place, bytes)));
            }
        }
    }

    /// Cuts the next item out by its brackets and quotes alone, so that one bad item is one bad row.
    fn next_item(&mut self) -> Result<Option<(Place, Vec<u8>)>, RowsError> {
        let first = self.skip_space()?;
        if self.item == 0 && first == Some(b']') {
            self.reader.consume(1);
            return self.end_array();
        }
        self.item += 1;
        let mut item = Vec::new();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        loop {
            let Some(byte) = self.take_byte()? else {
                let what = format!("is not closed: it ends in item {}", self.item);
                return Err(RowsError::Array(what));
            };
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' if depth == 0 => break,
                    b']' if depth == 0 => {
                        self.end_array()?;
                        break;
                    }
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            item.push(byte);
        }
        Ok(Some((Place::Item(self.item), item)))
    }

    fn end_array(&mut self) -> Result<Option<(Place, Vec<u8>)>, RowsError> {
        self.layout = Layout::ArrayEnded;
        match self.skip_space()? {
            None => Ok(None),
            Some(_) => {
                let what = format!("goes on after its closing `]` on line {}", self.line);
                Err(RowsError::Array(what))
            }
        }
    }

    fn take_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.reader.fill_buf()?.first().copied();
        if let Some(byte) = byte {
            self.reader.consume(1);
            self.line += usize::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Passes over white space; the byte after it stays.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf()?.first().copied() {
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.take_byte()?;
                }
                other => return Ok(other),
            }
        }
    }
}

impl<R: BufRead + Send> RowReader for JsonRows<R> {
    fn next_row(&mut self) -> Result<Option<(Place, RawRow)>, RowsError> {
        let next = match self.layout {
            Layout::Lines => self.next_line()?,
            Layout::Array => self.next_item()?,
            Layout::ArrayEnded => None,
        };
        Ok(next.map(|(place, bytes)| (place, RawRow::Json(bytes))))
    }
}

/// The fields of one row's text.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, RowProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| RowProblem::NotUtf8)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(RowProblem::NotAnObject),
        Err(error) => Err(RowProblem::NotJson { detail: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
