//! The same work over owned prost structs: how a collector is usually written. Decode, normalize the route, group by
//! trace, count edges and spectra and latency sums, sample, and write what is kept as Parquet.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, MapBuilder, RecordBatch, StringBuilder};
use backtrail_model::histogram::Histogram;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use prost::Message;

#[derive(Default)]
struct Edge {
    calls: u64,
    errors: u64,
    duration: Histogram,
}

#[derive(Default)]
struct Sums {
    n: u64,
    sum: u128,
    sum_sq: u128,
    histogram: Histogram,
}

/// The state of the owned path.
pub(crate) struct Owned {
    traces: HashMap<Vec<u8>, Vec<(Arc<str>, Span)>>,
    /// Traces by the arrival of their first span.
    queue: VecDeque<(u64, Vec<u8>)>,
    edges: HashMap<(Arc<str>, Arc<str>, String), Edge>,
    groups: HashMap<(String, Vec<String>, bool), u64>,
    tests: HashMap<(Arc<str>, String), Sums>,
    chosen: Vec<(Arc<str>, Span)>,
    file: std::fs::File,
    /// Spans that were kept.
    pub(crate) kept: u64,
}

fn string<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

impl Owned {
    /// A path that writes to `file`.
    pub(crate) fn new(file: &Path) -> Self {
        Self {
            traces: HashMap::new(),
            queue: VecDeque::new(),
            edges: HashMap::new(),
            groups: HashMap::new(),
            tests: HashMap::new(),
            chosen: Vec::new(),
            file: std::fs::File::create(file).expect("the folder is writable"),
            kept: 0,
        }
    }

    /// Decodes a request, normalizes the routes and puts its spans to their traces.
    pub(crate) fn request(&mut self, bytes: &[u8], arrival: u64) {
        let request = ExportTraceServiceRequest::decode(bytes).expect("the corpus is valid");
        for resource in request.resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service: Arc<str> = string(&attributes, "service.name").unwrap_or("unknown_service").into();
            for mut span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let method = string(&span.attributes, "http.request.method");
                if let (Some(method), Some(route)) = (method, string(&span.attributes, "http.route")) {
                    span.name = format!("{method} {route}");
                }
                let queue = &mut self.queue;
                let trace = self.traces.entry(span.trace_id.clone()).or_insert_with(|| {
                    queue.push_back((arrival, span.trace_id.clone()));
                    Vec::new()
                });
                trace.push((Arc::clone(&service), span));
            }
        }
    }

    /// Decides and counts the traces whose first span came before `until`.
    pub(crate) fn decide(&mut self, until: u64) {
        while self.queue.front().is_some_and(|(arrival, _)| *arrival < until) {
            let Some((_, id)) = self.queue.pop_front() else { break };
            let Some(mut spans) = self.traces.remove(&id) else { continue };
            spans.sort_by(|a, b| {
                (a.1.start_time_unix_nano, &a.1.span_id).cmp(&(b.1.start_time_unix_nano, &b.1.span_id))
            });
            let failed = self.count(&spans);
            let share = id
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            if failed || share as f64 <= 0.06 * u64::MAX as f64 {
                self.chosen.extend(spans);
            }
        }
    }

    /// Decides the rest and writes what is kept.
    pub(crate) fn finish(&mut self) {
        self.decide(u64::MAX);
        self.kept = self.chosen.len() as u64;
        let chosen = std::mem::take(&mut self.chosen);
        self.write(&chosen);
    }

    fn count(&mut self, spans: &[(Arc<str>, Span)]) -> bool {
        let index: HashMap<&[u8], usize> =
            spans.iter().enumerate().map(|(i, (_, span))| (span.span_id.as_slice(), i)).collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
        let mut elements = BTreeSet::new();
        let mut failed = false;
        for (i, (service, span)) in spans.iter().enumerate() {
            let error = span.status.as_ref().is_some_and(|status| status.code == 2);
            failed |= error;
            elements.insert(service.to_string());
            elements.insert(format!("{service} {}", span.name));
            if let Some(function) = string(&span.attributes, "code.function.name") {
                elements.insert(format!("{service} {function}"));
            }
            let Some(&parent) = index.get(span.parent_span_id.as_slice()) else { continue };
            children[parent].push(i);
            let caller = &spans[parent].0;
            if caller != service {
                elements.insert(format!("{caller} > {service}"));
                let key = (Arc::clone(caller), Arc::clone(service), span.name.clone());
                let edge = self.edges.entry(key).or_default();
                edge.calls += 1;
                edge.errors += u64::from(error);
                edge.duration.record(span.end_time_unix_nano - span.start_time_unix_nano, 1);
            }
        }
        for (i, (service, span)) in spans.iter().enumerate() {
            let (mut covered, mut end) = (0, span.start_time_unix_nano);
            children[i].sort_by_key(|&child| spans[child].1.start_time_unix_nano);
            for &child in &children[i] {
                let child = &spans[child].1;
                let (from, to) =
                    (child.start_time_unix_nano.max(end), child.end_time_unix_nano.min(span.end_time_unix_nano));
                if to > from {
                    covered += to - from;
                    end = to;
                }
            }
            let own = (span.end_time_unix_nano - span.start_time_unix_nano).saturating_sub(covered);
            let sums = self.tests.entry((Arc::clone(service), span.name.clone())).or_default();
            sums.n += 1;
            sums.sum += u128::from(own);
            sums.sum_sq += u128::from(own) * u128::from(own);
            sums.histogram.record(own, 1);
        }
        let entry = spans.first().map(|(service, span)| format!("{service} {}", span.name)).unwrap_or_default();
        *self.groups.entry((entry, elements.into_iter().collect(), failed)).or_default() += 1;
        failed
    }

    fn write(&self, kept: &[(Arc<str>, Span)]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (mut trace, mut id, mut parent) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
        let (mut service, mut name) = (StringBuilder::new(), StringBuilder::new());
        let (mut start, mut duration, mut kind) = (Int64Builder::new(), Int64Builder::new(), Int64Builder::new());
        let mut attributes = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for (owner, span) in kept {
            trace.append_value(hex(&span.trace_id));
            id.append_value(hex(&span.span_id));
            parent.append_value(hex(&span.parent_span_id));
            service.append_value(owner);
            name.append_value(&span.name);
            start.append_value(span.start_time_unix_nano as i64);
            duration.append_value((span.end_time_unix_nano - span.start_time_unix_nano) as i64);
            kind.append_value(i64::from(span.kind));
            for attribute in &span.attributes {
                attributes.keys().append_value(&attribute.key);
                match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                    Some(Value::StringValue(text)) => attributes.values().append_value(text),
                    Some(Value::IntValue(number)) => attributes.values().append_value(number.to_string()),
                    _ => attributes.values().append_value(""),
                }
            }
            attributes.append(true).expect("keys and values are in step");
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("trace_id", Arc::new(trace.finish())),
            ("span_id", Arc::new(id.finish())),
            ("parent_span_id", Arc::new(parent.finish())),
            ("service", Arc::new(service.finish())),
            ("name", Arc::new(name.finish())),
            ("start_unix_nano", Arc::new(start.finish())),
            ("duration_ns", Arc::new(duration.finish())),
            ("kind", Arc::new(kind.finish())),
            ("attributes", Arc::new(attributes.finish())),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let level = Compression::ZSTD(ZstdLevel::try_new(1).expect("a level"));
        let properties = WriterProperties::builder().set_compression(level).build();
        let mut writer = ArrowWriter::try_new(&self.file, batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("it writes");
        writer.close().expect("it closes");
    }
}
