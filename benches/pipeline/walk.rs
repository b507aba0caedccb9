//! The walk against prost's decode with every field that the walk reads touched.

use std::hint::black_box;
use std::sync::Arc;

use backtrail_model::Symbols;
use backtrail_wire::{Bounds, WalkSpec, Walker};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::measure::{Scale, corpus, least_ns_per_span, print};

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let runs = scale.of(1, 7);
    let requests: Vec<Bytes> = corpus.requests.iter().map(|request| Bytes::from(request.pass(1))).collect();
    let mut walker = Walker::new(Arc::new(WalkSpec::new(Vec::<String>::new())), Arc::new(Symbols::new(100_000)));
    let walk = least_ns_per_span(runs, corpus.spans, |_| {
        for request in &requests {
            black_box(walker.traces(request.clone(), &Bounds::none()).expect("the corpus is valid"));
        }
    });
    let prost = least_ns_per_span(runs, corpus.spans, |_| {
        for request in &requests {
            let decoded = ExportTraceServiceRequest::decode(request.as_ref()).expect("the corpus is valid");
            black_box(touch(&decoded));
        }
    });
    print(&format!(
        "walk: {walk:.0} ns a span; prost decode + touch: {prost:.0} ns; {:.1} times as fast ({:.0} B a span)",
        prost / walk,
        corpus.bytes_per_span(),
    ));
}

/// Reads what the walk reads.
fn touch(request: &ExportTraceServiceRequest) -> u64 {
    let mut sum = 0;
    for span in request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans) {
        sum ^= u64::from(span.trace_id[0]) ^ u64::from(span.span_id[0]) ^ span.start_time_unix_nano;
        sum ^= span.end_time_unix_nano ^ span.name.len() as u64 ^ span.kind as u64;
        for attribute in &span.attributes {
            sum ^= attribute.key.len() as u64;
        }
    }
    sum
}
