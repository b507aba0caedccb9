use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use backtrail_model::data::Data;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::fake::{self, Graph, Heard};

const SECOND: u64 = 1_000_000_000;

/// A line of spans that end at these seconds.
fn spans(ends: &[u64]) -> String {
    let spans: Vec<Value> = ends
        .iter()
        .map(|end| {
            json!({
                "traceId": format!("{end:032x}"), "spanId": format!("{end:016x}"), "name": "op",
                "startTimeUnixNano": (end * SECOND).saturating_sub(1).to_string(), "endTimeUnixNano": (end * SECOND).to_string(),
            })
        })
        .collect();
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string()
}

fn log(at: u64) -> String {
    let record = json!({ "timeUnixNano": (at * SECOND).to_string(), "body": { "stringValue": "hello" } });
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] }).to_string()
}

fn metric(at: u64) -> String {
    let point = json!({ "timeUnixNano": (at * SECOND).to_string(), "asInt": "1" });
    let metric = json!({ "name": "m", "sum": { "dataPoints": [point] } });
    json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [metric] }] }] }).to_string()
}

fn write(folder: &TempDir, name: &str, lines: &[String]) {
    let text = lines.join("\n") + "\n";
    let bytes = match Path::new(name).extension().and_then(|ending| ending.to_str()) {
        Some("gz") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).expect("memory");
            encoder.finish().expect("memory")
        }
        Some("zst") => zstd::encode_all(text.as_bytes(), 3).expect("memory"),
        _ => text.into_bytes(),
    };
    std::fs::write(folder.path().join(name), bytes).expect("writes");
}

/// What a replay sent: signal, items, seconds of arrival.
struct Replayed {
    sent: Vec<(&'static str, u64, u64)>,
    cx: Context,
    result: Result<(), NodeError>,
}

async fn replay(path: &Path, settings: Value) -> Replayed {
    let mut config: Config = serde_json::from_value(settings).expect("a config");
    path.clone_into(&mut config.path);
    assert_eq!(config.check(), []);
    let (cx, graph) = (fake::context(1 << 20), Graph::new());
    let mut receiver = config.build(&cx).expect("builds");
    receiver.bind().await.expect("opens");
    let (_stop, stopped) = Stop::new();
    let result = receiver.run(graph.outlet(&cx), stopped).await;
    fake::assert_conserved(&cx);
    let mut sent = Vec::new();
    let heard = graph.heard.lock();
    for pair in heard.chunks(2) {
        let [Heard::Batch(data, arrival), Heard::Advance(to)] = pair else { panic!("batch, then clock: {pair:?}") };
        assert_eq!(arrival, to);
        sent.push((data.signal().name(), data.items(), arrival.0 / SECOND));
    }
    drop(heard);
    Replayed { sent, cx, result }
}

#[tokio::test]
async fn a_file_is_replayed_in_every_compression() {
    let folder = TempDir::new().expect("a folder");
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        write(&folder, name, &[spans(&[10, 12, 11]), spans(&[20])]);
        let replayed = replay(&folder.path().join(name), json!({})).await;
        assert_eq!(replayed.sent, [("spans", 3, 12), ("spans", 1, 20)], "{name}");
        let notes = replayed.cx.stats().notes();
        assert_eq!(notes["replay_bytes_read"], notes["replay_bytes_total"]);
        replayed.result.expect("no error");
    }
}

#[tokio::test]
async fn a_folder_is_merged_by_time() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "traces.otlp.jsonl", &[spans(&[10]), spans(&[30])]);
    write(&folder, "logs.otlp.jsonl.gz", &[log(5), log(20), log(40)]);
    write(&folder, "metrics.otlp.jsonl.zst", &[metric(20), metric(35)]);
    write(&folder, "labels.jsonl", &["{}".to_owned()]);
    write(&folder, "README.md", &["no recording".to_owned()]);
    let replayed = replay(folder.path(), json!({})).await;
    assert_eq!(
        replayed.sent,
        [
            ("logs", 1, 5),
            ("spans", 1, 10),
            ("logs", 1, 20),
            ("metrics", 1, 20),
            ("spans", 1, 30),
            ("metrics", 1, 35),
            ("logs", 1, 40),
        ]
    );
    let only = replay(folder.path(), json!({ "signals": ["metrics"] })).await;
    assert_eq!(only.sent, [("metrics", 1, 20), ("metrics", 1, 35)]);
}

