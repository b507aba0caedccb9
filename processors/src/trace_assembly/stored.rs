//! How a span lies in the arena: a fixed head, its columns, and its bytes without what the head already says.

use backtrail_model::ids::{SpanId, TraceId};
use backtrail_model::span::{SlotValue, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::Symbol;
use backtrail_model::time::UnixNano;

/// Bytes of the head.
pub(super) const HEAD: usize = 77;

/// Field keys and lengths as every SDK writes them: trace id, span id, parent id.
const TRACE_KEY: [u8; 2] = [0x0A, 16];
const SPAN_KEY: [u8; 2] = [0x12, 8];
const PARENT_KEY: [u8; 2] = [0x22, 8];
const SHORT_PREFIX: usize = 28;
const LONG_PREFIX: usize = 38;

/// What of the span's own bytes is not stored, because the record and the trace say it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Prefix {
    /// Everything is stored.
    None = 0,
    /// Trace id and span id are rebuilt.
    Short = 1,
    /// Trace id, span id and parent id are rebuilt.
    Long = 2,
}

impl Prefix {
    /// The longest prefix of `raw` that [`Prefix::write`] would give back bit by bit.
    pub(super) fn of(raw: &[u8], trace: TraceId, record: &SpanRecord) -> Self {
        let ids = |raw: &[u8]| {
            raw[..2] == TRACE_KEY
                && raw[2..18] == trace.0
                && raw[18..20] == SPAN_KEY
                && raw[20..28] == record.span_id.0.to_be_bytes()
        };
        if raw.len() >= LONG_PREFIX
            && ids(raw)
            && raw[28..30] == PARENT_KEY
            && raw[30..38] == record.parent_id.0.to_be_bytes()
        {
            Self::Long
        } else if raw.len() >= SHORT_PREFIX && ids(raw) {
            Self::Short
        } else {
            Self::None
        }
    }

    pub(super) const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Short => SHORT_PREFIX,
            Self::Long => LONG_PREFIX,
        }
    }

    fn write(self, trace: TraceId, record: &SpanRecord, to: &mut Vec<u8>) {
        if self == Self::None {
            return;
        }
        let mut prefix = [0; LONG_PREFIX];
        prefix[..2].copy_from_slice(&TRACE_KEY);
        prefix[2..18].copy_from_slice(&trace.0);
        prefix[18..20].copy_from_slice(&SPAN_KEY);
        prefix[20..28].copy_from_slice(&record.span_id.0.to_be_bytes());
        prefix[28..30].copy_from_slice(&PARENT_KEY);
        prefix[30..38].copy_from_slice(&record.parent_id.0.to_be_bytes());
        to.extend_from_slice(&prefix[..self.len()]);
    }
}

/// The head of a stored span, read back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// The record: `origin` indexes the shard's table, `raw_offset` is not set.
    pub(super) record: SpanRecord,
    pub(super) prefix: Prefix,
    pub(super) slot_count: u16,
    slots_len: u32,
}

/// Encodes the head.
pub(super) fn head(
    record: &SpanRecord,
    origin: u32,
    prefix: Prefix,
    slot_count: usize,
    slots_len: usize,
) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[0..8].copy_from_slice(&record.span_id.0.to_le_bytes());
    head[8..16].copy_from_slice(&record.parent_id.0.to_le_bytes());
    head[16..24].copy_from_slice(&record.start.0.to_le_bytes());
    head[24..32].copy_from_slice(&record.duration.to_le_bytes());
    head[32..36].copy_from_slice(&record.service.0.to_le_bytes());
    head[36..40].copy_from_slice(&record.operation.0.to_le_bytes());
    head[40..44].copy_from_slice(&record.peer.0.to_le_bytes());
    head[44..48].copy_from_slice(&record.function.0.to_le_bytes());
    head[48..52].copy_from_slice(&record.file.0.to_le_bytes());
    head[52..56].copy_from_slice(&origin.to_le_bytes());
    head[56..60].copy_from_slice(&record.raw_len.to_le_bytes());
    head[60..64].copy_from_slice(&record.weight.to_le_bytes());
    head[64..66].copy_from_slice(&record.flags.0.to_le_bytes());
    head[66..68].copy_from_slice(&record.status_code.to_le_bytes());
    head[68] = record.kind as u8;
    head[69] = record.resend;
    head[70] = prefix as u8;
    head[71..73].copy_from_slice(&(slot_count as u16).to_le_bytes());
    head[73..77].copy_from_slice(&(slots_len as u32).to_le_bytes());
    head
}

