use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use backtrail_model::data::{Batch, Data};
use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TestKey, TestSums, TraceGroup};
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_pipeline::context::{Shared, SharedOptions};
use backtrail_pipeline::{Component, Context, Duration, Exporter, NodeError};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use prost::Message;

use super::test_data::{START, kept, request, traces};
use super::{Config, TableName};

fn config(dir: &Path, tables: &[TableName]) -> Config {
    Config { tables: tables.to_vec(), path: dir.display().to_string(), ..Config::default() }
}

fn node(config: &Config) -> (Box<dyn Exporter>, Context) {
    let cx = Context::for_test("exporters.parquet");
    assert_eq!(config.check(), []);
    (config.build(&cx).expect("builds"), cx)
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").display().to_string();
                found.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

fn rows(path: PathBuf) -> RecordBatch {
    let file = fs::File::open(path).expect("there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let batches: Vec<_> = reader.map(|batch| batch.expect("rows")).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).expect("one schema")
}

fn texts<'a>(rows: &'a RecordBatch, column: &str) -> Vec<Option<&'a str>> {
    rows.column_by_name(column).expect("a column").as_string::<i32>().iter().collect()
}

#[tokio::test]
async fn spans_lie_by_trace_with_typed_columns_and_everything_else_in_maps() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut exporter, cx) = node(&config(dir.path(), &[TableName::Spans]));
    exporter.export(&traces(&cx, 0..2, 2)).await.expect("taken");
    exporter.export(&traces(&cx, 2..3, 2)).await.expect("taken");
    exporter.flush(false).await.expect("nothing is due");
    assert_eq!((exporter.held(), files(dir.path()).len()), (6, 0));
    exporter.flush(true).await.expect("written");
    assert_eq!((exporter.held(), cx.stats().sent.load(Ordering::Relaxed)), (0, 6));
    let slice = START / 15_000_000_000 + 1;
    let name = format!("v1/spans/date=2025-10-09/hour=08/local-{slice}-0.parquet");
    assert_eq!(files(dir.path()).keys().collect::<Vec<_>>(), [&name]);
    let rows = rows(dir.path().join(name));
    let ids = texts(&rows, "trace_id");
    assert!(ids.is_sorted() && ids[0] == Some("fffffffffffffffd0000000000000007"), "{ids:?}");
    assert_eq!(texts(&rows, "parent_span_id")[..2], [None, Some("0000000000000001")]);
    assert_eq!(texts(&rows, "status")[..2], [Some("unset"), Some("error")]);
    assert_eq!(texts(&rows, "http_route")[0], Some("/cart"));
    assert_eq!(texts(&rows, "service_version")[0], Some("1.2"));
    assert_eq!(texts(&rows, "scope_version")[0], Some("3"));
    assert_eq!(texts(&rows, "keep_reason")[0], Some("errors"));
    let start = rows.column_by_name("start_unix_nano").expect("a column").as_primitive::<Int64Type>();
    assert_eq!(start.value(0), START as i64 + 2_000_000_000);
    let attributes = rows.column_by_name("attributes").expect("a column").as_map().value(0);
    let pairs: Vec<_> =
        attributes.column(0).as_string::<i32>().iter().zip(attributes.column(1).as_string::<i32>()).collect();
    assert_eq!(pairs.len(), 6, "a key that comes twice is taken once: {pairs:?}");
    assert!(
        pairs.contains(&(Some("ids"), Some("[1,2]"))) && pairs.contains(&(Some("ratio"), Some("0.5"))),
        "{pairs:?}"
    );
    let exception = rows.column_by_name("exception").expect("a column").as_struct();
    assert!(exception.is_null(0) && exception.is_valid(1));
    assert_eq!(exception.column(0).as_string::<i32>().value(1), "CardDeclined");
    let events = rows.column_by_name("events").expect("a column").as_list::<i32>().value(1);
    assert_eq!(events.as_struct().column(2).as_map().value_length(0), 1, "what stands in `exception` is not repeated");
    assert_eq!(events.as_struct().column(2).as_map().value_length(1), 4);
}

#[tokio::test]
async fn spans_go_to_the_hour_that_they_started_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut exporter, cx) = node(&config(dir.path(), &[TableName::Spans]));
    exporter.export(&traces(&cx, 385..395, 1)).await.expect("taken");
    exporter.flush(true).await.expect("written");
    let names: Vec<_> = files(dir.path()).into_keys().collect();
    assert!(names.len() == 2 && names[0].contains("hour=08") && names[1].contains("hour=09"), "{names:?}");
}

