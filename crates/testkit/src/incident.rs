//! A small generated incident with a known culprit, as OTLP requests: three services, a quiet baseline, then one of them
//! becomes slow and fails.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The service that is to blame.
pub const CULPRIT: &str = "payment";
const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// Shape of the incident.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// Quiet seconds.
    pub quiet: u64,
    /// Seconds with the fault.
    pub faulty: u64,
    /// Traces a second.
    pub rate: u64,
}

impl Shape {
    /// Where the fault begins and ends, Unix nanoseconds.
    pub const fn window(&self) -> (u64, u64) {
        (self.start + self.quiet * SECOND, self.start + (self.quiet + self.faulty) * SECOND)
    }
}

/// Spans as (end time, service, span), in the order of their end.
pub fn spans(shape: &Shape) -> Vec<(u64, &'static str, Span)> {
    let mut random = SmallRng::seed_from_u64(shape.seed);
    let mut all = Vec::new();
    for second in 0..shape.quiet + shape.faulty {
        for i in 0..shape.rate {
            let start = shape.start + second * SECOND + i * SECOND / shape.rate;
            trace(&mut random, start, second >= shape.quiet, &mut all);
        }
    }
    all.sort_by_key(|(end, _, span)| (*end, span.span_id.clone()));
    all
}

fn trace(random: &mut SmallRng, start: u64, faulty: bool, all: &mut Vec<(u64, &'static str, Span)>) {
    let trace_id = random.random::<u128>().to_be_bytes().to_vec();
    let mut id = || random.random_range(1..u64::MAX).to_be_bytes().to_vec();
    let ids: Vec<Vec<u8>> = (0..6).map(|_| id()).collect();
    let work = if faulty { random.random_range(80..140) } else { random.random_range(8..14) } * MILLISECOND;
    let failed = faulty && random.random_bool(0.5);
    let wire = random.random_range(200_000..400_000);
    let cart = random.random_range(3..5) * MILLISECOND;
    let rows = [
        ("shop", "POST /checkout", 2, None, 0, cart + work + 4 * wire + 2 * MILLISECOND, failed),
        ("shop", "GET cart", 3, Some(0), MILLISECOND, cart + 2 * wire, false),
        ("cart", "GET /cart/{id}", 2, Some(1), MILLISECOND + wire, cart, false),
        ("shop", "POST payment", 3, Some(0), MILLISECOND + cart + 2 * wire, work + 2 * wire, failed),
        (CULPRIT, "POST /charge", 2, Some(3), MILLISECOND + cart + 3 * wire, work, failed),
        (CULPRIT, "charge_card", 1, Some(4), MILLISECOND + cart + 3 * wire + 100_000, work - 200_000, failed),
    ];
    for (i, (service, name, kind, parent, offset, duration, failed)) in rows.into_iter().enumerate() {
        let end = start + offset + duration;
        let attributes = if name == "charge_card" {
            vec![text("code.function.name", "payment.bank.charge_card"), text("code.file.path", "payment/bank.py")]
        } else {
            Vec::new()
        };
        let span = Span {
            trace_id: trace_id.clone(),
            span_id: ids[i].clone(),
            parent_span_id: parent.map_or_else(Vec::new, |p: usize| ids[p].clone()),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: start + offset,
            end_time_unix_nano: end,
            attributes,
            status: failed.then(|| Status { message: "card declined by bank".to_owned(), code: 2 }),
            events: if failed && i == 5 { vec![exception(end)] } else { Vec::new() },
            ..Span::default()
        };
        all.push((end, service, span));
    }
}

fn exception(at: u64) -> span::Event {
    let stack = "Traceback (most recent call last):\n  File \"payment/bank.py\", line 41, in charge_card\n    \
                 reply = bank.post(card)\nBankError: timeout";
    span::Event {
        time_unix_nano: at,
        name: "exception".to_owned(),
        attributes: vec![text("exception.type", "BankError"), text("exception.stacktrace", stack)],
        ..span::Event::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Groups spans into requests of at most `size` spans, resources side by side.
pub fn requests(spans: &[(u64, &'static str, Span)], size: usize) -> Vec<ExportTraceServiceRequest> {
    spans.chunks(size.max(1)).map(request).collect()
}

fn request(spans: &[(u64, &'static str, Span)]) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<(&str, ResourceSpans)> = Vec::new();
    for (_, service, span) in spans {
        let at = resource_spans.iter().position(|(name, _)| name == service).unwrap_or_else(|| {
            let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
            let scope_spans = vec![ScopeSpans::default()];
            resource_spans
                .push((service, ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }));
            resource_spans.len() - 1
        });
        resource_spans[at].1.scope_spans[0].spans.push(span.clone());
    }
    ExportTraceServiceRequest { resource_spans: resource_spans.into_iter().map(|(_, spans)| spans).collect() }
}

/// Writes requests as OTLP/JSON lines.
///
/// # Errors
/// When the file cannot be written.
pub fn write_jsonl(path: &std::path::Path, requests: &[ExportTraceServiceRequest]) -> std::io::Result<()> {
    let mut text = String::new();
    for request in requests {
        text.push_str(&serde_json::to_string(request).map_err(std::io::Error::other)?);
        text.push('\n');
    }
    std::fs::write(path, text)
}
