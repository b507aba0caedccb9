//! Spans as records over the received bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{SpanId, TraceId};
use crate::lead::Lead;
use crate::symbols::Symbol;
use crate::time::UnixNano;

/// `SpanKind` of OTLP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not stated.
    #[default]
    Unspecified = 0,
    /// Inside one service.
    Internal = 1,
    /// Serves a remote request.
    Server = 2,
    /// Calls a remote service.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

impl SpanKind {
    /// From the number in OTLP; unknown numbers are `Unspecified`.
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The name that OpenTelemetry uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// Facts about a span that fit in a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanFlags(pub u16);

impl SpanFlags {
    /// The span failed, by the error test of the docs: status, then `error.type`, then status codes by kind.
    pub const ERROR: u16 = 1;
    /// `status.code` is ERROR.
    pub const STATUS_ERROR: u16 = 1 << 1;
    /// `status.code` is OK.
    pub const STATUS_OK: u16 = 1 << 2;
    /// It has events.
    pub const EVENTS: u16 = 1 << 3;
    /// It has links.
    pub const LINKS: u16 = 1 << 4;
    /// An event named `exception`.
    pub const EXCEPTION: u16 = 1 << 5;
    /// W3C `sampled` flag (bit 0 of the OTLP flags).
    pub const SAMPLED: u16 = 1 << 6;
    /// The parent is in another process (OTLP flag bits 8 and 9).
    pub const REMOTE_PARENT: u16 = 1 << 7;
    /// A messaging span (`messaging.system` is present).
    pub const MESSAGING: u16 = 1 << 8;
    /// A database client span (`db.system` is present).
    pub const DATABASE: u16 = 1 << 9;
    /// The proxy says that a breaker, retry limit or overload answered (Envoy response flags UO, URX, UT ...).
    pub const BREAKER: u16 = 1 << 10;
    /// A time was outside its bounds and was clamped.
    pub const CLAMPED: u16 = 1 << 11;
    /// The name was replaced by a normalized route.
    pub const ROUTE: u16 = 1 << 12;
    /// Wanted attributes stand behind the span's bytes (see [`columns`](crate::columns)); only in traces.
    pub const COLUMNS: u16 = 1 << 13;

    /// Whether all bits of `mask` are set.
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// Sets the bits of `mask`.
    pub const fn set(&mut self, mask: u16) {
        self.0 |= mask;
    }
}

/// One span: what localization and sampling read, at a fixed size, and where its bytes lie.
///
/// Offsets are relative to the buffer of the batch that holds the record ([`SpanBatch::buf`], or the
/// [`chunk`](Self::chunk) of a [`TraceBatch`](crate::trace::TraceBatch)). The trace id stands beside the record, not in
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanRecord {
    /// The span's own id.
    pub span_id: SpanId,
    /// The parent's id, [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// Start, Unix nanoseconds.
    pub start: UnixNano,
    /// Duration, nanoseconds; 0 if the span ends before it starts.
    pub duration: u64,
    /// `service.name`.
    pub service: Symbol,
    /// Span name, or the normalized route.
    pub operation: Symbol,
    /// Peer named by the span's attributes (`service.peer.name` > `server.address` > `network.peer.address:port` >
    /// `db.namespace`; messaging: the destination).
    pub peer: Symbol,
    /// `code.function.name`.
    pub function: Symbol,
    /// `code.file.path`.
    pub file: Symbol,
    /// Index into the batch's `origins`.
    pub origin: u32,
    /// Where the span's protobuf message starts.
    pub raw_offset: u32,
    /// Its length in bytes.
    pub raw_len: u32,
    /// Which bytes of a [`TraceBatch`](crate::trace::TraceBatch) hold it: 0 for its own, `n` for `shared[n - 1]`.
    pub chunk: u32,
    /// Adjusted count in 1/256: how many spans this one stands for (`ot=th` of an upstream sampler); 256 is one.
    pub weight: u32,
    /// Flags.
    pub flags: SpanFlags,
    /// HTTP status code, or gRPC status code + 1000; 0 if neither is there.
    pub status_code: u16,
    /// Kind.
    pub kind: SpanKind,
    /// `http.request.resend_count` and its relatives, saturating: 0 for the first attempt.
    pub resend: u8,
    /// What of the message's beginning is left out of the bytes.
    pub lead: Lead,
}

impl SpanRecord {
    /// [`Self::weight`] of one span.
    pub const ONE: u32 = 256;

