//! `replay`: recorded OTLP/JSON, one request a line, sent through the graph on the recording's own clock.
//!
//! ```yaml
//! receivers:
//!   replay: { path: ./incident, speed: max }
//! ```
//!
//! The clock is virtual: a line arrives at the greatest time that it holds, and never before the line that came before
//! it. So a replay gives the same windows and the same verdict on every machine and at every speed.

mod input;
mod source;
mod speed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::time::UnixNano;
use backtrail_pipeline::context::{Outlet, Stop};
use backtrail_pipeline::{ByteSize, Component, Context, Finding, NodeError, Receiver, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::input::Input;
use self::source::{Entry, Source};
pub use self::speed::Speed;
use crate::decode::Decoder;

/// Replays recorded telemetry.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A file of OTLP/JSON lines (`.jsonl`, also `.gz` and `.zst`), or a folder of them, merged by time. A folder with
    /// files named `*.otlp.jsonl*` is read for these alone.
    pub path: PathBuf,
    /// How fast recorded time passes: `max`, or a factor such as `1x`, `10x` or `0.5x`.
    pub speed: Speed,
    /// The signals that are replayed; all when it is empty.
    pub signals: Vec<Recorded>,
    /// How many lines of one file are merged into one request.
    pub lines_per_request: usize,
    /// Longest line; a longer one is skipped and counted.
    pub max_line: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            speed: Speed::default(),
            signals: Vec::new(),
            lines_per_request: 1,
            max_line: ByteSize(64 << 20),
        }
    }
}

/// A signal of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// `resourceSpans`.
    Traces,
    /// `resourceLogs`.
    Logs,
    /// `resourceMetrics`.
    Metrics,
}

impl Recorded {
    const fn signal(self) -> Signal {
        match self {
            Self::Traces => Signal::Spans,
            Self::Logs => Signal::Logs,
            Self::Metrics => Signal::Metrics,
        }
    }
}

impl Component for Config {
    const NAME: &'static str = "replay";
    const SUMMARY: &'static str = "Replays recorded OTLP/JSON lines on their own clock, as fast as the pipeline can.";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Receiver;

    fn accepts(&self) -> Signals {
        Signals::NONE
    }

    fn emits(&self) -> Signals {
        if self.signals.is_empty() {
            return Signals::of(&[Signal::Spans, Signal::Logs, Signal::Metrics]);
        }
        self.signals.iter().map(|recorded| recorded.signal()).collect()
    }

    fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.path.as_os_str().is_empty() {
            found.push(Finding::new("path", "no path to replay", "write the path of a .jsonl file or of a folder"));
        }
        if self.lines_per_request == 0 {
            found.push(Finding::new("lines_per_request", "a request of no lines", "write 1 or more"));
        }
        if self.max_line.0 == 0 {
            found.push(Finding::new("max_line", "every line would be too long", "write a size such as 64MiB"));
        }
        if self.signals.len() > 3 {
            found.push(Finding::new("signals", "more than three signals", "name each of them once"));
        }
        found
    }

    fn virtual_clock(&self) -> bool {
        true
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Receiver>, NodeError> {
        Ok(Box::new(Replay { config: self.clone(), cx: cx.clone(), inputs: Vec::new() }))
    }
}

struct Replay {
    config: Config,
    cx: Context,
    inputs: Vec<Input>,
}

#[async_trait]
impl Receiver for Replay {
    async fn bind(&mut self) -> Result<(), NodeError> {
        self.inputs = Input::open_all(&self.config.path, self.cx.stats())?;
        Ok(())
    }

    async fn run(self: Box<Self>, out: Outlet, stop: Stop) -> Result<(), NodeError> {
        let Self { config, cx, inputs } = *self;
        let decoder = Arc::new(Decoder::new(cx.shared()));
        // One thread a file parses ahead of the graph; its channel is short, so memory stays constant.
        let mut readers = JoinSet::new();
        let mut sources = Vec::new();
        for input in inputs {
            let (source, read) = Source::new(input, &config, &cx, Arc::clone(&decoder));
            readers.spawn_blocking(read);
            sources.push(source);
        }
        merge(&mut sources, config.speed, &cx, &out, stop).await;
        drop(sources);
        let mut result = Ok(());
        while let Some(read) = readers.join_next().await {
            result = result.and(read.unwrap_or_else(|panic| Err(NodeError::Bug(panic.to_string()))));
        }
        result
    }
}

/// Sends the earliest entry of all sources until they end, or until `stop` fires.
async fn merge(sources: &mut [Source], speed: Speed, cx: &Context, out: &Outlet, mut stop: Stop) {
    let mut clock = Pace::new(speed);
    let mut arrival = UnixNano(0);
    loop {
        let next = tokio::select! {
            biased;
            () = stop.wait() => return,
            next = earliest(sources) => next,
        };
        let Some(Entry { arrival: at, decoded }) = next else { return };
        arrival = arrival.max(at);
        if let Some(due) = clock.due(arrival) {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = tokio::time::sleep_until(due) => {}
            }
        }
        decoded.count(cx.stats());
        // Not raced against `stop`: what was counted as sent has to get there.
        out.send(decoded.data, arrival).await;
        out.advance(arrival).await;
    }
}

/// Takes the earliest entry; on a tie, that of the first file by name. Waits until every source shows its next one,
/// because the order must not depend on which thread was faster.
async fn earliest(sources: &mut [Source]) -> Option<Entry> {
    let mut first: Option<(UnixNano, usize)> = None;
    for (index, source) in sources.iter_mut().enumerate() {
        if let Some(at) = source.peek().await
            && first.is_none_or(|(least, _)| at < least)
        {
            first = Some((at, index));
        }
    }
    sources[first?.1].take()
}

/// When recorded times are due on the machine's clock.
struct Pace {
    speed: Speed,
    start: Option<(Instant, UnixNano)>,
}

impl Pace {
    const fn new(speed: Speed) -> Self {
        Self { speed, start: None }
    }

    fn due(&mut self, arrival: UnixNano) -> Option<Instant> {
        let factor = self.speed.factor()?;
        let (start, first) = *self.start.get_or_insert_with(|| (Instant::now(), arrival));
        let wait = Duration::try_from_secs_f64(arrival.since(first).as_secs_f64() / factor).unwrap_or(Duration::MAX);
        start.checked_add(wait)
    }
}

#[cfg(test)]
mod tests;