#[tokio::test]
async fn a_full_row_group_is_written_and_the_rest_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut exporter, cx) = node(&Config { row_group_rows: 1000, ..config(dir.path(), &[TableName::Spans]) });
    for n in 0..3 {
        exporter.export(&traces(&cx, n * 125..(n + 1) * 125, 8)).await.expect("taken");
    }
    assert_eq!(exporter.held(), 3000);
    exporter.flush(true).await.expect("written");
    let (name, _) = files(dir.path()).pop_first().expect("a file");
    let file = fs::File::open(dir.path().join(name)).expect("there");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
    let metadata = builder.metadata();
    let groups: Vec<_> = metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(groups, [1000, 1000, 1000]);
    let footer = metadata.file_metadata();
    let version = footer.key_value_metadata().expect("keys").iter().find(|kv| kv.key == "backtrail.schema_version");
    assert_eq!(version.and_then(|kv| kv.value.as_deref()), Some("v1"));
    assert!(metadata.row_group(0).column(0).bloom_filter_offset().is_some(), "trace ids have a bloom filter");
    assert_eq!(cx.stats().sent.load(Ordering::Relaxed), 3000);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_replaced_and_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut exporter, cx) = node(&config(dir.path(), &[TableName::Spans]));
    let mut bytes = request(0..1, 1).encode_to_vec();
    let at = bytes.windows(5).position(|window| window == b"/cart").expect("there");
    bytes[at + 1] = 0xFF;
    let at = bytes.windows(5).rposition(|window| window == b"/cart").expect("there");
    bytes[at + 1] = 0xFF;
    exporter.export(&kept(&cx, bytes, 1)).await.expect("taken");
    exporter.flush(true).await.expect("written");
    assert_eq!(cx.stats().notes()["invalid_utf8"], 2);
    let (name, _) = files(dir.path()).pop_first().expect("a file");
    assert_eq!(texts(&rows(dir.path().join(name)), "http_route")[0], Some("/\u{FFFD}art"));
}

pub(super) fn edges(slice: u64, caller: &str, calls: u64) -> EdgeSlice {
    let mut edges = EdgeSlice::new(Slice(slice));
    let key = EdgeKey { caller: caller.into(), callee: "b".into(), route: "GET /".into(), kind: EdgeKind::Call };
    let mut counts = EdgeCounts { calls: calls * 256, requests: calls * 256, ..EdgeCounts::default() };
    counts.client.record(1000 * calls, 256);
    edges.edges.insert(key, counts);
    edges
}

fn spectra(slice: u64, traces: u64, error: bool) -> SpectraSlice {
    let mut spectra = SpectraSlice::new(Slice(slice));
    let element = |kind, service: &str, name: &str| Element { kind, service: service.into(), name: name.into() };
    let elements = [element(ElementKind::Service, "a", ""), element(ElementKind::Edge, "a", "b")];
    spectra.signatures.insert(5, elements.into());
    let entry = Entry { service: "a".into(), route: "GET /".into() };
    spectra.groups.insert(TraceGroup { entry, signature: 5, error, latency: 100 }, traces * 256);
    let mut sums = TestSums::default();
    sums.record(70 * traces);
    spectra.tests.insert(TestKey { service: "a".into(), operation: "GET /".into(), callee: None }, sums);
    spectra.error_origins.insert(("a".into(), "GET /".into()), 256);
    spectra
}

fn motifs(slice: u64, template: &str, count: u64) -> LogMotifSlice {
    let mut motifs = LogMotifSlice { overflow: count % 2, ..LogMotifSlice::new(Slice(slice)) };
    let key = MotifKey { service: "a".into(), template: template.into(), severity: 17 };
    let (first, last) = (UnixNano(START + count), UnixNano(START + 2 * count));
    motifs.add(key, MotifCounts { count, in_traces: 1, first, last, example: format!("failed {count}").into() });
    motifs
}

fn metrics(slice: u64, time: u64, value: f64) -> MetricSlice {
    let mut metrics = MetricSlice::new(Slice(slice));
    let key = SeriesKey {
        service: "a".into(),
        instance: "a-1".into(),
        node: "".into(),
        part: "".into(),
        measure: Measure::CpuUsage,
        name: "k8s.pod.cpu.usage".into(),
    };
    metrics.add(key, Scrape::new(UnixNano(time), value));
    metrics
}

fn batch(data: Data) -> Batch {
    Batch::derived(data, UnixNano(START))
}

/// A slice that begins a cell of ten minutes: 2025-10-09 09:00 UTC.
const FIRST: u64 = 117_333_361;

