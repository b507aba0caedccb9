//! Writing a Parquet file: tuned properties, byte-equal for equal input, published atomically.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::error::{Context, StoreError};
use crate::path::{create_dir, sync_dir};
use crate::schema::{Kind, Storage, Table};
use crate::{ROW_GROUP_ROWS, SCHEMA_VERSION};

/// Traces of a row group that the bloom filter is sized for: spans come some to a trace.
const BLOOM_TRACES: u64 = 32_768;

/// Who wrote a file: keys of its footer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stamp {
    /// Version of backtrail.
    pub engine_version: String,
    /// Digest of the configuration.
    pub config_digest: String,
}

/// A file under construction in a staging directory; nothing sees it until it is published.
pub struct TableWriter {
    writer: Option<ArrowWriter<File>>,
    staged: PathBuf,
    rows: u64,
}

impl TableWriter {
    /// Begins a file at `staged`, which must lie on the file system it will be published on.
    pub fn create(table: &'static Table, staged: PathBuf, stamp: &Stamp) -> Result<Self, StoreError> {
        create_dir(staged.parent().unwrap_or(Path::new(".")))?;
        let file = File::create(&staged).during("create", &staged)?;
        // Without the Arrow schema in the footer every reader takes the types of Parquet, so all see the same.
        let options =
            ArrowWriterOptions::new().with_properties(properties(table, stamp)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, table.written_schema(), options);
        let writer = writer.map_err(|source| StoreError::Parquet { path: staged.clone(), source })?;
        Ok(Self { writer: Some(writer), staged, rows: 0 })
    }

    /// Writes a batch as a row group of its own (as several if it is too large for one).
    pub fn write_row_group(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.write(batch)?;
        self.end_row_group()
    }

    /// Adds a batch to the row group at hand.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.rows += batch.num_rows() as u64;
        let written = self.open()?.write(batch);
        self.check(written)
    }

    /// Ends the row group at hand.
    pub fn end_row_group(&mut self) -> Result<(), StoreError> {
        let flushed = self.open()?.flush();
        self.check(flushed)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.bytes_written() as u64)
    }

    /// Rows written so far.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and waits until it is on the disk. It stays in the staging directory until [`StagedFile::publish`].
    pub fn finish(mut self) -> Result<StagedFile, StoreError> {
        let closed = self.open()?.finish();
        self.check(closed)?;
        let writer = self.writer.take().ok_or_else(|| StoreError::Bug("a file was finished twice".into()))?;
        let file = writer.inner();
        file.sync_all().during("sync", &self.staged)?;
        Ok(StagedFile { path: std::mem::take(&mut self.staged) })
    }

    fn open(&mut self) -> Result<&mut ArrowWriter<File>, StoreError> {
        self.writer.as_mut().ok_or_else(|| StoreError::Bug("a file was written to after its end".into()))
    }

    fn check<T>(&self, result: Result<T, ParquetError>) -> Result<(), StoreError> {
        result.map(drop).map_err(|source| StoreError::Parquet { path: self.staged.clone(), source })
    }
}

impl Drop for TableWriter {
    /// Takes an unfinished file away; what a kill leaves is removed at the next start.
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = fs::remove_file(&self.staged);
        }
    }
}

/// A complete and durable file that nothing sees yet. Dropped unpublished, it is removed.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
}

impl StagedFile {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it into place and makes that durable. An existing file of that name is replaced.
    pub fn publish(self, to: &Path) -> Result<(), StoreError> {
        let dir = to.parent().unwrap_or(Path::new("."));
        create_dir(dir)?;
        fs::rename(&self.path, to).during("publish", to)?;
        sync_dir(dir)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After publishing there is nothing at this path.
        let _ = fs::remove_file(&self.path);
    }
}

/// The writer properties of a table: zstd at level 1, and each column stored as its table says.
fn properties(table: &Table, stamp: &Stamp) -> WriterProperties {
    let key = |key: &str, value: &str| KeyValue::new(format!("backtrail.{key}"), value.to_owned());
    let mut builder = WriterProperties::builder()
        // The form "name version number" is what readers parse before they trust statistics.
        .set_created_by(concat!("backtrail version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting(table)))
        .set_key_value_metadata(Some(vec![
            key("schema_version", SCHEMA_VERSION),
            key("table", table.name),
            key("engine_version", &stamp.engine_version),
            key("config_digest", &stamp.config_digest),
        ]));
    for (path, storage) in table.leaves() {
        let prunes = prunes(table, &path);
        let path = ColumnPath::new(path.into_iter().map(str::to_owned).collect());
        if !prunes {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        builder = stored(builder, path, storage);
    }
    builder.build()
}

/// Whether a reader can skip pages by the least and the greatest value of a column, which cost two comparisons a value.
/// Numbers and times, yes. Text only where the rows are sorted by it: else each page has nearly all services, names and
/// keys.
fn prunes(table: &Table, path: &[&str]) -> bool {
    let [name] = path else { return false };
    let is_text = table.columns.iter().any(|column| column.name == *name && matches!(column.kind, Kind::Text));
    !is_text || table.sorted_by.contains(name)
}

fn stored(builder: WriterPropertiesBuilder, path: ColumnPath, storage: Storage) -> WriterPropertiesBuilder {
    match storage {
        Storage::Dictionary => builder,
        Storage::Lookup => builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), 0.01)
            .set_column_bloom_filter_max_ndv(path, BLOOM_TRACES),
        Storage::Plain => builder.set_column_dictionary_enabled(path, false),
        Storage::Delta => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
    }
}

/// The sort order for the footer: leaf numbers of top-level columns, which stand before everything nested.
fn sorting(table: &Table) -> Vec<SortingColumn> {
    let flat = table.columns.iter().take_while(|column| {
        !matches!(column.kind, Kind::Struct(_) | Kind::Structs(_) | Kind::TextMap | Kind::NumberMap | Kind::TextList)
    });
    let flat: Vec<_> = flat.map(|column| column.name).collect();
    let number = |name: &&str| flat.iter().position(|column| column == name);
    let numbers = table.sorted_by.iter().filter_map(number);
    numbers.map(|n| SortingColumn { column_idx: n as i32, descending: false, nulls_first: true }).collect()
}
