//! From received bytes to the graph and back: decode, count, deliver, wait for the outcome.

use std::future::Future;
use std::time::Duration;

use backtrail_model::ack::Outcome;
use backtrail_model::signal::Signal;
use backtrail_pipeline::Context;
use backtrail_pipeline::context::{Budget, Outlet};
use bytes::Bytes;
use prost::Message;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{Gathered, Limit};
use super::config::Config;
use super::status::Refusal;
pub(super) use crate::decode::Form;
use crate::decode::{Bounds, Decoded, Decoder};

/// What all connections share.
pub(super) struct Intake {
    config: Config,
    cx: Context,
    out: Outlet,
    decoder: Decoder,
    tasks: TaskTracker,
    halt: CancellationToken,
    abandon: CancellationToken,
}

/// A request that was taken, wholly or in part.
#[derive(Debug)]
pub(super) struct Taken {
    signal: Signal,
    rejected: u64,
    message: String,
}

impl Intake {
    pub(super) fn new(config: Config, cx: Context, out: Outlet) -> Self {
        let decoder = Decoder::new(cx.shared());
        let (tasks, halt, abandon) = Default::default();
        Self { config, cx, out, decoder, tasks, halt, abandon }
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.cx.shared().budget
    }

    /// Whether the pipeline takes the signal: what nobody would see is refused, not swallowed.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        self.out.wants(signal)
    }

    /// Every task that serves a connection, a stream or a delivery.
    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.config.retry_after.0
    }

    pub(super) fn grpc_limit(&self) -> u64 {
        self.config.protocols.grpc.as_ref().map_or(0, super::config::Grpc::limit)
    }

    pub(super) fn http_limit(&self) -> u64 {
        self.config.protocols.http.as_ref().map_or(0, |http| http.max_request_body_size.0)
    }

    pub(super) fn max_concurrent_streams(&self) -> u32 {
        self.config.protocols.grpc.as_ref().map_or(256, |grpc| grpc.max_concurrent_streams)
    }

    /// The limit in force: what the whole budget cannot hold will never fit, so "come again" would be a lie.
    pub(super) fn limit(&self, bytes: u64, option: &'static str) -> Limit {
        match self.budget().limit() {
            budget if budget < bytes => Limit { bytes: budget, option: "memory_limiter" },
            _ => Limit { bytes, option },
        }
    }

    pub(super) fn note(&self, what: &'static str) {
        self.cx.stats().note(what, 1);
    }

    /// Counts a refusal, and names it in the log for whoever looks for it.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.note(refusal.note());
        tracing::debug!(node = self.cx.node(), reason = refusal.note(), message = refusal.message(), "request refused");
    }

    /// Answers everything that is still in flight with "come again".
    pub(super) fn halt(&self) {
        self.halt.cancel();
    }

    /// Ends connections over whatever they are doing.
    pub(super) fn abandon(&self) {
        self.abandon.cancel();
    }

    pub(super) async fn abandoned(&self) {
        self.abandon.cancelled().await;
    }

    /// Runs the reading of a body, which the client can draw out, within `read_timeout`.
    pub(super) async fn read<T>(&self, reading: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            read = tokio::time::timeout(self.config.read_timeout.0, reading) => read.unwrap_or(Err(Refusal::Slow)),
            () = self.halt.cancelled() => Err(Refusal::NotTaken(STOPPING)),
        }
    }

    /// Decodes a request, counts its items and sends them into the graph; waits until they are where they have to be.
    pub(super) async fn take(&self, signal: Signal, form: Form, from: Gathered) -> Result<Taken, Refusal> {
        let arrival = self.cx.now();
        let bounds = Bounds { arrival, past: self.config.max_age.0, future: self.config.max_future.0 };
        let Gathered { bytes, permit } = from;
        let decoded = self
            .decoder
            .decode(signal, form, bytes, &bounds, Some(permit))
            .map_err(|error| Refusal::Malformed(error.to_string()))?;
        decoded.count(self.cx.stats());
        let rejected = decoded.rejected.total();
        let message = if rejected > 0 { format!("not accepted: {}", decoded.rejected) } else { String::new() };
        let taken = Taken { signal, rejected, message };
        if decoded.data.items() > 0 {
            self.deliver(decoded, arrival).await?;
        }
        Ok(taken)
    }

    async fn deliver(&self, decoded: Decoded, arrival: backtrail_model::time::UnixNano) -> Result<(), Refusal> {
        let (out, halt) = (self.out.clone(), self.halt.clone());
        // In a task of its own: hyper drops this future when the client goes away, and what was counted as sent must
        // not be lost on the doorstep of the graph.
        let delivery = self.tasks.spawn(async move {
            tokio::select! {
                biased;
                outcome = out.deliver(decoded.data, arrival) => Some(outcome),
                () = halt.cancelled() => None,
            }
        });
        match tokio::time::timeout(self.config.max_ack_hold.0, delivery).await {
            Ok(Ok(Some(Outcome::Delivered))) => Ok(()),
            Ok(Ok(Some(Outcome::Rejected))) => Err(Refusal::Rejected),
            Ok(Ok(None)) => Err(Refusal::NotTaken(STOPPING)),
            Ok(Ok(Some(Outcome::Failed)) | Err(_)) => Err(Refusal::NotTaken("the pipeline could not take the data")),
            Err(_) => Err(Refusal::NotTaken("the pipeline did not settle the data within max_ack_hold")),
        }
    }
}

const STOPPING: &str = "the collector is stopping";

/// `Export*PartialSuccess` inside `Export*ServiceResponse`: the same shape and numbers for all signals.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// See [`ExportResponse`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

impl Taken {
    /// The response message, `None` if everything was taken: then `partial_success` must be unset.
    pub(super) fn partial(&self) -> Option<Bytes> {
        (self.rejected > 0).then(|| {
            let partial = PartialSuccess { rejected: self.rejected as i64, message: self.message.clone() };
            ExportResponse { partial_success: Some(partial) }.encode_to_vec().into()
        })
    }

    /// The response in JSON; 64-bit integers are strings there.
    pub(super) fn json(&self) -> Bytes {
        if self.rejected == 0 {
            return Bytes::from_static(b"{}");
        }
        let name = match self.signal {
            Signal::Logs => "rejectedLogRecords",
            Signal::Metrics => "rejectedDataPoints",
            _ => "rejectedSpans",
        };
        let partial = json!({ name: self.rejected.to_string(), "errorMessage": self.message });
        json!({ "partialSuccess": partial }).to_string().into()
    }
}
