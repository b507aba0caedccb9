//! A collector that is killed knows the quiet past when it is started again.

use std::path::Path;
use std::time::Duration;

use backtrail_testkit::client::http;
use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans};
use backtrail_testkit::process::{Collector, row};
use prost::Message;
use serde_json::Value;

use crate::support::{binary, keep_all, read, strings};

const SECOND: u64 = 1_000_000_000;

fn config() -> String {
    keep_all()
        .replace("anomaly_trigger: {}", "anomaly_trigger: { shift: { warm_up: 8s, history: 60s } }")
        .replace("allowed_lateness: 2s", "allowed_lateness: 1s\n  slice: 1s")
}

#[expect(clippy::disallowed_methods, reason = "traffic is sent by the machine's clock")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64
}

/// Sends the spans that end in these seconds of the shape, each second when it is over.
fn send(collector: &Collector, shape: &Shape, seconds: std::ops::Range<u64>) {
    let all = spans(shape);
    for second in seconds {
        let from = shape.start + second * SECOND;
        let due: Vec<_> = all.iter().filter(|(end, ..)| (from..from + SECOND).contains(end)).cloned().collect();
        std::thread::sleep(Duration::from_nanos((from + SECOND).saturating_sub(now())));
        for request in requests(&due, 1000) {
            let kind = [("content-type", "application/x-protobuf")];
            let answer = http(collector.address("http"), "POST", "/v1/traces", &kind, &request.encode_to_vec());
            assert_eq!(answer.expect("it answers").status, 200);
        }
    }
}

fn verdicts(dir: &Path) -> Vec<Value> {
    let documents = strings(&read(&dir.join("data/windows"), "verdicts"), "document");
    documents.iter().map(|text| serde_json::from_str(text).expect("a document")).collect()
}

#[test]
fn an_incident_right_after_a_kill_is_judged_by_the_past_from_before() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let shape = Shape { seed: 11, start: now() + SECOND, quiet: 24, faulty: 8, rate: 20 };
    let first = Collector::start(binary(), dir.path(), &config());
    send(&first, &shape, 0..shape.quiet);
    first.signal("KILL");
    drop(first);
    assert!(verdicts(dir.path()).is_empty(), "quiet times have no verdict");

    let second = Collector::start(binary(), dir.path(), &config());
    let recalled = row(&second.status(), "service.checkpoint")["notes"]["recalled_slices"].as_u64().unwrap_or(0);
    assert!(recalled >= 12, "{recalled} slices");
    let node = second.node("processors.verdict");
    assert_eq!((&node["accepted"], &node["derived"]), (&0.into(), &0.into()), "the past is no new traffic: {node}");
    send(&second, &shape, shape.quiet..shape.quiet + shape.faulty);
    let last = second.stop();
    assert!(row(&last, "service.checkpoint")["sent"].as_u64() >= Some(4), "{last:#}");

    let verdicts = verdicts(dir.path());
    let verdict = verdicts.last().expect("a verdict");
    assert_eq!(verdict["suspects"][0]["entity"]["service"], CULPRIT, "{}", verdict["cause"]);
    // The second run lived for a dozen slices, most of them sick.
    let baseline = verdict["provenance"]["baseline_slices"].as_u64().expect("a number");
    assert!(baseline >= 12, "{baseline} slices of baseline");
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_counted_and_the_start_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("data/checkpoint");
    std::fs::create_dir_all(&folder).expect("a folder");
    let slice = now() / SECOND - 5;
    std::fs::write(folder.join(format!("{slice:020}-0.slice")), "BTSLICE\u{2}and then nothing that was written")
        .expect("writable");
    let collector = Collector::start(binary(), dir.path(), &config());
    let notes = row(&collector.status(), "service.checkpoint")["notes"].clone();
    assert_eq!(notes["refused"], 1, "{notes}");
    assert!(collector.log().contains("its checksum is wrong"), "{}", collector.log());
    collector.stop();
}
