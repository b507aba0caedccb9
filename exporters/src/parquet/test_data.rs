//! Traces as the pipeline hands them to an exporter, for tests.

use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::time::UnixNano;
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::Context;
use backtrail_wire::{Bounds, WalkSpec, Walker};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event, span::Link};
use prost::Message;

/// 2025-10-09 08:53:30 UTC.
pub(crate) const START: u64 = 1_760_000_010_000_000_000;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// One second between traces.
fn span(trace: u64, index: u64) -> Span {
    let start = START + trace * 1_000_000_000 + index * 1000;
    let failed = index == 1;
    Span {
        // Later traces have smaller ids, so that order of arrival and order of ids differ.
        trace_id: (u128::from(u64::MAX - trace) << 64 | 7).to_be_bytes().to_vec(),
        span_id: (index + 1).to_be_bytes().to_vec(),
        parent_span_id: if index == 0 { Vec::new() } else { 1_u64.to_be_bytes().to_vec() },
        name: if index == 0 { "POST /cart".to_owned() } else { "charge".to_owned() },
        kind: if index == 0 { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        attributes: vec![
            text("http.request.method", "POST"),
            text("http.route", "/cart"),
            attribute("http.response.status_code", Value::IntValue(if failed { 503 } else { 200 })),
            attribute("ratio", Value::DoubleValue(0.5)),
            attribute("cached", Value::BoolValue(true)),
            attribute(
                "ids",
                Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(1)), any(Value::IntValue(2))] }),
            ),
            text("http.route", "/twice"),
        ],
        events: if failed { vec![exception(start), exception(start + 1)] } else { Vec::new() },
        links: if failed {
            vec![Link {
                trace_id: vec![9; 16],
                span_id: vec![8; 8],
                attributes: vec![text("why", "retry")],
                ..Link::default()
            }]
        } else {
            Vec::new()
        },
        status: failed.then(|| Status { code: 2, message: "declined".to_owned() }),
        ..Span::default()
    }
}

fn exception(time: u64) -> Event {
    Event {
        time_unix_nano: time,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "CardDeclined"),
            text("exception.message", "no funds"),
            text("exception.stacktrace", "at charge (bank.py:7)"),
            text("thread", "main"),
        ],
        ..Event::default()
    }
}

/// A request with the traces of these numbers.
pub(crate) fn request(traces: impl Iterator<Item = u64>, spans: u64) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![text("service.name", "checkout"), text("service.version", "1.2"), text("host.name", "h1")],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "tests".to_owned(), version: "3".to_owned(), ..Default::default() };
    let spans = traces.flat_map(|trace| (0..spans).map(move |index| span(trace, index))).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    }
}

/// A batch of kept traces from a request whose spans lie together by trace.
pub(crate) fn kept(cx: &Context, request: Vec<u8>, spans: u64) -> Batch {
    let mut walker = Walker::new(Arc::new(WalkSpec::new(Vec::new())), Arc::clone(cx.symbols()));
    let walked = walker.traces(request.into(), &Bounds::none()).expect("valid OTLP").batch;
    let count = walked.records.len() as u32 / spans as u32;
    let head = |number: u32| {
        let first = number * spans as u32;
        let record = &walked.records[first as usize];
        TraceHead {
            trace_id: walked.trace_ids[first as usize],
            first,
            len: spans as u32,
            root: first,
            start: record.start,
            end: record.end(),
            first_log: 0,
            log_len: 0,
            flags: TraceFlags::default(),
            reason: Arc::from("errors"),
        }
    };
    let batch = TraceBatch {
        traces: (0..count).map(head).collect(),
        parents: vec![NO_SPAN; walked.records.len()],
        records: walked.records.clone(),
        raw: walked.buf.to_vec(),
        origins: walked.origins.clone(),
        ..TraceBatch::default()
    };
    Batch::derived(Data::Traces(Arc::new(batch)), UnixNano(START))
}

/// A batch of kept traces.
pub(crate) fn traces(cx: &Context, numbers: std::ops::Range<u64>, spans: u64) -> Batch {
    kept(cx, request(numbers, spans).encode_to_vec(), spans)
}
