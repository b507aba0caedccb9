//! One file as a stream of decoded requests, read ahead by a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;

use backtrail_model::signal::{Signal, Signals};
use backtrail_model::time::UnixNano;
use backtrail_pipeline::stats::NodeStats;
use backtrail_pipeline::{Component, Context, NodeError};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::Config;
use super::input::{Input, Line, Lines};
use crate::decode::{Bounds, Decoded, Decoder, Form, transcode};

/// Requests that a reader may be ahead.
const AHEAD: usize = 4;
/// Bad lines that are named in the log, for each file; the others are only counted.
const NAMED: u64 = 5;

/// A decoded request with its time.
pub(super) struct Entry {
    pub(super) arrival: UnixNano,
    pub(super) decoded: Decoded,
}

/// The receiving end of a reader.
pub(super) struct Source {
    entries: mpsc::Receiver<Entry>,
    next: Option<Entry>,
}

impl Source {
    /// A source, and the work of its thread.
    pub(super) fn new(
        input: Input,
        config: &Config,
        cx: &Context,
        decoder: Arc<Decoder>,
    ) -> (Self, impl FnOnce() -> Result<(), NodeError> + Send + 'static) {
        let (out, entries) = mpsc::channel(AHEAD);
        let reader = Reader {
            path: input.path.clone(),
            wanted: config.emits(),
            lines_per_request: config.lines_per_request,
            decoder,
            stats: Arc::clone(cx.stats()),
            out,
            arrival: UnixNano(0),
            bad: 0,
        };
        let longest = usize::try_from(config.max_line.0).unwrap_or(usize::MAX);
        (Self { entries, next: None }, move || reader.run(input, longest))
    }

    /// When the next entry arrives, `None` at the end.
    pub(super) async fn peek(&mut self) -> Option<UnixNano> {
        if self.next.is_none() {
            self.next = self.entries.recv().await;
        }
        self.next.as_ref().map(|entry| entry.arrival)
    }

    /// Takes what was peeked.
    pub(super) fn take(&mut self) -> Option<Entry> {
        self.next.take()
    }
}

struct Reader {
    path: PathBuf,
    wanted: Signals,
    lines_per_request: usize,
    decoder: Arc<Decoder>,
    stats: Arc<NodeStats>,
    out: mpsc::Sender<Entry>,
    /// Arrival of the last request; the next one is not earlier, even in a recording that is not sorted.
    arrival: UnixNano,
    bad: u64,
}

/// Lines of one signal, as one request.
struct Pending {
    signal: Signal,
    lines: usize,
    request: Vec<u8>,
}

/// Nobody wants more.
struct Closed;

impl Reader {
    fn run(mut self, input: Input, longest: usize) -> Result<(), NodeError> {
        let path = self.path.clone();
        let broken = |number: u64, error: std::io::Error| {
            NodeError::unavailable(format!("{} is broken after line {number}", path.display()), error)
        };
        let mut lines = input.lines(longest).map_err(|error| broken(0, error))?;
        let read = self.read(&mut lines);
        read.map_err(|error| broken(lines.number, error))
    }

    fn read(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        let mut line = Vec::new();
        let mut pending = None;
        loop {
            let read = lines.next(&mut line);
            let request = match read {
                // What was read before a file breaks off is as good as before.
                Ok(Line::End) | Err(_) => {
                    let _ = self.flush(pending.take());
                    return read.map(drop);
                }
                Ok(Line::TooLong) => Err("line is longer than max_line".to_owned()),
                Ok(Line::Read) => self.parse(&line),
            };
            match request {
                Ok(None) => {}
                Ok(Some((signal, request))) => {
                    if self.push(&mut pending, signal, &request).is_err() {
                        return Ok(());
                    }
                }
                Err(reason) => self.bad_line(lines.number, &reason),
            }
        }
    }

    /// The signal and protobuf of a line, `None` if it is blank or not wanted.
    fn parse(&self, line: &[u8]) -> Result<Option<(Signal, Vec<u8>)>, String> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let signal = signal(line)?;
        if !self.wanted.has(signal) {
            return Ok(None);
        }
        let request = transcode(signal, line).map_err(|error| error.to_string())?;
        Ok(Some((signal, request)))
    }

    fn push(&mut self, pending: &mut Option<Pending>, signal: Signal, request: &[u8]) -> Result<(), Closed> {
        if pending.as_ref().is_some_and(|pending| pending.signal != signal) {
            self.flush(pending.take())?;
        }
        let merged = pending.get_or_insert_with(|| Pending { signal, lines: 0, request: Vec::new() });
        // Protobuf messages that follow each other are one message: lists are joined.
        merged.request.extend_from_slice(request);
        merged.lines += 1;
        if merged.lines >= self.lines_per_request {
            self.flush(pending.take())?;
        }
        Ok(())
    }

    fn flush(&mut self, pending: Option<Pending>) -> Result<(), Closed> {
        let Some(Pending { signal, request, .. }) = pending else { return Ok(()) };
        // Recorded times are the clock, so there is nothing to hold them against.
        match self.decoder.decode(signal, Form::Protobuf, request.into(), &Bounds::none(), None) {
            Ok(decoded) => {
                self.arrival = self.arrival.max(decoded.latest());
                self.out.blocking_send(Entry { arrival: self.arrival, decoded }).map_err(|_| Closed)
            }
            Err(error) => {
                self.bad_line(0, &error.to_string());
                Ok(())
            }
        }
    }

    fn bad_line(&mut self, number: u64, reason: &str) {
        self.stats.note("bad_lines", 1);
        self.bad += 1;
        if self.bad <= NAMED {
            tracing::warn!(path = %self.path.display(), line = number, reason, "line skipped");
        }
    }
}

/// The signal of a line, by its top key.
fn signal(line: &[u8]) -> Result<Signal, String> {
    const KEYS: [(&[u8], Signal); 3] = [
        (b"\"resourceSpans\"", Signal::Spans),
        (b"\"resourceLogs\"", Signal::Logs),
        (b"\"resourceMetrics\"", Signal::Metrics),
    ];
    // Nearly always it is the first key, and then the line is read once and not twice.
    let first = line.trim_ascii_start().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
    if let Some((_, signal)) = KEYS.iter().find(|(key, _)| first.starts_with(key)) {
        return Ok(*signal);
    }
    let top: Top = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match (top.spans, top.logs, top.metrics) {
        (Some(_), _, _) => Ok(Signal::Spans),
        (_, Some(_), _) => Ok(Signal::Logs),
        (_, _, Some(_)) => Ok(Signal::Metrics),
        _ => Err("no resourceSpans, resourceLogs or resourceMetrics in it".to_owned()),
    }
}

#[derive(Deserialize)]
struct Top {
    #[serde(rename = "resourceSpans")]
    spans: Option<IgnoredAny>,
    #[serde(rename = "resourceLogs")]
    logs: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics")]
    metrics: Option<IgnoredAny>,
}
