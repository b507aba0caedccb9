//! Received spans for tests: encoded as an SDK does, with records and columns over the bytes.

use std::sync::Arc;

use backtrail_model::ids::{SpanId, TraceId};
use backtrail_model::span::{AttributeValue, Origin, SlotValue, SpanBatch, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::SymbolKind;
use backtrail_model::time::UnixNano;
use backtrail_pipeline::Context;

/// An attribute's value in a test.
pub(crate) type Value = AttributeValue;

/// A span with attributes. Times in nanoseconds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Encoded {
    pub(crate) trace: u64,
    pub(crate) id: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) kind: SpanKind,
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) flags: u16,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// Attributes of the resource, besides `service.name`.
    pub(crate) resource: Vec<(&'static str, Value)>,
}

impl Default for Encoded {
    fn default() -> Self {
        Self {
            trace: 1,
            id: 1,
            parent: 0,
            name: "GET /".into(),
            service: "shop".into(),
            kind: SpanKind::Server,
            start: 0,
            length: 1_000_000,
            flags: 0,
            attributes: Vec::new(),
            resource: Vec::new(),
        }
    }
}

/// A string value.
pub(crate) fn text(value: &str) -> Value {
    Value::Str(value.into())
}

/// The batch of these spans, with the columns that the nodes of `cx` asked for.
pub(crate) fn batch<'a>(cx: &Context, spans: impl IntoIterator<Item = &'a Encoded>) -> SpanBatch {
    let keys = cx.shared().attributes();
    let mut batch = SpanBatch { slot_count: keys.len(), ..SpanBatch::default() };
    let mut buf = Vec::new();
    for span in spans {
        let (raw, slots) = encode(span, &keys);
        let origin = origin(cx, &mut batch, span, &keys);
        batch.trace_ids.push(trace_id(span.trace));
        batch.records.push(record(cx, span, origin, buf.len(), raw.len()));
        batch.slots.extend(slots);
        buf.extend_from_slice(&raw);
    }
    batch.buf = buf.into();
    batch
}

/// The trace id of the `n`-th trace.
pub(crate) fn trace_id(n: u64) -> TraceId {
    TraceId((u128::from(n) << 64 | u128::from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_be_bytes())
}

fn record(cx: &Context, span: &Encoded, origin: u32, raw_offset: usize, raw_len: usize) -> SpanRecord {
    SpanRecord {
        span_id: SpanId(span.id),
        parent_id: SpanId(span.parent),
        start: UnixNano(span.start),
        duration: span.length,
        service: cx.symbols().intern(SymbolKind::Service, &span.service),
        operation: cx.symbols().intern(SymbolKind::Operation, &span.name),
        origin,
        raw_offset: raw_offset as u32,
        raw_len: raw_len as u32,
        weight: SpanRecord::ONE,
        flags: SpanFlags(span.flags),
        kind: span.kind,
        ..SpanRecord::default()
    }
}

fn origin(cx: &Context, batch: &mut SpanBatch, span: &Encoded, keys: &[String]) -> u32 {
    let value = |key: &String| span.resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let origin = Origin {
        hash: span.service.len() as u64,
        resource: span.service.clone().into_bytes().into(),
        service: cx.symbols().intern(SymbolKind::Service, &span.service),
        slots: keys.iter().map(value).collect(),
        ..Origin::default()
    };
    let known = batch.origins.iter().position(|other| **other == origin);
    known.unwrap_or_else(|| {
        batch.origins.push(Arc::new(origin));
        batch.origins.len() - 1
    }) as u32
}

/// The span's message and its columns.
fn encode(span: &Encoded, keys: &[String]) -> (Vec<u8>, Vec<SlotValue>) {
    let mut raw = Vec::new();
    field(&mut raw, 1, &trace_id(span.trace).0);
    field(&mut raw, 2, &span.id.to_be_bytes());
    if span.parent != 0 {
        field(&mut raw, 4, &span.parent.to_be_bytes());
    }
    field(&mut raw, 5, span.name.as_bytes());
    let mut slots = vec![SlotValue::Absent; keys.len()];
    for (key, value) in &span.attributes {
        let (mut message, mut any) = (Vec::new(), Vec::new());
        let slot = match value {
            Value::Str(text) => {
                field(&mut any, 1, text.as_bytes());
                // Set below: a string stands at the end of the message.
                SlotValue::Str { offset: 0, len: text.len() as u32 }
            }
            Value::Int(value) => {
                any.push(3 << 3);
                varint(&mut any, *value as u64);
                SlotValue::Int(*value)
            }
            Value::Double(value) => {
                any.push(4 << 3 | 1);
                any.extend_from_slice(&value.to_le_bytes());
                SlotValue::Double(*value)
            }
            Value::Bool(value) => {
                any.extend_from_slice(&[2 << 3, u8::from(*value)]);
                SlotValue::Bool(*value)
            }
            Value::Other => {
                field(&mut any, 5, &[]);
                SlotValue::Other
            }
        };
        field(&mut message, 1, key.as_bytes());
        field(&mut message, 2, &any);
        field(&mut raw, 9, &message);
        if let Some(column) = keys.iter().position(|wanted| wanted == key) {
            slots[column] = match slot {
                SlotValue::Str { len, .. } => SlotValue::Str { offset: raw.len() as u32 - len, len },
                other => other,
            };
        }
    }
    (raw, slots)
}

/// Appends a field of bytes.
fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
