//! `DuckDB`, polars and pyarrow read every table alike; a damaged patch queue is found and named.

use std::path::Path;
use std::process::Command;

use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use backtrail_testkit::python::venv;
use serde_json::Value;

use crate::support::{binary, pipeline, root};

const SHAPE: Shape = Shape { seed: 3, start: 1_760_000_010_000_000_000, quiet: 240, faulty: 120, rate: 5 };
const TABLES: [&str; 6] = ["spans", "edges", "spectra", "incidents", "suspects", "verdicts"];

/// Runs an incident with every table on, in `dir`.
fn incident(dir: &Path) {
    write_jsonl(&dir.join("traces.otlp.jsonl"), &requests(&spans(&SHAPE), 100)).expect("writable");
    let (start, end) = SHAPE.window();
    let config = pipeline("replay: { path: traces.otlp.jsonl }", "decision_wait: 10s")
        .replace("anomaly_trigger: {}", &format!("anomaly_trigger: {{ window: {{ start: {start}, end: {end} }} }}"));
    std::fs::write(dir.join("pipeline.yaml"), config).expect("writable");
    let output = Command::new(binary()).arg("run").current_dir(dir).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn duckdb_polars_and_pyarrow_read_every_table_alike() {
    let folder = root().join("tests/python");
    let Some(python) = venv(&folder.join("requirements.txt")).or_skip() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    incident(dir.path());
    let output = Command::new(python)
        .arg(folder.join("read_tables.py"))
        .arg(dir.path().join("data/windows"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for table in TABLES {
        assert!(report[table]["rows"].as_u64() > Some(0), "{table}: {report:#}");
    }
    assert_eq!(report["spans"]["rows"], (SHAPE.quiet + SHAPE.faulty) * SHAPE.rate * 6);
    assert_eq!(report["spans"]["columns"]["duration_ns"], "int64");
    assert_eq!(report["spans"]["columns"]["attributes"], "map<text,text>");
    let first = &report["ochiai"][0];
    assert!(first.to_string().contains(CULPRIT), "Ochiai by SQL names another first suspect: {first}");
}

#[test]
fn a_wrong_checksum_in_the_patch_queue_is_found_and_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    incident(dir.path());
    let queue = dir.path().join("data/patch_queue");
    assert!(backtrail_spool::verify(&queue).expect("readable").damage.is_empty());
    let segment = std::fs::read_dir(&queue)
        .expect("readable")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().map_or(0, |metadata| metadata.len()))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("readable");
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("writable");
    let report = backtrail_spool::verify(&queue).expect("readable");
    assert_eq!(report.damage.len(), 1, "{report:?}");
    let said = report.damage[0].to_string();
    let name = segment.file_name().expect("a name").to_string_lossy();
    assert!(said.contains(&*name) && said.contains("checksum"), "{said}");
    // The collector says so too, keeps what is intact and goes on.
    let output = Command::new(binary()).arg("run").current_dir(dir.path()).output().expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains(&*name), "{log}");
}
