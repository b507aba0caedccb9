//! The ids at the beginning of a span's protobuf message. Every SDK writes them first and in the same form, and the record
//! and its trace say them as well, so that they need not wait in memory with the rest.

use crate::ids::TraceId;
use crate::span::SpanRecord;

/// Field keys and lengths: trace id (field 1), span id (2), parent id (4).
const TRACE_KEY: [u8; 2] = [0x0A, 16];
const SPAN_KEY: [u8; 2] = [0x12, 8];
const PARENT_KEY: [u8; 2] = [0x22, 8];

/// What of the beginning of a span's message is left out of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Lead {
    /// Nothing: the bytes are the whole message.
    #[default]
    Whole = 0,
    /// Trace id and span id: 28 bytes.
    Ids = 28,
    /// Trace id, span id and parent id: 38 bytes.
    AllIds = 38,
}

impl Lead {
    /// The longest beginning of `message` that [`Lead::bytes`] gives back bit by bit.
    #[inline]
    pub fn of(message: &[u8], trace: TraceId, record: &SpanRecord) -> Self {
        // Compared part by part: a copy put together first would be read back wider than it was written.
        let Some((head, rest)) = message.split_first_chunk::<28>() else { return Self::Whole };
        let same = head[..2] == TRACE_KEY
            && head[2..18] == trace.0
            && head[18..20] == SPAN_KEY
            && head[20..] == record.span_id.0.to_be_bytes();
        match rest.first_chunk::<10>() {
            _ if !same => Self::Whole,
            Some(next) if next[..2] == PARENT_KEY && next[2..] == record.parent_id.0.to_be_bytes() => Self::AllIds,
            _ => Self::Ids,
        }
    }

    /// How many bytes are left out.
    pub const fn len(self) -> usize {
        self as usize
    }

    /// Whether nothing is left out.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::Whole)
    }

    /// Appends what was left out.
    pub fn write(self, trace: TraceId, record: &SpanRecord, to: &mut Vec<u8>) {
        if self != Self::Whole {
            to.extend_from_slice(&ids(trace, record));
        }
        if self == Self::AllIds {
            to.extend_from_slice(&parent(record));
        }
    }
}

/// A span's message in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    left_out: Option<(TraceId, &'a SpanRecord)>,
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message of which all bytes are there.
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self { left_out: None, rest: bytes }
    }

    /// A message without its [lead](SpanRecord::lead).
    pub const fn without_lead(trace: TraceId, record: &'a SpanRecord, rest: &'a [u8]) -> Self {
        Self { left_out: Some((trace, record)), rest }
    }

    /// The bytes that are there: all fields but, possibly, the ids.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Length of the whole message in bytes.
    pub fn len(&self) -> usize {
        self.left_out.map_or(0, |(_, record)| record.lead.len()) + self.rest.len()
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the whole message as it was received.
    pub fn write(&self, to: &mut Vec<u8>) {
        if let Some((trace, record)) = self.left_out {
            record.lead.write(trace, record, to);
        }
        to.extend_from_slice(self.rest);
    }
}

fn ids(trace: TraceId, record: &SpanRecord) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&TRACE_KEY);
    bytes[2..18].copy_from_slice(&trace.0);
    bytes[18..20].copy_from_slice(&SPAN_KEY);
    bytes[20..].copy_from_slice(&record.span_id.0.to_be_bytes());
    bytes
}

fn parent(record: &SpanRecord) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&PARENT_KEY);
    bytes[2..].copy_from_slice(&record.parent_id.0.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SpanId;

    #[test]
    fn what_is_left_out_comes_back() {
        let trace = TraceId([9; 16]);
        let record = SpanRecord { span_id: SpanId(7), parent_id: SpanId(8), ..SpanRecord::default() };
        let other = SpanRecord { span_id: SpanId(6), ..record };
        let tail = [0x2A, 1, b'x'];
        for (lead, wrote) in [(Lead::Whole, other), (Lead::Ids, record), (Lead::AllIds, record)] {
            let mut message = Vec::new();
            let written = if lead == Lead::Whole { Lead::AllIds } else { lead };
            written.write(trace, &wrote, &mut message);
            message.extend_from_slice(&tail);
            assert_eq!(Lead::of(&message, trace, &record), lead);
            let mut again = Vec::new();
            lead.write(trace, &record, &mut again);
            again.extend_from_slice(&message[lead.len()..]);
            assert_eq!(again, message);
            for end in 0..lead.len() {
                assert!(Lead::of(&message[..end], trace, &record) < lead, "cut at {end}");
            }
        }
    }
}
