//! Every table through the exporter, as analysts read it: `DuckDB`, polars and pyarrow see the same rows and types.
#![allow(missing_docs, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backtrail_exporters::parquet::Config;
use backtrail_model::data::{Batch, Data};
use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::incident::Incident;
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TestKey, TestSums, TraceGroup};
use backtrail_model::time::{Slice, UnixNano};
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags, TraceHead};
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::{Component, Context, Exporter};
use backtrail_testkit::corpus::Corpus;
use backtrail_wire::{Bounds, WalkSpec, Walker};

const FIRST: u64 = 117_333_361;

/// Each request as one batch; a span is a trace of its own, because how traces are assembled does not matter here.
fn traces(cx: &Context) -> Vec<Data> {
    let mut walker = Walker::new(Arc::new(WalkSpec::new(Vec::new())), Arc::clone(cx.symbols()));
    let corpus = Corpus::new(3, 200);
    let batch = |bytes: Vec<u8>| {
        let walked = walker.traces(bytes.into(), &Bounds::none()).expect("valid OTLP").batch;
        let heads =
            walked.records.iter().zip(&walked.trace_ids).enumerate().map(|(n, (record, &trace_id))| TraceHead {
                trace_id,
                first: n as u32,
                len: 1,
                root: NO_SPAN,
                start: record.start,
                end: record.end(),
                first_log: 0,
                log_len: 0,
                flags: TraceFlags::default(),
                reason: Arc::from("all"),
            });
        Data::Traces(Arc::new(TraceBatch {
            traces: heads.collect(),
            parents: vec![NO_SPAN; walked.records.len()],
            raw: walked.buf.to_vec(),
            records: walked.records,
            origins: walked.origins,
            ..TraceBatch::default()
        }))
    };
    corpus.requests.iter().map(|request| request.pass(1)).map(batch).collect()
}

fn edges(slice: u64) -> Data {
    let mut edges = EdgeSlice::new(Slice(slice));
    for (caller, kind) in [("", EdgeKind::Entry), ("frontend", EdgeKind::Call)] {
        let key = EdgeKey { caller: caller.into(), callee: "payment".into(), route: "POST /pay".into(), kind };
        let mut counts = EdgeCounts { calls: 2560, errors: 256, requests: 2048, retries: 512, ..EdgeCounts::default() };
        counts.client.record(2_000_000, 2560);
        edges.edges.insert(key, counts);
    }
    Data::Edges(Arc::new(edges))
}

/// Failing traces touch payment; of the passing ones, every second does.
fn spectra(slice: u64) -> Data {
    let mut spectra = SpectraSlice::new(Slice(slice));
    let service = |name: &str| Element { kind: ElementKind::Service, service: name.into(), name: "".into() };
    spectra.signatures.insert(1, [service("frontend"), service("payment")].into());
    spectra.signatures.insert(2, [service("frontend")].into());
    let entry = Entry { service: "frontend".into(), route: "POST /checkout".into() };
    for (signature, error, count) in [(1, true, 3), (1, false, 1), (2, false, 6)] {
        spectra.groups.insert(TraceGroup { entry: entry.clone(), signature, error, latency: 500 }, count * 256);
    }
    let mut sums = TestSums::default();
    sums.record(1_000_000);
    let callee = Some("payment".into());
    spectra.tests.insert(TestKey { service: "frontend".into(), operation: "POST /checkout".into(), callee }, sums);
    spectra.error_origins.insert(("payment".into(), "POST /pay".into()), 768);
    Data::Spectra(Arc::new(spectra))
}

fn motifs(slice: u64) -> Data {
    let mut motifs = LogMotifSlice { overflow: 5, ..LogMotifSlice::new(Slice(slice)) };
    let key = MotifKey { service: "payment".into(), template: "Charge.java#42".into(), severity: 17 };
    let time = UnixNano(slice * 15_000_000_000);
    motifs.add(key, MotifCounts { count: 3, in_traces: 2, first: time, last: time, example: "declined".into() });
    Data::LogMotifs(Arc::new(motifs))
}

/// A pod's processor and one of its pools.
fn metrics(slice: u64) -> Data {
    let mut metrics = MetricSlice::new(Slice(slice));
    for (measure, part, name) in
        [(Measure::CpuUsage, "", "k8s.pod.cpu.usage"), (Measure::PoolUsage, "main", "db.client.connection.count")]
    {
        let key = SeriesKey {
            service: "payment".into(),
            instance: "payment-1".into(),
            node: "".into(),
            part: part.into(),
            measure,
            name: name.into(),
        };
        metrics.add(key, Scrape::new(UnixNano(slice), 0.25));
    }
    Data::MetricWindows(Arc::new(metrics))
}

fn documents() -> [Data; 2] {
    let verdict: Verdict = serde_json::from_str(include_str!("data/verdict.json")).expect("a verdict");
    let incident = Incident {
        incident_key: verdict.incident_key.clone(),
        revision: verdict.revision,
        status: verdict.status,
        detector: verdict.detector.clone(),
        endpoint: verdict.endpoint.clone(),
        window: verdict.window,
        opened: Slice(FIRST),
    };
    [Data::Incident(Arc::new(incident)), Data::Verdict(Arc::new(verdict))]
}

/// Writes all tables; returns how many spans.
async fn write(base: &Path) -> u64 {
    let cx = Context::for_test("exporters.parquet");
    let config = serde_json::json!({
        "path": base,
        "tables": ["spans", "edges", "spectra", "log_motifs", "metric_windows", "incidents", "suspects", "verdicts"],
    });
    let config: Config = serde_json::from_value(config).expect("settings");
    let mut exporter: Box<dyn Exporter> = config.build(&cx).expect("builds");
    let spans = traces(&cx);
    let count = spans.iter().map(Data::items).sum();
    let windows = (FIRST..FIRST + 100).flat_map(|slice| [edges(slice), spectra(slice), motifs(slice), metrics(slice)]);
    for data in spans.into_iter().chain(windows).chain(documents()) {
        exporter.export(&Batch::derived(data, UnixNano(0))).await.expect("taken");
    }
    exporter.flush(true).await.expect("written");
    assert_eq!(exporter.held(), 0);
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn three_readers_see_the_same_tables() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python");
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tables");
    let _ = std::fs::remove_dir_all(&base);
    let spans = write(&base).await;
    let Some(python) = backtrail_testkit::python::venv(&scripts.join("requirements.txt")).or_skip() else { return };
    let output = Command::new(python).arg(scripts.join("read_tables.py")).arg(&base).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (table, rows) in [
        ("spans", spans),
        ("edges", 200),
        ("spectra", 500),
        ("log_motifs", 200),
        ("metric_windows", 200),
        ("incidents", 1),
        ("suspects", 2),
        ("verdicts", 1),
    ] {
        assert_eq!(report[table]["rows"], rows, "{table}");
    }
    assert_eq!(report["spans"]["columns"]["start_time"], "time");
    // Ochiai from counts alone: 300 failing traces, all through payment, with 100 passing ones.
    let first = &report["ochiai"][0];
    assert_eq!((first["service"].as_str(), first["ef"].as_f64()), (Some("payment"), Some(300.0)), "{first}");
    assert_eq!(
        (first["ep"].as_f64(), first["nf"].as_f64(), first["np"].as_f64()),
        (Some(100.0), Some(0.0), Some(600.0))
    );
    assert!((first["score"].as_f64().expect("a number") - 300.0 / (300.0_f64 * 400.0).sqrt()).abs() < 1e-9);
}
