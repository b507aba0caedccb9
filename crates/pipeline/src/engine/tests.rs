//! The engine with small components of its own: what flows, what is counted, who hears what, and in which order it ends.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backtrail_model::data::{Batch, Data};
use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::ids::TraceId;
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::span::{SpanBatch, SpanRecord};
use backtrail_model::time::{Slice, Tick, UnixNano};
use backtrail_model::{Outcome, SpanId};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, start};
use crate::config::Config;
use crate::context::{Clock, Context, Outlet, Stop};
use crate::emit::Emit;
use crate::graph::{Graph, GraphEdge, GraphNode, Part};
use crate::node::{Component, Exporter, NodeError, Processor, Receiver, Reconfigured, Scope, Watcher};
use crate::service::Service;

const SECOND: u64 = 1_000_000_000;

type Seen<T> = Arc<Mutex<Vec<T>>>;

/// Sends `requests` of `spans` spans, a second of event time each, and notes the outcomes.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
struct Source {
    requests: u64,
    spans: u64,
    #[serde(skip)]
    endless: bool,
    #[serde(skip)]
    outcomes: Seen<Outcome>,
}

/// Counts spans by slice: a `Trace` node in the shape of the real ones.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "what a test wants of it")]
struct Counter {
    label: String,
    needs_rebuild: bool,
    panics: bool,
    reads_files: bool,
    watches: bool,
    #[serde(skip)]
    watched: Seen<&'static str>,
}

/// Notes that it runs, and that it is dropped.
struct Outlook(Seen<&'static str>);

#[async_trait]
impl Watcher for Outlook {
    async fn run(self: Box<Self>) {
        self.0.lock().push("runs");
        std::future::pending::<()>().await;
    }
}

impl Drop for Outlook {
    fn drop(&mut self) {
        self.0.lock().push("dropped");
    }
}

/// Collects what reaches it.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
struct Sink {
    rejects: bool,
    away: u32,
    #[serde(skip)]
    seen: Seen<String>,
}

struct CounterNode {
    config: Counter,
    cx: Context,
    open: BTreeMap<Slice, u64>,
}

struct SinkNode {
    config: Sink,
    cx: Context,
}

fn spans(request: u64, count: u64) -> SpanBatch {
    let mut batch = SpanBatch::default();
    for i in 0..count {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(request * 1000 + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        batch.trace_ids.push(TraceId(id));
        let start = UnixNano(request * SECOND);
        batch.records.push(SpanRecord { span_id: SpanId(i + 1), start, duration: 1, ..SpanRecord::default() });
    }
    batch
}

#[async_trait]
impl Receiver for Source {
    async fn run(self: Box<Self>, out: Outlet, stop: Stop) -> Result<(), NodeError> {
        let mut request = 1;
        while (request <= self.requests || self.endless) && !stop.is_set() {
            let mut batch = spans(request, self.spans);
            if self.endless {
                let now = Clock::Live.now();
                batch.records.iter_mut().for_each(|record| record.start = now);
                let outcome = out.deliver(Data::Spans(Arc::new(batch), None), now).await;
                self.outcomes.lock().push(outcome);
            } else {
                out.send(Data::Spans(Arc::new(batch), None), UnixNano(request * SECOND)).await;
                out.advance(UnixNano(request * SECOND)).await;
            }
            request += 1;
        }
        Ok(())
    }
}

impl Component for Source {
    const NAME: &'static str = "source";
    const SUMMARY: &'static str = "spans for tests";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Receiver;

    fn accepts(&self) -> Signals {
        Signals::NONE
    }
    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }
    fn virtual_clock(&self) -> bool {
        !self.endless
    }
    fn build(&self, cx: &Context) -> Result<Box<dyn Receiver>, NodeError> {
        cx.stats().accept(self.requests * self.spans);
        Ok(Box::new(self.clone()))
    }
}

impl Component for Counter {
    const NAME: &'static str = "counter";
    const SUMMARY: &'static str = "counts spans by slice";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }
    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Spans, Signal::Edges])
    }
    fn reads_files(&self) -> bool {
        self.reads_files
    }
    fn watches(&self) -> bool {
        self.watches
    }
    fn watcher(&self, _: &Context) -> Result<Option<Box<dyn Watcher>>, NodeError> {
        Ok(Some(Box::new(Outlook(Arc::clone(&self.watched)))))
    }
    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(CounterNode { config: self.clone(), cx: cx.clone(), open: BTreeMap::new() }))
    }
}

