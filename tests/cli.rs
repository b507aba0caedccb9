//! The command line: what it prints, how it exits, and that a bad configuration harms nothing.

use std::path::Path;
use std::process::{Command, Output};

use backtrail_testkit::incident::{Shape, requests, spans, write_jsonl};
use backtrail_testkit::process::{Collector, assert_conserved};
use serde_json::Value;

use crate::support::{binary, keep_all, pipeline, root};

fn backtrail(dir: &Path, args: &[&str]) -> Output {
    Command::new(binary()).args(args).current_dir(dir).env("NO_COLOR", "1").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TEN_MISTAKES: &str = include_str!("data/ten_mistakes.yaml");

#[test]
fn ten_mistakes_are_reported_at_once_and_nothing_is_touched() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("pipeline.yaml"), TEN_MISTAKES).expect("writable");
    let output = backtrail(dir.path(), &["validate", "--config", "pipeline.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("ten_mistakes", text(&output.stdout) + &text(&output.stderr));

    let json = backtrail(dir.path(), &["validate", "--config", "pipeline.yaml", "--json"]);
    let document: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let problems = document["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 10, "{document:#}");
    for problem in problems {
        assert!(problem["line"].as_u64() > Some(0) && problem["column"].as_u64() > Some(0), "{problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
    }
    let run = backtrail(dir.path(), &["run", "--config", "pipeline.yaml"]);
    assert_eq!(run.status.code(), Some(78), "{}", text(&run.stderr));
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["pipeline.yaml"], "nothing was written");
}

#[test]
fn every_shipped_configuration_is_valid() {
    let mut files = vec![root().join("pipeline.yaml")];
    files.extend(std::fs::read_dir(root().join("examples")).expect("examples").flatten().map(|entry| entry.path()));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    assert!(files.len() >= 6, "one a kind of user: {files:?}");
    for file in files {
        let output = backtrail(root(), &["validate", "--config", file.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{}:\n{}{}", file.display(), text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn every_configuration_that_judges_does_it_by_all_signals() {
    let mut judging = 0;
    for entry in std::fs::read_dir(root().join("examples")).expect("examples").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("readable");
        if !text.contains("  verdict:") {
            continue;
        }
        judging += 1;
        let output =
            backtrail(root(), &["graph", "--format", "text", "--config", entry.path().to_str().expect("UTF-8")]);
        let graph = self::text(&output.stdout);
        for node in ["edge_aggregation", "ochiai", "log_motifs", "metric_shifts", "anomaly_trigger", "verdict"] {
            assert!(graph.contains(node), "{} has no {node}:\n{graph}", entry.path().display());
        }
    }
    assert!(judging >= 5, "{judging}");
}

#[test]
fn an_otelcol_tail_sampling_block_works_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = "receivers:
  otlp:
    protocols: { grpc: { endpoint: 127.0.0.1:4317 } }
processors:
  batch:
  tail_sampling:
    decision_wait: 7s
    num_traces: 50000
    expected_new_traces_per_sec: 100
    policies:
      - { name: errors, type: status_code, status_code: { status_codes: [ERROR] } }
      - { name: slow, type: latency, latency: { threshold_ms: 500 } }
exporters:
  debug:
service:
  pipelines:
    traces: { receivers: [otlp], processors: [tail_sampling, batch], exporters: [debug] }
";
    std::fs::write(dir.path().join("c.yaml"), config).expect("writable");
    let output = backtrail(dir.path(), &["graph", "--config", "c.yaml", "--format", "text"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("trace_assembly"), "{}", text(&output.stdout));
    let clash = config
        .replace("  batch:\n", "  batch:\n  trace_assembly: { decision_wait: 9s }\n")
        .replace("processors: [tail_sampling", "processors: [trace_assembly, tail_sampling");
    std::fs::write(dir.path().join("c.yaml"), clash).expect("writable");
    let output = backtrail(dir.path(), &["validate", "--config", "c.yaml", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let message = document["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("7s") && message.contains("9s"), "{document:#}");
}

#[test]
fn a_pipeline_whose_inputs_end_drains_and_exits_0() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let shape = Shape { seed: 1, start: 1_760_000_000_000_000_000, quiet: 20, faulty: 10, rate: 2 };
    write_jsonl(&dir.path().join("t.jsonl"), &requests(&spans(&shape), 50)).expect("writable");
    let config = pipeline("replay: { path: t.jsonl }", "decision_wait: 5s");
    std::fs::write(dir.path().join("pipeline.yaml"), config).expect("writable");
    let output = backtrail(dir.path(), &["run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("data/status.json")).expect("it was written"))
            .expect("JSON");
    assert_conserved(&status);
    assert_eq!(backtrail_testkit::process::row(&status, "exporters.parquet/spans")["sent"], 30 * 2 * 6);
}

#[test]
fn status_prints_every_node_as_json() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(binary(), dir.path(), &keep_all());
    let endpoint = collector.admin().to_string();
    let output = backtrail(dir.path(), &["status", "--endpoint", &endpoint, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let nodes = status["nodes"].as_array().expect("nodes");
    assert!(nodes.len() >= 9, "{status:#}");
    for node in nodes {
        for key in ["node", "accepted", "sent", "dropped", "held"] {
            assert!(!node[key].is_null(), "{key} of {node}");
        }
    }
    for (path, wanted) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/nothing", 404)] {
        let answer = backtrail_testkit::client::http(collector.admin(), "GET", path, &[], b"").expect("an answer");
        assert_eq!(answer.status, wanted, "{path}");
    }
    let taken =
        keep_all().replace("endpoint: 127.0.0.1:0 } } }", &format!("endpoint: {} }} }} }}", collector.address("http")));
    let other = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(other.path().join("pipeline.yaml"), taken).expect("writable");
    let second = backtrail(other.path(), &["run"]);
    assert!(!second.status.success() && text(&second.stderr).contains("receivers.otlp"), "{}", text(&second.stderr));
    collector.stop();
}

#[test]
fn sighup_takes_new_settings_and_survives_a_bad_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(binary(), dir.path(), &keep_all());
    let logged = |what: &str| {
        backtrail_testkit::process::wait_for(what, || collector.log().contains(what).then_some(()));
    };
    let file = dir.path().join("pipeline.yaml");
    std::fs::write(&file, keep_all().replace("decision_wait: 1s", "decision_wait: 2s")).expect("writable");
    collector.signal("HUP");
    logged("reloaded");
    std::fs::write(&file, keep_all().replace("decision_wait: 1s", "decision_wait: soon")).expect("writable");
    collector.signal("HUP");
    logged("the old configuration stays in force");
    std::fs::write(&file, keep_all().replace("tables: [spans]", "tables: [spans, edges]")).expect("writable");
    collector.signal("HUP");
    logged("needs a restart");
    collector.stop();
}

#[test]
fn usage_errors_exit_with_2() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(backtrail(dir.path(), &["runn"]).status.code(), Some(2));
    assert_eq!(backtrail(dir.path(), &["graph", "--format", "png"]).status.code(), Some(2));
    assert_eq!(backtrail(dir.path(), &["validate", "--config", "none.yaml"]).status.code(), Some(1));
}
