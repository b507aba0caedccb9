//! Arrow arrays from plain values, and the check that they fit their table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int32Builder, Int64Array, ListArray, MapArray,
    RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int32Type};
use backtrail_model::histogram::{Histogram, lower_bound};
use backtrail_model::time::UnixNano;

use crate::error::StoreError;
use crate::schema::{Column, Table, list_element, map_entries, struct_fields};

/// Puts the columns of a table together, by name and in order.
pub struct Assembler {
    table: &'static Table,
    names: Vec<&'static str>,
    arrays: Vec<ArrayRef>,
}

impl Assembler {
    /// No column yet.
    pub fn new(table: &'static Table) -> Self {
        Self { table, names: Vec::new(), arrays: Vec::new() }
    }

    /// The next column.
    pub fn add(&mut self, name: &'static str, array: ArrayRef) -> &mut Self {
        self.names.push(name);
        self.arrays.push(array);
        self
    }

    /// The batch, if the columns are those of the table.
    pub fn finish(&mut self) -> Result<RecordBatch, StoreError> {
        let table = self.table;
        if !table.columns.iter().map(|column| column.name).eq(self.names.iter().copied()) {
            return Err(StoreError::Bug(format!("columns of {} do not fit its table: {:?}", table.name, self.names)));
        }
        RecordBatch::try_new(table.written_schema(), std::mem::take(&mut self.arrays))
            .map_err(|error| StoreError::Bug(format!("rows of {} do not fit their schema: {error}", table.name)))
    }
}

/// Text.
pub fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<StringArray>())
}

/// Text, null where it is empty.
pub fn optional_texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    let values = values.into_iter().map(|value| (!value.as_ref().is_empty()).then_some(value));
    Arc::new(values.collect::<StringArray>())
}

/// 32-bit integers.
pub fn int32s(values: impl IntoIterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

/// 32-bit integers or null.
pub fn optional_int32s(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int32Array>())
}

/// 64-bit integers. Unsigned counts past `i64::MAX` saturate: no clock and no counter of ours gets there.
pub fn int64s(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(saturate)))
}

/// 64-bit integers or null.
pub fn optional_int64s(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.into_iter().map(|value| value.map(saturate)).collect::<Int64Array>())
}

fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Doubles or null.
pub fn doubles<T: Into<Option<f64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Float64Array>())
}

/// Booleans.
pub fn bools(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())
}

/// Times.
pub fn times(values: impl IntoIterator<Item = UnixNano>) -> ArrayRef {
    let micros = values.into_iter().map(|time| (time.0 / 1000) as i64);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// Times or null.
pub(crate) fn optional_times(values: impl IntoIterator<Item = Option<UnixNano>>) -> ArrayRef {
    let micros = values.into_iter().map(|time| time.map(|time| (time.0 / 1000) as i64));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// Histograms as lists of (least value of the bucket, count). The number beside each is the count that means one
/// observation: 256 where counts are weighted.
pub fn histograms<'a>(values: impl IntoIterator<Item = (&'a Histogram, f64)>) -> ArrayRef {
    let (mut list, mut bounds, mut counts) = (ListColumn::default(), Vec::new(), Vec::new());
    for (histogram, weight) in values {
        for &(bucket, count) in histogram.buckets() {
            bounds.push(lower_bound(bucket));
            counts.push(count as f64 / weight);
        }
        list.end(bounds.len());
    }
    list_of(list, struct_of(crate::tables::HISTOGRAM, vec![int64s(bounds), doubles(counts)], None))
}

/// Offsets of a list column: where each row's elements end.
pub struct ListColumn {
    offsets: Vec<i32>,
}

impl Default for ListColumn {
    fn default() -> Self {
        Self { offsets: vec![0] }
    }
}

impl ListColumn {
    /// Ends a row: `elements` elements of all rows so far.
    pub fn end(&mut self, elements: usize) {
        self.offsets.push(i32::try_from(elements).expect("a row group has less than 2^31 elements"));
    }
}

/// A list column from its offsets and its elements.
pub fn list_of(list: ListColumn, elements: ArrayRef) -> ArrayRef {
    let offsets = OffsetBuffer::new(list.offsets.into());
    Arc::new(ListArray::new(list_element(elements.data_type().clone()), offsets, elements, None))
}

/// A struct column from its fields.
pub fn struct_of(columns: &[Column], fields: Vec<ArrayRef>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(StructArray::new(struct_fields(columns), fields, nulls))
}

/// A column of text maps under construction. Keys are unique in a row, because `DuckDB` refuses a map that has a key
/// twice: the first value stays.
#[derive(Default)]
pub struct MapColumn {
    list: ListColumn,
    keys: StringBuilder,
    values: StringBuilder,
    /// One bit for each key of the row at hand, by length and last byte: most keys are new, and this says so.
    seen: u64,
}

impl MapColumn {
    /// A map column with room for so many bytes of keys and values. What is too much is never touched; what is too little
    /// is moved.
    pub fn with_capacity(entries: usize, bytes: usize) -> Self {
        let room = || StringBuilder::with_capacity(entries, bytes);
        Self { keys: room(), values: room(), ..Self::default() }
    }

    /// Whether the row at hand has the key; if not, it is added, and a value must follow.
    pub fn key(&mut self, key: &str) -> bool {
        let last = key.as_bytes().last().copied().unwrap_or_default();
        let bit = 1 << ((key.len() * 7 + usize::from(last)) & 63);
        if self.seen & bit != 0 && self.has(key) {
            return false;
        }
        self.seen |= bit;
        self.keys.append_value(key);
        true
    }

