use backtrail_model::ack::Outcome;
use backtrail_model::data::Data;
use backtrail_model::signal::Signal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::super::status::{BadRequest, RetryInfo, Status};
use super::*;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn client(server: &Server) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{}", server.grpc)).await.expect("connects")
}

/// A message in its gRPC frame.
fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(compressed)];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// A call with bytes of the test's own making.
async fn call(server: &Server, path: &str, encoding: &str, body: Pieces) -> Answer {
    let mut request = Request::post(format!("http://{}{path}", server.grpc)).header("content-type", "application/grpc");
    if !encoding.is_empty() {
        request = request.header("grpc-encoding", encoding);
    }
    http2(server.grpc, request.body(body).expect("a request")).await
}

fn details(answer: &Answer) -> Status {
    let bytes = STANDARD_NO_PAD.decode(answer.get("grpc-status-details-bin")).expect("base64");
    Status::decode(bytes.as_slice()).expect("a status")
}

fn retry_info(status: &tonic::Status) -> Option<RetryInfo> {
    let status = Status::decode(status.details()).expect("a status");
    let detail = status.details.first()?;
    assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.RetryInfo");
    Some(RetryInfo::decode(detail.value.as_slice()).expect("retry info"))
}

#[tokio::test]
async fn spans_arrive_as_sent_in_every_encoding() {
    let server = Server::start().await;
    let request = server.traces(512);
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = client(&server).await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let response = client.export(request.clone()).await.expect("accepted").into_inner();
        assert_eq!(response.partial_success, None);
    }
    for batch in server.graph.batches() {
        let Data::Spans(batch, None) = batch else { panic!("spans") };
        assert_eq!(batch.records.len(), 512);
        assert_eq!(batch.buf, encoded(&request));
        assert!(batch.permit.is_some());
    }
    assert_eq!(server.graph.batches().len(), 3);
    server.finish().await;
}

#[tokio::test]
async fn logs_are_walked_and_metrics_are_counted() {
    let server = Server::start().await;
    let record = LogRecord { time_unix_nano: server.cx.now().0, ..LogRecord::default() };
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record; 3], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    let points = vec![NumberDataPoint::default(); 5];
    let gauge = Metric { data: Some(metric::Data::Gauge(Gauge { data_points: points })), ..Metric::default() };
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics: vec![gauge], ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    let channel = client(&server).await;
    drop(channel);
    let url = format!("http://{}", server.grpc);
    let mut client = LogsServiceClient::connect(url.clone()).await.expect("connects");
    assert_eq!(client.export(logs.clone()).await.expect("accepted").into_inner().partial_success, None);
    let mut client = MetricsServiceClient::connect(url).await.expect("connects");
    assert_eq!(client.export(metrics.clone()).await.expect("accepted").into_inner().partial_success, None);
    let batches = server.graph.batches();
    let seen: Vec<_> = batches.iter().map(|batch| (batch.signal(), batch.items())).collect();
    assert_eq!(seen, [(Signal::Logs, 3), (Signal::Metrics, 5)]);
    let Data::Logs(walked, None) = &batches[0] else { panic!("logs") };
    assert_eq!(walked.buf, encoded(&logs));
    assert!(walked.permit.is_some());
    drop(batches);
    server.finish().await;
}

#[tokio::test]
async fn spans_with_invalid_ids_are_rejected_alone() {
    let server = Server::start().await;
    let mut request = server.traces(4);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].trace_id = vec![0; 16];
    spans[1].span_id = vec![1; 3];
    let response = client(&server).await.export(request).await.expect("accepted").into_inner();
    let partial = response.partial_success.expect("partial");
    assert_eq!(partial.rejected_spans, 2);
    assert!(partial.error_message.contains("invalid_trace_id"), "{}", partial.error_message);
    assert_eq!(server.graph.batches()[0].items(), 2);
    assert_eq!(server.cx.stats().dropped().values().sum::<u64>(), 2);
    server.finish().await;
}

#[tokio::test]
async fn odd_times_are_clamped_and_counted() {
    let server = Server::start().await;
    let mut request = server.traces(3);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].end_time_unix_nano += 3_600_000_000_000;
    spans[1].start_time_unix_nano = 1;
    spans[1].end_time_unix_nano = 2;
    spans[2].end_time_unix_nano = spans[2].start_time_unix_nano - 1;
    client(&server).await.export(request).await.expect("accepted");
    assert_eq!((server.note("future"), server.note("too_old"), server.note("end_before_start")), (1, 1, 1));
    server.finish().await;
}

#[tokio::test]
async fn an_empty_request_is_a_success() {
    let server = Server::start().await;
    let response = client(&server).await.export(ExportTraceServiceRequest::default()).await.expect("accepted");
    assert_eq!(response.into_inner().partial_success, None);
    assert!(server.graph.batches().is_empty());
    server.finish().await;
}

#[tokio::test]
async fn the_outcome_decides_whether_to_send_again() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    *server.graph.outcome.lock() = Some(Outcome::Failed);
    let failed = client.export(server.traces(1)).await.expect_err("failed");
    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(retry_info(&failed).and_then(|info| info.delay).expect("a delay").seconds, 1);
    *server.graph.outcome.lock() = Some(Outcome::Rejected);
    let rejected = client.export(server.traces(1)).await.expect_err("rejected");
    assert_eq!(rejected.code(), Code::InvalidArgument);
    assert!(rejected.details().is_empty() || retry_info(&rejected).is_none());
    drop(client);
    server.finish().await;
}

