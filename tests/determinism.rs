//! Same input, any number of shards, any batch size, any request order within lateness: the same verdict id and
//! byte-equal aggregates. Through the real binary, `replay` to Parquet.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{binary, files, pipeline, read, strings};

const SHAPE: Shape = Shape { seed: 11, start: 1_760_000_010_000_000_000, quiet: 150, faulty: 90, rate: 6 };

/// What must not change: verdict ids, the first suspect of each, and every byte of the aggregates.
#[derive(PartialEq, Eq)]
struct Outcome {
    verdicts: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<_> = self.files.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        write!(f, "{} verdicts, files {sizes:?}", self.verdicts.len())
    }
}

fn run(input: &[ExportTraceServiceRequest], shards: usize) -> Outcome {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_jsonl(&dir.path().join("traces.otlp.jsonl"), input).expect("the folder is writable");
    let (start, end) = SHAPE.window();
    let config = pipeline("replay: { path: traces.otlp.jsonl }", "decision_wait: 20s")
        .replace("anomaly_trigger: {}", &format!("anomaly_trigger: {{ window: {{ start: {start}, end: {end} }} }}"))
        .replace("allowed_lateness: 2s", &format!("allowed_lateness: 15s\n  shards: {shards}"))
        .replace("admin: { endpoint: 127.0.0.1:0 }", "admin: { endpoint: '' }");
    std::fs::write(dir.path().join("pipeline.yaml"), config).expect("the folder is writable");
    let output = Command::new(binary()).arg("run").current_dir(dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let windows = dir.path().join("data/windows");
    let verdicts = read(&windows, "verdicts");
    let suspects = read(&windows, "suspects");
    let mut lines = strings(&verdicts, "verdict_id");
    lines.extend(strings(&suspects, "service"));
    Outcome { verdicts: lines, files: aggregates(&windows) }
}

fn aggregates(windows: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for table in ["edges", "spectra", "incidents", "suspects", "verdicts"] {
        for file in files(windows, table) {
            let name = file.strip_prefix(windows).expect("below the folder").display().to_string();
            found.insert(name, std::fs::read(&file).expect("readable"));
        }
    }
    found
}

#[test]
fn shards_batches_and_order_change_nothing() {
    let spans = spans(&SHAPE);
    let reference = run(&requests(&spans, 200), 1);
    assert!(reference.verdicts.iter().any(|line| line == CULPRIT), "{reference:?}");
    assert!(reference.files.keys().any(|name| name.contains("edges")), "{reference:?}");
    for shards in [2, 4] {
        assert_eq!(run(&requests(&spans, 200), shards), reference, "{shards} shards");
    }
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    // Requests may change places within about ten seconds of event time: less than the allowed lateness.
    let strategy = (1_usize..600, 1_usize..=4, any::<u64>());
    runner
        .run(&strategy, |(size, shards, seed)| {
            let mut input = requests(&spans, size);
            shuffle_within(&mut input, size, seed);
            prop_assert_eq!(&run(&input, shards), &reference);
            Ok(())
        })
        .expect("the same outcome");
}

/// Moves requests, but none by more than ten seconds of event time.
fn shuffle_within(input: &mut [ExportTraceServiceRequest], size: usize, mut seed: u64) {
    let spans_per_second = SHAPE.rate as usize * 6;
    let reach = (5 * spans_per_second / size).max(1);
    for block in input.chunks_mut(reach) {
        for i in (1..block.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            block.swap(i, (seed >> 33) as usize % (i + 1));
        }
    }
}
