use super::encoder::Encoder;
use super::shapes::{Column, Kind};
use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{GroupTypeBuilder, Type, TypePtr};
use serde_json::Value;
use std::io;
use std::sync::Arc;

const ROWS_IN_A_GROUP: usize = 10_000;

/// Rows gathered into row groups, zstd inside.
pub(super) struct ParquetBody {
    writer: SerializedFileWriter<Encoder>,
    columns: &'static [Column],
    rows: Vec<Value>,
}

impl ParquetBody {
    pub(super) fn new(encoder: Encoder, columns: &'static [Column]) -> io::Result<Self> {
        let begin = || {
            let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
            let schema = Type::group_type_builder("pairs").with_fields(fields).build()?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            SerializedFileWriter::new(encoder, Arc::new(schema), Arc::new(properties))
        };
        Ok(Self { writer: begin().map_err(io::Error::other)?, columns, rows: Vec::new() })
    }

    pub(super) fn write(&mut self, row: Value) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < ROWS_IN_A_GROUP {
            return Ok(());
        }
        self.write_group().map_err(io::Error::other)
    }

    pub(super) fn finish(mut self) -> io::Result<Encoder> {
        if !self.rows.is_empty() {
            self.write_group().map_err(io::Error::other)?;
        }
        self.writer.into_inner().map_err(io::Error::other)
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        let mut group = self.writer.next_row_group()?;
        for leaf in leaves(self.columns) {
            let Some(mut column) = group.next_column()? else { break };
            match leaf {
                Leaf::Number(name) => {
                    let values: Vec<f64> =
                        rows.iter().filter_map(|row| row[name].as_f64()).collect();
                    let defined = levels(&rows, |row| row[name].as_f64().is_some());
                    column.typed::<DoubleType>().write_batch(&values, Some(&defined), None)?;
                }
                Leaf::Text(name) => {
                    let values: Vec<ByteArray> = rows
                        .iter()
                        .filter_map(|row| row[name].as_str())
                        .map(ByteArray::from)
                        .collect();
                    let defined = levels(&rows, |row| row[name].is_string());
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&defined), None)?;
                }
                Leaf::InList(name, field) => {
                    let shredded = shred(&rows, name, field);
                    column.typed::<ByteArrayType>().write_batch(
                        &shredded.values,
                        Some(&shredded.defined),
                        Some(&shredded.repeated),
                    )?;
                }
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

enum Leaf {
    Text(&'static str),
    Number(&'static str),
    InList(&'static str, &'static str),
}

fn leaves(columns: &'static [Column]) -> impl Iterator<Item = Leaf> {
    columns.iter().flat_map(|column| match column.kind {
        Kind::Text => vec![Leaf::Text(column.name)],
        Kind::Number => vec![Leaf::Number(column.name)],
        Kind::Objects(fields) => {
            fields.iter().map(|field| Leaf::InList(column.name, field)).collect()
        }
    })
}

fn levels(rows: &[Value], is_there: impl Fn(&Value) -> bool) -> Vec<i16> {
    rows.iter().map(|row| i16::from(is_there(row))).collect()
}

/// One field of the objects of a list column, with Dremel's levels: 0 no list, 1 an empty one, 2 an object
/// without the field, 3 the text.
struct Shredded {
    values: Vec<ByteArray>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

fn shred(rows: &[Value], name: &str, field: &str) -> Shredded {
    let mut out = Shredded { values: Vec::new(), defined: Vec::new(), repeated: Vec::new() };
    for row in rows {
        let list = row[name].as_array();
        if list.is_none_or(Vec::is_empty) {
            out.defined.push(i16::from(list.is_some()));
            out.repeated.push(0);
        }
        for (i, item) in list.into_iter().flatten().enumerate() {
            out.repeated.push(i16::from(i > 0));
            match item[field].as_str() {
                Some(text) => {
                    out.values.push(ByteArray::from(text));
                    out.defined.push(3);
                }
                None => out.defined.push(2),
            }
        }
    }
    out
}

fn text(name: &str) -> Result<TypePtr, ParquetError> {
    let text = Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::String))
        .with_converted_type(ConvertedType::UTF8);
    Ok(Arc::new(text.build()?))
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let fields = match column.kind {
        Kind::Text => return text(column.name),
        Kind::Number => {
            let number = Type::primitive_type_builder(column.name, Physical::DOUBLE)
                .with_repetition(Repetition::OPTIONAL);
            return Ok(Arc::new(number.build()?));
        }
        Kind::Objects(fields) => fields,
    };
    let fields = fields.iter().map(|field| text(field)).collect::<Result<Vec<_>, _>>()?;
    let element = Arc::new(group("element", Repetition::REQUIRED, fields).build()?);
    let list = Arc::new(group("list", Repetition::REPEATED, vec![element]).build()?);
    let column = group(column.name, Repetition::OPTIONAL, vec![list])
        .with_logical_type(Some(LogicalType::List))
        .with_converted_type(ConvertedType::LIST);
    Ok(Arc::new(column.build()?))
}

fn group(name: &str, repetition: Repetition, fields: Vec<TypePtr>) -> GroupTypeBuilder<'_> {
    Type::group_type_builder(name).with_repetition(repetition).with_fields(fields)
}
