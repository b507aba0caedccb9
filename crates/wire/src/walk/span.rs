//! One span: its message becomes a record.

use backtrail_model::span::{SlotValue, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::{SpanId, Symbol, SymbolKind, TraceId};

use super::errors;
use super::found::Found;
use super::intern::Interner;
use super::keys::{self, WalkSpec};
use super::sampling;
use super::times::{Bounds, ClampCounts};
use super::value;
use super::{Invalid, WalkState};
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

/// Reads the span in `raw`. `columns` are its slots, all absent. Inner `Err`: the span is not acceptable.
pub(super) fn read(
    raw: &[u8],
    columns: &mut [SlotValue],
    state: &mut WalkState,
    bounds: &Bounds,
    counts: &mut ClampCounts,
) -> Result<Result<(TraceId, SpanRecord), Invalid>, Broken> {
    let fields = read_fields(raw, columns, &state.spec, &mut state.found)?;
    let (trace_id, span_id, parent_id) = match ids(&fields) {
        Ok(ids) => ids,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let (found, interner) = (&mut state.found, &mut state.interner);
    let kind = SpanKind::from_number(u64::from(fields.kind as u32));
    let mut record = SpanRecord { span_id, parent_id, kind, flags: fields.flags, ..SpanRecord::default() };
    let (start, duration, clamped) = bounds.span(fields.start, fields.end, counts);
    (record.start, record.duration) = (start, duration);
    if clamped {
        record.flags.set(SpanFlags::CLAMPED);
    }
    record.operation = interner.intern(SymbolKind::Operation, fields.name);
    record.weight = if fields.trace_state.is_empty() { SpanRecord::ONE } else { sampling::weight(fields.trace_state) };
    record.raw_len = raw.len() as u32;
    from_attributes(&mut record, raw, found, interner);
    match fields.status as u32 {
        1 => record.flags.set(SpanFlags::STATUS_OK),
        2 => record.flags.set(SpanFlags::STATUS_ERROR | SpanFlags::ERROR),
        _ => {}
    }
    if fields.otlp_flags & 1 != 0 {
        record.flags.set(SpanFlags::SAMPLED);
    }
    // Bit 8 says that bit 9 means something.
    if fields.otlp_flags & 0x300 == 0x300 {
        record.flags.set(SpanFlags::REMOTE_PARENT);
    }
    Ok(Ok((trace_id, record)))
}

fn from_attributes(record: &mut SpanRecord, raw: &[u8], found: &mut Found, interner: &mut Interner) {
    record.function = found.function(raw, interner);
    record.file = found.file(raw, interner);
    record.peer = found.peer(record.kind, raw, interner);
    record.resend = found.resend(raw);
    record.flags.set(found.flags(raw));
    let judged = errors::judge(found, record.kind, raw);
    record.status_code = judged.status_code;
    if judged.error {
        record.flags.set(SpanFlags::ERROR);
    }
    debug_assert!(record.service == Symbol::NONE, "the caller knows the service");
}

fn ids(fields: &Fields<'_>) -> Result<(TraceId, SpanId, SpanId), Invalid> {
    let trace_id = <[u8; 16]>::try_from(fields.trace_id).map(TraceId).ok().filter(TraceId::is_valid);
    let span_id = <[u8; 8]>::try_from(fields.span_id).map(|id| SpanId(u64::from_be_bytes(id))).ok();
    let parent_id = match fields.parent_id {
        [] => Some(SpanId::NONE),
        id => <[u8; 8]>::try_from(id).map(|id| SpanId(u64::from_be_bytes(id))).ok(),
    };
    Ok((
        trace_id.ok_or(Invalid::Trace)?,
        span_id.filter(|id| id.is_valid()).ok_or(Invalid::Span)?,
        parent_id.ok_or(Invalid::Parent)?,
    ))
}

fn read_fields<'a>(
    raw: &'a [u8],
    columns: &mut [SlotValue],
    spec: &WalkSpec,
    found: &mut Found,
) -> Result<Fields<'a>, Broken> {
    found.clear();
    let mut fields = Fields::default();
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
    Ok(fields)
}

/// One attribute: into the known ones, and into the columns of those that somebody wants.
#[inline]
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

/// Where the span's message starts in the request.
pub(super) fn place(record: &mut SpanRecord, request: &[u8], raw: &[u8]) {
    record.raw_offset = offset_in(request, raw);
}
