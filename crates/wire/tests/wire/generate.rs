//! Requests to test with: what SDKs send, and what protobuf allows although no SDK sends it.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

/// Keys that the walk reads, wanted keys, and keys that nobody reads.
pub(crate) const KEYS: &[&str] = &[
    "code.function.name",
    "code.function",
    "code.namespace",
    "code.file.path",
    "code.filepath",
    "service.peer.name",
    "peer.service",
    "server.address",
    "net.peer.name",
    "peer.hostname",
    "url.full",
    "http.url",
    "network.peer.address",
    "network.peer.port",
    "db.namespace",
    "db.name",
    "db.system.name",
    "db.system",
    "messaging.system",
    "messaging.destination.name",
    "http.response.status_code",
    "http.status_code",
    "rpc.status_code",
    "rpc.grpc.status_code",
    "http.request.resend_count",
    "http.resend_count",
    "error.type",
    "response_flags",
    "http.route",
    "user.id",
    "",
    "x",
    "some.other.key",
];

pub(crate) const RESOURCE_KEYS: &[&str] =
    &["service.name", "k8s.pod.name", "service.instance.id", "host.name", "service.version", "user.id", "x"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["", "a", "cart", "UO,URX", "UT", "503", "14", "UNAVAILABLE", "größe", "http://u:p@cart:8080/x?y"]).prop_map(String::from),
        1 => "[a-z]{0,200}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        3 => select(vec![0_i64, 1, 2, 14, 200, 404, 503, -1, i64::MAX]).prop_map(Value::IntValue),
        1 => (-1e6..1e6_f64).prop_map(Value::DoubleValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        1 => vec(any::<u8>(), 0..6).prop_map(Value::BytesValue),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let any = inner.prop_map(|value| AnyValue { value: Some(value) });
        prop_oneof![
            vec(any.clone(), 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(("[a-z]{1,4}", any), 0..3).prop_map(|entries| {
                let values = entries.into_iter().map(|(key, value)| key_value(&key, Some(value))).collect();
                Value::KvlistValue(KeyValueList { values })
            }),
        ]
    })
}

fn key_value(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn attributes(keys: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<KeyValue>> {
    vec((select(keys), value()), 0..most).prop_map(|entries| {
        let entries = entries.into_iter();
        entries.map(|(key, value)| key_value(key, Some(AnyValue { value: Some(value) }))).collect()
    })
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![12 => vec(any::<u8>(), len), 1 => Just(vec![0; len]), 1 => vec(any::<u8>(), 0..20)]
}

fn parent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => Just(Vec::new()), 2 => id(8)]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let name = select(vec!["exception", "log", ""]);
    vec((any::<u64>(), name, attributes(KEYS, 3)), 0..3).prop_map(|events| {
        let events = events.into_iter();
        events
            .map(|(time_unix_nano, name, attributes)| Event {
                time_unix_nano,
                name: name.to_owned(),
                attributes,
                dropped_attributes_count: 1,
            })
            .collect()
    })
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    vec((id(16), id(8), attributes(KEYS, 3)), 0..2).prop_map(|links| {
        let links = links.into_iter();
        links
            .map(|(trace_id, span_id, attributes)| Link { trace_id, span_id, attributes, flags: 1, ..Link::default() })
            .collect()
    })
}

