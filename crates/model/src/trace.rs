//! Traces after assembly: all spans of a trace together, in order, with their bytes.

use std::sync::Arc;

use crate::columns::Columns;
use crate::ids::TraceId;
use crate::lead::Message;
use crate::span::{Origin, SpanFlags, SpanRecord};
use crate::symbols::Symbol;
use crate::time::UnixNano;

/// "No span": the root or parent is not there.
pub const NO_SPAN: u32 = u32::MAX;

/// Facts about a trace that fit in a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TraceFlags(pub u16);

impl TraceFlags {
    /// Spans that came after the decision of their trace: they follow it and are counted in no window twice.
    pub const LATE: u16 = 1;
    /// Decided before its time, because a cap was reached (spans, bytes, memory or `max_ack_hold`).
    pub const EARLY: u16 = 1 << 1;
    /// A copy out of the evidence ring, released because an incident opened. Observers pass it on uncounted.
    pub const EVIDENCE: u16 = 1 << 2;
    /// The root is missing.
    pub const ROOTLESS: u16 = 1 << 3;

    /// Whether all bits of `mask` are set.
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// Sets the bits of `mask`.
    pub const fn set(&mut self, mask: u16) {
        self.0 |= mask;
    }
}

/// One trace of a [`TraceBatch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceHead {
    /// The trace id.
    pub trace_id: TraceId,
    /// Its first record.
    pub first: u32,
    /// How many records it has.
    pub len: u32,
    /// Index of its root among the batch's records, [`NO_SPAN`] if it is missing.
    pub root: u32,
    /// Its first log record.
    pub first_log: u32,
    /// How many log records it has.
    pub log_len: u32,
    /// Least start of its spans.
    pub start: UnixNano,
    /// Greatest end of its spans: says which slice the trace belongs to.
    pub end: UnixNano,
    /// Flags.
    pub flags: TraceFlags,
    /// Why it was kept: policy name; empty before sampling.
    pub reason: Arc<str>,
}

/// A log record of a trace, as localization reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceLog {
    /// When it was written.
    pub time: UnixNano,
    /// Index in [`TraceBatch::records`] of the span it names, [`NO_SPAN`] if it names none or one that is not there.
    pub span: u32,
    /// The service that wrote it.
    pub service: Symbol,
    /// The statement that wrote it (see [`LogRecord::template`](crate::log::LogRecord)).
    pub template: Symbol,
    /// Its severity number, 0 if it is not known.
    pub severity: u8,
}

/// Decided traces: records in order, and the bytes that they point into. Most bytes are shared with the place where the
/// traces waited, because few traces are kept and nobody reads the bytes of the others.
#[derive(Clone, Debug, Default)]
pub struct TraceBatch {
    /// The traces.
    pub traces: Vec<TraceHead>,
    /// Their records, each trace's together, sorted by (start, span id).
    pub records: Vec<SpanRecord>,
    /// Index of each record's parent among `records`, [`NO_SPAN`] if it is not there.
    pub parents: Vec<u32>,
    /// Bytes of the batch itself: `chunk` 0 of the records.
    pub raw: Vec<u8>,
    /// Bytes that others hold too: `chunk` 1 and up.
    pub shared: Vec<Arc<Vec<u8>>>,
    /// What `origin` of the records points into.
    pub origins: Vec<Arc<Origin>>,
    /// Log records of the traces, each trace's together, sorted by (time, span, severity) and then by what they say.
    pub logs: Vec<TraceLog>,
}

impl TraceBatch {
    /// Takes everything out and keeps the memory.
    pub fn clear(&mut self) {
        let Self { traces, records, parents, raw, shared, origins, logs } = self;
        traces.clear();
        records.clear();
        parents.clear();
        raw.clear();
        shared.clear();
        origins.clear();
        logs.clear();
    }

    /// Range of the trace's records.
    pub fn range(&self, trace: &TraceHead) -> std::ops::Range<usize> {
        trace.first as usize..(trace.first + trace.len) as usize
    }

    /// The trace's records.
    pub fn spans(&self, trace: &TraceHead) -> &[SpanRecord] {
        &self.records[self.range(trace)]
    }

    /// The trace's log records.
    pub fn logs_of(&self, trace: &TraceHead) -> &[TraceLog] {
        &self.logs[trace.first_log as usize..(trace.first_log + trace.log_len) as usize]
    }

    fn chunk(&self, record: &SpanRecord) -> &[u8] {
        match (record.chunk as usize).checked_sub(1) {
            None => &self.raw,
            Some(shared) => &self.shared[shared],
        }
    }

    /// The span's own protobuf message without its [`lead`](SpanRecord::lead): all fields but the ids.
    pub fn raw(&self, record: &SpanRecord) -> &[u8] {
        &self.chunk(record)[record.raw_offset as usize..(record.raw_offset + record.raw_len) as usize]
    }

    /// The span's own protobuf message as it was received.
    pub fn message<'a>(&'a self, trace: &TraceHead, record: &'a SpanRecord) -> Message<'a> {
        Message::without_lead(trace.trace_id, record, self.raw(record))
    }

    /// The wanted attributes that the span carries. Offsets of strings count from the beginning of [`raw`](Self::raw).
    pub fn columns(&self, record: &SpanRecord) -> Columns<'_> {
        if record.flags.has(SpanFlags::COLUMNS) {
            Columns::read(&self.chunk(record)[(record.raw_offset + record.raw_len) as usize..])
        } else {
            Columns::none()
        }
    }

    /// The span's bytes with the columns behind them, as they are copied from one batch to another.
    pub fn stored(&self, record: &SpanRecord) -> &[u8] {
        let bytes = &self.chunk(record)[record.raw_offset as usize..];
        let columns = &bytes[record.raw_len as usize..];
        let after = if record.flags.has(SpanFlags::COLUMNS) { Columns::read(columns).after() } else { columns };
        &bytes[..bytes.len() - after.len()]
    }

    /// The parent of record `index`, if it is in the batch.
    pub fn parent(&self, index: usize) -> Option<usize> {
        let parent = self.parents[index];
        (parent != NO_SPAN).then_some(parent as usize)
    }
}
