//! The wanted attributes of a span as they stand behind its bytes in a trace: most spans carry few of them, so only those
//! that are there are written.
//!
//! A count, then for each: the slot, a tag, and the value. Numbers of variable length are LEB128.

use crate::span::{Slot, SlotValue};

const STR: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const OTHER: u8 = 6;

/// Appends the values that are there in some of the slots. Offsets of strings are lessened by `lead`, which is how many bytes of the message's
/// beginning are left out. Answers whether there was anything to write.
pub fn write(slots: &[SlotValue], wanted: &[Slot], lead: usize, to: &mut Vec<u8>) -> bool {
    let value = |slot: &Slot| slots.get(usize::from(slot.0)).copied().unwrap_or(SlotValue::Absent);
    let present = || wanted.iter().map(|slot| (slot, value(slot))).filter(|&(_, value)| value != SlotValue::Absent);
    let count = present().count();
    if count == 0 {
        return false;
    }
    put_varint(count as u32, to);
    for (slot, value) in present() {
        put_varint(u32::from(slot.0), to);
        match value {
            SlotValue::Str { offset, len } => {
                to.push(STR);
                put_varint(offset.saturating_sub(lead as u32), to);
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
            SlotValue::Absent => {}
        }
    }
    true
}

/// What [`write`] wrote, value by value.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    left: u32,
    rest: &'a [u8],
}

impl<'a> Columns<'a> {
    /// Reads columns that stand at the beginning of `bytes`; more may follow them.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        Self { left: varint(&mut rest), rest }
    }

    /// No columns.
    pub const fn none() -> Self {
        Self { left: 0, rest: &[] }
    }

    /// The value in a slot.
    pub fn get(mut self, slot: Slot) -> SlotValue {
        self.find(|&(found, _)| found == slot).map_or(SlotValue::Absent, |(_, value)| value)
    }

    /// The bytes behind the columns.
    pub fn after(mut self) -> &'a [u8] {
        while self.next().is_some() {}
        self.rest
    }
}

impl Iterator for Columns<'_> {
    type Item = (Slot, SlotValue);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let slot = Slot(varint(&mut self.rest) as u16);
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        let value = match tag {
            STR => {
                let offset = varint(&mut self.rest);
                SlotValue::Str { offset, len: varint(&mut self.rest) }
            }
            INT => SlotValue::Int(eight(&mut self.rest) as i64),
            DOUBLE => SlotValue::Double(f64::from_bits(eight(&mut self.rest))),
            FALSE => SlotValue::Bool(false),
            TRUE => SlotValue::Bool(true),
            _ => SlotValue::Other,
        };
        Some((slot, value))
    }
}

fn put_varint(mut value: u32, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn varint(from: &mut &[u8]) -> u32 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, rest)) = from.split_first() {
        *from = rest;
        value |= u32::from(byte & 0x7F) << shift;
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
    use super::*;

    #[test]
    fn columns_come_back_as_they_were_written() {
        let slots = [
            SlotValue::Absent,
            SlotValue::Str { offset: 300, len: 70_000 },
            SlotValue::Int(-5),
            SlotValue::Absent,
            SlotValue::Double(0.25),
            SlotValue::Bool(true),
            SlotValue::Bool(false),
            SlotValue::Other,
            SlotValue::Int(9),
        ];
        let wanted: Vec<Slot> = (0..10).filter(|&slot| slot != 8).map(Slot).collect();
        let mut bytes = Vec::new();
        assert!(write(&slots, &wanted, 38, &mut bytes));
        bytes.extend_from_slice(b"next");
        let columns = Columns::read(&bytes);
        assert_eq!(columns.clone().get(Slot(1)), SlotValue::Str { offset: 262, len: 70_000 });
        for slot in [0, 2, 3, 4, 5, 6, 7, 8] {
            let expected = if slot == 8 { SlotValue::Absent } else { slots[slot] };
            assert_eq!(columns.clone().get(Slot(slot as u16)), expected, "slot {slot}");
        }
        assert_eq!(columns.after(), b"next");
    }

    #[test]
    fn nothing_is_written_where_nothing_is_there() {
        let mut bytes = Vec::new();
        assert!(!write(&[SlotValue::Absent; 3], &[Slot(0), Slot(1), Slot(2)], 0, &mut bytes));
        assert!(!write(&[SlotValue::Int(1)], &[], 0, &mut bytes));
        assert!(bytes.is_empty());
        assert_eq!(Columns::none().get(Slot(0)), SlotValue::Absent);
    }

    #[test]
    fn bytes_that_break_off_end_the_columns() {
        let mut bytes = Vec::new();
        write(&[SlotValue::Int(1), SlotValue::Str { offset: 9, len: 9 }], &[Slot(0), Slot(1)], 0, &mut bytes);
        for end in 0..bytes.len() {
            assert!(Columns::read(&bytes[..end]).count() <= 2);
        }
    }
}