#[tokio::test]
async fn arrival_never_goes_back() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "a.jsonl", &[spans(&[50]), spans(&[10]), log(20), spans(&[60])]);
    let replayed = replay(&folder.path().join("a.jsonl"), json!({})).await;
    assert_eq!(replayed.sent.iter().map(|sent| sent.2).collect::<Vec<_>>(), [50, 50, 50, 60]);
}

#[tokio::test]
async fn a_bad_line_is_counted_and_the_others_go_on() {
    let folder = TempDir::new().expect("a folder");
    let long = format!(r#"{{"resourceSpans":[],"x":"{}"}}"#, "x".repeat(5000));
    let lines = ["nonsense", &spans(&[1]), "", r#"{"resourceSpans":[{"#, &long, r#"{"other":1}"#, &spans(&[2])];
    write(&folder, "a.jsonl", &lines.map(str::to_owned));
    let replayed = replay(&folder.path().join("a.jsonl"), json!({ "max_line": "1KiB" })).await;
    assert_eq!(replayed.sent, [("spans", 1, 1), ("spans", 1, 2)]);
    assert_eq!(replayed.cx.stats().notes()["bad_lines"], 4);
    replayed.result.expect("no error");
}

#[tokio::test]
async fn spans_with_invalid_ids_are_dropped_and_counted() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "a.jsonl", &[spans(&[0, 3])]);
    let replayed = replay(&folder.path().join("a.jsonl"), json!({})).await;
    assert_eq!(replayed.sent, [("spans", 1, 3)]);
    assert_eq!(replayed.cx.stats().accepted.load(Relaxed), 2);
}

#[tokio::test]
async fn a_file_that_breaks_off_is_replayed_up_to_there_and_reported() {
    let folder = TempDir::new().expect("a folder");
    let lines: Vec<String> = (1..2000).map(|second| spans(&[second])).collect();
    write(&folder, "a.jsonl.gz", &lines);
    let path = folder.path().join("a.jsonl.gz");
    let bytes = std::fs::read(&path).expect("reads");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("writes");
    let replayed = replay(&path, json!({})).await;
    assert!(!replayed.sent.is_empty() && replayed.sent.len() < lines.len());
    let error = replayed.result.expect_err("broken").to_string();
    assert!(error.contains("a.jsonl.gz is broken after line"), "{error}");
}

#[tokio::test]
async fn lines_are_merged_into_larger_requests() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "a.jsonl", &[spans(&[1]), spans(&[2]), spans(&[3]), log(4), spans(&[5])]);
    let replayed = replay(&folder.path().join("a.jsonl"), json!({ "lines_per_request": 2 })).await;
    assert_eq!(replayed.sent, [("spans", 2, 2), ("spans", 1, 3), ("logs", 1, 4), ("spans", 1, 5)]);
}

#[tokio::test]
async fn a_speed_paces_the_lines() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "a.jsonl", &[spans(&[100]), spans(&[110])]);
    let start = Instant::now();
    replay(&folder.path().join("a.jsonl"), json!({ "speed": "50x" })).await;
    assert!(start.elapsed() >= Duration::from_millis(199));
}

#[tokio::test]
async fn stop_ends_a_replay() {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "a.jsonl", &[spans(&[100]), spans(&[100_000])]);
    let config =
        Config { path: folder.path().join("a.jsonl"), speed: "1x".parse().expect("a speed"), ..Config::default() };
    let (cx, graph) = (fake::context(1 << 20), Graph::new());
    let mut receiver = config.build(&cx).expect("builds");
    receiver.bind().await.expect("opens");
    let (stop, stopped) = Stop::new();
    let run = receiver.run(graph.outlet(&cx), stopped);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.send_replace(true);
    };
    let (result, ()) = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(run, stopping) })
        .await
        .expect("ends in time");
    result.expect("no error");
    assert!(matches!(graph.batches()[..], [Data::Spans(..)]));
}

#[tokio::test]
async fn a_missing_path_is_a_configuration_error() {
    let folder = TempDir::new().expect("a folder");
    for path in [folder.path().join("none.jsonl"), folder.path().to_owned()] {
        let mut receiver = Config { path, ..Config::default() }.build(&fake::context(1)).expect("builds");
        assert!(matches!(receiver.bind().await, Err(NodeError::Config { .. })));
    }
    assert_eq!(Config::default().check()[0].path, "path");
}
