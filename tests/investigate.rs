//! A running pipeline is asked about an endpoint while no incident is open, and told whether it was right.

use std::process::{Command, Output};

use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use backtrail_testkit::process::{Collector, wait_for};
use backtrail_testkit::scenarios::{Class, Scenario};
use serde_json::Value;

use crate::support::{binary, pipeline};

const SHAPE: Shape = Shape { seed: 5, start: 1_760_000_010_000_000_000, quiet: 150, faulty: 600, rate: 6 };

fn investigate(collector: &Collector, endpoint: &str, more: &[&str]) -> Output {
    let admin = collector.admin().to_string();
    let ask = ["investigate", "--admin", &admin, "--endpoint", endpoint, "--last", "60s"];
    Command::new(binary()).args(ask).args(more).output().expect("it runs")
}

#[test]
fn a_running_pipeline_says_what_is_wrong_with_an_endpoint_without_an_incident() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_jsonl(&dir.path().join("traces.otlp.jsonl"), &requests(&spans(&SHAPE), 50)).expect("writable");
    // Recorded time passes 30 times as fast, and nobody looks for shifts.
    let config = pipeline("replay: { path: traces.otlp.jsonl, speed: 30x }", "decision_wait: 5s")
        .replace("anomaly_trigger: {}", "anomaly_trigger: { shift: { enabled: false } }");
    let collector = Collector::start(binary(), dir.path(), &config);
    let answer = wait_for("a verdict that is sure", || {
        let output = investigate(&collector, "shop POST /checkout", &["--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        (answer["confidence"]["level"] == "high").then_some(answer)
    });
    assert_eq!(answer["suspects"][0]["entity"]["service"], CULPRIT);
    assert_eq!(answer["endpoint"]["route"], "POST /checkout");
    assert_eq!(answer["detector"]["kind"], "given_window");
    assert_eq!(answer["provenance"]["window_slices"], 4);

    let face = investigate(&collector, CULPRIT, &[]);
    let text = String::from_utf8_lossy(&face.stdout);
    assert!(face.status.success() && text.contains(&format!("INCIDENT  {CULPRIT}")), "{text}");

    let unknown = investigate(&collector, "shop GET /nowhere", &[]);
    let says = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(says.contains("no trace") && says.contains("ask about one of: shop POST /checkout"), "{says}");
    let id = answer["id"].as_str().expect("an id");
    let right = feedback(&collector, id, &["--culprit", CULPRIT]);
    assert!(right.contains(&format!("the verdict named {CULPRIT} (high")) && right.contains("was right"), "{right}");
    let unknown = feedback(&collector, "another", &["--wrong"]);
    assert!(unknown.contains("not known any more"), "{unknown}");
    let (status, _) = collector.terminate();
    assert!(status.success(), "{status}");
    what_was_said_is_counted_by_eval(&dir.path().join("data/feedback.jsonl"));
}

fn feedback(collector: &Collector, id: &str, more: &[&str]) -> String {
    let admin = collector.admin().to_string();
    let tell = ["feedback", id, "--admin", &admin];
    let output = Command::new(binary()).args(tell).args(more).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn what_was_said_is_counted_by_eval(file: &std::path::Path) {
    let cases = tempfile::tempdir().expect("a temporary folder");
    Scenario { class: Class::Error, services: 20, seed: 1 }.generate().write(cases.path()).expect("writable");
    let refit = |text: &str| -> Value {
        let feedback = cases.path().join("feedback.jsonl");
        std::fs::write(&feedback, text).expect("writable");
        let args = ["eval", "--json", "--refit", "--feedback"];
        let output = Command::new(binary()).args(args).arg(&feedback).arg(cases.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("a document")["refit"].take()
    };
    let text = std::fs::read_to_string(file).expect("feedback was written");
    let report = refit(&text);
    assert_eq!((&report["cases"], &report["feedback"], &report["unknown"]), (&1.into(), &1.into(), &1.into()));
    let right: u64 = report["levels"].as_array().expect("a list").iter().filter_map(|row| row["right"].as_u64()).sum();
    assert!(right >= 1, "{report}");
    let damaged = refit(&text.replace(CULPRIT, "payMent"));
    assert_eq!((&damaged["feedback"], &damaged["damaged"]), (&0.into(), &serde_json::json!([1])));
}

#[test]
fn who_asks_nobody_is_told_how_to_find_somebody() {
    let args = ["investigate", "--endpoint", "x", "--admin", "127.0.0.1:1"];
    let output = Command::new(binary()).args(args).output().expect("it runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(says.contains("nothing answers at 127.0.0.1:1") && says.contains("--admin"), "{says}");
}