#[tokio::test]
async fn oversize_is_refused_for_good_before_it_is_read() {
    let config = serde_json::json!({ "protocols": { "grpc": { "max_recv_msg_size_mib": 1 } } });
    let server = Server::with(config, 64 * MIB).await;
    // Only the head is ever sent: an answer without the body proves that nobody waited for it.
    let mut head = framed(false, &[]);
    head[1..5].copy_from_slice(&(2_000_000_u32).to_be_bytes());
    let answer = call(&server, TRACES, "", Pieces::one(head)).await;
    assert_eq!(answer.get("grpc-status"), "8");
    assert_eq!(answer.get("grpc-status-details-bin"), "");
    assert_eq!(server.note("refused_oversize"), 1);
    server.finish().await;
}

#[tokio::test]
async fn a_bomb_is_refused_while_it_is_inflated() {
    let config = serde_json::json!({ "protocols": { "grpc": { "max_recv_msg_size": "1MiB" } } });
    // The budget has no room for what the bomb wants: had it been asked, the answer would be "come again".
    let server = Server::with(config, 4 * MIB).await;
    let zeros = vec![0; 100 << 20];
    for (name, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let answer = call(&server, TRACES, name, Pieces::one(framed(true, &bomb))).await;
        assert_eq!(answer.get("grpc-status"), "8", "{name}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_zstd_window_beyond_8_mib_is_refused() {
    let server = Server::start().await;
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(27).expect("a window");
    std::io::Write::write_all(&mut encoder, &vec![7; 20 << 20]).expect("memory");
    let packed = encoder.finish().expect("memory");
    let answer = call(&server, TRACES, "zstd", Pieces::one(framed(true, &packed))).await;
    assert_eq!(answer.get("grpc-status"), "3");
    server.finish().await;
}

#[tokio::test]
async fn without_budget_the_client_is_asked_to_come_again() {
    let server = Server::with(serde_json::json!({ "retry_after": "1500ms" }), MIB).await;
    let taken = server.cx.shared().budget.try_acquire(MIB).expect("free");
    let mut head = framed(false, &[]);
    head[1..5].copy_from_slice(&(1000_u32).to_be_bytes());
    let answer = call(&server, TRACES, "", Pieces::one(head)).await;
    assert_eq!(answer.get("grpc-status"), "14");
    let detail = RetryInfo::decode(details(&answer).details[0].value.as_slice()).expect("retry info");
    assert_eq!(detail.delay.map(|delay| (delay.seconds, delay.nanos)), Some((1, 500_000_000)));
    drop(taken);
    assert!(client(&server).await.export(server.traces(1)).await.is_ok());
    server.finish().await;
}

#[tokio::test]
async fn frames_of_any_size_make_the_same_message() {
    let server = Server::start().await;
    let message = encoded(&server.traces(200));
    for size in [1, 3, 5, 1000, 1 << 20] {
        let answer = call(&server, TRACES, "", Pieces::of(&framed(false, &message), size)).await;
        assert_eq!(answer.get("grpc-status"), "0", "{size}");
    }
    for batch in server.graph.batches() {
        let Data::Spans(batch, None) = batch else { panic!("spans") };
        assert_eq!(batch.buf, message);
    }
    server.finish().await;
}

#[tokio::test]
async fn broken_calls_are_refused_by_what_is_wrong_with_them() {
    let server = Server::start().await;
    let good = framed(false, &encoded(&server.traces(1)));
    let twice = [good.clone(), good.clone()].concat();
    for (path, encoding, body, code) in [
        (TRACES, "", framed(false, b"\xff\xff\xff"), "3"),
        (TRACES, "", good[..good.len() - 1].to_vec(), "3"),
        (TRACES, "", good[..3].to_vec(), "3"),
        (TRACES, "", Vec::new(), "3"),
        (TRACES, "", twice, "3"),
        (TRACES, "", vec![2, 0, 0, 0, 0], "3"),
        (TRACES, "", framed(true, b"x"), "3"),
        (TRACES, "gzip", framed(true, b"no gzip"), "3"),
        (TRACES, "snappy", good.clone(), "12"),
        ("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", "", good, "12"),
    ] {
        let answer = call(&server, path, encoding, Pieces::one(body.clone())).await;
        assert_eq!((answer.status, answer.get("grpc-status")), (200, code), "{path} {encoding} {body:?}");
        match code {
            "3" => {
                let detail = &details(&answer).details[0];
                assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.BadRequest");
                assert!(!BadRequest::decode(detail.value.as_slice()).expect("bad request").violations.is_empty());
            }
            _ if encoding == "snappy" => assert_eq!(answer.get("grpc-accept-encoding"), "identity,gzip,zstd"),
            _ => assert!(!answer.get("grpc-message").is_empty()),
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn no_damage_harms_the_requests_after_it() {
    let server = Server::start().await;
    let message = encoded(&server.traces(2));
    for (encoding, packed) in [("", message.to_vec()), ("gzip", gzip(&message)), ("zstd", zstd(&message))] {
        for copy in broken_copies(&packed) {
            let answer = call(&server, TRACES, encoding, Pieces::one(framed(!encoding.is_empty(), &copy))).await;
            assert!(["0", "3", "8"].contains(&answer.get("grpc-status")), "{answer:?}");
        }
    }
    assert!(client(&server).await.export(server.traces(1)).await.is_ok());
    server.finish().await;
}

#[tokio::test]
async fn another_protocol_hears_where_it_is() {
    let server = Server::start().await;
    let request = Request::post("/v1/traces").header("host", "x").body(Pieces::one("{}")).expect("a request");
    let answer = http1(server.grpc, request).await;
    assert_eq!(answer.status, 415);
    assert!(String::from_utf8_lossy(&answer.body).contains("OTLP/gRPC"));
    server.finish().await;
}
