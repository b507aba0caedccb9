//! Unmodified OpenTelemetry SDKs into the running collector; every span is found again in the Parquet files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use backtrail_testkit::process::Collector;
use backtrail_testkit::python::{node_modules, venv};
use serde_json::Value;

use crate::support::{binary, keep_all, read, root, strings};

const TRACES: u64 = 300;

type Sent = BTreeSet<(String, String)>;

/// Runs a sender against a fresh collector; returns what it says it sent, and the collector's folder after its end.
fn through_the_collector(protocol: &str, sender: impl FnOnce(&str) -> Command) -> (Sent, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(binary(), dir.path(), &keep_all());
    let output = sender(&format!("http://{}", collector.address(protocol))).output().expect("the sender runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent: Value = serde_json::from_slice(&output.stdout).expect("the sender prints JSON");
    let sent = sent.as_array().expect("a list").iter().map(|span| {
        let field = |key: &str| span[key].as_str().expect("a string").to_owned();
        (field("trace_id"), field("span_id"))
    });
    let sent = sent.collect();
    let status = collector.stop();
    let kept = backtrail_testkit::process::row(&status, "exporters.parquet/spans");
    assert_eq!(kept["sent"], TRACES * 2, "{kept}");
    (sent, dir)
}

fn assert_all_found(sent: &Sent, dir: &Path, service: &str, version: &str) {
    let windows = dir.join("data/windows");
    let spans = read(&windows, "spans");
    let found: Sent = strings(&spans, "trace_id").into_iter().zip(strings(&spans, "span_id")).collect();
    assert_eq!(sent.len() as u64, TRACES * 2);
    assert_eq!(sent, &found);
    assert!(strings(&spans, "service").iter().all(|name| name == service));
    assert!(strings(&spans, "service_version").iter().all(|name| name == version));
    assert_eq!(strings(&spans, "status").iter().filter(|status| *status == "error").count() as u64, TRACES / 10);
    let operations: BTreeSet<String> = strings(&spans, "operation").into_iter().collect();
    assert_eq!(operations, BTreeSet::from(["GET /users/{id}".to_owned(), "load".to_owned()]));
}

fn python(protocol: &str, service: &str) {
    let folder = root().join("tests/sdk/python");
    let Some(interpreter) = venv(&folder.join("requirements.txt")).or_skip() else { return };
    let listener = if protocol == "grpc" { "grpc" } else { "http" };
    let (sent, dir) = through_the_collector(listener, |endpoint| {
        let mut command = Command::new(interpreter);
        command.arg(folder.join("send.py")).args([protocol, endpoint, &TRACES.to_string()]);
        command
    });
    assert_all_found(&sent, dir.path(), service, "2.0.1");
}

#[test]
fn python_over_grpc() {
    python("grpc", "python-grpc");
}

#[test]
fn python_over_http_protobuf_with_gzip() {
    python("http", "python-http");
}

#[test]
fn javascript_over_http_json() {
    let folder = root().join("tests/sdk/javascript");
    let Some(modules) = node_modules(&folder.join("package.json")).or_skip() else { return };
    // Node finds packages beside the script, so the script goes where they are.
    let script = modules.join("send.mjs");
    std::fs::copy(folder.join("send.mjs"), &script).expect("the cache folder is writable");
    let (sent, dir) = through_the_collector("http", |endpoint| {
        let mut command = Command::new("node");
        command.arg(script).args([endpoint, &TRACES.to_string()]);
        command
    });
    assert_all_found(&sent, dir.path(), "javascript-http-json", "3.2.1");
}
