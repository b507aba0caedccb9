//! One span: its message becomes a record.

use backtrail_model::lead::Lead;
use backtrail_model::span::{SlotValue, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::{SpanId, Symbol, SymbolKind, TraceId};

use super::errors;
use super::found::Found;
use super::keys::{self, WalkSpec};
use super::sampling;
use super::times::Bounds;
use super::value;
use super::{Invalid, WalkState, Walked};
use crate::check;
use crate::error::{Broken, offset_in};
use crate::proto::{Cursor, FIXED32, FIXED64, ITEM_DEPTH, LEN, VARINT, key};
use crate::schema;

const TRACE_ID: u32 = key(1, LEN);
const SPAN_ID: u32 = key(2, LEN);
const TRACE_STATE: u32 = key(3, LEN);
const PARENT_ID: u32 = key(4, LEN);
const NAME: u32 = key(5, LEN);
const KIND: u32 = key(6, VARINT);
const START: u32 = key(7, FIXED64);
const END: u32 = key(8, FIXED64);
const ATTRIBUTE: u32 = key(9, LEN);
const EVENT: u32 = key(11, LEN);
const LINK: u32 = key(13, LEN);
const STATUS: u32 = key(15, LEN);
const FLAGS: u32 = key(16, FIXED32);

/// The fields as they stand in the message.
#[derive(Default)]
struct Fields<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    trace_state: &'a [u8],
    name: &'a [u8],
    kind: u64,
    start: u64,
    end: u64,
    status: u64,
    otlp_flags: u32,
    flags: SpanFlags,
}

/// Reads the span in `raw` and appends it to the batch, or counts why it is not acceptable.
///
/// Everything is written where it stays. Handing a hundred bytes of fields or record from function to function by
/// value was a third of the walk's time: they are stored one by one, copied as a whole, and the copy waits for each.
pub(super) fn read(
    raw: &[u8],
    request: &[u8],
    (service, origin): (Symbol, u32),
    state: &mut WalkState,
    bounds: &Bounds,
    walked: &mut Walked,
) -> Result<(), Broken> {
    let batch = &mut walked.batch;
    let first_column = batch.slots.len();
    batch.slots.resize(first_column + batch.slot_count, SlotValue::Absent);
    let mut fields = Fields::default();
    read_fields(raw, &mut fields, &mut batch.slots[first_column..], &state.spec, &mut state.found)?;
    let (Some(trace_id), Some(span_id), Some(parent_id)) =
        (trace_id(fields.trace_id), span_id(fields.span_id), parent_id(fields.parent_id))
    else {
        batch.slots.truncate(first_column);
        walked.rejected.count(why_invalid(&fields));
        return Ok(());
    };
    let (found, interner) = (&mut state.found, &mut state.interner);
    let kind = SpanKind::from_number(u64::from(fields.kind as u32));
    let (start, duration, clamped) = bounds.span(fields.start, fields.end, &mut walked.clamped);
    let judged = errors::judge(found, kind, raw);
    batch.trace_ids.push(trace_id);
    batch.records.push(SpanRecord {
        span_id,
        parent_id,
        start,
        duration,
        service,
        operation: interner.intern(SymbolKind::Operation, fields.name),
        peer: found.peer(kind, raw, interner),
        function: found.function(raw, interner),
        file: found.file(raw, interner),
        origin,
        raw_offset: offset_in(request, raw),
        raw_len: raw.len() as u32,
        chunk: 0,
        weight: if fields.trace_state.is_empty() { SpanRecord::ONE } else { sampling::weight(fields.trace_state) },
        flags: flags(&fields, clamped, judged.error, found.flags(raw)),
        status_code: judged.status_code,
        kind,
        resend: found.resend(raw),
        lead: Lead::Whole,
    });
    Ok(())
}

fn flags(fields: &Fields<'_>, clamped: bool, error: bool, attributes: u16) -> SpanFlags {
    let mut flags = SpanFlags(fields.flags.0 | attributes);
    match fields.status as u32 {
        1 => flags.set(SpanFlags::STATUS_OK),
        2 => flags.set(SpanFlags::STATUS_ERROR | SpanFlags::ERROR),
        _ => {}
    }
    if error {
        flags.set(SpanFlags::ERROR);
    }
    if clamped {
        flags.set(SpanFlags::CLAMPED);
    }
    if fields.otlp_flags & 1 != 0 {
        flags.set(SpanFlags::SAMPLED);
    }
    // Bit 8 says that bit 9 means something.
    if fields.otlp_flags & 0x300 == 0x300 {
        flags.set(SpanFlags::REMOTE_PARENT);
    }
    flags
}