    fn has(&self, key: &str) -> bool {
        let (offsets, bytes) = (self.keys.offsets_slice(), self.keys.values_slice());
        let first = *self.list.offsets.last().unwrap_or(&0) as usize;
        offsets[first..].windows(2).any(|pair| &bytes[pair[0] as usize..pair[1] as usize] == key.as_bytes())
    }

    /// The value that belongs to the last key.
    pub fn value(&mut self, value: &str) {
        self.values.append_value(value);
    }

    /// The value that belongs to the last key, as it prints.
    pub fn print(&mut self, value: impl std::fmt::Display) {
        use std::fmt::Write as _;
        // Writing into memory cannot fail; the empty append ends the value.
        let _ = write!(self.values, "{value}");
        self.values.append_value("");
    }

    /// Ends a row.
    pub fn end(&mut self) {
        self.seen = 0;
        self.list.end(self.keys.offsets_slice().len() - 1);
    }

    /// The map column.
    pub fn finish(mut self) -> ArrayRef {
        map_of(self.list, Arc::new(self.keys.finish()), Arc::new(self.values.finish()))
    }
}

/// Texts of which there are few, numbered. Columns hold the numbers.
#[derive(Default)]
pub struct FewTexts {
    numbers: HashMap<Box<str>, i32, foldhash::fast::FixedState>,
    texts: StringBuilder,
    /// The texts so far, and how many they are.
    finished: Option<(ArrayRef, usize)>,
}

impl FewTexts {
    /// The number of a text.
    pub fn number(&mut self, text: &str) -> i32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = i32::try_from(self.numbers.len()).expect("less than 2^31 texts in a row group");
        self.numbers.insert(text.into(), number);
        self.texts.append_value(text);
        number
    }

    /// The number of a text, or null if it is empty.
    pub fn optional_number(&mut self, text: &str) -> Option<i32> {
        (!text.is_empty()).then(|| self.number(text))
    }

    /// A column of [few](crate::Column::few) texts.
    pub fn column(&mut self, mut numbers: Int32Builder) -> ArrayRef {
        let texts = self.texts();
        Arc::new(DictionaryArray::<Int32Type>::new(numbers.finish(), texts))
    }

    /// A column of maps of few texts.
    pub fn map_column(&mut self, map: FewTextsMap) -> ArrayRef {
        let texts = self.texts();
        let numbered = |numbers: Vec<i32>| -> ArrayRef {
            Arc::new(DictionaryArray::<Int32Type>::new(numbers.into(), Arc::clone(&texts)))
        };
        map_of(map.list, numbered(map.keys), numbered(map.values))
    }

    fn texts(&mut self) -> ArrayRef {
        let count = self.numbers.len();
        match &self.finished {
            Some((texts, of)) if *of == count => Arc::clone(texts),
            _ => {
                let texts: ArrayRef = Arc::new(self.texts.finish_cloned());
                self.finished = Some((Arc::clone(&texts), count));
                texts
            }
        }
    }
}

/// A column of maps of few texts under construction.
#[derive(Default)]
pub struct FewTextsMap {
    list: ListColumn,
    keys: Vec<i32>,
    values: Vec<i32>,
}

impl FewTextsMap {
    /// A row, by the numbers of its keys, which must be unique, and of its values.
    pub fn row(&mut self, keys: &[i32], values: &[i32]) {
        self.keys.extend_from_slice(keys);
        self.values.extend_from_slice(values);
        self.list.end(self.keys.len());
    }
}

/// A map column from its offsets, keys and values.
pub(crate) fn map_of(list: ListColumn, keys: ArrayRef, values: ArrayRef) -> ArrayRef {
    let entries = map_entries(keys.data_type().clone(), values.data_type().clone());
    let DataType::Struct(fields) = entries.data_type().clone() else { unreachable!("entries are a struct") };
    let columns = StructArray::new(fields, vec![keys, values], None);
    Arc::new(MapArray::new(entries, OffsetBuffer::new(list.offsets.into()), columns, None, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_once_a_row_and_values_print() {
        let mut map = MapColumn::default();
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            if map.key(key) {
                map.print(value);
            }
        }
        map.end();
        map.end();
        assert!(map.key("a"));
        map.value("x");
        map.end();
        let array = map.finish();
        let map = array.as_any().downcast_ref::<MapArray>().expect("a map");
        assert_eq!((map.value_length(0), map.value_length(1), map.value_length(2)), (2, 0, 1));
        assert_eq!(map.values().as_any().downcast_ref::<StringArray>().map(|v| v.value(1)), Some("2"));
    }

    #[test]
    fn few_texts_are_held_once_and_read_as_they_were() {
        let mut texts = FewTexts::default();
        let mut column = |words: &[&str]| {
            let mut numbers = Int32Builder::new();
            for word in words {
                numbers.append_option(texts.optional_number(word));
            }
            texts.column(numbers)
        };
        let (first, second) = (column(&["a", "b", "", "a"]), column(&["c", "b"]));
        let read = |array: &ArrayRef| {
            let array = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>().expect("a dictionary").clone();
            let texts: Vec<Option<String>> = array
                .downcast_dict::<StringArray>()
                .expect("of texts")
                .into_iter()
                .map(|t| t.map(str::to_owned))
                .collect();
            (texts, array.values().len())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(&first), (vec![some("a"), some("b"), None, some("a")], 2));
        assert_eq!(read(&second), (vec![some("c"), some("b")], 3));
    }
}
