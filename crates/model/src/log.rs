//! Log records over the received bytes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{SpanId, TraceId};
use crate::span::{Origin, SlotValue};
use crate::symbols::Symbol;
use crate::time::UnixNano;

/// One log record: what is read of it, and where its bytes lie.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LogRecord {
    /// When it happened; when it was observed, or arrived, if that is not known. Within the bounds.
    pub time: UnixNano,
    /// When it was observed, as sent; 0 if not set.
    pub observed: UnixNano,
    /// The trace it belongs to; all zero if it names none.
    pub trace_id: TraceId,
    /// The span it belongs to, [`SpanId::NONE`] if it names none.
    pub span_id: SpanId,
    /// `service.name`.
    pub service: Symbol,
    /// `code.function.name`.
    pub function: Symbol,
    /// `code.file.path`.
    pub file: Symbol,
    /// The statement that wrote it, as far as that can be told: its place in the code, else severity, logger and the
    /// text without what varies. A pure function of the record, so it means the same on every shard and in every run.
    pub template: Symbol,
    /// `code.line.number`, 0 if it is not there.
    pub line: u32,
    /// Index into the batch's `origins`.
    pub origin: u32,
    /// Where the record's protobuf message starts.
    pub raw_offset: u32,
    /// Its length in bytes.
    pub raw_len: u32,
    /// The body.
    pub body: LogBody,
    /// `event_name`: offset within the record's own bytes, and length; 0 and 0 if it is not set.
    pub event_name: (u32, u32),
    /// OpenTelemetry's severity number, 1 (TRACE) to 24 (FATAL4); 0 if it is not known. If the record does not set it,
    /// its severity text or the level in a JSON body says it.
    pub severity: u8,
    /// The time was outside its bounds and was clamped.
    pub clamped: bool,
}

/// Where a log's body lies in its record's own bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogBody {
    /// No body.
    #[default]
    Absent,
    /// Text, not checked for UTF-8.
    Text {
        /// Offset from the start of the record's message.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
    /// Another value: its `AnyValue` message.
    Value {
        /// Offset from the start of the record's message.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
}

/// Received log records: the bytes and one record each.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    /// The request as received (inflated): `ExportLogsServiceRequest`.
    pub buf: Bytes,
    /// The records, in the order of the request; `origin` indexes [`Self::origins`].
    pub records: Vec<LogRecord>,
    /// Values of the wanted attributes: `slots[record * slot_count + slot]`.
    pub slots: Vec<SlotValue>,
    /// How many columns `slots` has.
    pub slot_count: usize,
    /// Resource and scope of each `ScopeLogs`.
    pub origins: Vec<Arc<Origin>>,
    /// The bytes that the receiver's budget lent for this request; given back when the last holder drops it.
    pub permit: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

impl LogBatch {
    /// The log record's own protobuf message.
    pub fn raw(&self, record: &LogRecord) -> &[u8] {
        &self.buf[record.raw_offset as usize..(record.raw_offset + record.raw_len) as usize]
    }

    /// The columns of one record.
    pub fn slots_of(&self, index: usize) -> &[SlotValue] {
        &self.slots[index * self.slot_count..(index + 1) * self.slot_count]
    }

    /// The event name, "" if it is not set.
    pub fn event_name(&self, record: &LogRecord) -> Cow<'_, str> {
        let (offset, len) = record.event_name;
        String::from_utf8_lossy(&self.raw(record)[offset as usize..(offset + len) as usize])
    }
}

/// The least severity number of the group that `severity` is in: 1 (TRACE), 5 (DEBUG), 9 (INFO), 13 (WARN), 17 (ERROR),
/// 21 (FATAL); 0 if it is not known.
///
/// ```
/// use backtrail_model::log::{severity_class, severity_name};
/// assert_eq!(severity_class(19), 17);
/// assert_eq!(severity_name(19), "ERROR");
/// assert_eq!(severity_name(0), "UNSPECIFIED");
/// ```
pub const fn severity_class(severity: u8) -> u8 {
    match severity {
        1..=24 => (severity - 1) / 4 * 4 + 1,
        _ => 0,
    }
}

/// The short name that OpenTelemetry gives the group.
pub const fn severity_name(severity: u8) -> &'static str {
    match severity_class(severity) {
        1 => "TRACE",
        5 => "DEBUG",
        9 => "INFO",
        13 => "WARN",
        17 => "ERROR",
        21 => "FATAL",
        _ => "UNSPECIFIED",
    }
}
