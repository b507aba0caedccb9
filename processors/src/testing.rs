//! Traces and log records for tests, and a chain of processors that is driven by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::ids::{SpanId, TraceId};
use backtrail_model::log::{LogBatch, LogBody, LogRecord};
use backtrail_model::signal::Signals;
use backtrail_model::span::{Origin, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::SymbolKind;
use backtrail_model::time::{Tick, UnixNano};
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::node::Reconfigured;
use backtrail_pipeline::{Component, Context, Emit, Processor};

/// A span in words. Times in microseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) id: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) function: &'static str,
    pub(crate) kind: SpanKind,
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) flags: u16,
    pub(crate) weight: u32,
    pub(crate) resend: u8,
    pub(crate) version: &'static str,
    /// The span's protobuf message.
    pub(crate) raw: &'static [u8],
}

impl Default for Span {
    fn default() -> Self {
        Self {
            id: 1,
            parent: 0,
            service: "shop",
            operation: "GET /",
            peer: "",
            function: "",
            kind: SpanKind::Server,
            start: 0,
            length: 1000,
            flags: 0,
            weight: SpanRecord::ONE,
            resend: 0,
            version: "",
            raw: &[],
        }
    }
}

impl Span {
    /// A span whose flags say that it failed.
    pub(crate) fn failed(self) -> Self {
        Self { flags: self.flags | SpanFlags::ERROR, ..self }
    }

    /// The same span later.
    pub(crate) fn later(self, micros: u64) -> Self {
        Self { start: self.start + micros, ..self }
    }
}

/// A batch with one trace for each list of spans; the first trace's id is `first_id`.
pub(crate) fn traces(cx: &Context, first_id: u64, lists: &[Vec<Span>]) -> TraceBatch {
    let mut batch = TraceBatch::default();
    for (id, spans) in (first_id..).zip(lists) {
        push_trace(cx, &mut batch, id, spans);
    }
    batch
}

fn push_trace(cx: &Context, batch: &mut TraceBatch, id: u64, spans: &[Span]) {
    let first = batch.records.len();
    let mut records: Vec<SpanRecord> = spans.iter().map(|span| record(cx, batch, span)).collect();
    records.sort_by_key(|record| (record.start, record.span_id));
    let index_of = |id: SpanId| {
        let found = records.iter().position(|record| id.is_valid() && record.span_id == id);
        found.map_or(NO_SPAN, |at| (first + at) as u32)
    };
    batch.parents.extend(records.iter().map(|record| index_of(record.parent_id)));
    let root = records.iter().position(|record| !record.parent_id.is_valid());
    let mut flags = TraceFlags::default();
    if root.is_none() {
        flags.set(TraceFlags::ROOTLESS);
    }
    batch.traces.push(TraceHead {
        trace_id: trace_id(id),
        first: first as u32,
        len: records.len() as u32,
        root: root.map_or(NO_SPAN, |at| (first + at) as u32),
        start: records.iter().map(|record| record.start).min().unwrap_or_default(),
        end: records.iter().map(SpanRecord::end).max().unwrap_or_default(),
        first_log: 0,
        log_len: 0,
        flags,
        reason: Arc::from(""),
    });
    batch.records.extend(records);
}

/// The trace id that the `n`-th test trace has.
pub(crate) fn trace_id(n: u64) -> TraceId {
    TraceId(u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes())
}

fn record(cx: &Context, batch: &mut TraceBatch, span: &Span) -> SpanRecord {
    let symbols = cx.symbols();
    let service = symbols.intern(SymbolKind::Service, span.service);
    let known = batch.origins.iter().position(|o| o.service == service && &*o.version == span.version);
    let origin = known.unwrap_or_else(|| {
        batch.origins.push(Arc::new(Origin { service, version: Arc::from(span.version), ..Origin::default() }));
        batch.origins.len() - 1
    });
    let raw_offset = batch.raw.len() as u32;
    batch.raw.extend_from_slice(span.raw);
    SpanRecord {
        span_id: SpanId(span.id),
        parent_id: SpanId(span.parent),
        start: UnixNano(span.start * 1000),
        duration: span.length * 1000,
        service,
        operation: symbols.intern(SymbolKind::Operation, span.operation),
        peer: symbols.intern(SymbolKind::Peer, span.peer),
        function: symbols.intern(SymbolKind::Function, span.function),
        origin: origin as u32,
        raw_offset,
        raw_len: span.raw.len() as u32,
        weight: span.weight,
        flags: SpanFlags(span.flags),
        kind: span.kind,
        resend: span.resend,
        ..SpanRecord::default()
    }
}

/// A log record in words. Time in microseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) time: u64,
    /// Number of its trace, 0 for none.
    pub(crate) trace: u64,
    pub(crate) span: u64,
    pub(crate) service: &'static str,
    pub(crate) template: &'static str,
    pub(crate) severity: u8,
    pub(crate) body: &'static [u8],
}