fn span() -> impl Strategy<Value = Span> {
    let state = select(vec!["", "", "ot=th:8", "a=b,ot=rv:1;th:c", "ot=x"]);
    let times = (select(vec![0_u64, 5, 1_000]), select(vec![0_u64, 7, 900, 2_000, u64::MAX]));
    let status = option::of((text(), 0..4_i32).prop_map(|(message, code)| Status { message, code }));
    (
        (id(16), id(8), parent(), state, text(), -1..7_i32, times),
        (attributes(KEYS, 16), events(), links(), status, any::<u32>()),
    )
        .prop_map(
            |(
                (trace_id, span_id, parent_span_id, state, name, kind, times),
                (attributes, events, links, status, flags),
            )| Span {
                trace_id,
                span_id,
                trace_state: state.to_owned(),
                parent_span_id,
                flags,
                name,
                kind,
                start_time_unix_nano: times.0,
                end_time_unix_nano: times.1,
                attributes,
                dropped_attributes_count: flags % 3,
                events,
                links,
                status,
                ..Span::default()
            },
        )
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope = option::of((text(), attributes(KEYS, 2)).prop_map(|(name, attributes)| InstrumentationScope {
        name,
        attributes,
        ..InstrumentationScope::default()
    }));
    (scope, vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource =
        option::of(attributes(RESOURCE_KEYS, 6).prop_map(|attributes| Resource { attributes, ..Resource::default() }));
    (resource, vec(scope_spans(), 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    })
}

/// What an SDK might send.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// The same request as bytes that no encoder writes: fields in any order, unknown fields and groups between them,
/// scalar fields set twice, messages split in two. `seed` chooses.
pub(crate) fn odd(request: &ExportTraceServiceRequest, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    let mut out = Vec::new();
    for resource in &request.resource_spans {
        let children = resource.scope_spans.iter().map(|scope| {
            let spans = scope.spans.iter().map(|span| odd_fields(&span.encode_to_vec(), &mut random, true)).collect();
            let bare = ScopeSpans { spans: Vec::new(), ..scope.clone() };
            with_children(&bare.encode_to_vec(), spans, &mut random)
        });
        let children = children.collect();
        let bare = ResourceSpans { scope_spans: Vec::new(), ..resource.clone() };
        field(&mut out, 1, &with_children(&bare.encode_to_vec(), children, &mut random));
    }
    out
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % most
    }
}

fn varint(out: &mut Vec<u8>, value: usize) {
    prost::encoding::encode_varint(value as u64, out);
}

fn field(out: &mut Vec<u8>, number: usize, content: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, content.len());
    out.extend_from_slice(content);
}

fn with_children(bare: &[u8], children: Vec<Vec<u8>>, random: &mut Random) -> Vec<u8> {
    let mut parts = fields(bare);
    for child in children {
        let mut part = Vec::new();
        field(&mut part, 2, &child);
        // Children keep their order; what stands between them does not.
        parts.push(part);
    }
    let bare_parts = fields(bare).len();
    for index in 0..bare_parts {
        let end = parts.len();
        let to = random.below(end);
        let part = parts.remove(index.min(end - 1));
        parts.insert(to.max(index).min(parts.len()), part);
    }
    parts.push(unknown(random));
    parts.concat()
}

/// The fields of a message in another order, with unknown ones among them.
fn odd_fields(message: &[u8], random: &mut Random, shadow: bool) -> Vec<u8> {
    let mut parts = fields(message);
    for index in (1..parts.len()).rev() {
        parts.swap(index, random.below(index + 1));
    }
    if shadow {
        // Set first, and again by the real field if there is one: name, kind, start, flags, and a status to merge with.
        parts.insert(0, vec![0x2A, 1, b'z', 0x30, 3, 0x39, 1, 0, 0, 0, 0, 0, 0, 0, 0x7A, 2, 0x18, 1, 0x7A, 0]);
    }
    for _ in 0..random.below(3) {
        parts.insert(random.below(parts.len() + 1), unknown(random));
    }
    parts.concat()
}

fn unknown(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => vec![0xC0, 0x3E, 5],
        1 => vec![0xC2, 0x3E, 2, 0xFF, 0xFF],
        2 => vec![0xC3, 0x3E, 0x08, 1, 0xC4, 0x3E],
        _ => vec![0xC5, 0x3E, 1, 2, 3, 4],
    }
}

/// A message cut into its fields.
fn fields(message: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (tag, wire) = prost::encoding::decode_key(&mut rest).expect("own encoding");
        prost::encoding::skip_field(wire, tag, &mut rest, prost::encoding::DecodeContext::default())
            .expect("own encoding");
        parts.push(start[..start.len() - rest.len()].to_vec());
    }
    parts
}
