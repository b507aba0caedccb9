//! Reports and traces, by the binary: what it prints, and what a receiver of traces gets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{ONCE, consumer, event, json_of, own, queue, request, text};

/// A request that ends in triage, worked on by a run that tells `endpoint` about it; gives the remediation's id.
fn told(dir: &Path, endpoint: &str) -> String {
    own(dir);
    queue(dir, &[event(&request("i", 3, false))]);
    let done = json_of(dir, &[&ONCE[..], &["--otlp-endpoint", endpoint]].concat());
    assert_eq!(done["failed"], 0, "the work does not depend on who is told");
    let status = json_of(dir, &["status", "--json"]);
    assert_eq!(status["remediations"][0]["state"], "no_safe_patch");
    status["remediations"][0]["id"].as_str().expect("an id").to_owned()
}

fn counted(dir: &Path, name: &str) -> Option<u64> {
    json_of(dir, &["status", "--json"])["counters"][name].as_u64()
}

/// Reads one request: its head and its body.
fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut some = [0; 4096];
    loop {
        let n = stream.read(&mut some).expect("readable");
        bytes.extend_from_slice(&some[..n]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = text(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if bytes.len() - end - 4 >= length.parse::<usize>().expect("a number") {
            return (head, bytes.split_off(end + 4));
        }
        assert!(n > 0, "the request ends early");
    }
}

/// A receiver that answers once, and gives what it got.
fn receiver(answer: &'static str) -> (String, std::thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let got = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let got = read(&mut stream);
        let length = answer.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}")
            .expect("writable");
        got
    });
    (endpoint, got)
}

#[test]
fn the_trace_of_an_ended_remediation_is_posted_and_is_what_report_prints() {
    let dir = tempfile::tempdir().expect("a directory");
    let (endpoint, got) = receiver("{}");
    let id = told(dir.path(), &endpoint);
    let (head, body) = got.join().expect("a request came");
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    backtrail_wire::json::traces(&body).expect("OTLP/JSON");
    let posted: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(posted, json_of(dir.path(), &["report", &id, "--trace"]));
    assert_eq!((counted(dir.path(), "trace_sent"), counted(dir.path(), "trace_failed")), (Some(1), None));
}

#[test]
fn a_receiver_that_refuses_is_silent_or_is_not_there_costs_a_count_and_nothing_else() {
    let (rejecting, _got) = receiver(r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#);
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port that is free");
    // The kernel takes the connection, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_at = silent.local_addr().expect("an address");
    for endpoint in [rejecting, format!("http://{nobody}"), format!("http://{silent_at}")] {
        let dir = tempfile::tempdir().expect("a directory");
        told(dir.path(), &endpoint);
        assert_eq!(
            (counted(dir.path(), "trace_sent"), counted(dir.path(), "trace_failed")),
            (None, Some(1)),
            "{endpoint}"
        );
    }
    drop(silent);
    let dir = tempfile::tempdir().expect("a directory");
    let output = consumer(dir.path(), &[&ONCE[..], &["--otlp-endpoint", "https://x"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("http://127.0.0.1:4318"), "{}", text(&output.stderr));
}

#[test]
fn reports_are_printed_written_and_measured() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    own(dir);
    queue(dir, &[event(&request("i", 3, false)), event(&request("j", 1, true))]);
    json_of(dir, &ONCE);
    let status = json_of(dir, &["status", "--json"]);
    let rows = status["remediations"].as_array().expect("rows");
    let ended = rows.iter().find(|row| row["state"] == "no_safe_patch").expect("there")["id"].as_str().expect("an id");
    let printed = consumer(dir, &["report", &ended[..8]]);
    let markdown = text(&printed.stdout);
    assert!(
        printed.status.success()
            && markdown.contains("\n- Missing: `no commit: telemetry states no deployed commit` [j1]\n"),
        "{markdown}"
    );
    let written = consumer(dir, &["report", ended, "--format", "html", "--out", "report.html"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let html = std::fs::read_to_string(dir.join("report.html")).expect("written");
    assert!(html.starts_with("<!doctype html>") && html.contains(r##"<a href="#j1">[j1]</a>"##));
    let report = json_of(dir, &["report", ended, "--json"]);
    assert_eq!((&report["state"], &report["sections"][0]["heading"]), (&json!("no_safe_patch"), &json!("Summary")));
    assert_eq!(report["evidence"].as_array().map(Vec::len), Some(6), "the request, four entries, the bundle");

    let totals = json_of(dir, &["report", "--metrics", "--json"]);
    assert_eq!(totals["by_state"], json!({ "no_safe_patch": 1, "triaged": 1 }));
    assert_eq!((&totals["entered_tests"], &totals["false_suggestion_rate"]["rate"]), (&json!(0), &Value::Null));
    assert!(
        text(&consumer(dir, &["report", "--metrics"]).stdout).contains("remediations: 2 (1 no_safe_patch, 1 triaged)")
    );
    for wrong in [&["report"][..], &["report", ended, "--metrics"], &["report", ended, "--trace", "--json"]] {
        assert_eq!(consumer(dir, wrong).status.code(), Some(2), "{wrong:?}");
    }
}
