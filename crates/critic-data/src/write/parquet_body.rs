use super::encoder::Encoder;
use critic_types::{Column, ColumnKind};
use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{GroupTypeBuilder, Type, TypePtr};
use serde_json::Value;
use std::io;
use std::sync::Arc;

const ROWS_IN_A_GROUP: usize = 10_000;

/// Rows gathered into row groups, zstd inside.
pub(super) struct ParquetBody {
    writer: SerializedFileWriter<Encoder>,
    leaves: Vec<Leaf>,
    rows: Vec<Value>,
}

impl ParquetBody {
    pub(super) fn new(encoder: Encoder, name: &str, columns: &[Column]) -> io::Result<Self> {
        let begin = || {
            let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
            let schema = Type::group_type_builder(name).with_fields(fields).build()?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            SerializedFileWriter::new(encoder, Arc::new(schema), Arc::new(properties))
        };
        let leaves = columns.iter().flat_map(leaves).collect();
        Ok(Self { writer: begin().map_err(io::Error::other)?, leaves, rows: Vec::new() })
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
        for leaf in &self.leaves {
            let Some(mut column) = group.next_column()? else { break };
            let shredded = leaf.shred(&rows);
            match leaf.kind {
                ColumnKind::Text => shredded.write::<ByteArrayType>(&mut column, text_of)?,
                ColumnKind::Number => shredded.write::<DoubleType>(&mut column, Value::as_f64)?,
                ColumnKind::Count => shredded.write::<Int64Type>(&mut column, Value::as_i64)?,
                ColumnKind::Flag => shredded.write::<BoolType>(&mut column, Value::as_bool)?,
                ColumnKind::Objects(_) => {}
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

fn text_of(value: &Value) -> Option<ByteArray> {
    value.as_str().map(ByteArray::from)
}

/// A column of values: one of the table, or one field of the objects of a list column.
struct Leaf {
    name: &'static str,
    field: Option<&'static str>,
    kind: ColumnKind,
}

fn leaves(column: &Column) -> Vec<Leaf> {
    match column.kind {
        ColumnKind::Objects(fields) => fields
            .iter()
            .map(|field| Leaf { name: column.name, field: Some(field.name), kind: field.kind })
            .collect(),
        kind => vec![Leaf { name: column.name, field: None, kind }],
    }
}

/// The places of a leaf with Dremel's levels. Of a column: 0 no value, 1 a value. Of a field in a list: 0 no
/// list, 1 an empty one, 2 an object without the field, 3 a value.
struct Shredded<'a> {
    /// A place with a value, or what its level is without one.
    places: Vec<Result<&'a Value, i16>>,
    /// Of a place with a value.
    full: i16,
    repeated: Option<Vec<i16>>,
}

impl Leaf {
    fn shred<'a>(&self, rows: &'a [Value]) -> Shredded<'a> {
        let place = |value: &'a Value, empty: i16| match value {
            Value::Null => Err(empty),
            value => Ok(value),
        };
        let Some(field) = self.field else {
            let places = rows.iter().map(|row| place(&row[self.name], 0)).collect();
            return Shredded { places, full: 1, repeated: None };
        };
        let (mut places, mut repeated) = (Vec::new(), Vec::new());
        for row in rows {
            let list = row[self.name].as_array();
            if list.is_none_or(Vec::is_empty) {
                places.push(Err(i16::from(list.is_some())));
                repeated.push(0);
            }
            for (i, item) in list.into_iter().flatten().enumerate() {
                repeated.push(i16::from(i > 0));
                places.push(place(&item[field], 2));
            }
        }
        Shredded { places, full: 3, repeated: Some(repeated) }
    }
}

impl Shredded<'_> {
    /// Writes the values; one of another type counts as none.
    fn write<T: DataType>(
        &self,
        column: &mut SerializedColumnWriter<'_>,
        read: fn(&Value) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let (mut values, mut defined) = (Vec::new(), Vec::new());
        for place in &self.places {
            match place.map(read) {
                Ok(Some(value)) => {
                    values.push(value);
                    defined.push(self.full);
                }
                Ok(None) => defined.push(self.full - 1),
                Err(level) => defined.push(level),
            }
        }
        let writer = column.typed::<T>();
        writer.write_batch(&values, Some(&defined), self.repeated.as_deref())?;
        Ok(())
    }
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let plain = |physical| {
        Type::primitive_type_builder(column.name, physical).with_repetition(Repetition::OPTIONAL)
    };
    let fields = match column.kind {
        ColumnKind::Text => {
            let text = plain(Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String))
                .with_converted_type(ConvertedType::UTF8);
            return Ok(Arc::new(text.build()?));
        }
        ColumnKind::Number => return Ok(Arc::new(plain(Physical::DOUBLE).build()?)),
        ColumnKind::Count => return Ok(Arc::new(plain(Physical::INT64).build()?)),
        ColumnKind::Flag => return Ok(Arc::new(plain(Physical::BOOLEAN).build()?)),
        ColumnKind::Objects(fields) => fields,
    };
    let fields = fields.iter().map(field).collect::<Result<Vec<_>, _>>()?;
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
