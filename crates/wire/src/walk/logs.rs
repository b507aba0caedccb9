//! Log records by the same walk.

use backtrail_model::log::{LogBatch, LogBody, LogRecord};
use backtrail_model::span::SlotValue;
use backtrail_model::{SpanId, TraceId, UnixNano};
use bytes::Bytes;

use super::times::{Bounds, ClampCounts};
use super::value::{Scalar, any_value};
use super::{WalkState, Walker, body, check_size, span, template};
use crate::check;
use crate::error::{Broken, WireError, offset_in};
use crate::proto::{Cursor, FIXED32, FIXED64, ITEM_DEPTH, LEN, VARINT, key};
use crate::schema;

/// The log records of one request.
#[derive(Clone, Debug, Default)]
pub struct WalkedLogs {
    /// The records. `permit` is left to the receiver.
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
        self.state.templates.begin();
        self.resources(&request, &mut |state, raw, place| {
            state.templates.enter(place.origin, place.scope);
            let columns = walked.batch.slots.len();
            walked.batch.slots.resize(columns + walked.batch.slot_count, SlotValue::Absent);
            let mut record = read(raw, columns, state, bounds, &mut walked)?;
            record.service = place.resource.service;
            record.origin = place.origin;
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
    if !record.trace_id.is_valid()
        && let Some((trace_id, span_id)) = state.found.ids(raw)
    {
        record.trace_id = trace_id;
        record.span_id = if record.span_id.is_valid() { record.span_id } else { span_id };
    }
    record.body = fields.body;
    if !fields.event_name.is_empty() {
        record.event_name = (offset_in(raw, fields.event_name), fields.event_name.len() as u32);
    }
    record.function = state.found.function(raw, &mut state.interner);
    record.file = state.found.file(raw, &mut state.interner);
    record.line = state.found.line(raw);
    // A structured body is parsed only where something is wanted of it.
    let located = record.function.is_some() || record.file.is_some() || !fields.event_name.is_empty();
    let wanted = record.severity == 0 || !record.trace_id.is_valid() || !located;
    let structured = if wanted { body::read(raw, record.body) } else { None };
    if let Some(structured) = &structured {
        structured.complete(&mut record);
    }
    record.template = template::of(raw, &record, structured.as_ref(), state);
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