#[tokio::test]
async fn any_split_and_order_of_slices_gives_byte_equal_files() {
    let tables = [TableName::Edges, TableName::Spectra, TableName::LogMotifs, TableName::MetricWindows];
    let mut parts: Vec<Batch> = (0..100)
        .flat_map(|n| {
            let a = Data::Edges(Arc::new(edges(FIRST + n, "a", n + 1)));
            let c = Data::Edges(Arc::new(edges(FIRST + n, "c", n + 2)));
            let s = Data::Spectra(Arc::new(spectra(FIRST + n, n + 1, n % 3 == 0)));
            let more = Data::Spectra(Arc::new(spectra(FIRST + n, n + 1, n % 2 == 0)));
            let m = Data::LogMotifs(Arc::new(motifs(FIRST + n, "a#1", n + 1)));
            let other = Data::LogMotifs(Arc::new(motifs(FIRST + n, "a#1", n + 2)));
            let first = Data::MetricWindows(Arc::new(metrics(FIRST + n, 2 * n, 0.1)));
            let later = Data::MetricWindows(Arc::new(metrics(FIRST + n, 2 * n + 1, 0.2)));
            [a, c, s, more, m, other, first, later].map(batch)
        })
        .collect();
    let mut outcomes = Vec::new();
    for run in 0..3 {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut exporter, cx) = node(&config(dir.path(), &tables));
        for (n, part) in parts.iter().enumerate() {
            exporter.export(part).await.expect("taken");
            if (n + run) % 7 == 0 {
                exporter.flush(false).await.expect("written");
            }
        }
        exporter.flush(true).await.expect("written");
        assert_eq!(cx.stats().sent.load(Ordering::Relaxed), parts.len() as u64);
        outcomes.push(files(dir.path()));
        // The parts of near slices change places, as parts of shards do.
        parts.chunks_mut(16 + run).for_each(<[Batch]>::reverse);
    }
    assert_eq!(outcomes[0].len(), 12, "{:?}", outcomes[0].keys());
    assert!(outcomes[0] == outcomes[1] && outcomes[0] == outcomes[2]);
}

#[tokio::test]
async fn motifs_are_rows_and_what_is_past_the_cap_is_one_without_a_service() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut exporter, _) = node(&config(dir.path(), &[TableName::LogMotifs]));
    for (template, count) in [("b#2", 4), ("a#1", 3)] {
        exporter.export(&batch(Data::LogMotifs(Arc::new(motifs(FIRST, template, count))))).await.expect("taken");
    }
    exporter.flush(true).await.expect("written");
    let (name, _) = files(dir.path()).pop_first().expect("a file");
    let rows = rows(dir.path().join(name));
    assert_eq!(texts(&rows, "service"), [None, Some("a"), Some("a")]);
    assert_eq!(texts(&rows, "template"), [Some("(other)"), Some("a#1"), Some("b#2")]);
    assert_eq!(texts(&rows, "severity"), [Some("UNSPECIFIED"), Some("ERROR"), Some("ERROR")]);
    assert_eq!(texts(&rows, "example"), [None, Some("failed 3"), Some("failed 4")]);
    let numbers = |column| rows.column_by_name(column).expect("a column").as_primitive::<Int64Type>().iter();
    assert_eq!(numbers("count").collect::<Vec<_>>(), [Some(1), Some(3), Some(4)]);
    assert_eq!(
        numbers("last_seen_unix_nano").collect::<Vec<_>>(),
        [None, Some(START as i64 + 6), Some(START as i64 + 8)]
    );
}

#[tokio::test]
async fn late_slices_make_a_further_file_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &[TableName::Edges]);
    let (mut exporter, _) = node(&config);
    for slice in [FIRST, FIRST + 100, FIRST] {
        exporter.export(&batch(Data::Edges(Arc::new(edges(slice, "a", 1))))).await.expect("taken");
    }
    exporter.flush(true).await.expect("written");
    let names: Vec<_> = files(dir.path()).into_keys().collect();
    let expected: Vec<_> = [(FIRST, 0), (FIRST, 1), (FIRST + 80, 0)]
        .map(|(slice, n)| format!("v1/edges/date=2025-10-09/hour=09/local-{slice}-{n}.parquet"))
        .into();
    assert_eq!(names, expected);
    // The same replay again finds its own files; other data does not take their place.
    let (mut again, _) = node(&config);
    again.export(&batch(Data::Edges(Arc::new(edges(FIRST, "a", 1))))).await.expect("taken");
    again.flush(true).await.expect("written");
    assert_eq!(files(dir.path()).len(), 3);
    let (mut other, _) = node(&config);
    other.export(&batch(Data::Edges(Arc::new(edges(FIRST, "a", 2))))).await.expect("taken");
    other.flush(true).await.expect("written");
    assert_eq!(files(dir.path()).len(), 4);
}