impl Processor for CounterNode {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        assert!(!self.config.panics, "told to");
        if let Data::Spans(spans, selected) = &batch.data {
            let all: Vec<u32> = (0..spans.records.len() as u32).collect();
            for &index in selected.as_deref().unwrap_or(&all) {
                let slice = self.cx.grid().slice(spans.records[index as usize].end());
                *self.open.entry(slice).or_default() += 1;
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        while let Some((&slice, &calls)) = self.open.first_key_value() {
            if self.cx.grid().end(slice) > now.watermark {
                break;
            }
            self.open.remove(&slice);
            let key = EdgeKey { caller: "a".into(), callee: "b".into(), route: "r".into(), kind: EdgeKind::Call };
            let mut edges = EdgeSlice::new(slice);
            edges.edges.insert(key, EdgeCounts { calls, ..EdgeCounts::default() });
            out.derive(Data::Edges(Arc::new(edges)));
        }
        Ok(())
    }

    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        match new.downcast_ref::<Counter>() {
            Some(new) if !new.needs_rebuild => {
                self.config = new.clone();
                Reconfigured::Live
            }
            _ => Reconfigured::Rebuild,
        }
    }
}

impl Component for Sink {
    const NAME: &'static str = "sink";
    const SUMMARY: &'static str = "collects";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Exporter;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Spans, Signal::Edges])
    }
    fn emits(&self) -> Signals {
        Signals::NONE
    }
    fn build(&self, cx: &Context) -> Result<Box<dyn Exporter>, NodeError> {
        Ok(Box::new(SinkNode { config: self.clone(), cx: cx.clone() }))
    }
}

#[async_trait]
impl Exporter for SinkNode {
    async fn export(&mut self, batch: &Batch) -> Result<(), NodeError> {
        if self.config.rejects {
            return Err(NodeError::Rejected { reason: "told_to", message: "told to".to_owned() });
        }
        if self.config.away > 0 {
            self.config.away -= 1;
            return Err(NodeError::unavailable("away", "for now"));
        }
        self.cx.stats().send(batch.data.items());
        if let Data::Edges(edges) = &batch.data {
            self.config.seen.lock().push(format!(
                "{} {:?}",
                edges.slice.0,
                edges.edges.values().map(|c| c.calls).sum::<u64>()
            ));
        }
        Ok(())
    }
}

fn graph(source: &Source, counter: &Counter, sink: &Sink) -> Graph {
    let node =
        |name: &str, scope, part| GraphNode { name: name.to_owned(), id: name.to_owned(), pipeline: None, scope, part };
    let both = Signals::of(&[Signal::Spans, Signal::Edges]);
    Graph {
        nodes: vec![
            node("receivers.source", Scope::Stateless, Part::Receiver(Arc::new(source.clone()))),
            node("processors.counter", Scope::Trace, Part::Processor(Arc::new(counter.clone()))),
            node("exporters.sink", Scope::Stateless, Part::Exporter(Arc::new(sink.clone()))),
        ],
        edges: vec![
            GraphEdge { from: 0, to: 1, signals: Signals::of(&[Signal::Spans]) },
            GraphEdge { from: 1, to: 2, signals: both },
        ],
    }
}

fn config(graph: Graph, shards: usize) -> Config {
    let service = Service { shards, ..Service::default() };
    Config { file: "test.yaml".into(), service, graph, digest: String::new(), warnings: Vec::new() }
}

async fn run(source: &Source, counter: &Counter, sink: &Sink, shards: usize) -> Report {
    let running = start(config(graph(source, counter, sink), shards), None).await.expect("starts");
    running.wait().await
}

