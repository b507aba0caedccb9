//! JSON to protobuf in one pass: each value is written as it is met, and nothing is built in between.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::encoding::{from_base64, from_hex};
use crate::proto::{key, put_field, put_nested, put_varint};
use crate::schema::{Field, Kind, Schema};

/// The protobuf of a request.
pub(super) fn request(schema: &'static Schema, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    // Protobuf takes about half the bytes of compact JSON.
    let mut out = Vec::with_capacity(json.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Message { schema, out: &mut out }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// Writes the fields of an object.
struct Message<'o> {
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an object", self.schema.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fields(self.schema, map, self.out)
    }
}

fn fields<'de, A: MapAccess<'de>>(schema: &'static Schema, mut map: A, out: &mut Vec<u8>) -> Result<(), A::Error> {
    let mut expected = 0;
    while let Some(field) = map.next_key_seed(Name { schema, expected: &mut expected })? {
        match field {
            Some(field) => map.next_value_seed(Value { field, place: Place::Field, out })?,
            None => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    Ok(())
}

/// Finds the field of a key. Encoders write fields in the order of the schema, so the next one is tried first.
struct Name<'e> {
    schema: &'static Schema,
    expected: &'e mut usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let fields = self.schema.fields;
        let found = match fields.get(*self.expected) {
            Some(field) if field.name == name => Some(*self.expected),
            _ => fields.iter().position(|field| field.name == name),
        };
        Ok(found.map(|index| {
            *self.expected = index + 1;
            &fields[index]
        }))
    }
}

/// Where a value stands, which says what is written before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The value of a field: an array if the field is repeated.
    Field,
    /// An element of a repeated field: written with the field's key.
    Element,
    /// An element of a packed array: written bare.
    Packed,
}

/// Writes one field.
struct Value<'o> {
    field: &'static Field,
    place: Place,
    out: &'o mut Vec<u8>,
}

impl Value<'_> {
    fn key(&mut self) {
        if self.place != Place::Packed {
            put_varint(self.out, u64::from(key(self.field.number, self.field.kind.wire())));
        }
    }

    fn varint(mut self, value: u64) {
        self.key();
        put_varint(self.out, value);
    }

    fn fixed64(mut self, value: u64) {
        self.key();
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// An integer, however it was written. `i128` holds every 64-bit integer of either sign.
    fn integer<E: Error>(mut self, value: i128) -> Result<(), E> {
        let (field, unsigned, signed) = (self.field, u64::try_from(value), i64::try_from(value));
        let range = || E::custom(format_args!("{}: integer {value} is out of range", field.name));
        match field.kind {
            Kind::Fixed64 => self.fixed64(unsigned.map_err(|_| range())?),
            Kind::Sfixed64 => self.fixed64(signed.map_err(|_| range())? as u64),
            Kind::Double => self.fixed64((value as f64).to_bits()),
            Kind::Int64 => self.varint(signed.map_err(|_| range())? as u64),
            Kind::Uint64 => self.varint(unsigned.map_err(|_| range())?),
            Kind::Int32 | Kind::Enum(_) => {
                let value = i32::try_from(value).map_err(|_| range())?;
                self.varint(i64::from(value) as u64);
            }
            Kind::Uint32 => self.varint(u64::from(u32::try_from(value).map_err(|_| range())?)),
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(|_| range())?;
                // Zigzag: the sign moves to the lowest bit.
                self.varint(u64::from((value << 1 ^ value >> 31) as u32));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(|_| range())?;
                self.key();
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Text | Kind::Id | Kind::Bytes | Kind::Bool | Kind::Message(_) => {
                return Err(wrong_type(field, "a number"));
            }
        }
        Ok(())
    }

    fn double<E: Error>(self, value: f64) -> Result<(), E> {
        if let Kind::Double = self.field.kind {
            self.fixed64(value.to_bits());
            return Ok(());
        }
        // Protobuf's JSON allows 1.0 and 1e3 where an integer is meant.
        if value.fract() == 0.0 && value.abs() < 1e19 {
            return self.integer(value as i128);
        }
        Err(wrong_type(self.field, "a number with a fraction"))
    }

    /// A number that was written as a string.
    fn number_text<E: Error>(self, text: &str) -> Result<(), E> {
        if let Ok(value) = text.parse::<i128>() {
            return self.integer(value);
        }
        if let Kind::Enum(names) = self.field.kind
            && let Some(number) = names.iter().position(|&name| name == text)
        {
            self.varint(number as u64);
            return Ok(());
        }
        match text.parse::<f64>() {
            Ok(value) => self.double(value),
            Err(_) => Err(E::custom(format_args!("{}: '{text}' is not a value of this field", self.field.name))),
        }
    }

    fn decoded<E: Error>(mut self, text: &str, decode: fn(&str, &mut Vec<u8>) -> Option<()>) -> Result<(), E> {
        let field = self.field;
        let wrong = if matches!(field.kind, Kind::Id) { "hex" } else { "base64" };
        debug_assert!(self.place != Place::Packed, "only numbers are packed");
        put_nested(self.out, field.number, |out| decode(text, out).ok_or(()))
            .map_err(|()| E::custom(format_args!("{}: not {wrong}", self.field.name)))?;
        self.place = Place::Element;
        Ok(())
    }
}

fn wrong_type<E: Error>(field: &Field, met: &str) -> E {
    E::custom(format_args!("{}: {met} where {} is meant", field.name, expected_type(field)))
}

fn expected_type(field: &Field) -> &'static str {
    if field.repeated {
        return "an array";
    }
    match field.kind {
        Kind::Text => "a string",
        Kind::Id => "hex in a string",
        Kind::Bytes => "base64 in a string",
        Kind::Bool => "true or false",
        Kind::Double => "a number",
        Kind::Message(_) => "an object",
        _ => "an integer",
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", expected_type(self.field), self.field.name)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.field.repeated && self.place == Place::Field {
            return Err(wrong_type(self.field, "a string"));
        }
        match self.field.kind {
            Kind::Text => {
                put_field(self.out, self.field.number, text.as_bytes());
                Ok(())
            }
            Kind::Id => self.decoded(text, from_hex),
            Kind::Bytes => self.decoded(text, from_base64),
            Kind::Bool | Kind::Message(_) => Err(wrong_type(self.field, "a string")),
            _ => self.number_text(text),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.double(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) {
            return Err(wrong_type(self.field, "a boolean"));
        }
        self.varint(u64::from(value));
        Ok(())
    }

    /// null: absent.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field.kind {
            Kind::Message(schema) if !self.field.repeated || self.place == Place::Element => {
                put_nested(self.out, self.field.number, |out| fields(schema, map, out))
            }
            _ => Err(wrong_type(self.field, "an object")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { field, place, out } = self;
        if !field.repeated || place != Place::Field {
            return Err(wrong_type(field, "an array"));
        }
        if let Kind::Text | Kind::Message(_) = field.kind {
            while seq.next_element_seed(Value { field, place: Place::Element, out })?.is_some() {}
            return Ok(());
        }
        put_nested(out, field.number, |out| {
            while seq.next_element_seed(Value { field, place: Place::Packed, out })?.is_some() {}
            Ok(())
        })
    }
}