#[tokio::test]
async fn an_unwritable_directory_is_unavailable_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let base = dir.path().join("windows");
    fs::write(&base, "a file in the way").expect("writable");
    let (mut exporter, cx) = node(&config(&base, &[TableName::Edges, TableName::Spans]));
    let slice = batch(Data::Edges(Arc::new(edges(FIRST, "a", 1))));
    let error = exporter.export(&slice).await.expect_err("no directory");
    assert!(matches!(error, NodeError::Unavailable { .. }) && error.to_string().contains("windows"), "{error}");
    assert_eq!(exporter.held(), 0, "what was refused is not held");
    fs::remove_file(&base).expect("removable");
    exporter.export(&slice).await.expect("taken");
    exporter.export(&traces(&cx, 0..3, 2)).await.expect("taken");
    fs::remove_dir_all(&base).expect("removable");
    fs::write(&base, "again").expect("writable");
    assert!(exporter.flush(true).await.is_err());
    assert_eq!(exporter.held(), 7, "what could not be written is still held");
    fs::remove_file(&base).expect("removable");
    exporter.flush(true).await.expect("written");
    assert_eq!((exporter.held(), cx.stats().sent.load(Ordering::Relaxed)), (0, 7));
}

#[tokio::test]
async fn leftovers_are_removed_with_the_first_data_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let staging = dir.path().join("_tmp/local/exporters_parquet");
    fs::create_dir_all(&staging).expect("writable");
    fs::write(staging.join("edges-1.parquet"), "half").expect("writable");
    let (mut exporter, cx) = node(&config(dir.path(), &[TableName::Edges]));
    assert_eq!(files(dir.path()).len(), 1);
    exporter.export(&batch(Data::Edges(Arc::new(edges(FIRST, "a", 1))))).await.expect("taken");
    assert_eq!((files(dir.path()).len(), cx.stats().notes()["leftovers_removed"]), (0, 1));
}

#[tokio::test]
async fn a_live_clock_publishes_what_is_over_age() {
    let dir = tempfile::tempdir().expect("a directory");
    let shared = Shared::new(SharedOptions {
        grid: SliceGrid { origin: UnixNano(0), length: std::time::Duration::from_secs(15) },
        allowed_lateness: std::time::Duration::from_secs(10),
        data_dir: dir.path().to_path_buf(),
        config_digest: "digest".to_owned(),
        memory_limit: 1 << 20,
        symbol_cap: 100,
        virtual_clock: false,
    });
    let cx = Context::new("exporters.parquet", 0, Arc::default(), shared);
    let tables = vec![TableName::Spans, TableName::Edges];
    let config = Config { tables, max_file_age: Duration::from_millis(1), ..Config::default() };
    let mut exporter = config.build(&cx).expect("builds");
    exporter.export(&traces(&cx, 0..1, 2)).await.expect("taken");
    exporter.export(&batch(Data::Edges(Arc::new(edges(FIRST, "a", 1))))).await.expect("taken");
    let open = cx.grid().slice(cx.now()).0 + 10;
    exporter.export(&batch(Data::Edges(Arc::new(edges(open, "a", 1))))).await.expect("taken");
    std::thread::sleep(std::time::Duration::from_millis(2));
    exporter.flush(false).await.expect("written");
    assert_eq!((exporter.held(), files(&dir.path().join("windows")).len()), (1, 2));
}

#[test]
fn signals_follow_the_tables_and_wrong_values_are_named() {
    let config: Config =
        serde_json::from_str(r#"{"tables": ["edges", "suspects"], "max_file_age": "5m"}"#).expect("ok");
    assert_eq!(config.max_file_age, Duration::from_secs(300));
    assert_eq!(
        config.accepts(),
        backtrail_model::Signals::of(&[backtrail_model::Signal::Edges, backtrail_model::Signal::Verdicts])
    );
    let wrong = Config { instance: "a/b".into(), row_group_rows: 1, ..Config::default() };
    let paths: Vec<_> = wrong.check().into_iter().map(|finding| finding.path).collect();
    assert_eq!(paths, ["tables", "instance", "row_group_rows"]);
    assert!(serde_json::from_str::<Config>(r#"{"tables": ["spams"]}"#).is_err());
}
