/// A column of a table that is written to or read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds; any value may be absent.
    pub kind: ColumnKind,
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A finite number, 64 bits.
    Number,
    /// A whole number.
    Count,
    /// True or false.
    Flag,
    /// A list of objects with these fields, none of which is a list.
    Objects(&'static [Column]),
}

impl Column {
    /// A column of this name and kind.
    pub const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }
}
