//! Bad input against the running binary: the right status, a counter with its reason, nothing else harmed, memory
//! bounded.

use std::io::Write;

use backtrail_testkit::client::{Answer, http};
use backtrail_testkit::corpus::Corpus;
use backtrail_testkit::process::{Collector, row};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::Value;

use crate::support::{binary, keep_all, read, strings};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

struct Abused {
    collector: Collector,
    dir: tempfile::TempDir,
}

impl Abused {
    fn new(change: impl Fn(String) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = keep_all()
            .replace("http: { endpoint: 127.0.0.1:0 }", "http: { endpoint: 127.0.0.1:0, max_request_body_size: 8MiB }");
        Self { collector: Collector::start(binary(), dir.path(), &change(config)), dir }
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http(self.collector.address("http"), "POST", "/v1/traces", headers, body).expect("an answer")
    }

    fn notes(&self) -> Value {
        self.collector.node("receivers.otlp")["notes"].clone()
    }

    /// A good request is still taken.
    fn assert_alive(&self) {
        let answer = self.post(&[PROTOBUF], &request(vec![span(1, 1)]).encode_to_vec());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Checks that it lives and conserved its items; the folder with what it wrote is returned beside the last status.
    fn stop(self) -> (Value, tempfile::TempDir) {
        self.assert_alive();
        (self.collector.stop(), self.dir)
    }
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the collector under test lives by the machine's clock")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64
}

fn span(trace: u64, id: u64) -> Span {
    let mut trace_id = vec![7; 8];
    trace_id.extend(trace.to_be_bytes());
    let end = now();
    Span {
        trace_id,
        span_id: id.to_be_bytes().to_vec(),
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: end - 1_000_000,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let value = Some(AnyValue { value: Some(Any::StringValue("victim".to_owned())) });
    let attributes = vec![KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

/// Status and google.rpc.Status code of a refusal.
fn refused(answer: &Answer) -> (u16, i64) {
    if answer.head.contains("application/json") {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        return (answer.status, body["code"].as_i64().unwrap_or(0));
    }
    // google.rpc.Status: field 1, varint.
    assert_eq!(answer.body.first(), Some(&8), "{answer:?}");
    (answer.status, i64::from(answer.body[1]))
}

#[test]
fn broken_bytes_are_refused_and_named() {
    let abused = Abused::new(|config| config);
    let good = Corpus::new(3, 20).requests[0].pass(1);
    for cut in [1, 7, good.len() / 2, good.len() - 1] {
        assert_eq!(refused(&abused.post(&[PROTOBUF], &good[..cut])), (400, 3), "cut at {cut}");
    }
    for at in (0..good.len()).step_by(good.len() / 200) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x80;
        let answer = abused.post(&[PROTOBUF], &flipped);
        assert!(matches!(answer.status, 200 | 400), "flip at {at}: {answer:?}");
    }
    assert_eq!(refused(&abused.post(&[JSON], b"{\"resourceSpans\": [{")), (400, 3));
    assert_eq!(refused(&abused.post(&[JSON], b"[]")), (400, 3));
    let answer = abused.post(&[("content-type", "text/plain")], b"hello");
    assert_eq!(answer.status, 415);
    let head = answer.head + &String::from_utf8_lossy(&answer.body);
    assert!(head.contains("application/x-protobuf") && head.contains("application/json"), "{head}");
    let get = http(abused.collector.address("http"), "GET", "/v1/traces", &[], b"").expect("an answer");
    assert!(get.status == 405 && get.head.contains("allow: post"), "{get:?}");
    assert_eq!(
        http(abused.collector.address("http"), "POST", "/v2/x", &[PROTOBUF], b"").expect("an answer").status,
        404
    );
    let notes = abused.notes();
    assert!(notes["refused_malformed"].as_u64() >= Some(6), "{notes}");
    assert_eq!(notes["refused_content_type"], 1, "{notes}");
    abused.stop();
}

#[test]
fn oversize_and_bombs_are_refused_before_they_take_memory() {
    let abused = Abused::new(|config| config);
    abused.assert_alive();
    let before = abused.collector.rss();
    // Only announced: the answer comes before the body.
    let announced = abused.post(&[PROTOBUF, ("content-length", "2000000000")], b"");
    assert_eq!(refused(&announced), (413, 8));
    assert_eq!(refused(&abused.post(&[PROTOBUF], &vec![0; 9 << 20])), (413, 8));
    let zeros = vec![0_u8; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut zstd = zstd::Encoder::new(Vec::new(), 19).expect("an encoder");
    for _ in 0..2000 {
        gzip.write_all(&zeros).expect("in memory");
        zstd.write_all(&zeros).expect("in memory");
    }
    for (encoding, bomb) in [("gzip", gzip.finish().expect("ends")), ("zstd", zstd.finish().expect("ends"))] {
        assert!(bomb.len() < 4 << 20, "2 GB in {} bytes", bomb.len());
        assert_eq!(refused(&abused.post(&[PROTOBUF, ("content-encoding", encoding)], &bomb)), (413, 8), "{encoding}");
    }
    let garbage = abused.post(&[PROTOBUF, ("content-encoding", "gzip")], b"no gzip at all");
    assert_eq!(refused(&garbage), (400, 3));
    let unknown = abused.post(&[PROTOBUF, ("content-encoding", "br")], b"x");
    assert_eq!(unknown.status, 415, "{unknown:?}");
    let notes = abused.notes();
    assert_eq!(notes["refused_oversize"], 4, "{notes}");
    let grown = abused.collector.rss().saturating_sub(before);
    assert!(grown < 100 << 20, "grew by {} MiB", grown >> 20);
    abused.stop();
}

#[test]
fn bad_spans_are_counted_one_by_one_and_their_neighbours_live() {
    let abused = Abused::new(|config| config);
    let bad = |change: fn(&mut Span)| {
        let mut span = span(2, 2);
        change(&mut span);
        span
    };
    let spans = vec![
        span(1, 1),
        bad(|s| s.trace_id = vec![1; 15]),
        bad(|s| s.trace_id = vec![0; 16]),
        bad(|s| s.span_id = vec![1; 9]),
        bad(|s| s.span_id = vec![0; 8]),
        bad(|s| s.parent_span_id = vec![1; 3]),
        bad(|s| s.end_time_unix_nano = s.start_time_unix_nano - 5),
        bad(|s| {
            s.span_id = vec![9; 8];
            s.start_time_unix_nano += 400 * 86_400_000_000_000;
            s.end_time_unix_nano += 400 * 86_400_000_000_000;
        }),
    ];
    let answer = abused.post(&[PROTOBUF], &request(spans).encode_to_vec());
    assert_eq!(answer.status, 200);
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("decodes");
    let partial = response.partial_success.expect("a part was rejected");
    assert_eq!(partial.rejected_spans, 5, "{partial:?}");
    assert!(!partial.error_message.is_empty());
    let node = abused.collector.node("receivers.otlp");
    assert_eq!(node["dropped"]["invalid_trace_id"], 2, "{node}");
    assert_eq!(node["dropped"]["invalid_span_id"], 2, "{node}");
    assert_eq!(node["dropped"]["invalid_parent_id"], 1, "{node}");
    assert_eq!(node["notes"]["end_before_start"], 1, "{node}");
    assert!(node["notes"]["future"].as_u64() >= Some(1), "{node}");
    let (last, _dir) = abused.stop();
    assert_eq!(row(&last, "exporters.parquet/spans")["sent"], 4, "three good ones and the last check's");
}

#[test]
fn an_endless_trace_is_decided_early_and_memory_stays_bounded() {
    let abused =
        Abused::new(|config| config.replace("decision_wait: 1s", "decision_wait: 10m, max_spans_per_trace: 1000"));
    let mut id = 0;
    for _ in 0..50 {
        let spans = (0..1000).map(|_| {
            id += 1;
            span(5, id)
        });
        assert_eq!(abused.post(&[PROTOBUF], &request(spans.collect()).encode_to_vec()).status, 200);
    }
    let node = abused.collector.wait_for_node("processors.trace_assembly", |row| row["accepted"] == 50_000);
    assert!(node["notes"]["decided_early_trace_cap"].as_u64() >= Some(1), "{node}");
    let (last, _dir) = abused.stop();
    assert_eq!(row(&last, "exporters.parquet/spans")["sent"], 50_001, "nothing of it is lost");
}

#[test]
fn a_hundred_thousand_routes_end_in_an_overflow_bucket() {
    let abused = Abused::new(|config| config);
    let word = |mut n: u64| {
        // Letters only, so that no id pattern catches it: as an attacker (or a bad framework) would.
        let mut text = String::new();
        for _ in 0..5 {
            text.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        text
    };
    for chunk in 0..100_u64 {
        let spans = (0..1000).map(|i| {
            let n = chunk * 1000 + i;
            Span { name: format!("GET /{}/page", word(n)), ..span(n + 10, n + 1) }
        });
        assert_eq!(abused.post(&[PROTOBUF], &request(spans.collect()).encode_to_vec()).status, 200);
    }
    let node = abused.collector.wait_for_node("processors.route_normalization", |row| row["accepted"] == 100_000);
    assert!(node["notes"]["route_overflow"].as_u64() > Some(90_000), "{node}");
    let (last, dir) = abused.stop();
    assert_eq!(row(&last, "exporters.parquet/spans")["sent"], 100_001);
    let mut routes = strings(&read(&dir.path().join("data/windows"), "edges"), "route");
    routes.sort();
    routes.dedup();
    assert!(routes.len() < 2000 && routes.iter().any(|route| route == "(other)"), "{} routes", routes.len());
}
