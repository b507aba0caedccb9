//! The server over real sockets, before a graph that settles as it is told.

mod grpc;
mod http;
mod lifecycle;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Request, Response};
use backtrail_pipeline::context::Stop;
use backtrail_pipeline::{Component, Context, NodeError};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Config;
use crate::fake::{self, Graph};

const MIB: u64 = 1 << 20;

/// A running server.
struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    cx: Context,
    graph: Arc<Graph>,
    stop: watch::Sender<bool>,
    run: JoinSet<Result<(), NodeError>>,
}

impl Server {
    /// With defaults but free ports.
    async fn start() -> Self {
        Self::with(serde_json::json!({}), 256 * MIB).await
    }

    /// With settings over the defaults and a budget of `memory` bytes.
    async fn with(mut config: Value, memory: u64) -> Self {
        for protocol in ["grpc", "http"] {
            config["protocols"][protocol]["endpoint"] = "127.0.0.1:0".into();
        }
        let config: Config = serde_json::from_value(config).expect("a config");
        assert_eq!(config.check(), []);
        let (cx, graph) = (fake::context(memory), Graph::new());
        let mut receiver = config.build(&cx).expect("builds");
        receiver.bind().await.expect("free ports");
        let address = |protocol: &str| {
            let listening = cx.shared().listening.lock();
            listening.iter().find(|port| port.protocol == protocol).expect("listens").address
        };
        let (grpc, http) = (address("grpc"), address("http"));
        let (stop, stopped) = Stop::new();
        let mut run = JoinSet::new();
        run.spawn(receiver.run(graph.outlet(&cx), stopped));
        Self { grpc, http, cx, graph, stop, run }
    }

    /// Stops it, and checks that nothing is missing.
    async fn finish(mut self) -> Arc<Graph> {
        self.stop.send_replace(true);
        let run = tokio::time::timeout(Duration::from_secs(20), self.run.join_next()).await.expect("ends in time");
        run.expect("runs").expect("no panic").expect("no error");
        fake::assert_conserved(&self.cx);
        self.graph.heard.lock().clear();
        assert_eq!(self.cx.shared().budget.used(), 0, "every lent byte comes back");
        self.graph
    }

    fn note(&self, name: &str) -> u64 {
        self.cx.stats().notes().get(name).copied().unwrap_or_default()
    }

    /// Spans that end now.
    fn traces(&self, count: u64) -> ExportTraceServiceRequest {
        fake::traces(count, self.cx.now())
    }
}

/// A body in the given pieces, of no announced length.
#[derive(Clone, Default)]
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn one(bytes: impl Into<Bytes>) -> Self {
        Self(VecDeque::from([bytes.into()]))
    }

    fn of(bytes: &[u8], size: usize) -> Self {
        Self(bytes.chunks(size).map(Bytes::copy_from_slice).collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// An answer with its trailers.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.expect("a whole body");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self { status: head.status.as_u16(), headers: head.headers, body: collected.to_bytes(), trailers }
    }

    /// A header or trailer, "" if it is not there.
    fn get(&self, name: &str) -> &str {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name));
        value.map_or("", |value| value.to_str().expect("text"))
    }
}

/// One exchange over HTTP/1.1.
async fn http1<B>(address: SocketAddr, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.expect("connects");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("http1");
    let mut connection = JoinSet::from_iter([connection]);
    let answer = Answer::of(sender.send_request(request).await.expect("an answer")).await;
    connection.abort_all();
    answer
}

/// One exchange over HTTP/2.
async fn http2<B>(address: SocketAddr, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.expect("connects");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("http2");
    let mut connection = JoinSet::from_iter([connection]);
    let answer = Answer::of(sender.send_request(request).await.expect("an answer")).await;
    connection.abort_all();
    answer
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

/// A stream of pseudo-random numbers that is the same in every run.
fn noise() -> impl FnMut() -> usize {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize
    }
}

/// What tests send in place of valid bytes: truncated at many places, and with flipped bits.
fn broken_copies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut next = noise();
    let cut = (1..bytes.len()).step_by(bytes.len() / 40 + 1).map(|len| bytes[..len].to_vec());
    let flipped = (0..64).map(|_| {
        let mut copy = bytes.to_vec();
        let at = next() % copy.len();
        copy[at] ^= 1 << (next() % 8);
        copy
    });
    cut.chain(flipped).collect()
}

fn encoded(request: &impl Message) -> Bytes {
    request.encode_to_vec().into()
}
