//! Counts what spectra are made of, slice by slice: which elements each kind of trace touched, how long operations and
//! calls took by themselves, and where errors began.
//!
//! Traces are counted by (entry operation, signature, error, latency bucket), and the elements of a signature are kept
//! once, so that whoever judges the slice can apply any latency limit. Nothing is thresholded here: shards count, the
//! close judges. The Ochiai formula itself is in the `localize` crate. The traces pass unchanged.
//!
//! ```yaml
//! processors:
//!   ochiai:
//!     max_signatures: 4096
//!     max_elements: 2000
//!     max_frames: 3
//!     max_paths: 4096
//! ```
//!
//! Beside the elements, traces are counted by path: which call or log statement followed which, the evidence for faults
//! that change neither time nor status. Up to `max_signatures` and `max_paths` the number of shards changes nothing in a
//! slice.

mod counts;
mod elements;
mod frames;
mod paths;

use std::sync::Arc;

use backtrail_localize::visits::{Scratch, SpanTimes, latency_tests};
use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::span::{SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::{Slice, Tick};
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceHead};
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::counts::{Group, OpenSpectra, Test};
use self::elements::{Elements, Shape, ShapeId};
use self::paths::{PathReader, Trace};
use crate::slices::OpenSlices;

/// Counts spectra and latency tests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most signatures (sets of touched elements) a slice tells apart on one shard; traces past that are counted without
    /// their elements.
    pub max_signatures: usize,
    /// Most elements of one signature; a trace that touches more is counted without its elements.
    pub max_elements: usize,
    /// How many of the innermost frames of an exception's stack trace are elements; 0 turns them off.
    pub max_frames: usize,
    /// Most paths (orders of events) a slice tells apart on one shard; of traces past that the events are counted
    /// without their order. 0 turns paths off, and with them the evidence of call order and log statements.
    pub max_paths: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_signatures: 4096, max_elements: 2000, max_frames: 3, max_paths: 4096 }
    }
}

impl Component for Config {
    const NAME: &'static str = "ochiai";
    const SUMMARY: &'static str =
        "counts which elements failing and passing traces touch, and how long each took itself";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Traces])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Traces, Signal::Spectra])
    }

    fn check(&self) -> Vec<Finding> {
        let bounds = [
            ("max_signatures", self.max_signatures, 1, 1_000_000),
            ("max_elements", self.max_elements, 1, 100_000),
            ("max_frames", self.max_frames, 0, 50),
            ("max_paths", self.max_paths, 0, 1_000_000),
        ];
        let wrong = bounds.into_iter().filter(|&(_, value, least, most)| value < least || value > most);
        let finding = wrong.map(|(path, value, least, most)| {
            Finding::new(path, format!("{path} is {value}"), format!("write a number from {least} to {most}"))
        });
        finding.collect()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(Ochiai {
            config: self.clone(),
            symbols: Arc::clone(cx.symbols()),
            slices: OpenSlices::new(cx.grid()),
            reader: Reader::default(),
            elements: Elements::new(Arc::clone(cx.symbols())),
            paths: PathReader::new(Arc::clone(cx.symbols())),
        }))
    }
}

/// One shard's copy of the node.
struct Ochiai {
    config: Config,
    symbols: Arc<Symbols>,
    slices: OpenSlices<OpenSpectra>,
    reader: Reader,
    elements: Elements,
    paths: PathReader,
}

impl Processor for Ochiai {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Traces(traces) = &batch.data {
            self.reader.versions_seen.clear();
            self.reader.versions_seen.resize(traces.origins.len(), Slice(u64::MAX));
            for head in traces.traces.iter().filter(|head| head.len > 0) {
                let Some((slice, spectra)) = self.slices.of_trace(head, out) else { continue };
                let frames = Frames { symbols: &self.symbols, most: self.config.max_frames };
                self.reader.read(traces, head, slice, spectra, &mut self.elements, frames);
                let (spans, root) = (traces.spans(head), self.reader.root);
                let group = group(spans, root, &self.reader.times);
                let fits = self.elements.touched() <= self.config.max_elements;
                spectra.count_trace(group, &mut self.elements, fits, self.config.max_signatures);
                if self.config.max_paths > 0 {
                    let trace = self.reader.path(traces, head, group.weight);
                    self.paths.count(trace, &mut spectra.paths, self.config.max_paths);
                }
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        for (slice, spectra) in self.slices.close(now) {
            let spectra = spectra.resolve(slice, &self.symbols);
            out.note("traces_past_max_signatures", spectra.overflow / u64::from(SpanRecord::ONE));
            out.note("traces_past_max_paths", spectra.paths.overflow / u64::from(SpanRecord::ONE));
            out.derive(Data::Spectra(Arc::new(spectra)));
            self.elements.forget_signatures_past(4 * self.config.max_signatures);
        }
        Ok(())
    }
}

/// How the trace is counted. Its entry is the root; the earliest span when the root is missing. The root may be a client
/// span (a load generator, a browser): then the first span that serves it says as well whether the request failed.
fn group(spans: &[SpanRecord], root: usize, times: &[SpanTimes]) -> Group {
    let entry = &spans[root];
    let served = || {
        let mut answers = spans.iter().zip(times).filter(|(s, t)| t.parent as usize == root && s.is_entry());
        answers.next().is_some_and(|(span, _)| span.is_error())
    };
    Group {
        service: entry.service,
        operation: entry.operation,
        error: entry.is_error() || (!entry.is_entry() && served()),
        latency: backtrail_model::histogram::bucket(entry.duration),
        weight: u64::from(entry.weight),
    }
}

/// What finding the frames of a stack trace needs.
#[derive(Clone, Copy)]
struct Frames<'a> {
    symbols: &'a Symbols,
    most: usize,
}

