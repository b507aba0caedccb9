//! Log records by the same walk.

use std::sync::Arc;

use backtrail_model::span::{Origin, SlotValue};
use backtrail_model::{SpanId, Symbol, TraceId, UnixNano};
use bytes::Bytes;

use super::times::{Bounds, ClampCounts};
use super::value::{Scalar, any_value};
use super::{WalkState, Walker, body, check_size, span};
use crate::attributes::ValueRef;
use crate::check;
use crate::error::{Broken, WireError, offset_in};
use crate::proto::{Cursor, FIXED32, FIXED64, ITEM_DEPTH, LEN, VARINT, key};
use crate::schema;

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
    /// The records, in the order of the request.
    pub records: Vec<LogRecord>,
    /// Values of the wanted attributes: `slots[record * slot_count + slot]`.
    pub slots: Vec<SlotValue>,
    /// How many columns `slots` has.
    pub slot_count: usize,
    /// Resource and scope of each `ScopeLogs`.
    pub origins: Vec<Arc<Origin>>,
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

    /// The body.
    pub fn body(&self, record: &LogRecord) -> Option<ValueRef<'_>> {
        match record.body {
            LogBody::Absent => None,
            LogBody::Text { offset, len } => {
                let text = &self.raw(record)[offset as usize..(offset + len) as usize];
                Some(ValueRef::Str(String::from_utf8_lossy(text)))
            }
            LogBody::Value { offset, len } => {
                ValueRef::of_any_value(&self.raw(record)[offset as usize..(offset + len) as usize])
            }
        }
    }

    /// The event name, "" if it is not set.
    pub fn event_name(&self, record: &LogRecord) -> std::borrow::Cow<'_, str> {
        let (offset, len) = record.event_name;
        String::from_utf8_lossy(&self.raw(record)[offset as usize..(offset + len) as usize])
    }
}

/// The log records of one request.
#[derive(Clone, Debug, Default)]
pub struct WalkedLogs {
    /// The records.
    pub batch: LogBatch,
    /// Times that were not used as sent.
    pub clamped: ClampCounts,
    /// Records whose trace or span id has a wrong length: kept without it, because a log needs no trace.
    pub invalid_ids: u64,
    /// Interned strings that are not UTF-8.
    pub invalid_utf8: u64,
}

impl Walker {
    /// The log records of an `ExportLogsServiceRequest`. Every record is accepted.
    ///
    /// # Errors
    /// If the framing is broken anywhere or the request is larger than 4 GiB.
    pub fn logs(&mut self, request: Bytes, bounds: &Bounds) -> Result<WalkedLogs, WireError> {
        check_size(&request)?;
        let mut walked = WalkedLogs::default();
        walked.batch.slot_count = self.state.spec.len();
        walked.batch.records.reserve(self.expected_items(request.len()));
        let invalid_before = self.state.interner.invalid_utf8;
        self.resources(&request, &mut |state, raw, resource, origin| {
            let columns = walked.batch.slots.len();
            walked.batch.slots.resize(columns + walked.batch.slot_count, SlotValue::Absent);
            let mut record = read(raw, columns, state, bounds, &mut walked)?;
            record.service = resource.service;
            record.origin = origin;
            record.raw_offset = offset_in(&request, raw);
            walked.batch.records.push(record);
            Ok(())
        })
        .map(|origins| walked.batch.origins = origins)
        .map_err(|broken| broken.within(&request))?;
        walked.invalid_utf8 = self.state.interner.invalid_utf8 - invalid_before;
        self.learn(request.len(), walked.batch.records.len());
        walked.batch.buf = request;
        Ok(walked)
    }
}

#[derive(Default)]
struct Fields<'a> {
    time: u64,
    observed: u64,
    severity: u64,
    severity_text: &'a [u8],
    body: LogBody,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