impl Default for Log {
    fn default() -> Self {
        Self { time: 0, trace: 0, span: 0, service: "shop", template: "shop#1", severity: 9, body: b"hello" }
    }
}

/// A batch of these records, whose traces have the ids that `of` gives their numbers.
pub(crate) fn logs(cx: &Context, of: fn(u64) -> TraceId, logs: &[Log]) -> LogBatch {
    let mut batch = LogBatch::default();
    let mut buf = Vec::new();
    for log in logs {
        let len = log.body.len() as u32;
        batch.records.push(LogRecord {
            time: UnixNano(log.time * 1000),
            trace_id: if log.trace == 0 { TraceId::default() } else { of(log.trace) },
            span_id: SpanId(log.span),
            service: cx.symbols().intern(SymbolKind::Service, log.service),
            template: cx.symbols().intern(SymbolKind::Template, log.template),
            raw_offset: buf.len() as u32,
            raw_len: len,
            body: if len > 0 { LogBody::Text { offset: 0, len } } else { LogBody::Absent },
            severity: log.severity,
            ..LogRecord::default()
        });
        buf.extend_from_slice(log.body);
    }
    batch.buf = buf.into();
    batch
}

/// One processor of a [`Chain`].
pub(crate) struct Node {
    accepts: Signals,
    processor: Box<dyn Processor>,
    pub(crate) cx: Context,
}

/// A node of the component, on the shared state of `cx`.
pub(crate) fn node<C: Component<Node = dyn Processor>>(cx: &Context, config: &C) -> Node {
    let cx = Context::new(C::NAME, 0, Arc::default(), Arc::clone(cx.shared()));
    Node { accepts: config.accepts(), processor: config.build(&cx).expect("builds"), cx }
}

impl Node {
    /// Hands the node a configuration, as a reload does.
    pub(crate) fn reconfigure<C: Component>(&mut self, config: &C) -> Reconfigured {
        self.processor.reconfigure(config)
    }
}

/// Processors one after the other, driven by hand: what one emits goes to the next, signals that a node does not accept
/// pass by it.
pub(crate) struct Chain(pub(crate) Vec<Node>);

impl Chain {
    /// Sends data into the chain and answers what comes out at its end.
    pub(crate) fn send(&mut self, data: Data) -> Vec<Data> {
        self.send_at(data, 0)
    }

    /// The same, with the time of its arrival.
    pub(crate) fn send_at(&mut self, data: Data, micros: u64) -> Vec<Data> {
        let batch = Batch::derived(data, UnixNano(micros * 1000));
        self.run(VecDeque::from([batch]), None)
    }

    /// Moves both clocks to `micros`.
    pub(crate) fn tick(&mut self, micros: u64) -> Vec<Data> {
        let now = UnixNano(micros * 1000);
        self.run(VecDeque::new(), Some(Tick { arrival: now, watermark: now }))
    }

    /// The last tick.
    pub(crate) fn finish(&mut self) -> Vec<Data> {
        self.run(VecDeque::new(), Some(Tick::LAST))
    }

    fn run(&mut self, mut queue: VecDeque<Batch>, mut tick: Option<Tick>) -> Vec<Data> {
        for node in &mut self.0 {
            let mut next = VecDeque::new();
            let stats = Arc::clone(node.cx.stats());
            let mut hold = UnixNano::MAX;
            for batch in queue {
                if !node.accepts.has(batch.data.signal()) {
                    next.push_back(batch);
                    continue;
                }
                stats.accept(batch.data.items());
                let mut out = Emit::new(&mut next, &stats, batch.arrival, &mut hold);
                node.processor.process(batch, &mut out).expect("processes");
            }
            if let Some(now) = &mut tick {
                let mut out = Emit::new(&mut next, &stats, now.arrival, &mut hold);
                node.processor.tick(*now, &mut out).expect("ticks");
                if !now.is_last() {
                    now.watermark = now.watermark.min(hold);
                }
            }
            queue = next;
        }
        queue.into_iter().map(|batch| batch.data).collect()
    }
}

/// Parses the YAML example in a module's doc comment (the first fenced block of `source`) and answers the config of
/// `key` below `processors:`.
pub(crate) fn documented<C: Component>(source: &str) -> C {
    let doc: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != "```yaml")
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    let tree: serde_json::Value = serde_saphyr::from_str(&doc.join("\n")).expect("the example is YAML");
    let section = tree["processors"][C::NAME].clone();
    assert!(!section.is_null(), "the example names {}", C::NAME);
    let config: C = serde_json::from_value(section).expect("the example parses");
    assert_eq!(config.check(), [], "the example has no problem");
    config
}
