//! What several of the tests need: the binary, configurations, and a reader of Parquet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_backtrail"))
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A pipeline that keeps every span and writes every table, on ports that the system chooses.
pub(crate) fn keep_all() -> String {
    pipeline(
        "otlp: { protocols: { grpc: { endpoint: 127.0.0.1:0 }, http: { endpoint: 127.0.0.1:0 } } }",
        "decision_wait: 1s",
    )
}

/// The same with a receiver and settings of `trace_assembly` of the test's own.
pub(crate) fn pipeline(receiver: &str, assembly: &str) -> String {
    let name = receiver.split(':').next().unwrap_or_default();
    format!(
        "receivers:
  {receiver}
processors:
  route_normalization: {{}}
  trace_assembly: {{ {assembly} }}
  tail_sampling: {{ policies: [{{ name: all, type: always_sample }}] }}
  edge_aggregation: {{}}
  ochiai: {{}}
  anomaly_trigger: {{}}
  verdict: {{}}
exporters:
  parquet/spans: {{ tables: [spans] }}
  parquet/windows: {{ tables: [edges, spectra, incidents, suspects, verdicts] }}
  patch_queue: {{}}
service:
  admin: {{ endpoint: 127.0.0.1:0 }}
  data_dir: data
  allowed_lateness: 2s
  pipelines:
    ingest: {{ receivers: [{name}], processors: [route_normalization, trace_assembly] }}
    keep: {{ receivers: [ingest], processors: [tail_sampling], exporters: [parquet/spans] }}
    localize:
      receivers: [ingest]
      processors: [edge_aggregation, ochiai, anomaly_trigger, verdict]
      exporters: [parquet/windows, patch_queue]
"
    )
}

/// The files of a table below a windows folder, in order.
pub(crate) fn files(windows: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&windows.join("v1").join(table), &mut found);
    found.sort();
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}

/// All rows of a table.
pub(crate) fn read(windows: &Path, table: &str) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in files(windows, table) {
        let file = std::fs::File::open(file).expect("the file is there");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
        batches.extend(reader.expect("valid Parquet").map(|batch| batch.expect("valid rows")));
    }
    batches
}

/// A string column of all rows of a table.
pub(crate) fn strings(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let mut values = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
        let array = arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8).expect("a string column");
        values.extend(array.as_string::<i32>().iter().map(|value| value.unwrap_or_default().to_owned()));
    }
    values
}

/// How many spans of each trace a `spans` table holds.
pub(crate) fn spans_by_trace(windows: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in strings(&read(windows, "spans"), "trace_id") {
        *counts.entry(id).or_default() += 1;
    }
    counts
}
