//! Attributes on the wire: key and scalar value, with the framing of both checked on the way.

use backtrail_model::span::{AttributeValue, SlotValue};

use crate::check;
use crate::error::{Broken, offset_in};
use crate::proto::{Cursor, FIXED64, LEN, VARINT, key};
use crate::schema;

/// An attribute's value, borrowed from the message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scalar<'a> {
    /// No value: the attribute counts as absent.
    Absent,
    Str(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Array, map or bytes.
    Other,
}

impl Scalar<'_> {
    /// As a column's value; strings become offsets into `base`.
    #[inline]
    pub(crate) fn in_slot(self, base: &[u8]) -> SlotValue {
        match self {
            Self::Absent => SlotValue::Absent,
            Self::Str(text) => SlotValue::Str { offset: offset_in(base, text), len: text.len() as u32 },
            Self::Int(value) => SlotValue::Int(value),
            Self::Double(value) => SlotValue::Double(value),
            Self::Bool(value) => SlotValue::Bool(value),
            Self::Other => SlotValue::Other,
        }
    }

    /// As a resource's value.
    pub(crate) fn owned(self) -> Option<AttributeValue> {
        Some(match self {
            Self::Absent => return None,
            Self::Str(text) => AttributeValue::Str(String::from_utf8_lossy(text).into()),
            Self::Int(value) => AttributeValue::Int(value),
            Self::Double(value) => AttributeValue::Double(value),
            Self::Bool(value) => AttributeValue::Bool(value),
            Self::Other => AttributeValue::Other,
        })
    }
}

const KEY: u32 = key(1, LEN);
const VALUE: u32 = key(2, LEN);
const STRING: u32 = key(1, LEN);
const BOOL: u32 = key(2, VARINT);
const INT: u32 = key(3, VARINT);
const DOUBLE: u32 = key(4, FIXED64);
const ARRAY: u32 = key(5, LEN);
const BYTES: u32 = key(7, LEN);

/// Key and value of a `KeyValue` message; `depth` is the nesting that is left below it.
pub(crate) fn key_value(message: &[u8], depth: u32) -> Result<(&[u8], Scalar<'_>), Broken> {
    match common_key_value(message) {
        Some((name, value)) => Ok((name, any_value(value, depth)?)),
        None => uncommon_key_value(message, depth),
    }
}

/// Key and value message as every encoder writes them: the key, then the value, nothing else, both of less than 128
/// bytes or the value of less than 16 KiB. `None` for anything else.
///
/// The value stays a message here: most attributes interest nobody, and making an enum of each costs more than all the
/// rest of the walk (its parts are stored and loaded at different widths, which stalls the CPU).
#[inline]
pub(crate) fn common_key_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0A, length @ ..0x80, rest @ ..] = message else { return None };
    let (name, [0x12, rest @ ..]) = rest.split_at_checked(usize::from(*length))? else { return None };
    match rest {
        [length @ ..0x80, value @ ..] if value.len() == usize::from(*length) => Some((name, value)),
        [low @ 0x80..=0xFF, high @ ..0x80, value @ ..]
            if value.len() == usize::from(low & 0x7F) | usize::from(*high) << 7 =>
        {
            Some((name, value))
        }
        _ => None,
    }
}

/// Checks an `AnyValue` message that nobody wants to read.
#[inline]
pub(super) fn check_value(message: &[u8], depth: u32) -> Result<(), Broken> {
    match message {
        [0x0A, length @ ..0x80, text @ ..] if text.len() == usize::from(*length) => Ok(()),
        // A small integer or a boolean.
        [0x18 | 0x10, ..0x80] | [0x18, 0x80..=0xFF, ..0x80] => Ok(()),
        _ => check::message::<false>(&schema::ANY_VALUE, message, depth.saturating_sub(1)),
    }
}

/// Any other order, repetition or unknown fields: the last of each wins, as in protobuf's merge.
#[cold]
pub(super) fn uncommon_key_value(message: &[u8], depth: u32) -> Result<(&[u8], Scalar<'_>), Broken> {
    let (mut name, mut value) = (&[][..], Scalar::Absent);
    let mut cursor = Cursor::new(message);
    while let Some(key) = cursor.key()? {
        match key {
            KEY => name = cursor.bytes()?,
            VALUE => match any_value(cursor.bytes()?, depth)? {
                Scalar::Absent => {}
                later => value = later,
            },
            _ => check::field::<false>(&schema::KEY_VALUE, key, &mut cursor, depth)?,
        }
    }
    Ok((name, value))
}

