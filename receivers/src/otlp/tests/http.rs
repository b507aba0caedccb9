use ::http::Method;
use backtrail_model::ack::Outcome;
use backtrail_model::data::Data;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::status::Status;
use super::*;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

async fn send(server: &Server, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http1(server.http, request.body(Full::new(body.into())).expect("a request")).await
}

async fn post(server: &Server, kind: &str, encoding: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", kind), ("content-encoding", encoding)];
    send(server, Method::POST, "/v1/traces", &headers, body).await
}

/// The code in an answer's `google.rpc.Status`.
fn code(answer: &Answer) -> i64 {
    if answer.get("content-type") == JSON {
        return serde_json::from_slice::<Value>(&answer.body).expect("JSON")["code"].as_i64().expect("a code");
    }
    assert_eq!(answer.get("content-type"), PROTOBUF);
    i64::from(Status::decode(&answer.body[..]).expect("a status").code)
}

/// A request of one good span and, if `bad`, one without ids.
fn json(server: &Server, bad: bool) -> String {
    let now = server.cx.now().0;
    let span =
        |ids: &str| format!(r#"{{{ids}"name":"GET /","kind":2,"startTimeUnixNano":"{now}","endTimeUnixNano":{now}}}"#);
    let good = span(r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","#);
    let spans = if bad { format!("{good},{}", span("")) } else { good };
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}],"unknown":1}}]}}"#)
}

#[tokio::test]
async fn both_forms_are_taken_in_every_encoding_and_answered_in_kind() {
    let server = Server::start().await;
    let request = encoded(&server.traces(512));
    for (encoding, body) in [
        ("", request.to_vec()),
        ("identity", request.to_vec()),
        ("gzip", gzip(&request)),
        ("zstd", zstd(&request)),
        ("GZIP", gzip(&request)),
    ] {
        let answer = post(&server, PROTOBUF, encoding, body).await;
        assert_eq!((answer.status, answer.get("content-type"), answer.body.len()), (200, PROTOBUF, 0), "{encoding}");
    }
    for batch in server.graph.batches() {
        let Data::Spans(batch, None) = batch else { panic!("spans") };
        assert_eq!(batch.buf, request);
    }
    let text = json(&server, false);
    for (kind, encoding, body) in [
        (JSON, "", text.clone().into_bytes()),
        ("application/json; charset=utf-8", "gzip", gzip(text.as_bytes())),
        ("Application/JSON", "zstd", zstd(text.as_bytes())),
    ] {
        let answer = post(&server, kind, encoding, body).await;
        assert_eq!((answer.status, answer.get("content-type"), &answer.body[..]), (200, JSON, &b"{}"[..]));
    }
    assert_eq!(server.graph.batches().len(), 8);
    server.finish().await;
}

#[tokio::test]
async fn every_signal_has_its_path() {
    let config = serde_json::json!({ "protocols": { "http": { "logs_url_path": "/in/logs" } } });
    let server = Server::with(config, 64 * MIB).await;
    let headers = [("content-type", JSON)];
    for (path, body, items) in [
        ("/in/logs", r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}"#, 2),
        ("/v1/metrics", r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{}]}}]}]}]}"#, 1),
    ] {
        let answer = send(&server, Method::POST, path, &headers, body).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]), "{path}");
        assert_eq!(server.graph.batches().last().map(Data::items), Some(items));
    }
    assert_eq!(send(&server, Method::POST, "/v1/logs", &headers, "{}").await.status, 404);
    server.finish().await;
}

