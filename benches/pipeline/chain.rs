//! The processors and the Parquet exporter of a pipeline in one thread, driven by hand: what the work costs without
//! threads and sockets.

use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_exporters::EXPORTERS;
use backtrail_model::Ack;
use backtrail_model::data::{Batch, Data, RawBatch};
use backtrail_model::signal::Signals;
use backtrail_model::time::{SliceGrid, Tick, UnixNano};
use backtrail_pipeline::context::{Shared, SharedOptions};
use backtrail_pipeline::{Context, Emit, Exporter, Processor};
use backtrail_processors::PROCESSORS;
use backtrail_wire::{Bounds, WalkSpec, Walker};
use bytes::Bytes;
use serde_json::{Value, json};

/// What the exporter writes, as far as it comes.
const TABLES: [&str; 5] = ["spans", "edges", "spectra", "log_motifs", "metric_windows"];

/// A straight chain of processors.
pub(crate) struct Chain {
    context: Context,
    nodes: Vec<Box<dyn Processor>>,
    /// What each of them accepts: the rest goes past it.
    accepts: Vec<Signals>,
    walker: Option<Walker>,
    exporter: Option<(Signals, Box<dyn Exporter>)>,
    runtime: tokio::runtime::Runtime,
    /// Spans that reached the exporter.
    pub(crate) kept: u64,
}

impl Chain {
    /// Processors by name with their settings; `windows` is where the Parquet exporter writes, if there is one.
    pub(crate) fn new(processors: &[(&str, Value)], windows: Option<&std::path::Path>) -> Self {
        let shared = Shared::new(SharedOptions {
            grid: SliceGrid { origin: UnixNano(0), length: std::time::Duration::from_secs(15) },
            allowed_lateness: std::time::Duration::from_secs(2),
            data_dir: windows.unwrap_or_else(|| std::path::Path::new("unused")).to_owned(),
            config_digest: "bench".to_owned(),
            memory_limit: u64::MAX,
            symbol_cap: 100_000,
            virtual_clock: true,
        });
        let context = |name: &str| Context::new(name, 0, Arc::default(), Arc::clone(&shared));
        let (mut nodes, mut accepts) = (Vec::new(), Vec::new());
        for (name, settings) in processors {
            let kind = PROCESSORS.iter().find(|kind| kind.name == *name).expect("a known processor");
            let config = (kind.parse)(settings.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            accepts.push(config.accepts());
            nodes.push(config.build(&context(name)).expect("it builds"));
        }
        let exporter = windows.map(|path| {
            let kind = EXPORTERS.iter().find(|kind| kind.name == "parquet").expect("a known exporter");
            let config = (kind.parse)(json!({ "tables": TABLES, "path": path }));
            let config = config.unwrap_or_else(|error| panic!("{error}"));
            (config.accepts(), config.build(&context("parquet")).expect("it builds"))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { context: context("bench"), nodes, accepts, walker: None, exporter, runtime, kept: 0 }
    }

    /// Walks a request of spans and runs it through the chain.
    pub(crate) fn request(&mut self, request: Bytes, arrival: UnixNano) {
        let walked = self.walker().traces(request, &Bounds::none()).expect("the corpus is valid");
        self.feed(0, Batch { data: Data::Spans(Arc::new(walked.batch), None), arrival, ack: Ack::none() });
    }

    /// Walks a request of log records and runs it through the chain.
    pub(crate) fn logs(&mut self, request: Bytes, arrival: UnixNano) {
        let walked = self.walker().logs(request, &Bounds::none()).expect("the request is valid");
        self.feed(0, Batch { data: Data::Logs(Arc::new(walked.batch), None), arrival, ack: Ack::none() });
    }

    /// Runs a request of metrics with so many data points through the chain.
    pub(crate) fn metrics(&mut self, request: Bytes, points: u64, arrival: UnixNano) {
        let raw = RawBatch { buf: request, items: points, permit: None };
        self.feed(0, Batch { data: Data::Metrics(raw), arrival, ack: Ack::none() });
    }

    fn walker(&mut self) -> &mut Walker {
        let shared = self.context.shared();
        self.walker.get_or_insert_with(|| {
            Walker::new(Arc::new(WalkSpec::new(shared.attributes())), Arc::clone(&shared.symbols))
        })
    }

    /// Ticks every node in order.
    pub(crate) fn tick(&mut self, tick: Tick) {
        let mut watermark = tick.watermark;
        for at in 0..self.nodes.len() {
            let (mut queue, mut hold) = (VecDeque::new(), UnixNano::MAX);
            let now = Tick { arrival: tick.arrival, watermark };
            let mut out = Emit::new(&mut queue, self.context.stats(), tick.arrival, &mut hold);
            self.nodes[at].tick(now, &mut out).expect("it ticks");
            watermark = if tick.is_last() { watermark } else { watermark.min(hold) };
            for batch in queue {
                self.feed(at + 1, batch);
            }
        }
    }

    /// Publishes what the exporter holds.
    pub(crate) fn finish(&mut self) {
        self.tick(Tick::LAST);
        if let Some((_, exporter)) = &mut self.exporter {
            self.runtime.block_on(exporter.flush(true)).expect("it flushes");
        }
    }

    /// Items that the nodes hold.
    pub(crate) fn held(&self) -> u64 {
        self.nodes.iter().map(|node| node.held()).sum()
    }

    fn feed(&mut self, from: usize, batch: Batch) {
        let mut waiting = VecDeque::from([(from, batch)]);
        while let Some((from, batch)) = waiting.pop_front() {
            let signal = batch.data.signal();
            let Some(at) = (from..self.nodes.len()).find(|&at| self.accepts[at].has(signal)) else {
                self.export(&batch);
                batch.ack.delivered();
                continue;
            };
            let (mut queue, mut hold) = (VecDeque::new(), UnixNano::MAX);
            let arrival = batch.arrival;
            let mut out = Emit::new(&mut queue, self.context.stats(), arrival, &mut hold);
            self.nodes[at].process(batch, &mut out).expect("it processes");
            waiting.extend(queue.into_iter().map(|batch| (at + 1, batch)));
        }
    }

    fn export(&mut self, batch: &Batch) {
        if let Data::Traces(traces) = &batch.data {
            self.kept += traces.records.len() as u64;
        }
        let signal = batch.data.signal();
        if let Some((_, exporter)) = self.exporter.as_mut().filter(|(accepts, _)| accepts.has(signal)) {
            self.runtime.block_on(exporter.export(batch)).expect("it exports");
        }
    }
}
