//! Data points on the wire: numbers, histograms of both kinds, summaries.

use std::borrow::Cow;

use backtrail_model::UnixNano;

use super::{DEPTH, EXPONENTIAL, Entity, GAUGE, HISTOGRAM, Known, MetricPoint, Quantity, SUM, Shape, Skipped};
use crate::error::Broken;
use crate::proto::{Cursor, FIXED64, ITEM_DEPTH, LEN, VARINT, key};
use crate::walk::{Scalar, key_value};

/// `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u64 = 1;

/// A point's attributes as text, sorted by key; of equal keys the last one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attributes<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Attributes<'a> {
    /// The value of the first of `keys` that is present and not empty.
    pub fn first(&self, keys: &[&str]) -> Option<&Cow<'a, str>> {
        keys.iter().find_map(|key| {
            let at = self.0.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
            Some(&self.0[at].1).filter(|value| !value.is_empty())
        })
    }

    /// Whether one of `keys` is present, with or without a value.
    pub fn has(&self, keys: &[&str]) -> bool {
        self.0.iter().any(|(key, _)| keys.contains(key))
    }

    /// All of them, in order of key.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (*key, &**value))
    }

    fn from_messages(messages: &[&'a [u8]]) -> Result<Self, Broken> {
        let mut list: Vec<(&'a str, Cow<'a, str>)> = Vec::with_capacity(messages.len());
        for message in messages {
            let (name, value) = key_value(message, ITEM_DEPTH - 2)?;
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let value = text(value);
            match list.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => list[at].1 = value,
                Err(at) => list.insert(at, (name, value)),
            }
        }
        Ok(Self(list))
    }
}

/// A scalar as text; arrays and maps are "", because no series is told apart by one.
pub(super) fn text(value: Scalar<'_>) -> Cow<'_, str> {
    match value {
        Scalar::Str(text) => String::from_utf8_lossy(text),
        Scalar::Int(value) => Cow::Owned(value.to_string()),
        Scalar::Double(value) => Cow::Owned(value.to_string()),
        Scalar::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Scalar::Absent | Scalar::Other => Cow::Borrowed(""),
    }
}

/// What is read of a point of any kind.
#[derive(Default)]
pub(super) struct PointFields<'a> {
    start: u64,
    time: u64,
    value: Option<f64>,
    sum: Option<f64>,
    flags: u64,
    attributes: Vec<&'a [u8]>,
}

impl<'a> PointFields<'a> {
    /// Reads a point of the kind that the field number of `Metric.data` says.
    pub(super) fn read(kind: u32, message: &'a [u8]) -> Result<Self, Broken> {
        const START: u32 = key(2, FIXED64);
        const TIME: u32 = key(3, FIXED64);
        const FOURTH: u32 = key(4, FIXED64);
        const FIFTH: u32 = key(5, FIXED64);
        const AS_INT: u32 = key(6, FIXED64);
        let number = matches!(kind, GAUGE | SUM);
        let (attribute, flags) = match kind {
            HISTOGRAM => (key(9, LEN), key(10, VARINT)),
            EXPONENTIAL => (key(1, LEN), key(10, VARINT)),
            _ => (key(7, LEN), key(8, VARINT)),
        };
        let mut point = Self::default();
        let mut cursor = Cursor::new(message);
        while let Some(field) = cursor.key()? {
            match field {
                START => point.start = cursor.fixed64()?,
                TIME => point.time = cursor.fixed64()?,
                FOURTH if number => point.value = Some(f64::from_bits(cursor.fixed64()?)),
                FOURTH => point.value = Some(cursor.fixed64()? as f64),
                FIFTH if !number => point.sum = Some(f64::from_bits(cursor.fixed64()?)),
                AS_INT if number => point.value = Some(cursor.fixed64()? as i64 as f64),
                _ if field == attribute => point.attributes.push(cursor.bytes()?),
                _ if field == flags => point.flags = cursor.varint()?,
                _ => cursor.skip(field, DEPTH)?,
            }
        }
        // Fields of value 0 are left out by some encoders of histograms: a count that is not there is 0.
        if !number && point.value.is_none() {
            point.value = Some(0.0);
        }
        Ok(point)
    }

    /// The point, or `None` and a count of why it says nothing.
    pub(super) fn point(
        self,
        name: &'a str,
        known: Known,
        shape: Shape,
        resource: &Entity<'a>,
        skipped: &mut Skipped,
    ) -> Option<MetricPoint<'a>> {
        let attributes = Attributes::from_messages(&self.attributes).unwrap_or_default();
        let reason = match self.value {
            _ if self.flags & NO_RECORDED_VALUE != 0 => &mut skipped.no_value,
            None => &mut skipped.no_value,
            Some(value) if !value.is_finite() || self.sum.is_some_and(|sum| !sum.is_finite()) => {
                &mut skipped.not_finite
            }
            _ if self.time == 0 => &mut skipped.missing_time,
            _ if !known.counts(name, &attributes) => &mut skipped.not_counted,
            Some(value) => {
                let count = known.quantity == Quantity::Requests;
                return Some(MetricPoint {
                    entity: resource.of_point(known.family(), &attributes),
                    known,
                    name,
                    shape,
                    start: UnixNano(self.start),
                    time: UnixNano(self.time),
                    // A scale of 1 keeps the bits.
                    value: if count { value } else { value * known.scale },
                    sum: self.sum.map(|sum| sum * known.scale),
                    attributes,
                });
            }
        };
        *reason += 1;
        None
    }
}
