//! Traffic for benches: 20 services, traces of 1 to 60 spans (20 on average), about 478 bytes a span encoded, realistic
//! attributes, requests of 512 spans of one resource, new trace ids on each pass.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Services of the corpus.
pub const SERVICES: usize = 20;
/// Services that one service calls.
const CALLEES: usize = 3;
/// Spans of a request.
pub const REQUEST_SPANS: usize = 512;

const NAMES: [&str; SERVICES] = [
    "frontend",
    "gateway",
    "cart",
    "checkout",
    "payment",
    "shipping",
    "currency",
    "catalog",
    "recommendation",
    "ads",
    "email",
    "inventory",
    "pricing",
    "accounts",
    "sessions",
    "search",
    "reviews",
    "orders",
    "fraud",
    "ledger",
];

/// An encoded `ExportTraceServiceRequest` and the places of its trace ids and start times.
#[derive(Clone)]
pub struct Request {
    bytes: Vec<u8>,
    ids: Vec<u32>,
    starts: Vec<u32>,
}

/// A set of requests that can be sent again and again, each pass with new trace ids.
pub struct Corpus {
    /// The requests in the order of arrival.
    pub requests: Vec<Request>,
    /// Spans of one pass.
    pub spans: usize,
    /// Traces of one pass.
    pub traces: usize,
}

/// Bytes from a span's start time to its end time: the time and a field key.
const TIME: usize = 9;

impl Request {
    /// Spans in the request.
    pub fn spans(&self) -> usize {
        self.ids.len()
    }

    /// Encoded length, bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the request is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded request with the trace ids of pass `pass`.
    pub fn pass(&self, pass: u64) -> Vec<u8> {
        self.later(pass, 0)
    }

    /// The same, with all spans `shift` nanoseconds later.
    pub fn later(&self, pass: u64, shift: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for at in self.starts.iter().flat_map(|&start| [start as usize, start as usize + TIME]) {
            let (time, _) = bytes[at..].split_first_chunk_mut::<8>().expect("a time was encoded here");
            *time = (u64::from_le_bytes(*time) + shift).to_le_bytes();
        }
        let mask = pass.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        for &at in &self.ids {
            for (byte, mask) in bytes[at as usize..at as usize + 8].iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
        bytes
    }
}

impl Corpus {
    /// Traffic of `traces` traces. The same seed gives the same bytes.
    pub fn new(seed: u64, traces: usize) -> Self {
        let mut generator = Generator { random: SmallRng::seed_from_u64(seed), now: 1_760_000_000_000_000_000 };
        let mut open: Vec<Vec<Span>> = vec![Vec::new(); SERVICES];
        let (mut requests, mut spans) = (Vec::new(), 0);
        for _ in 0..traces {
            for (service, span) in generator.trace() {
                spans += 1;
                open[service].push(span);
                if open[service].len() == REQUEST_SPANS {
                    requests.push(encode(service, std::mem::take(&mut open[service])));
                }
            }
        }
        for (service, rest) in open.into_iter().enumerate() {
            if !rest.is_empty() {
                requests.push(encode(service, rest));
            }
        }
        Self { requests, spans, traces }
    }

