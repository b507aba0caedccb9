//! Protobuf on the wire: a cursor that never reads past its message, and the few functions that write.

use crate::error::{Broken, Fault};

/// Wire type of varints.
pub(crate) const VARINT: u32 = 0;
/// Wire type of 8-byte values.
pub(crate) const FIXED64: u32 = 1;
/// Wire type of strings, bytes, messages and packed arrays.
pub(crate) const LEN: u32 = 2;
/// Wire type that opens a group.
pub(crate) const GROUP: u32 = 3;
/// Wire type that closes a group.
pub(crate) const END_GROUP: u32 = 4;
/// Wire type of 4-byte values.
pub(crate) const FIXED32: u32 = 5;

/// How deep messages may nest below the request: what protobuf implementations accept by default.
pub(crate) const MAX_DEPTH: u32 = 100;
/// The nesting that is left inside a span or log record: request, resource and scope are above it.
pub(crate) const ITEM_DEPTH: u32 = MAX_DEPTH - 3;

/// The key that precedes a field: number and wire type.
pub(crate) const fn key(number: u32, wire: u32) -> u32 {
    number << 3 | wire
}

/// Reads the fields of one message.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    #[inline]
    fn fault(&self, fault: Fault) -> Broken {
        Broken::new(self.rest, fault)
    }

    /// The next field's key, `None` at the end of the message.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Option<u32>, Broken> {
        match *self.rest {
            [] => Ok(None),
            // Field numbers 1 to 15: one byte.
            [byte @ 8..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(Some(u32::from(byte)))
            }
            // 16 to 2047: two bytes, of which the second is not zero.
            [low @ 0x80..=0xFF, high @ 1..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(Some(u32::from(low & 0x7F) | u32::from(high) << 7))
            }
            _ => self.long_key().map(Some),
        }
    }

    fn long_key(&mut self) -> Result<u32, Broken> {
        let start = *self;
        let key = u32::try_from(self.varint()?).map_err(|_| start.fault(Fault::FieldNumber))?;
        if key >> 3 == 0 { Err(start.fault(Fault::FieldNumber)) } else { Ok(key) }
    }

    /// A varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Broken> {
        match *self.rest {
            [byte @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            [low, high @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(low & 0x7F) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                if index == 9 && byte > 1 {
                    return Err(self.fault(Fault::Varint));
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(self.fault(if self.rest.len() < 10 { Fault::Truncated } else { Fault::Varint }))
    }

    /// A length and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let start = *self;
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(start.fault(Fault::Truncated)),
        }
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Broken> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.fault(Fault::Truncated))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, Broken> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.fault(Fault::Truncated))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// Skips the value of a field that nobody knows; `depth` is the nesting that is left for groups.
    pub(crate) fn skip(&mut self, key: u32, depth: u32) -> Result<(), Broken> {
        match key & 7 {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LEN => self.bytes().map(drop),
            FIXED32 => self.fixed32().map(drop),
            GROUP => self.skip_group(key >> 3, depth),
            END_GROUP => Err(self.fault(Fault::Group)),
            _ => Err(self.fault(Fault::WireType)),
        }
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), Broken> {
        let Some(depth) = depth.checked_sub(1) else { return Err(self.fault(Fault::Depth)) };
        loop {
            let start = *self;
            let key = self.key()?.ok_or_else(|| start.fault(Fault::Truncated))?;
            if key & 7 != END_GROUP {
                self.skip(key, depth)?;
            } else if key >> 3 == number {
                return Ok(());
            } else {
                return Err(start.fault(Fault::Group));
            }
        }
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] appends.
pub(crate) const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends a length-delimited field.
pub(crate) fn put_field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(key(number, LEN)));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a length-delimited field whose content `write` appends; the length is filled in afterwards.
pub(crate) fn put_nested<E>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_varint(out, u64::from(key(number, LEN)));
    // One byte is enough for most messages (attributes); a longer length moves the content, which costs a memmove of
    // what was just written.
    let at = out.len();
    out.push(0);
    write(out)?;
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return Ok(());
    }
    let extra = varint_len(length as u64) - 1;
    out.resize(out.len() + extra, 0);
    out.copy_within(at + 1..at + 1 + length, at + 1 + extra);
    let mut value = length as u64;
    for byte in &mut out[at..at + extra] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    out[at + extra] = value as u8;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_their_length_is_known() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            let mut cursor = Cursor::new(&out);
            assert_eq!(cursor.varint().ok(), Some(value));
            assert!(cursor.rest.is_empty());
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xFF; 10];
        bytes[9] = 2;
        assert_eq!(Cursor::new(&bytes).varint().map_err(|broken| broken.fault), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0xFF; 11]).varint().map_err(|broken| broken.fault), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0xFF; 9]).varint().map_err(|broken| broken.fault), Err(Fault::Truncated));
    }

    #[test]
    fn nested_messages_get_their_length_whatever_it_is() {
        for length in [0_usize, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let mut out = vec![7];
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            put_nested::<()>(&mut out, 5, |out| {
                out.extend_from_slice(&content);
                Ok(())
            })
            .expect("written");
            let mut expected = vec![7];
            put_field(&mut expected, 5, &content);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn groups_are_skipped_when_balanced_and_refused_otherwise() {
        let group = [0x08, 0x01, 0x13, 0x08, 0x02, 0x14, 0x0C];
        let mut cursor = Cursor::new(&group);
        assert!(cursor.skip(key(1, GROUP), 10).is_ok());
        assert!(cursor.rest.is_empty());
        assert_eq!(Cursor::new(&[0x14]).skip(key(1, GROUP), 10).map_err(|b| b.fault), Err(Fault::Group));
        assert_eq!(Cursor::new(&[0x08]).skip(key(1, GROUP), 10).map_err(|b| b.fault), Err(Fault::Truncated));
        let deep = [0x0B; 200];
        assert_eq!(Cursor::new(&deep).skip(key(1, GROUP), 10).map_err(|b| b.fault), Err(Fault::Depth));
    }
}
