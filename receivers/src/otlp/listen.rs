//! Ports and connections: accepting, limits, timeouts, and the end of it all.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backtrail_pipeline::context::Stop;
use backtrail_pipeline::{Context, NodeError};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::intake::Intake;
use super::reply::Reply;
use super::{grpc, http as otlp_http};

/// Windows of HTTP/2: one request of usual size never waits for an update, and a connection holds a few of them.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Largest frame: a batch of 512 spans fits into one and is then never copied.
const FRAME: u32 = 1 << 20;
/// Pings find clients that went away without a word.
const PING_EVERY: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait after an accept that failed: the usual reason (no file descriptors left) does not pass faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What remains for answers ("come again") after `stop_timeout` is over.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How an HTTP/2 connection begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which protocol a port speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// A bound port.
pub(super) struct Port {
    protocol: Protocol,
    listener: TcpListener,
}

impl Port {
    pub(super) async fn bind(protocol: Protocol, endpoint: &str, cx: &Context) -> Result<Self, NodeError> {
        let failed = |error: std::io::Error| NodeError::Config {
            message: format!("{} cannot listen on {endpoint}: {error}", cx.node()),
            hint: "choose a free port and an address of this machine".to_owned(),
        };
        let listener = TcpListener::bind(endpoint).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let name = match protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        };
        if !address.ip().is_loopback() {
            tracing::warn!(node = cx.node(), %address, "reachable from other machines without TLS or a token");
        }
        cx.listening(name, address);
        Ok(Self { protocol, listener })
    }
}

/// Serves until `stop` fires; then in-flight requests are answered, for at most `stop_timeout`.
pub(super) async fn serve(ports: Vec<Port>, intake: Arc<Intake>, stop: Stop) -> Result<(), NodeError> {
    let mut accepting = JoinSet::new();
    for port in ports {
        accepting.spawn(accept(port, Arc::clone(&intake), stop.clone()));
    }
    while accepting.join_next().await.is_some() {}
    let tasks = intake.tasks();
    tasks.close();
    let stop_timeout = intake.config().stop_timeout.0;
    if tokio::time::timeout(stop_timeout, tasks.wait()).await.is_err() {
        tracing::warn!("requests in flight after stop_timeout are answered with 'come again'");
        intake.halt();
        if tokio::time::timeout(LAST_WORDS, tasks.wait()).await.is_err() {
            intake.abandon();
            let _ = tokio::time::timeout(LAST_WORDS, tasks.wait()).await;
        }
    }
    Ok(())
}

async fn accept(port: Port, intake: Arc<Intake>, mut stop: Stop) {
    let Port { protocol, listener } = port;
    let room = Arc::new(Semaphore::new(intake.config().max_connections));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.wait() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(protocol, stream, Arc::clone(&intake), stop.clone());
                intake.tasks().spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                intake.note("accept_errors");
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(protocol: Protocol, stream: TcpStream, intake: Arc<Intake>, mut stop: Stop) {
    let _ = stream.set_nodelay(true);
    let read_timeout = intake.config().read_timeout.0;
    let greeting = tokio::select! {
        () = stop.wait() => return,
        greeting = tokio::time::timeout(read_timeout, greeting(&stream)) => greeting,
    };
    let io = TokioIo::new(stream);
    match greeting {
        Ok(Some(Greeting::Http2)) => {
            let mut builder = http2::Builder::new(Tracked(intake.tasks().clone()));
            builder
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME)
                .max_concurrent_streams(intake.max_concurrent_streams())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_TIMEOUT);
            let service = service_fn(|request| answer(protocol, request, Arc::clone(&intake)));
            drive(builder.serve_connection(io, service), &intake, stop).await;
        }
        Ok(Some(Greeting::Http1)) => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(read_timeout);
            let service = service_fn(|request| answer(protocol, request, Arc::clone(&intake)));
            drive(builder.serve_connection(io, service), &intake, stop).await;
        }
        Ok(None) => {}
        Err(_) => intake.note("silent_connections"),
    }
}

async fn answer(
    protocol: Protocol,
    request: Request<Incoming>,
    intake: Arc<Intake>,
) -> Result<Response<Reply>, Infallible> {
    Ok(match protocol {
        Protocol::Grpc => grpc::answer(request, intake).await,
        Protocol::Http => otlp_http::answer(request, intake).await,
    })
}

/// Runs a connection to its end; `stop` tells it to finish what is in flight and take nothing new.
async fn drive<C: GracefulConnection>(connection: C, intake: &Intake, mut stop: Stop) {
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.wait() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = intake.abandoned() => {}
    }
}

enum Greeting {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. hyper's own detection would wait for them for ever.
async fn greeting(stream: &TcpStream) -> Option<Greeting> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let read = stream.peek(&mut seen).await.ok().filter(|&read| read > 0)?;
        if seen[..read] != PREFACE[..read] {
            return Some(Greeting::Http1);
        }
        if read == PREFACE.len() {
            return Some(Greeting::Http2);
        }
        // A peeked socket stays readable, so there is no event to wait for.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs hyper's streams where the shutdown can see them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
