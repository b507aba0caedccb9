//! Peers that spans know by their address are judged by the name that a file gives them.

use std::path::Path;
use std::process::{Command, Output};

use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use crate::support::{binary, pipeline, read, strings};

const SHAPE: Shape = Shape { seed: 4, start: 1_760_000_010_000_000_000, quiet: 150, faulty: 90, rate: 6 };

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The culprit is not instrumented, and runs at two addresses.
fn write_traces(dir: &Path) {
    let mut all = spans(&SHAPE);
    all.retain(|(_, service, _)| *service != CULPRIT);
    for (n, (_, _, span)) in all.iter_mut().filter(|(.., span)| span.name == "POST payment").enumerate() {
        let host = ["10.0.0.7", "10.0.0.8"][n % 2];
        span.attributes.push(attribute("network.peer.address", Value::StringValue(host.to_owned())));
        span.attributes.push(attribute("network.peer.port", Value::IntValue(8443)));
    }
    write_jsonl(&dir.join("traces.otlp.jsonl"), &requests(&all, 200)).expect("writable");
}

fn run(dir: &Path) -> Output {
    let (start, end) = SHAPE.window();
    let discovery = "  service_discovery: { file_sd_configs: [{ files: [targets/*.yaml] }] }\n  tail_sampling:";
    let config = pipeline("replay: { path: traces.otlp.jsonl }", "decision_wait: 20s")
        .replace("anomaly_trigger: {}", &format!("anomaly_trigger: {{ window: {{ start: {start}, end: {end} }} }}"))
        .replace("  tail_sampling:", discovery)
        .replace("[route_normalization, trace_assembly]", "[route_normalization, service_discovery, trace_assembly]")
        .replace("admin: { endpoint: 127.0.0.1:0 }", "admin: { endpoint: '' }");
    std::fs::write(dir.join("pipeline.yaml"), config).expect("writable");
    Command::new(binary()).arg("run").current_dir(dir).output().expect("it runs")
}

#[test]
fn an_edge_to_two_addresses_is_one_to_the_name_that_a_file_gives_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_traces(dir.path());
    let targets = dir.path().join("targets");
    std::fs::create_dir(&targets).expect("a folder");
    std::fs::write(targets.join("a.yaml"), "- targets: ['10.0.0.7:8443', '10.0.0.8:8443']\n  labels: { job: bank }\n")
        .expect("writable");
    let output = run(dir.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let windows = dir.path().join("data/windows");
    let callees = strings(&read(&windows, "edges"), "callee");
    assert!(callees.iter().any(|callee| callee == "bank"), "{callees:?}");
    assert!(!callees.iter().any(|callee| callee.starts_with("10.")), "{callees:?}");
    let suspects = read(&windows, "suspects");
    let names = strings(&suspects, "service").into_iter().chain(strings(&suspects, "name")).collect::<Vec<_>>();
    assert!(names.iter().any(|name| name == "bank") && !names.iter().any(|name| name.starts_with("10.")), "{names:?}");
}

#[test]
fn a_wrong_file_of_targets_stops_the_start_and_names_its_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_traces(dir.path());
    std::fs::create_dir(dir.path().join("targets")).expect("a folder");
    std::fs::write(dir.path().join("targets/a.yaml"), "- targets: ['10.0.0.7:8443']\n  lables: {}\n")
        .expect("writable");
    let output = run(dir.path());
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && says.contains("targets/a.yaml:2:"), "{says}");
    assert!(!dir.path().join("data").exists(), "nothing was written");
}