fn number<const N: usize>(bytes: &[u8; HEAD], at: usize) -> [u8; N] {
    let mut number = [0; N];
    number.copy_from_slice(&bytes[at..at + N]);
    number
}

impl Stored {
    /// Reads the head of the span whose bytes begin `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut head = [0; HEAD];
        head.copy_from_slice(&bytes[..HEAD]);
        let word = |at| u32::from_le_bytes(number(&head, at));
        let long = |at| u64::from_le_bytes(number(&head, at));
        let record = SpanRecord {
            span_id: SpanId(long(0)),
            parent_id: SpanId(long(8)),
            start: UnixNano(long(16)),
            duration: long(24),
            service: Symbol(word(32)),
            operation: Symbol(word(36)),
            peer: Symbol(word(40)),
            function: Symbol(word(44)),
            file: Symbol(word(48)),
            origin: word(52),
            raw_offset: 0,
            raw_len: word(56),
            weight: word(60),
            flags: SpanFlags(u16::from_le_bytes(number(&head, 64))),
            status_code: u16::from_le_bytes(number(&head, 66)),
            kind: SpanKind::from_number(u64::from(head[68])),
            resend: head[69],
        };
        let prefix = match head[70] {
            0 => Prefix::None,
            1 => Prefix::Short,
            _ => Prefix::Long,
        };
        Self { record, prefix, slot_count: u16::from_le_bytes(number(&head, 71)), slots_len: word(73) }
    }

    /// Length of the whole stored span.
    pub(super) fn len(&self) -> usize {
        HEAD + self.slots_len as usize + self.body_len()
    }

    fn body_len(&self) -> usize {
        self.record.raw_len as usize - self.prefix.len()
    }

    /// The stored part of the span's own bytes; `bytes` begins with the stored span.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[HEAD + self.slots_len as usize..self.len()]
    }

    /// Appends the span's own bytes as they were received.
    pub(super) fn write_raw(&self, bytes: &[u8], trace: TraceId, to: &mut Vec<u8>) {
        self.prefix.write(trace, &self.record, to);
        to.extend_from_slice(self.body(bytes));
    }

    /// Appends the span's columns.
    pub(super) fn write_slots(&self, bytes: &[u8], to: &mut Vec<SlotValue>) {
        let mut rest = &bytes[HEAD..HEAD + self.slots_len as usize];
        for _ in 0..self.slot_count {
            let (&tag, tail) = rest.split_first().unwrap_or((&ABSENT, &[]));
            rest = tail;
            to.push(match tag {
                STR => {
                    let offset = varint(&mut rest) as u32;
                    SlotValue::Str { offset, len: varint(&mut rest) as u32 }
                }
                INT => SlotValue::Int(eight(&mut rest) as i64),
                DOUBLE => SlotValue::Double(f64::from_bits(eight(&mut rest))),
                FALSE => SlotValue::Bool(false),
                TRUE => SlotValue::Bool(true),
                OTHER => SlotValue::Other,
                _ => SlotValue::Absent,
            });
        }
    }
}

const ABSENT: u8 = 0;
const STR: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const OTHER: u8 = 6;