/// Reads traces; keeps its memory from one to the next.
#[derive(Default)]
struct Reader {
    times: Vec<SpanTimes>,
    scratch: Scratch,
    /// What the children of each span say about it.
    below: Vec<Below>,
    shapes: Vec<ShapeId>,
    /// In which slice each origin of the batch was counted last.
    versions_seen: Vec<Slice>,
    root: usize,
}

#[derive(Clone, Copy, Default)]
struct Below {
    failed: bool,
    answered: bool,
}

impl Reader {
    /// Counts what does not depend on the trace as a whole, and marks the elements it touches.
    fn read(
        &mut self,
        batch: &TraceBatch,
        head: &TraceHead,
        slice: Slice,
        spectra: &mut OpenSpectra,
        elements: &mut Elements,
        frames: Frames<'_>,
    ) {
        let range = batch.range(head);
        let (spans, parents) = (&batch.records[range.clone()], &batch.parents[range]);
        self.root = if head.root == NO_SPAN { 0 } else { (head.root - head.first) as usize };
        let any_failed = self.link(spans, parents, head.first);
        elements.begin_trace();
        spectra.begin_trace(elements.generation());
        self.shapes.clear();
        for (i, span) in spans.iter().enumerate() {
            let shape = elements.touch(self.shape(spans, i));
            self.shapes.push(shape);
            if std::mem::replace(&mut self.versions_seen[span.origin as usize], slice) != slice {
                spectra.count_version(&batch.origins[span.origin as usize]);
            }
            if any_failed && span.is_error() && !self.below[i].failed {
                spectra.count_error_origin(span);
            }
            if span.flags.has(SpanFlags::EXCEPTION) && frames.most > 0 {
                frames::of_span(batch.raw(span), frames.most, |frame| {
                    elements.touch_frame(span.service, frames.symbols.intern(SymbolKind::Frame, frame));
                });
            }
        }
        latency_tests(&self.times, &mut self.scratch, |i, callee, ns| {
            let callee = callee.map_or(Symbol::NONE, |child| spans[child].service);
            let test = Test { service: spans[i].service, operation: spans[i].operation, callee };
            spectra.count_test(self.shapes[i], test, ns);
        });
    }

    /// The trace that was read last, for its path.
    fn path<'a>(&'a self, batch: &'a TraceBatch, head: &TraceHead, weight: u64) -> Trace<'a> {
        Trace {
            spans: batch.spans(head),
            times: &self.times,
            visits: self.scratch.visits(),
            logs: batch.logs_of(head),
            first: head.first,
            weight,
        }
    }

    /// Fills `times` and `below`; answers whether any span failed.
    fn link(&mut self, spans: &[SpanRecord], parents: &[u32], first: u32) -> bool {
        self.times.clear();
        self.times.extend(spans.iter().zip(parents).map(|(span, &parent)| SpanTimes {
            start: span.start.0,
            end: span.end().0,
            parent: if parent == NO_SPAN { NO_SPAN } else { parent - first },
            service: span.service.0,
            entry: span.is_entry(),
        }));
        self.below.clear();
        self.below.resize(spans.len(), Below::default());
        let mut any_failed = false;
        for (span, times) in spans.iter().zip(&self.times) {
            any_failed |= span.is_error();
            if let Some(below) = self.below.get_mut(times.parent as usize) {
                below.failed |= span.is_error();
                below.answered |= spans[times.parent as usize].service != span.service || span.is_entry();
            }
        }
        any_failed
    }

    fn shape(&self, spans: &[SpanRecord], i: usize) -> Shape {
        let span = &spans[i];
        let above = spans.get(self.times[i].parent as usize).map_or(span.service, |parent| parent.service);
        let calls = matches!(span.kind, SpanKind::Client | SpanKind::Producer) && !self.below[i].answered;
        Shape {
            service: span.service,
            operation: span.operation,
            function: span.function,
            file: span.file,
            caller: if above == span.service { Symbol::NONE } else { above },
            peer: if calls { span.peer } else { Symbol::NONE },
        }
    }
}

#[cfg(test)]
mod tests;