/// The scalar in an `AnyValue` message that lies in a message with nesting `depth` left.
#[inline]
pub(crate) fn any_value(message: &[u8], depth: u32) -> Result<Scalar<'_>, Broken> {
    if let [0x0A, length @ ..0x80, rest @ ..] = message
        && rest.len() == usize::from(*length)
    {
        return Ok(Scalar::Str(rest));
    }
    match message {
        // Integers of one and two bytes: status codes, ports, lines.
        [0x18, value @ ..0x80] => Ok(Scalar::Int(i64::from(*value))),
        [0x18, low @ 0x80..=0xFF, high @ ..0x80] => Ok(Scalar::Int(i64::from(low & 0x7F) | i64::from(*high) << 7)),
        _ => uncommon_value(message, depth),
    }
}

fn uncommon_value(message: &[u8], depth: u32) -> Result<Scalar<'_>, Broken> {
    let mut value = Scalar::Absent;
    let mut cursor = Cursor::new(message);
    while let Some(key) = cursor.key()? {
        value = match key {
            STRING => Scalar::Str(cursor.bytes()?),
            BOOL => Scalar::Bool(cursor.varint()? != 0),
            INT => Scalar::Int(cursor.varint()? as i64),
            DOUBLE => Scalar::Double(f64::from_bits(cursor.fixed64()?)),
            _ => {
                check::field::<false>(&schema::ANY_VALUE, key, &mut cursor, depth.saturating_sub(1))?;
                // Array, map, bytes and the string table's index are values of other types; the rest is unknown.
                if (ARRAY..=BYTES + 7).contains(&key) { Scalar::Other } else { value }
            }
        };
    }
    Ok(value)
}

/// Reads a count or status code that may have been written as a number or as decimal text.
pub(crate) fn number(value: SlotValue, base: &[u8]) -> Option<i64> {
    match value {
        SlotValue::Int(value) => Some(value),
        SlotValue::Double(value) if value.fract() == 0.0 => Some(value as i64),
        SlotValue::Str { .. } => std::str::from_utf8(text(value, base)?).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// The bytes of a string value.
#[inline]
pub(crate) fn text(value: SlotValue, base: &[u8]) -> Option<&[u8]> {
    match value {
        SlotValue::Str { offset, len } if len > 0 => base.get(offset as usize..(offset + len) as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_repeated_fields_wins_and_the_order_does_not_matter() {
        // value { int 1 }, key "a", key "b", value { } (merges to int 1)
        let message = [0x12, 2, 0x18, 1, 0x0A, 1, b'a', 0x0A, 1, b'b', 0x12, 0];
        assert_eq!(key_value(&message, 10).ok(), Some((&b"b"[..], Scalar::Int(1))));
    }

    #[test]
    fn all_scalar_types_are_read() {
        let double = [&[0x21][..], &1.5_f64.to_le_bytes()].concat();
        for (bytes, expected) in [
            (&[][..], Scalar::Absent),
            (&[0x0A, 2, b'h', b'i'], Scalar::Str(b"hi")),
            (&[0x10, 1], Scalar::Bool(true)),
            (&[0x18, 0x7F], Scalar::Int(127)),
            (&[0x18, 0xC8, 0x01], Scalar::Int(200)),
            (&[0x18, 0x80, 0x80, 0x01], Scalar::Int(1 << 14)),
            (&[0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], Scalar::Int(-1)),
            (&double, Scalar::Double(1.5)),
            (&[0x2A, 0], Scalar::Other),
            (&[0x32, 0], Scalar::Other),
            (&[0x3A, 0], Scalar::Other),
            (&[0x40, 3], Scalar::Other),
            (&[0x4A, 0], Scalar::Absent),
        ] {
            assert_eq!(any_value(bytes, 10).ok(), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_may_be_text() {
        assert_eq!(number(SlotValue::Str { offset: 1, len: 3 }, b"x503"), Some(503));
        assert_eq!(number(SlotValue::Int(-1), b""), Some(-1));
        assert_eq!(number(SlotValue::Bool(true), b""), None);
    }
}
