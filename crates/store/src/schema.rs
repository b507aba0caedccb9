//! A table as data: columns with type, unit, meaning and storage, and the Arrow schema that follows from them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// A table of the store.
#[derive(Debug)]
pub struct Table {
    /// Its name: the directory and the name in SQL.
    pub name: &'static str,
    /// What one row is, and what to know before the first query.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// Top-level columns that a row group is sorted by.
    pub sorted_by: &'static [&'static str],
}

/// A column, or a field of a nested column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name: `snake_case`, with the unit.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit; "" for text.
    pub unit: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
    /// How it is written.
    pub storage: Storage,
    /// Whether its texts (of a map: its keys and values) are few. Then they are held once, and numbered, on the way to the
    /// file; who reads it sees a text column as any other.
    pub few: bool,
}

/// Type of a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer (never unsigned: Spark and BI tools have none).
    Int64,
    /// Double.
    Double,
    /// Boolean.
    Bool,
    /// TIMESTAMP(MICROS, UTC).
    Time,
    /// MAP of text to text.
    TextMap,
    /// MAP of text to double.
    NumberMap,
    /// LIST of text.
    TextList,
    /// STRUCT.
    Struct(&'static [Column]),
    /// LIST of STRUCT.
    Structs(&'static [Column]),
}

/// How the values of a column are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// Dictionary: few distinct values, or equal values near each other.
    Dictionary,
    /// Dictionary and a bloom filter for look-ups.
    Lookup,
    /// As they are: random values.
    Plain,
    /// Differences: times and counters.
    Delta,
}

const fn column(name: &'static str, kind: Kind, storage: Storage, about: &'static str) -> Column {
    Column { name, kind, unit: "", about, nullable: false, storage, few: false }
}

/// A text column.
pub const fn text(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Text, Storage::Dictionary, about)
}

/// An integer column of 32 bits.
pub const fn int32(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Int32, Storage::Dictionary, about)
}

/// An integer column of 64 bits.
pub const fn int64(name: &'static str, unit: &'static str, about: &'static str) -> Column {
    column(name, Kind::Int64, Storage::Delta, about).unit(unit)
}

/// A column of doubles.
pub const fn double(name: &'static str, unit: &'static str, about: &'static str) -> Column {
    column(name, Kind::Double, Storage::Dictionary, about).unit(unit)
}

/// A column of booleans.
pub const fn boolean(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Bool, Storage::Plain, about)
}

/// A column of times.
pub const fn time(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Time, Storage::Delta, about).unit("UTC, microseconds")
}

/// A nested column.
pub const fn nested(name: &'static str, kind: Kind, about: &'static str) -> Column {
    column(name, kind, Storage::Dictionary, about)
}

impl Column {
    /// The same, but it may be null.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same, with a unit.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The same, stored otherwise.
    #[must_use]
    pub const fn stored(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// The same, with few distinct texts.
    #[must_use]
    pub const fn few(mut self) -> Self {
        self.few = true;
        self
    }

    /// The Arrow field as it is handed to the Parquet writer.
    fn written_field(&self) -> Field {
        let kind = match self.kind {
            Kind::Text if self.few => numbered(),
            Kind::TextMap if self.few => DataType::Map(map_entries(numbered(), numbered()), false),
            kind => kind.data_type(),
        };
        Field::new(self.name, kind, self.nullable)
    }

    /// The Arrow field.
    pub fn field(&self) -> Field {
        Field::new(self.name, self.kind.data_type(), self.nullable)
    }
}

impl Kind {
    /// The Arrow type. Names inside maps and lists are those of the Parquet specification, which Spark expects.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TextMap => DataType::Map(map_entries(DataType::Utf8, DataType::Utf8), false),
            Self::NumberMap => DataType::Map(map_entries(DataType::Utf8, DataType::Float64), false),
            Self::TextList => DataType::List(list_element(DataType::Utf8)),
            Self::Struct(fields) => DataType::Struct(struct_fields(fields)),
            Self::Structs(fields) => DataType::List(list_element(DataType::Struct(struct_fields(fields)))),
        }
    }

    /// The type in SQL's words.
    pub fn sql(&self) -> String {
        let inner = |fields: &[Column]| {
            let fields: Vec<_> = fields.iter().map(|f| format!("{} {}", f.name, f.kind.sql())).collect();
            format!("STRUCT<{}>", fields.join(", "))
        };
        match self {
            Self::Text => "VARCHAR".into(),
            Self::Int32 => "INT".into(),
            Self::Int64 => "BIGINT".into(),
            Self::Double => "DOUBLE".into(),
            Self::Bool => "BOOLEAN".into(),
            Self::Time => "TIMESTAMP (UTC)".into(),
            Self::TextMap => "MAP<VARCHAR, VARCHAR>".into(),
            Self::NumberMap => "MAP<VARCHAR, DOUBLE>".into(),
            Self::TextList => "LIST<VARCHAR>".into(),
            Self::Struct(fields) => inner(fields),
            Self::Structs(fields) => format!("LIST<{}>", inner(fields)),
        }
    }
}

/// Texts as numbers into a list of them.
fn numbered() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The `key_value` field of a map.
pub(crate) fn map_entries(key: DataType, value: DataType) -> Arc<Field> {
    let fields = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, false)]);
    Arc::new(Field::new("key_value", DataType::Struct(fields), false))
}

/// The `element` field of a list.
pub(crate) fn list_element(element: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", element, false))
}

/// The fields of a struct.
pub(crate) fn struct_fields(columns: &[Column]) -> Fields {
    columns.iter().map(Column::field).collect()
}

impl Table {
    /// The Arrow schema.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(struct_fields(self.columns)))
    }

    /// The Arrow schema of what is handed to the Parquet writer.
    pub(crate) fn written_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::written_field).collect::<Fields>()))
    }

    /// Every leaf with its path in Parquet and its storage.
    pub fn leaves(&self) -> Vec<(Vec<&'static str>, Storage)> {
        let mut leaves = Vec::new();
        collect_leaves(self.columns, &[], &mut leaves);
        leaves
    }
}

fn collect_leaves(columns: &[Column], above: &[&'static str], into: &mut Vec<(Vec<&'static str>, Storage)>) {
    for column in columns {
        let path = |parts: &[&'static str]| [above, &[column.name], parts].concat();
        match column.kind {
            Kind::TextMap | Kind::NumberMap => {
                into.push((path(&["key_value", "key"]), Storage::Dictionary));
                into.push((path(&["key_value", "value"]), column.storage));
            }
            Kind::TextList => into.push((path(&["list", "element"]), column.storage)),
            Kind::Struct(fields) => collect_leaves(fields, &path(&[]), into),
            Kind::Structs(fields) => collect_leaves(fields, &path(&["list", "element"]), into),
            _ => into.push((path(&[]), column.storage)),
        }
    }
}