    /// When the span ended.
    pub fn end(&self) -> UnixNano {
        UnixNano(self.start.0.saturating_add(self.duration))
    }

    /// Whether the span failed (see [`SpanFlags::ERROR`]).
    pub fn is_error(&self) -> bool {
        self.flags.has(SpanFlags::ERROR)
    }

    /// Whether the span begins the work of a service: SERVER or CONSUMER.
    pub fn is_entry(&self) -> bool {
        matches!(self.kind, SpanKind::Server | SpanKind::Consumer)
    }
}

/// The resource and scope that a span came with: kept as bytes, so that a re-export loses nothing, and with the few
/// attributes that backtrail reads. Shared by all spans of the same `ScopeSpans`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    /// Hash of all bytes below: equal origins have equal hashes.
    pub hash: u64,
    /// `ResourceSpans` (or `ResourceLogs`) without its scopes: resource, schema URL, unknown fields, as protobuf fields.
    pub resource: Bytes,
    /// `ScopeSpans` (or `ScopeLogs`) without its spans: scope, schema URL, unknown fields, as protobuf fields.
    pub scope: Bytes,
    /// `service.name`, interned.
    pub service: Symbol,
    /// `k8s.pod.name`, else `service.instance.id`, else `host.name`, interned.
    pub instance: Symbol,
    /// `service.namespace`.
    pub namespace: Arc<str>,
    /// `service.version`.
    pub version: Arc<str>,
    /// `vcs.ref.head.revision` or its older names.
    pub revision: Arc<str>,
    /// Values of the wanted attributes on the resource, by slot.
    pub slots: Vec<Option<AttributeValue>>,
}

/// An attribute's value, owned: for resources, where it is read once for many spans.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue {
    /// A string.
    Str(Arc<str>),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Array, map or bytes: present, but of no scalar type.
    Other,
}

impl Eq for AttributeValue {}

/// The value of a wanted attribute on one span.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum SlotValue {
    /// The span does not carry the attribute.
    #[default]
    Absent,
    /// A string: offset within the span's own bytes, and length. Not checked for UTF-8.
    Str {
        /// Offset from the start of the span's message.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Array, map or bytes: present, but of no scalar type.
    Other,
}

/// A wanted attribute: the index of its column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(pub u16);

/// Received spans: the bytes and one record a span.
#[derive(Clone, Debug, Default)]
pub struct SpanBatch {
    /// The request as received (inflated): `ExportTraceServiceRequest`.
    pub buf: Bytes,
    /// Trace id of each record.
    pub trace_ids: Vec<TraceId>,
    /// One record a span, in the order of the request; `origin` indexes [`Self::origins`].
    pub records: Vec<SpanRecord>,
    /// Values of the wanted attributes: `slots[record * slot_count + slot]`.
    pub slots: Vec<SlotValue>,
    /// How many columns `slots` has.
    pub slot_count: usize,
    /// Resource and scope of each `ScopeSpans`.
    pub origins: Vec<Arc<Origin>>,
    /// The bytes that the receiver's budget lent for this request; given back when the last holder drops it.
    pub permit: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

impl SpanBatch {
    /// The span's own protobuf message.
    pub fn raw(&self, record: &SpanRecord) -> &[u8] {
        &self.buf[record.raw_offset as usize..(record.raw_offset + record.raw_len) as usize]
    }

    /// The columns of one record.
    pub fn slots_of(&self, index: usize) -> &[SlotValue] {
        &self.slots[index * self.slot_count..(index + 1) * self.slot_count]
    }
}
