//! Sends traces of ended remediations to a collector, best effort: the work never waits for it and never fails by it.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::spawn;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Uri;

use crate::store::Store;

/// Traces that wait at most; what comes then is dropped and counted.
const WAITING: usize = 64;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the end of a run waits for what is not sent yet.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
const MOST_ANSWER: u64 = 64 << 10;

/// A thread that posts traces, one after the other.
pub struct Outbox {
    send: SyncSender<Vec<u8>>,
    over: Receiver<()>,
}

/// A trace that is not sent: too many wait already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsent;

impl Outbox {
    /// Starts it for the collector at `endpoint` (`http://127.0.0.1:4318`); `/v1/traces` is appended. What becomes of the
    /// traces is counted in the store of `dir`, as `trace_sent` and `trace_failed`.
    pub fn start(endpoint: &str, dir: &Path) -> Result<Self, String> {
        let url = traces_of(endpoint)?;
        let (send, receive) = sync_channel(WAITING);
        let (done, over) = sync_channel(1);
        let dir = dir.to_owned();
        spawn(move || {
            post_all(&url, &receive, &dir);
            let _ = done.send(());
        });
        Ok(Self { send, over })
    }

    /// Takes a trace, or says at once that it cannot.
    pub fn offer(&self, trace: &Value) -> Result<(), Unsent> {
        match self.send.try_send(trace.to_string().into_bytes()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Unsent),
        }
    }

    /// Waits for what is not sent yet, but not for long. Says whether everything was tried.
    pub fn finish(self) -> bool {
        let Self { send, over } = self;
        drop(send);
        over.recv_timeout(LAST_WAIT) != Err(RecvTimeoutError::Timeout)
    }
}

/// The address that traces are posted to.
fn traces_of(endpoint: &str) -> Result<String, String> {
    let shape = "write it as http://127.0.0.1:4318";
    let uri: Uri = endpoint.parse().map_err(|error| format!("'{endpoint}' is no address: {error}; {shape}"))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(format!("'{endpoint}' is no address of an OTLP receiver: {shape}"));
    }
    let base = endpoint.trim_end_matches('/');
    Ok(if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") })
}

fn post_all(url: &str, traces: &Receiver<Vec<u8>>, dir: &Path) {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
    let agent = ureq::Agent::new_with_config(config.max_redirects(0).build());
    while let Ok(trace) = traces.recv() {
        let posted = post(&agent, url, &trace);
        if let Err(error) = &posted {
            tracing::warn!(url, error, "the trace of a remediation is not sent");
        }
        let name = if posted.is_ok() { "trace_sent" } else { "trace_failed" };
        if let Err(error) = Store::open(dir).and_then(|mut store| store.transact(|tx| tx.count(name))) {
            tracing::warn!(%error, name, "a trace is not counted");
        }
    }
}

fn post(agent: &ureq::Agent, url: &str, trace: &[u8]) -> Result<(), String> {
    let request = agent.post(url).header("content-type", "application/json");
    let mut answer = request.send(trace).map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_string().unwrap_or_default();
    if !status.is_success() {
        return Err(format!("the receiver answered {status}"));
    }
    // A receiver may take a request and reject what is in it.
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    let rejected = &answer["partialSuccess"]["rejectedSpans"];
    match rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()) {
        None | Some(0) => Ok(()),
        Some(n) => Err(format!("the receiver rejected {n} spans: {}", answer["partialSuccess"]["errorMessage"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_receiver_or_an_error_that_says_how() {
        for good in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"] {
            assert_eq!(traces_of(good).as_deref(), Ok("http://127.0.0.1:4318/v1/traces"));
        }
        for bad in ["", "127.0.0.1:4318", "https://x", "file:///etc/passwd", "http://", "http://x?y=z"] {
            assert!(traces_of(bad).is_err_and(|error| error.contains("http://127.0.0.1:4318")), "{bad}");
        }
    }
}