/// Encodes columns: a byte each, and the value of those that are there.
pub(super) fn encode_slots(slots: &[SlotValue], to: &mut Vec<u8>) {
    for slot in slots {
        match *slot {
            SlotValue::Absent => to.push(ABSENT),
            SlotValue::Str { offset, len } => {
                to.push(STR);
                put_varint(offset, to);
                put_varint(len, to);
            }
            SlotValue::Int(value) => {
                to.push(INT);
                to.extend_from_slice(&value.to_le_bytes());
            }
            SlotValue::Double(value) => {
                to.push(DOUBLE);
                to.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            SlotValue::Bool(value) => to.push(if value { TRUE } else { FALSE }),
            SlotValue::Other => to.push(OTHER),
        }
    }
}

fn put_varint(mut value: u32, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn varint(from: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, rest)) = from.split_first() {
        *from = rest;
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 || shift > 28 {
            break;
        }
    }
    value
}

fn eight(from: &mut &[u8]) -> u64 {
    from.split_first_chunk().map_or(0, |(bytes, rest)| {
        *from = rest;
        u64::from_le_bytes(*bytes)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot() -> impl Strategy<Value = SlotValue> {
        prop_oneof![
            Just(SlotValue::Absent),
            (any::<u32>(), any::<u32>()).prop_map(|(offset, len)| SlotValue::Str { offset, len }),
            any::<i64>().prop_map(SlotValue::Int),
            (-1e9..1e9).prop_map(SlotValue::Double),
            any::<bool>().prop_map(SlotValue::Bool),
            Just(SlotValue::Other),
        ]
    }

    fn canonical(trace: TraceId, span: u64, parent: Option<u64>) -> Vec<u8> {
        let mut raw = [&TRACE_KEY[..], &trace.0, &SPAN_KEY, &span.to_be_bytes()].concat();
        if let Some(parent) = parent {
            raw.extend_from_slice(&PARENT_KEY);
            raw.extend_from_slice(&parent.to_be_bytes());
        }
        raw
    }

    proptest! {
        #[test]
        fn a_span_comes_back_as_it_was_stored(
            ids in any::<[u64; 2]>(), times in any::<[u64; 2]>(), words in any::<[u32; 7]>(), kind in 0_u64..6,
            slots in prop::collection::vec(slot(), 0..5), tail in prop::collection::vec(any::<u8>(), 0..60),
            shape in 0..4,
        ) {
            let trace = TraceId([9; 16]);
            let mut raw = match shape {
                0 => Vec::new(),
                1 => canonical(trace, ids[0], None),
                2 => canonical(trace, ids[0], Some(ids[1])),
                _ => canonical(trace, !ids[0], Some(ids[1])),
            };
            raw.extend_from_slice(&tail);
            let record = SpanRecord {
                span_id: SpanId(ids[0]), parent_id: SpanId(ids[1]), start: UnixNano(times[0]), duration: times[1],
                service: Symbol(words[0]), operation: Symbol(words[1]), peer: Symbol(words[2]),
                function: Symbol(words[3]), file: Symbol(words[4]), origin: 7, raw_offset: 0,
                raw_len: raw.len() as u32, weight: words[5], flags: SpanFlags(words[6] as u16),
                status_code: (words[6] >> 16) as u16, kind: SpanKind::from_number(kind), resend: words[5] as u8,
            };
            let prefix = Prefix::of(&raw, trace, &record);
            if shape == 2 { prop_assert_eq!(prefix, Prefix::Long) }
            let mut columns = Vec::new();
            encode_slots(&slots, &mut columns);
            let mut bytes = head(&record, 7, prefix, slots.len(), columns.len()).to_vec();
            bytes.extend_from_slice(&columns);
            bytes.extend_from_slice(&raw[prefix.len()..]);
            bytes.extend_from_slice(b"the next one");
            let stored = Stored::read(&bytes);
            prop_assert_eq!(stored.record, record);
            prop_assert_eq!(stored.len() + 12, bytes.len());
            let (mut raw_again, mut slots_again) = (Vec::new(), Vec::new());
            stored.write_raw(&bytes, trace, &mut raw_again);
            stored.write_slots(&bytes, &mut slots_again);
            prop_assert_eq!(raw_again, raw);
            prop_assert_eq!(slots_again, slots);
        }
    }
}
