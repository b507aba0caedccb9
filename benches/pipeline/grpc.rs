//! gRPC on loopback: spans a second and core of the real binary, by its own CPU time. The sender is this process.

use std::path::Path;

use backtrail_testkit::process::{Collector, row};
use bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::measure::{Scale, corpus, print};

const RECEIVE: &str = "receivers:
  otlp: { protocols: { grpc: { endpoint: 127.0.0.1:0 } } }
exporters:
  debug: { verbosity: basic }
service:
  admin: { endpoint: 127.0.0.1:0 }
  data_dir: data
  pipelines:
    traces: { receivers: [otlp], exporters: [debug] }
";

const WHOLE: &str = "receivers:
  otlp: { protocols: { grpc: { endpoint: 127.0.0.1:0 } } }
processors:
  route_normalization: {}
  trace_assembly: { decision_wait: 2s }
  edge_aggregation: {}
  ochiai: {}
  anomaly_trigger: {}
  verdict: {}
  tail_sampling:
    policies:
      - { name: errors, type: status_code, status_code: { status_codes: [ERROR] } }
      - { name: share, type: probabilistic, probabilistic: { sampling_percentage: 6 } }
exporters:
  parquet/spans: { tables: [spans] }
  parquet/windows: { tables: [edges, spectra, incidents, suspects, verdicts] }
service:
  admin: { endpoint: 127.0.0.1:0 }
  data_dir: data
  pipelines:
    ingest: { receivers: [otlp], processors: [route_normalization, trace_assembly] }
    keep: { receivers: [ingest], processors: [tail_sampling], exporters: [parquet/spans] }
    localize:
      receivers: [ingest]
      processors: [edge_aggregation, ochiai, anomaly_trigger, verdict]
      exporters: [parquet/windows]
";

pub(crate) fn run(scale: Scale) {
    one("grpc receive and walk", RECEIVE, scale, scale.of(1, 25));
    one("grpc, the whole default path", WHOLE, scale, scale.of(1, 10));
}

fn one(what: &str, config: &str, scale: Scale, passes: usize) {
    let corpus = corpus(scale);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(Path::new(env!("CARGO_BIN_EXE_backtrail")), folder.path(), config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut client = runtime.block_on(connect(&collector));
    // Caches warm, threads started.
    runtime.block_on(send(&mut client, corpus.requests.iter().take(50).map(|request| request.pass(u64::MAX))));
    let before = collector.cpu_seconds();
    for pass in 1..=passes as u64 {
        runtime.block_on(send(&mut client, corpus.requests.iter().map(|request| request.pass(pass))));
    }
    let spans = corpus.spans * passes;
    let accepted = row(&collector.status(), "receivers.otlp")["accepted"].as_u64().unwrap_or(0);
    assert!(accepted as usize >= spans, "{accepted} of {spans} spans arrived");
    drop(client);
    // What was taken is also worked off: its cost belongs to the measurement.
    let rss = collector.rss();
    if config.contains("trace_assembly") {
        collector.wait_for_node("processors.trace_assembly", |row| row["held"] == 0);
    }
    let cpu = collector.cpu_seconds() - before;
    collector.stop();
    print(&format!(
        "{what}: {:.0} spans/s a core ({:.2} CPU seconds a million spans, {:.0} MB resident)",
        spans as f64 / cpu.max(0.01),
        cpu * 1e6 / spans as f64,
        rss as f64 / 1e6,
    ));
}

type Client = tonic::client::Grpc<tonic::transport::Channel>;

async fn connect(collector: &Collector) -> Client {
    let address = format!("http://{}", collector.address("grpc"));
    let endpoint = tonic::transport::Endpoint::from_shared(address).expect("a valid address");
    let endpoint = endpoint.initial_stream_window_size(16 << 20).initial_connection_window_size(64 << 20);
    tonic::client::Grpc::new(endpoint.connect().await.expect("it listens"))
}

/// Sends requests with eight under way at a time, as a busy gateway would.
async fn send(client: &mut Client, requests: impl Iterator<Item = Vec<u8>>) {
    let mut under_way = tokio::task::JoinSet::new();
    for request in requests {
        if under_way.len() == 8 {
            under_way.join_next().await.expect("there are some").expect("it was taken");
        }
        let mut client = client.clone();
        under_way.spawn(async move {
            let path =
                http::uri::PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            client.ready().await.expect("connected");
            client.unary(tonic::Request::new(Bytes::from(request)), path, Raw).await.expect("it was taken");
        });
    }
    while let Some(sent) = under_way.join_next().await {
        sent.expect("it was taken");
    }
}

/// Sends bytes as they are: the sender must not be what is measured.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
