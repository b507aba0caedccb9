//! What the walk must find, computed the slow and plain way from prost's structs.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;

/// The fields of a record, resolved.
#[derive(PartialEq, Debug)]
pub(crate) struct Expected {
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) operation: String,
    pub(crate) peer: String,
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) kind: u8,
    pub(crate) weight: u32,
    pub(crate) status_code: u16,
    pub(crate) resend: u8,
    pub(crate) flags: Vec<&'static str>,
}

/// Attributes as a map: the last of equal keys wins, and no value is no attribute.
pub(crate) fn map(attributes: &[KeyValue]) -> HashMap<&str, &Value> {
    let with_value = |kv: &'_ KeyValue| kv.value.as_ref().is_some_and(|any| any.value.is_some());
    attributes
        .iter()
        .filter(|kv| with_value(kv))
        .map(|kv| (kv.key.as_str(), kv.value.as_ref().and_then(|any| any.value.as_ref()).expect("filtered")))
        .collect()
}

struct Attributes<'a>(HashMap<&'a str, &'a Value>);

impl Attributes<'_> {
    fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match self.0.get(key) {
            Some(Value::StringValue(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        })
    }

    fn number(&self, keys: &[&str]) -> Option<i64> {
        keys.iter().find_map(|key| match self.0.get(key) {
            Some(Value::IntValue(value)) => Some(*value),
            Some(Value::DoubleValue(value)) if value.fract() == 0.0 => Some(*value as i64),
            Some(Value::StringValue(text)) => text.parse().ok(),
            _ => None,
        })
    }
}

/// Why the span is rejected, or its record.
pub(crate) fn expected(span: &Span) -> Result<Expected, &'static str> {
    let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    if span.trace_id.len() != 16 || zero(&span.trace_id) {
        return Err("invalid_trace_id");
    }
    if span.span_id.len() != 8 || zero(&span.span_id) {
        return Err("invalid_span_id");
    }
    if ![0, 8].contains(&span.parent_span_id.len()) {
        return Err("invalid_parent_id");
    }
    let id = |bytes: &[u8]| bytes.iter().fold(0, |id, &byte| id << 8 | u64::from(byte));
    let attributes = Attributes(map(&span.attributes));
    let (start, duration, clamped) = times(span.start_time_unix_nano, span.end_time_unix_nano);
    let kind = if (0..=5).contains(&span.kind) { span.kind as u8 } else { 0 };
    let grpc = ["rpc.status_code", "rpc.grpc.status_code"].iter().find_map(|key| grpc(&attributes, key));
    let http = ["http.response.status_code", "http.status_code"]
        .iter()
        .find_map(|key| attributes.number(&[key]).filter(|code| (100..1000).contains(code)));
    let status = span.status.as_ref().map_or(0, |status| status.code);
    let outgoing = kind == 3 || kind == 4;
    let error = status == 2
        || attributes.0.get("error.type").is_some_and(|value| **value != Value::StringValue(String::new()))
        || grpc.is_some_and(|code| if outgoing { code != 0 } else { [2, 4, 12, 13, 14, 15].contains(&code) })
        || http.is_some_and(|code| (if outgoing { 400..600 } else { 500..600 }).contains(&code));
    let has = |keys: &[&str]| keys.iter().any(|key| attributes.0.contains_key(key));
    let breaker = attributes.text(&["response_flags"]);
    let flags = [
        ("error", error),
        ("status error", status == 2),
        ("status ok", status == 1),
        ("events", !span.events.is_empty()),
        ("links", !span.links.is_empty()),
        ("exception", span.events.iter().any(|event| event.name == "exception")),
        ("sampled", span.flags & 1 == 1),
        ("remote", span.flags >> 8 & 3 == 3),
        ("messaging", has(&["messaging.system"])),
        ("database", has(&["db.system.name", "db.system"])),
        ("breaker", breaker.is_some_and(|flags| flags.split(',').any(|flag| ["UO", "UT", "URX"].contains(&flag)))),
        ("clamped", clamped),
    ];
    Ok(Expected {
        trace_id: span.trace_id.clone(),
        span_id: id(&span.span_id),
        parent_id: id(&span.parent_span_id),
        start,
        duration,
        operation: span.name.clone(),
        peer: peer(&attributes, outgoing),
        function: attributes.text(&["code.function.name"]).unwrap_or_else(|| {
            let function = attributes.text(&["code.function"]).unwrap_or_default();
            match attributes.text(&["code.namespace"]) {
                Some(namespace) if !function.is_empty() => format!("{namespace}.{function}"),
                _ => function,
            }
        }),
        file: attributes.text(&["code.file.path", "code.filepath"]).unwrap_or_default(),
        kind,
        weight: match span.trace_state.as_str() {
            "ot=th:8" => 512,
            "a=b,ot=rv:1;th:c" => 1024,
            _ => 256,
        },
        status_code: grpc.map_or(http.unwrap_or(0), |code| code + 1000) as u16,
        resend: attributes.number(&["http.request.resend_count", "http.resend_count"]).unwrap_or(0).clamp(0, 255) as u8,
        flags: flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect(),
    })
}

fn grpc(attributes: &Attributes<'_>, key: &str) -> Option<i64> {
    match attributes.text(&[key]).as_deref() {
        Some("UNAVAILABLE") => Some(14),
        _ => attributes.number(&[key]).filter(|code| (0..17).contains(code)),
    }
}

fn peer(attributes: &Attributes<'_>, outgoing: bool) -> String {
    let named = attributes.text(&["messaging.destination.name", "service.peer.name", "peer.service"]);
    let host = |url: String| {
        let rest = url.split_once("://").filter(|(scheme, _)| scheme.len() < 12)?.1;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        (!host.is_empty()).then(|| host.to_owned())
    };
    let server = || {
        let named = attributes.text(&["server.address", "net.peer.name", "peer.hostname"]);
        let server = named.or_else(|| attributes.text(&["url.full", "http.url"]).and_then(host));
        server.filter(|_| outgoing)
    };
    let address = || {
        let address = attributes.text(&["network.peer.address"]).filter(|_| outgoing)?;
        let port = attributes.number(&["network.peer.port"]).filter(|port| (0..65536).contains(port));
        Some(port.map_or(address.clone(), |port| format!("{address}:{port}")))
    };
    named.or_else(server).or_else(address).or_else(|| attributes.text(&["db.namespace", "db.name"])).unwrap_or_default()
}

fn times(start: u64, end: u64) -> (u64, u64, bool) {
    match (start, end) {
        (0, 0) => (0, 0, true),
        (0, end) => (end, 0, true),
        (start, 0) => (start, 0, true),
        (start, end) if end < start => (start, 0, true),
        (start, end) => (start, end - start, false),
    }
}