#[inline]
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    bytes.try_into().ok().map(TraceId).filter(TraceId::is_valid)
}

#[inline]
fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(|id| SpanId(u64::from_be_bytes(id))).filter(|id| id.is_valid())
}

/// Empty and all zero are both a root.
#[inline]
fn parent_id(bytes: &[u8]) -> Option<SpanId> {
    if bytes.is_empty() {
        return Some(SpanId::NONE);
    }
    bytes.try_into().ok().map(|id| SpanId(u64::from_be_bytes(id)))
}

#[cold]
fn why_invalid(fields: &Fields<'_>) -> Invalid {
    if trace_id(fields.trace_id).is_none() {
        Invalid::Trace
    } else if span_id(fields.span_id).is_none() {
        Invalid::Span
    } else {
        Invalid::Parent
    }
}

fn read_fields<'a>(
    raw: &'a [u8],
    fields: &mut Fields<'a>,
    columns: &mut [SlotValue],
    spec: &WalkSpec,
    found: &mut Found,
) -> Result<(), Broken> {
    found.clear();
    let mut cursor = Cursor::new(raw);
    while let Some(key) = cursor.key()? {
        match key {
            ATTRIBUTE => attribute(raw, cursor.bytes()?, columns, spec, found)?,
            TRACE_ID => fields.trace_id = cursor.bytes()?,
            SPAN_ID => fields.span_id = cursor.bytes()?,
            TRACE_STATE => fields.trace_state = cursor.bytes()?,
            PARENT_ID => fields.parent_id = cursor.bytes()?,
            NAME => fields.name = cursor.bytes()?,
            KIND => fields.kind = cursor.varint()?,
            START => fields.start = cursor.fixed64()?,
            END => fields.end = cursor.fixed64()?,
            FLAGS => fields.otlp_flags = cursor.fixed32()?,
            STATUS => status(cursor.bytes()?, &mut fields.status)?,
            EVENT => {
                fields.flags.set(SpanFlags::EVENTS);
                if event_name(cursor.bytes()?)? == b"exception" {
                    fields.flags.set(SpanFlags::EXCEPTION);
                }
            }
            LINK => {
                fields.flags.set(SpanFlags::LINKS);
                check::message::<false>(&schema::LINK, cursor.bytes()?, ITEM_DEPTH - 1)?;
            }
            _ => check::field::<false>(&schema::SPAN, key, &mut cursor, ITEM_DEPTH)?,
        }
    }
    Ok(())
}

/// One attribute: into the known ones, and into the columns of those that somebody wants.
#[expect(clippy::inline_always, reason = "most attributes are looked at and left, and a call costs a quarter of that")]
#[inline(always)]
pub(super) fn attribute(
    raw: &[u8],
    message: &[u8],
    columns: &mut [SlotValue],
    spec: &WalkSpec,
    found: &mut Found,
) -> Result<(), Broken> {
    let Some((name, value)) = value::common_key_value(message) else {
        let (name, value) = value::uncommon_key_value(message, ITEM_DEPTH - 1)?;
        take(name, keys::hash(name), value.in_slot(raw), columns, spec, found);
        return Ok(());
    };
    let hash = keys::hash(name);
    if keys::may_be_known(hash) || (!columns.is_empty() && spec.may_want(hash)) {
        let value = value::any_value(value, ITEM_DEPTH - 1)?;
        take(name, hash, value.in_slot(raw), columns, spec, found);
        return Ok(());
    }
    value::check_value(value, ITEM_DEPTH - 1)
}

fn take(name: &[u8], hash: u64, value: SlotValue, columns: &mut [SlotValue], spec: &WalkSpec, found: &mut Found) {
    if value == SlotValue::Absent {
        // No value is no attribute: an earlier one of the same key stays.
        return;
    }
    if let Some(known) = keys::known(name, hash) {
        found.set(known, value);
    }
    if !columns.is_empty() {
        spec.columns(name, hash, |column| columns[column] = value);
    }
}

fn status(message: &[u8], code: &mut u64) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.key()? {
        if field == key(3, VARINT) {
            *code = cursor.varint()?;
        } else {
            check::field::<false>(&schema::STATUS, field, &mut cursor, ITEM_DEPTH - 1)?;
        }
    }
    Ok(())
}

fn event_name(message: &[u8]) -> Result<&[u8], Broken> {
    let mut name = &[][..];
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.key()? {
        if field == key(2, LEN) {
            name = cursor.bytes()?;
        } else {
            check::field::<false>(&schema::EVENT, field, &mut cursor, ITEM_DEPTH - 1)?;
        }
    }
    Ok(name)
}
