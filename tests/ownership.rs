//! Owners are named with the suspects, and bound what a patch may touch: the real binary on a small incident.

use std::path::Path;
use std::process::{Command, Output};

use backtrail_spool::Reader;
use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use serde_json::Value;

use crate::support::{binary, pipeline, read, strings};

const SHAPE: Shape = Shape { seed: 3, start: 1_760_000_010_000_000_000, quiet: 150, faulty: 90, rate: 6 };
const OWNERSHIP: &str = "services:
  payment:
    team: '@shop/payment'
    repository: https://github.com/shop/mono.git
    path_prefix: payment
    default_branch: main
    codeowners: CODEOWNERS
";

fn run(dir: &Path, ownership: &str) -> Output {
    write_jsonl(&dir.join("traces.otlp.jsonl"), &requests(&spans(&SHAPE), 200)).expect("writable");
    std::fs::write(dir.join("ownership.yaml"), ownership).expect("writable");
    std::fs::write(dir.join("CODEOWNERS"), "* @shop/all\n/payment/ @shop/payment\n").expect("writable");
    let (start, _) = SHAPE.window();
    let change = |path: &str, commit: &str| {
        serde_json::json!({ "time": start - 60_000_000_000, "commit": commit, "subject": "bank timeout", "service": CULPRIT,
            "files": [{ "path": path }], "diff": format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-bank\n+bank timeout\n") })
    };
    let changes = serde_json::json!([change("payment/bank.py", "inside"), change("cart/bank.py", "elsewhere")]);
    std::fs::write(dir.join("changes.json"), changes.to_string()).expect("writable");
    let (start, end) = SHAPE.window();
    let config = pipeline("replay: { path: traces.otlp.jsonl }", "decision_wait: 20s")
        .replace("anomaly_trigger: {}", &format!("anomaly_trigger: {{ window: {{ start: {start}, end: {end} }} }}"))
        .replace(
            "verdict: {}",
            "verdict: { ownership: { file: ownership.yaml }, changes: { file: changes.json }, capsules: { enabled: true } }",
        )
        .replace("admin: { endpoint: 127.0.0.1:0 }", "admin: { endpoint: '' }");
    std::fs::write(dir.join("pipeline.yaml"), config).expect("writable");
    Command::new(binary()).arg("run").current_dir(dir).output().expect("it runs")
}

fn last_verdict(dir: &Path) -> Value {
    let documents = strings(&read(&dir.join("data/windows"), "verdicts"), "document");
    serde_json::from_str(documents.last().expect("a verdict")).expect("a document")
}

fn patch_requests(dir: &Path) -> Vec<Value> {
    let records = Reader::open(dir.join("data/patch_queue"));
    let event = |payload: &[u8]| serde_json::from_slice::<Value>(payload).expect("an event")["data"].clone();
    records.map(|record| event(&record.expect("intact").payload)).collect()
}

#[test]
fn a_patch_request_says_where_the_patch_may_be_made() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = run(dir.path(), OWNERSHIP);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdict = last_verdict(dir.path());
    let owners = verdict["owners"].as_array().expect("owners");
    let of = |kind: &str| owners.iter().find(|owner| owner["entity"]["kind"] == kind).expect("an owner");
    assert_eq!(of("file")["paths"], serde_json::json!(["payment/bank.py"]));
    assert_eq!((&of("file")["team"], &of("file")["owners"][0]), (&"@shop/payment".into(), &"@shop/payment".into()));

    let requests = patch_requests(dir.path());
    let request = requests.first().expect("a request");
    let target = &request["target"];
    assert_eq!((&target["path_prefix"], &target["default_branch"]), (&"payment".into(), &"main".into()));
    assert_eq!(request["code_context"]["files"][0]["path"], "payment/bank.py");
    let files: Vec<&Value> =
        request["recent_changes"].as_array().expect("a list").iter().map(|change| &change["file"]).collect();
    assert!(!files.contains(&&"cart/bank.py".into()), "{files:?}");
    for left in target["left_out"].as_array().expect("a list") {
        assert_eq!(
            (&left["what"], &left["why"]),
            (&"cart/bank.py in elsewhere".into(), &"it lies outside of payment".into())
        );
    }
    // A replay of a verdict knows the owners too.
    let id = verdict["id"].as_str().expect("an id");
    let replay =
        Command::new(binary()).args(["replay", "--verdict", id]).arg(dir.path().join("data/capsules")).output();
    let replay = replay.expect("it runs");
    let face = String::from_utf8_lossy(&replay.stdout);
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    assert!(
        face.contains("owner") && face.contains("@shop/payment; https://github.com/shop/mono.git payment"),
        "{face}"
    );
}

#[test]
fn nobody_is_asked_for_what_nobody_owns_and_a_wrong_file_stops_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = run(dir.path(), "services:\n  cart: { team: '@shop/cart', repository: shop/mono }\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(patch_requests(dir.path()).is_empty());
    let limits = last_verdict(dir.path())["limits"].to_string();
    assert!(limits.contains("names no owner of payment"), "{limits}");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = run(dir.path(), "services:\n  cart: { tema: '@shop/cart', repository: shop/mono }\n");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && says.contains("ownership.yaml:2:") && says.contains("tema"), "{says}");
}