#[tokio::test]
async fn a_partial_success_says_what_was_rejected() {
    let server = Server::start().await;
    let answer = post(&server, JSON, "", json(&server, true)).await;
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &body["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
    let mut request = server.traces(2);
    request.resource_spans[0].scope_spans[0].spans[0].span_id.clear();
    let answer = post(&server, PROTOBUF, "", encoded(&request)).await;
    let response = ExportTraceServiceResponse::decode(&answer.body[..]).expect("a response");
    assert_eq!(response.partial_success.expect("partial").rejected_spans, 1);
    server.finish().await;
}

#[tokio::test]
async fn empty_requests_are_a_success() {
    let server = Server::start().await;
    assert_eq!(post(&server, PROTOBUF, "", "").await.status, 200);
    assert_eq!(post(&server, JSON, "", "{}").await.status, 200);
    assert_eq!(post(&server, JSON, "", "").await.status, 400, "no JSON at all");
    server.finish().await;
}

#[tokio::test]
async fn refusals_name_what_is_supported() {
    let server = Server::start().await;
    let answer = send(&server, Method::GET, "/v1/traces", &[], "").await;
    assert_eq!((answer.status, answer.get("allow"), code(&answer)), (405, "POST", 12));
    let answer = send(&server, Method::POST, "/v1development/profiles", &[("content-type", PROTOBUF)], "").await;
    assert_eq!((answer.status, code(&answer)), (404, 5));
    for kind in ["text/plain", "", "application/jsonp"] {
        let answer = post(&server, kind, "", "{}").await;
        assert_eq!((answer.status, code(&answer)), (415, 3), "{kind}");
        assert_eq!(answer.get("accept-post"), "application/x-protobuf, application/json");
    }
    let answer = post(&server, PROTOBUF, "br", "x").await;
    assert_eq!((answer.status, answer.get("accept-encoding"), code(&answer)), (415, "gzip, zstd", 12));
    server.finish().await;
}

#[tokio::test]
async fn bad_data_is_refused_in_the_requests_form() {
    let server = Server::start().await;
    for (kind, encoding, body) in [
        (PROTOBUF, "", &b"\xff\xff"[..]),
        (PROTOBUF, "gzip", b"no gzip"),
        (PROTOBUF, "zstd", b"no zstd"),
        (JSON, "", b"{\"resourceSpans\":["),
        (JSON, "", b"[]"),
    ] {
        let answer = post(&server, kind, encoding, body).await;
        assert_eq!((answer.status, answer.get("content-type"), code(&answer)), (400, kind, 3), "{encoding}");
    }
    server.finish().await;
}

#[tokio::test]
async fn no_damage_harms_the_requests_after_it() {
    let server = Server::start().await;
    let text = json(&server, false);
    for (encoding, packed) in [("", text.clone().into_bytes()), ("gzip", gzip(text.as_bytes()))] {
        for copy in broken_copies(&packed) {
            let answer = post(&server, JSON, encoding, copy).await;
            assert!([200, 400].contains(&answer.status), "{answer:?}");
        }
    }
    assert_eq!(post(&server, JSON, "", text).await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn oversize_is_refused_announced_chunked_and_inflated() {
    let config = serde_json::json!({ "protocols": { "http": { "max_request_body_size": "1MiB" } } });
    let server = Server::with(config, 4 * MIB).await;
    let zeros = vec![0; 100 << 20];
    for (encoding, body) in [("", zeros[..2 << 20].to_vec()), ("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let answer = post(&server, PROTOBUF, encoding, body).await;
        assert_eq!((answer.status, code(&answer), answer.get("retry-after")), (413, 8, ""), "{encoding}");
    }
    let request = Request::post("/v1/traces").header("host", "x").header("content-type", JSON);
    let answer = http1(server.http, request.body(Pieces::of(&zeros[..2 << 20], 4096)).expect("a request")).await;
    assert_eq!((answer.status, code(&answer)), (413, 8));
    assert_eq!(server.note("refused_oversize"), 4);
    server.finish().await;
}

#[tokio::test]
async fn chunked_bodies_are_taken() {
    let server = Server::start().await;
    let message = encoded(&server.traces(2000));
    for size in [7, 5000, 1 << 20] {
        let request = Request::post("/v1/traces").header("host", "x").header("content-type", PROTOBUF);
        let answer = http1(server.http, request.body(Pieces::of(&message, size)).expect("a request")).await;
        assert_eq!(answer.status, 200, "{size}");
    }
    let request = Request::post(format!("http://{}/v1/traces", server.http)).header("content-type", PROTOBUF);
    assert_eq!(http2(server.http, request.body(Pieces::of(&message, 999)).expect("a request")).await.status, 200);
    for batch in server.graph.batches() {
        let Data::Spans(batch, None) = batch else { panic!("spans") };
        assert_eq!(batch.buf, message);
    }
    server.finish().await;
}

#[tokio::test]
async fn overload_and_lost_data_say_when_to_come_again() {
    let server = Server::with(serde_json::json!({ "retry_after": "1200ms" }), 2 * MIB).await;
    let taken = server.cx.shared().budget.try_acquire(2 * MIB).expect("free");
    let answer = post(&server, JSON, "", json(&server, false)).await;
    assert_eq!((answer.status, answer.get("retry-after"), code(&answer)), (503, "2", 14));
    let request = Request::post("/v1/traces").header("host", "x").header("content-type", PROTOBUF);
    let answer = http1(server.http, request.body(Pieces::one("xx")).expect("a request")).await;
    assert_eq!((answer.status, code(&answer)), (503, 14), "chunked");
    drop(taken);
    *server.graph.outcome.lock() = Some(Outcome::Failed);
    assert_eq!(post(&server, JSON, "", json(&server, false)).await.status, 503);
    *server.graph.outcome.lock() = Some(Outcome::Rejected);
    let answer = post(&server, JSON, "", json(&server, false)).await;
    assert_eq!((answer.status, answer.get("retry-after")), (400, ""));
    assert_eq!(server.note("refused_overload"), 2);
    server.finish().await;
}

#[tokio::test]
async fn browsers_may_send_from_the_named_pages_only() {
    let cors = serde_json::json!({ "allowed_origins": ["https://*.shop.com"], "allowed_headers": ["x-team"], "max_age": "2h" });
    let server = Server::with(serde_json::json!({ "protocols": { "http": { "cors": cors } } }), 64 * MIB).await;
    let origin = "https://www.shop.com";
    let answer = send(&server, Method::OPTIONS, "/v1/traces", &[("origin", origin)], "").await;
    assert_eq!((answer.status, answer.get("access-control-allow-origin")), (204, origin));
    assert_eq!(answer.get("access-control-max-age"), "7200");
    assert!(answer.get("access-control-allow-headers").contains("x-team"));
    let headers = [("origin", origin), ("content-type", JSON)];
    let answer = send(&server, Method::POST, "/v1/traces", &headers, "{}").await;
    assert_eq!((answer.status, answer.get("access-control-allow-origin")), (200, origin));
    let answer = send(&server, Method::OPTIONS, "/v1/traces", &[("origin", "https://evil.com")], "").await;
    assert_eq!(answer.get("access-control-allow-origin"), "");
    server.finish().await;
}

#[tokio::test]
async fn slow_clients_are_let_go() {
    let server = Server::with(serde_json::json!({ "read_timeout": "200ms" }), 64 * MIB).await;
    let heads = [
        String::new(),
        "P".to_owned(),
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-ty".to_owned(),
        format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 100\r\n\r\nxx"),
    ];
    for (head, answered) in heads.iter().zip([false, false, false, true]) {
        let mut stream = TcpStream::connect(server.http).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        // Bytes that nobody read make it a reset, which is as good.
        let _ = end.expect("the server closes");
        assert_eq!(answer.starts_with(b"HTTP/1.1 503"), answered, "{head:?}");
    }
    assert_eq!((server.note("refused_slow"), server.note("silent_connections")), (1, 2));
    server.finish().await;
}
