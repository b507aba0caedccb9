//! Protobuf to JSON, for what people look at: not a hot path.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::encoding::{to_base64, to_hex};
use crate::error::Broken;
use crate::proto::{Cursor, FIXED32, FIXED64, LEN, MAX_DEPTH};
use crate::schema::{Field, Kind, Schema};

/// The JSON of a message whose framing was checked. Unknown fields have no name and are left out.
pub(super) fn message(schema: &Schema, bytes: &[u8]) -> Result<Value, Broken> {
    let mut object = Map::new();
    // A message field that is set twice merges, which is the same as reading the concatenation of its parts.
    let mut parts: Vec<(&Field, Cow<'_, [u8]>)> = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while let Some(key) = cursor.key()? {
        let Some(field) = schema.field(key >> 3) else {
            cursor.skip(key, MAX_DEPTH)?;
            continue;
        };
        if field.repeated {
            let array = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(array) = array else { continue };
            if key & 7 == LEN && field.kind.wire() != LEN {
                let mut packed = Cursor::new(cursor.bytes()?);
                while !packed.rest.is_empty() {
                    array.push(value(field.kind, &mut packed)?);
                }
            } else {
                array.push(value(field.kind, &mut cursor)?);
            }
        } else if let Kind::Message(_) = field.kind {
            let part = cursor.bytes()?;
            match parts.iter_mut().find(|(known, _)| known.number == field.number) {
                Some((_, earlier)) => earlier.to_mut().extend_from_slice(part),
                None => parts.push((field, Cow::Borrowed(part))),
            }
        } else {
            object.insert(field.name.to_owned(), value(field.kind, &mut cursor)?);
        }
    }
    for (field, bytes) in parts {
        if let Kind::Message(inner) = field.kind {
            object.insert(field.name.to_owned(), message(inner, &bytes)?);
        }
    }
    Ok(Value::Object(object))
}

fn value(kind: Kind, cursor: &mut Cursor<'_>) -> Result<Value, Broken> {
    let bits = match kind.wire() {
        LEN => {
            let bytes = cursor.bytes()?;
            return match kind {
                Kind::Message(schema) => message(schema, bytes),
                Kind::Id => Ok(Value::String(to_hex(bytes))),
                Kind::Bytes => Ok(Value::String(to_base64(bytes))),
                _ => Ok(Value::String(String::from_utf8_lossy(bytes).into_owned())),
            };
        }
        FIXED64 => cursor.fixed64()?,
        FIXED32 => u64::from(cursor.fixed32()?),
        _ => cursor.varint()?,
    };
    Ok(match kind {
        Kind::Bool => Value::Bool(bits != 0),
        Kind::Double => double(f64::from_bits(bits)),
        // 64-bit integers are strings, because JSON's readers keep 53 bits.
        Kind::Int64 | Kind::Sfixed64 => Value::String((bits as i64).to_string()),
        Kind::Uint64 | Kind::Fixed64 => Value::String(bits.to_string()),
        Kind::Int32 | Kind::Enum(_) => Value::from(bits as i32),
        Kind::Sint32 => Value::from((bits as u32 >> 1) as i32 ^ -((bits & 1) as i32)),
        _ => Value::from(bits as u32),
    })
}

/// A double; what JSON cannot write becomes text, as protobuf's JSON says.
pub(crate) fn double(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}
