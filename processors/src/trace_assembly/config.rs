//! Options of `trace_assembly`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::{ByteSize, Component, Context, Duration, Finding, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::assembly::Assembly;

/// Options of `trace_assembly`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after its first span a trace is decided.
    pub decision_wait: Duration,
    /// How long after its root a trace is decided, if that is earlier; 0 waits for `decision_wait` alone.
    pub decision_wait_after_root_received: Duration,
    /// Most traces that wait at a time; 0 sets no limit. Over it the oldest are decided early.
    pub num_traces: u64,
    /// Most bytes of waiting spans. Over it the oldest traces are decided early. What is kept of log records may take a
    /// quarter of it besides; over that, further records pass without being kept for their trace.
    pub max_bytes: ByteSize,
    /// Most spans of one trace. A trace that reaches it is decided early; what follows is late.
    pub max_spans_per_trace: u32,
    /// Most log records that travel with one trace: the earliest ones.
    pub max_logs_per_trace: u32,
    /// How many decided traces each shard remembers to recognize late spans.
    pub decision_cache: usize,
    /// Traces that are kept for the case that an incident opens.
    pub evidence: Evidence,
    /// How many shards share the limits.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) shards: Shards,
}

/// Which traces are kept for the case that an incident opens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// Of each entry operation and slice: this many with an error, as many of the slowest, and as many others. 0 keeps
    /// none.
    pub per_operation: usize,
    /// Most bytes of these copies. Over it the oldest slices are forgotten.
    pub max_bytes: ByteSize,
    /// How long after its decision a copy is kept, and how far before an incident's first slice copies are released.
    pub keep_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            decision_wait: Duration::from_secs(10),
            decision_wait_after_root_received: Duration::default(),
            num_traces: 0,
            max_bytes: ByteSize(1 << 30),
            max_spans_per_trace: 20_000,
            max_logs_per_trace: 2_000,
            decision_cache: 100_000,
            evidence: Evidence::default(),
            shards: Shards::default(),
        }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self { per_operation: 5, max_bytes: ByteSize(16 << 20), keep_for: Duration::from_secs(120) }
    }
}

/// Counts the copies that were built from one configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Shards(Arc<AtomicU64>);

/// One of the copies.
#[derive(Debug)]
pub(super) struct Member(Shards);

impl Shards {
    pub(super) fn join(&self) -> Member {
        self.0.fetch_add(1, Ordering::Relaxed);
        Member(self.clone())
    }
}

impl Member {
    /// This copy's part of a limit that holds for all.
    pub(super) fn share(&self, limit: u64) -> u64 {
        limit.div_ceil(self.0.0.load(Ordering::Relaxed).max(1))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Component for Config {
    const NAME: &'static str = "trace_assembly";
    const SUMMARY: &'static str = "Collects the spans of each trace, with its log records, and sends whole traces on";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Spans, Signal::Logs])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Traces, Signal::Logs])
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.decision_wait.0.is_zero() {
            let hint = "write how long spans of a trace may come one after the other, such as 10s";
            findings.push(Finding::new("decision_wait", "no span would wait for another", hint));
        }
        if self.max_bytes.0 == 0 {
            findings.push(Finding::new("max_bytes", "no span could be held", "write a size such as 1GiB"));
        }
        if self.max_spans_per_trace == 0 {
            let hint = "write a number such as 20000";
            findings.push(Finding::new("max_spans_per_trace", "no trace could have a span", hint));
        }
        findings
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(Assembly::new(self, cx)))
    }
}