fn assert_conserved(report: &Report) {
    for node in &report.status.nodes {
        assert!(node.is_conserved(), "{node:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_come_merged_and_in_order_with_any_number_of_shards() {
    let mut results = Vec::new();
    for shards in [1, 2, 4] {
        let (source, sink) = (Source { requests: 100, spans: 50, ..Source::default() }, Sink::default());
        let report = run(&source, &Counter::default(), &sink, shards).await;
        assert!(report.clean && report.errors.is_empty(), "{:?}", report.errors);
        assert_conserved(&report);
        assert_eq!(report.status.nodes[1].accepted, 5000);
        results.push(sink.seen.lock().clone());
    }
    assert_eq!(results[0].len(), 7, "100 seconds are 7 slices of 15 s: {:?}", results[0]);
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_drains_what_was_taken_and_every_sender_hears() {
    let source = Source { endless: true, spans: 10, ..Source::default() };
    let (sink, outcomes) = (Sink::default(), Arc::clone(&source.outcomes));
    let running = start(config(graph(&source, &Counter::default(), &sink), 2), None).await.expect("starts");
    while outcomes.lock().len() < 20 {
        tokio::task::yield_now().await;
    }
    running.stop();
    let report = running.wait().await;
    assert!(report.clean && report.errors.is_empty(), "{:?}", report.errors);
    assert!(outcomes.lock().iter().all(|&outcome| outcome == Outcome::Delivered));
    let counted: u64 =
        sink.seen.lock().iter().map(|row| row.rsplit(' ').next().unwrap_or("0").parse::<u64>().unwrap_or(0)).sum();
    assert_eq!(counted, outcomes.lock().len() as u64 * 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_batch_is_counted_and_its_sender_hears_it() {
    let source = Source { endless: true, spans: 10, ..Source::default() };
    let (sink, outcomes) = (Sink { rejects: true, ..Sink::default() }, Arc::clone(&source.outcomes));
    let running = start(config(graph(&source, &Counter::default(), &sink), 1), None).await.expect("starts");
    while outcomes.lock().len() < 3 {
        tokio::task::yield_now().await;
    }
    running.stop();
    let report = running.wait().await;
    assert!(outcomes.lock().iter().all(|&outcome| outcome == Outcome::Rejected));
    let row = &report.status.nodes[2];
    assert!(row.is_conserved() && row.dropped["told_to"] >= 30, "{row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_is_away_for_a_moment_gets_the_batch_again() {
    let (source, sink) = (Source { requests: 3, spans: 5, ..Source::default() }, Sink { away: 2, ..Sink::default() });
    let report = run(&source, &Counter::default(), &sink, 1).await;
    assert_conserved(&report);
    assert!(report.status.nodes[2].dropped.is_empty());
    assert_eq!(report.status.nodes[2].notes["retries"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_shard_stops_the_graph_and_is_named() {
    let source = Source { endless: true, spans: 10, ..Source::default() };
    let (counter, outcomes) = (Counter { panics: true, ..Counter::default() }, Arc::clone(&source.outcomes));
    let running = start(config(graph(&source, &counter, &Sink::default()), 1), None).await.expect("starts");
    let report = running.wait().await;
    assert_eq!(report.errors, ["thread shard-0 died"]);
    assert!(outcomes.lock().iter().all(|&outcome| outcome == Outcome::Failed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_settings_live_or_names_what_was_rebuilt() {
    let source = Source { endless: true, spans: 1, ..Source::default() };
    let sink = Sink::default();
    let running = start(config(graph(&source, &Counter::default(), &sink), 2), None).await.expect("starts");
    let handle = running.handle();
    let live = Counter { label: "new".to_owned(), ..Counter::default() };
    assert_eq!(handle.reload(&config(graph(&source, &live, &sink), 2)).await.expect("live"), [""; 0]);
    let rebuilt = Counter { needs_rebuild: true, ..Counter::default() };
    let names = handle.reload(&config(graph(&source, &rebuilt, &sink), 2)).await.expect("rebuilds");
    assert_eq!(names, ["processors.counter"]);
    let other = Sink { away: 1, ..Sink::default() };
    let error = handle.reload(&config(graph(&source, &rebuilt, &other), 2)).await.expect_err("an exporter changed");
    assert!(error.to_string().contains("exporters.sink changed"), "{error}");
    running.stop();
    assert!(running.wait().await.clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_hands_a_node_that_reads_files_its_configuration_again() {
    let source = Source { endless: true, spans: 1, ..Source::default() };
    for reads_files in [false, true] {
        let counter = Counter { reads_files, needs_rebuild: true, ..Counter::default() };
        let same = || config(graph(&source, &counter, &Sink::default()), 1);
        let running = start(same(), None).await.expect("starts");
        let told = running.handle().reload(&same()).await.expect("nothing changed");
        assert_eq!(told.len(), usize::from(reads_files));
        running.stop();
        assert!(running.wait().await.clean);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_runs_beside_all_copies_of_its_node_until_the_graph_is_drained() {
    let source = Source { endless: true, spans: 1, ..Source::default() };
    let counter = Counter { watches: true, ..Counter::default() };
    let running = start(config(graph(&source, &counter, &Sink::default()), 3), None).await.expect("starts");
    for _ in 0..500 {
        if counter.watched.lock().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    assert_eq!(*counter.watched.lock(), ["runs"]);
    let changed = Counter { label: "new".to_owned(), ..counter.clone() };
    let error = running.handle().reload(&config(graph(&source, &changed, &Sink::default()), 3)).await;
    assert!(error.expect_err("it is watched for").to_string().contains("needs a restart"));
    running.stop();
    assert!(running.wait().await.clean);
    assert_eq!(*counter.watched.lock(), ["runs", "dropped"]);
}