    /// Mean encoded bytes a span, the resource's share included.
    pub fn bytes_per_span(&self) -> f64 {
        self.requests.iter().map(Request::len).sum::<usize>() as f64 / self.spans as f64
    }
}

struct Generator {
    random: SmallRng,
    now: u64,
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

impl Generator {
    /// The spans of one trace with their services, children after parents.
    fn trace(&mut self) -> Vec<(usize, Span)> {
        // Squared, so that small traces are common and the mean is a third of the greatest: 1 + 59/3 = 20.7.
        let share: f64 = self.random.random();
        let size = 1 + (share * share * 59.0) as usize;
        self.now += self.random.random_range(50_000..500_000);
        let mut trace_id = [0; 16];
        self.random.fill(&mut trace_id);
        let failing = self.random.random_bool(0.02);
        let mut spans: Vec<(usize, Span)> = Vec::with_capacity(size);
        for i in 0..size {
            let parent = (i > 0).then(|| self.random.random_range(i.saturating_sub(6)..i));
            let (service, kind) = match parent {
                None => (0, span::SpanKind::Server),
                Some(p) if spans[p].1.kind == span::SpanKind::Client as i32 => {
                    ((spans[p].0 * 7 + 3 + p % CALLEES) % SERVICES, span::SpanKind::Server)
                }
                Some(p) if self.random.random_bool(0.6) => (spans[p].0, span::SpanKind::Client),
                Some(p) => (spans[p].0, span::SpanKind::Internal),
            };
            let (start, end) = parent.map_or((self.now, self.now + 80_000_000), |p| {
                let (a, b) = (spans[p].1.start_time_unix_nano, spans[p].1.end_time_unix_nano);
                let quarter = (b - a) / 4;
                (a + self.random.random_range(0..=quarter), b - self.random.random_range(0..=quarter))
            });
            let failed = failing && i + 1 == size;
            let parent_id = parent.map_or_else(Vec::new, |p| spans[p].1.span_id.clone());
            spans.push((service, self.span(trace_id, parent_id, service, kind, start, end, failed)));
        }
        spans
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a span")]
    fn span(
        &mut self,
        trace_id: [u8; 16],
        parent_span_id: Vec<u8>,
        service: usize,
        kind: span::SpanKind,
        start: u64,
        end: u64,
        failed: bool,
    ) -> Span {
        let route = self.random.random_range(0..12);
        let id: u32 = self.random.random_range(1..1_000_000);
        let name = NAMES[service];
        let (name, attributes) = if kind == span::SpanKind::Internal {
            let function = format!("com.example.{name}.service.Handler{route}.process");
            let attributes = vec![
                text("code.function.name", function.clone()),
                text("code.file.path", format!("src/main/java/com/example/{name}/service/Handler{route}.java")),
                number("code.line.number", 40 + route),
                text("thread.name", format!("http-nio-8080-exec-{}", id % 64)),
                number("thread.id", i64::from(id % 64)),
                text("app.tenant", format!("tenant-{}", id % 500)),
                text("app.feature", "standard-checkout-flow"),
                text("app.request.id", format!("{id:08x}-{:08x}", id.wrapping_mul(2_654_435_761))),
            ];
            (function, attributes)
        } else {
            let path = format!("/api/v1/{name}/resource{route}/{id}");
            let target = format!("/api/v1/{name}/resource{route}/{{id}}");
            let attributes = vec![
                text("http.request.method", "GET"),
                text("http.route", target.clone()),
                text("url.path", path),
                text("url.scheme", "http"),
                number("http.response.status_code", if failed { 500 } else { 200 }),
                text("server.address", format!("{name}.prod.svc.cluster.local")),
                number("server.port", 8080),
                text("network.protocol.version", "1.1"),
                text("network.peer.address", format!("10.12.{}.{}", id % 250, id % 199)),
                text("user_agent.original", "okhttp/4.12.0"),
                number("thread.id", i64::from(id % 64)),
            ];
            (format!("GET {target}"), attributes)
        };
        Span {
            trace_id: trace_id.to_vec(),
            span_id: self.random.random::<u64>().max(1).to_be_bytes().to_vec(),
            parent_span_id,
            flags: 0x101,
            name,
            kind: kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            status: failed.then(|| Status { message: "upstream failed".to_owned(), code: 2 }),
            ..Span::default()
        }
    }
}

fn encode(service: usize, spans: Vec<Span>) -> Request {
    let name = NAMES[service];
    let attributes = vec![
        text("service.name", name),
        text("service.namespace", "shop"),
        text("service.version", "1.4.2"),
        text("service.instance.id", format!("{name}-6d5f7c9b8-abcde")),
        text("k8s.pod.name", format!("{name}-6d5f7c9b8-abcde")),
        text("k8s.namespace.name", "prod"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.version", "1.46.0"),
    ];
    let scope = InstrumentationScope {
        name: "io.opentelemetry.tomcat-10.0".to_owned(),
        version: "2.12.0-alpha".to_owned(),
        ..InstrumentationScope::default()
    };
    let resource = Resource { attributes, ..Resource::default() };
    let marks: Vec<(Vec<u8>, u64)> =
        spans.iter().map(|span| (span.trace_id.clone(), span.start_time_unix_nano)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }];
    let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    // A span's message begins with its trace id (tag 0x0a, length 16), the start time (tag 0x39) comes later in it, and
    // the spans come in order.
    let (mut ids, mut starts, mut from) = (Vec::with_capacity(marks.len()), Vec::with_capacity(marks.len()), 0);
    let find = |from: usize, wanted: &[u8]| {
        from + bytes[from..].windows(wanted.len()).position(|window| window == wanted).expect("it was encoded")
    };
    for (id, start) in marks {
        let at = find(from, &id);
        ids.push(at as u32);
        let start = find(at + 16, &[&[0x39], &start.to_le_bytes()[..]].concat()) + 1;
        starts.push(start as u32);
        from = start + TIME;
    }
    Request { bytes, ids, starts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_has_the_promised_shape() {
        let corpus = Corpus::new(7, 5000);
        let mean = corpus.spans as f64 / corpus.traces as f64;
        assert!((18.0..22.0).contains(&mean), "{mean} spans a trace");
        let bytes = corpus.bytes_per_span();
        assert!((468.0..488.0).contains(&bytes), "{bytes} bytes a span");
    }

    #[test]
    fn a_later_pass_moves_every_span_and_changes_no_duration() {
        let corpus = Corpus::new(7, 100);
        let decode = |bytes: Vec<u8>| ExportTraceServiceRequest::decode(bytes.as_slice()).expect("decodes");
        let times = |request: ExportTraceServiceRequest| -> Vec<[u64; 2]> {
            let spans = request.resource_spans[0].scope_spans[0].spans.iter();
            spans.map(|span| [span.start_time_unix_nano, span.end_time_unix_nano]).collect()
        };
        let (now, later) = (times(decode(corpus.requests[0].pass(1))), times(decode(corpus.requests[0].later(1, 77))));
        assert_eq!(later, now.iter().map(|[start, end]| [start + 77, end + 77]).collect::<Vec<_>>());
    }

    #[test]
    fn each_pass_has_trace_ids_of_its_own_and_all_else_the_same() {
        let corpus = Corpus::new(7, 100);
        let decode = |bytes: Vec<u8>| ExportTraceServiceRequest::decode(bytes.as_slice()).expect("decodes");
        let (a, b) = (decode(corpus.requests[0].pass(1)), decode(corpus.requests[0].pass(2)));
        let spans = |request: &ExportTraceServiceRequest| request.resource_spans[0].scope_spans[0].spans.clone();
        for (x, y) in spans(&a).iter().zip(spans(&b)) {
            assert_ne!(x.trace_id, y.trace_id);
            assert_eq!((&x.span_id, &x.attributes), (&y.span_id, &y.attributes));
        }
    }
}