fn read(
    raw: &[u8],
    columns: usize,
    state: &mut WalkState,
    bounds: &Bounds,
    walked: &mut WalkedLogs,
) -> Result<LogRecord, Broken> {
    let fields = read_fields(raw, &mut walked.batch.slots[columns..], state)?;
    let mut record = LogRecord { raw_len: raw.len() as u32, ..LogRecord::default() };
    record.observed = UnixNano(fields.observed);
    let sent = [fields.time, fields.observed].into_iter().find(|&time| time != 0);
    walked.clamped.missing_time += u64::from(sent.is_none());
    let sent = sent.unwrap_or(bounds.arrival.0);
    record.time = bounds.clamp(sent, &mut walked.clamped);
    record.clamped = record.time.0 != sent;
    let (trace_id, span_id) = (trace_id(fields.trace_id), span_id(fields.span_id));
    walked.invalid_ids += u64::from(trace_id.is_none() || span_id.is_none());
    (record.trace_id, record.span_id) = (trace_id.unwrap_or_default(), span_id.unwrap_or_default());
    record.severity = match fields.severity as u32 {
        number @ 1..=24 => number as u8,
        _ => body::severity_of_text(fields.severity_text),
    };
    record.body = fields.body;
    if let LogBody::Text { offset, len } = record.body
        && (record.severity == 0 || !record.trace_id.is_valid())
    {
        body::complete(&mut record, &raw[offset as usize..(offset + len) as usize]);
    }
    if !fields.event_name.is_empty() {
        record.event_name = (offset_in(raw, fields.event_name), fields.event_name.len() as u32);
    }
    record.function = state.found.function(raw, &mut state.interner);
    record.file = state.found.file(raw, &mut state.interner);
    record.line = state.found.line(raw);
    Ok(record)
}

fn read_fields<'a>(raw: &'a [u8], columns: &mut [SlotValue], state: &mut WalkState) -> Result<Fields<'a>, Broken> {
    const TIME: u32 = key(1, FIXED64);
    const SEVERITY: u32 = key(2, VARINT);
    const SEVERITY_TEXT: u32 = key(3, LEN);
    const BODY: u32 = key(5, LEN);
    const ATTRIBUTE: u32 = key(6, LEN);
    const FLAGS: u32 = key(8, FIXED32);
    const TRACE_ID: u32 = key(9, LEN);
    const SPAN_ID: u32 = key(10, LEN);
    const OBSERVED: u32 = key(11, FIXED64);
    const EVENT_NAME: u32 = key(12, LEN);
    state.found.clear();
    let mut fields = Fields::default();
    let mut cursor = Cursor::new(raw);
    while let Some(key) = cursor.key()? {
        match key {
            ATTRIBUTE => span::attribute(raw, cursor.bytes()?, columns, &state.spec, &mut state.found)?,
            TIME => fields.time = cursor.fixed64()?,
            OBSERVED => fields.observed = cursor.fixed64()?,
            SEVERITY => fields.severity = cursor.varint()?,
            SEVERITY_TEXT => fields.severity_text = cursor.bytes()?,
            // A body in several parts merges: an empty part changes nothing.
            BODY => match body_place(raw, cursor.bytes()?)? {
                LogBody::Absent => {}
                body => fields.body = body,
            },
            TRACE_ID => fields.trace_id = cursor.bytes()?,
            SPAN_ID => fields.span_id = cursor.bytes()?,
            EVENT_NAME => fields.event_name = cursor.bytes()?,
            FLAGS => drop(cursor.fixed32()?),
            _ => check::field::<false>(&schema::LOG_RECORD, key, &mut cursor, ITEM_DEPTH)?,
        }
    }
    Ok(fields)
}

fn body_place(raw: &[u8], message: &[u8]) -> Result<LogBody, Broken> {
    Ok(match any_value(message, ITEM_DEPTH)? {
        Scalar::Absent => LogBody::Absent,
        Scalar::Str(text) => LogBody::Text { offset: offset_in(raw, text), len: text.len() as u32 },
        _ => LogBody::Value { offset: offset_in(raw, message), len: message.len() as u32 },
    })
}

/// `None` for a wrong length; no id is fine.
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    if bytes.is_empty() { Some(TraceId::default()) } else { bytes.try_into().ok().map(TraceId) }
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    if bytes.is_empty() {
        return Some(SpanId::NONE);
    }
    bytes.try_into().ok().map(|id| SpanId(u64::from_be_bytes(id)))
}
