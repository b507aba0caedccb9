//! The metrics that matter, read by hand out of a request: use, saturation and errors of resources, and requests.
//!
//! A metric whose name is in the table ([`names`]) is read point by point, and so is a gauge of any other name; of all
//! else only the name is looked at.
//! Nothing is judged or summed here: a counter stays a counter, and temporality, resets and rates are the processor's.

mod entity;
pub mod names;
mod patterns;
mod points;

use backtrail_model::UnixNano;

pub use entity::Entity;
pub use names::{Known, Names, Quantity};
pub use points::Attributes;

use crate::error::{Broken, WireError};
use crate::proto::{Cursor, LEN, VARINT, key};
use points::PointFields;

/// How a metric's points follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Shape {
    /// The value as it was at its time.
    Level,
    /// What was added since the point's start.
    Delta,
    /// What was added since the counter's start; less than before after a reset.
    Cumulative,
}

/// A point of a metric that matters.
#[derive(Clone, Debug)]
pub struct MetricPoint<'a> {
    /// Who was measured.
    pub entity: Entity<'a>,
    /// What the name means.
    pub known: Known,
    /// The name as it was sent.
    pub name: &'a str,
    /// How its points follow each other.
    pub shape: Shape,
    /// Start of the interval or of the counter; 0 when it was not sent.
    pub start: UnixNano,
    /// When it was measured.
    pub time: UnixNano,
    /// A number; of a distribution, how many observations.
    pub value: f64,
    /// Of a distribution: the sum of its observations.
    pub sum: Option<f64>,
    /// The point's attributes.
    pub attributes: Attributes<'a>,
}

/// Points of known metrics that say nothing, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Skipped {
    /// Flagged as "no recorded value": the series has ended.
    pub no_value: u64,
    /// Not a number, or infinite.
    pub not_finite: u64,
    /// Without a time.
    pub missing_time: u64,
    /// A sum or a histogram that does not say its temporality.
    pub no_temporality: u64,
    /// A level of which only the changes are sent.
    pub delta_level: u64,
    /// A sum over what is also sent in parts (a cgroup above containers), or a state that does not count (idle).
    pub not_counted: u64,
}

impl Skipped {
    /// The counts with their names in metrics.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("no_value", self.no_value),
            ("not_finite", self.not_finite),
            ("missing_time", self.missing_time),
            ("no_temporality", self.no_temporality),
            ("delta_level", self.delta_level),
            ("not_counted", self.not_counted),
        ]
    }
}

/// Reads an `ExportMetricsServiceRequest`: `each` is called with every point of a known metric and of a gauge, in
/// order. `names` remembers what names mean from one request to the next.
///
/// # Errors
/// If the framing is broken; points before the fault were handed over.
pub fn read(request: &[u8], names: &mut Names, mut each: impl FnMut(MetricPoint<'_>)) -> Result<Skipped, WireError> {
    let mut reading = Reading { names, skipped: Skipped::default(), each: &mut each };
    let mut cursor = Cursor::new(request);
    let mut resources = || -> Result<(), Broken> {
        while let Some(field) = cursor.key()? {
            if field == key(1, LEN) {
                reading.resource(cursor.bytes()?)?;
            } else {
                cursor.skip(field, DEPTH)?;
            }
        }
        Ok(())
    };
    resources().map_err(|broken| broken.within(request))?;
    Ok(reading.skipped)
}

/// Nesting that is allowed in groups of unknown fields.
const DEPTH: u32 = 10;

struct Reading<'f> {
    names: &'f mut Names,
    skipped: Skipped,
    each: &'f mut dyn FnMut(MetricPoint<'_>),
}

/// The length-delimited fields of a message; all others are skipped.
fn fields<'a>(message: &'a [u8], mut each: impl FnMut(u32, &'a [u8]) -> Result<(), Broken>) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.key()? {
        if field & 7 == LEN {
            each(field >> 3, cursor.bytes()?)?;
        } else {
            cursor.skip(field, DEPTH)?;
        }
    }
    Ok(())
}

/// Field numbers of `Metric.data`.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;
const SUMMARY: u32 = 11;

impl Reading<'_> {
    fn resource(&mut self, message: &[u8]) -> Result<(), Broken> {
        // Two passes, because the resource may come after its scopes.
        let mut resource = Vec::new();
        fields(message, |number, bytes| {
            if number == 1 {
                resource.push(bytes);
            }
            Ok(())
        })?;
        let entity = Entity::read(&resource)?;
        fields(message, |number, scope| {
            let mut metrics = |number: u32, bytes| if number == 2 { self.metric(bytes, &entity) } else { Ok(()) };
            if number == 2 { fields(scope, &mut metrics) } else { Ok(()) }
        })
    }

    fn metric(&mut self, message: &[u8], entity: &Entity<'_>) -> Result<(), Broken> {
        let (mut name, mut unit, mut data) = (&[][..], &[][..], (0, &[][..]));
        fields(message, |number, bytes| {
            match number {
                1 => name = bytes,
                3 => unit = bytes,
                GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY => data = (number, bytes),
                _ => {}
            }
            Ok(())
        })?;
        // A name that is no text is in no table.
        let Ok(name) = std::str::from_utf8(name) else { return Ok(()) };
        let (kind, data) = data;
        let known = self.names.find(name, std::str::from_utf8(unit).unwrap_or_default());
        let Some(known) = known.or_else(|| names::other(name).filter(|_| kind == GAUGE)) else { return Ok(()) };
        let number = matches!(kind, GAUGE | SUM);
        if !number && known.quantity != Quantity::Requests {
            // A distribution of waits or sizes: not the level that the name's other points have.
            return Ok(());
        }
        let (temporality, monotonic) = sum_fields(data)?;
        let shape = match (kind, temporality) {
            // Prometheus' untyped counters arrive as gauges; their name says what they are.
            (GAUGE, _) if name.ends_with("_total") => Ok(Shape::Cumulative),
            (GAUGE, _) if known.quantity != Quantity::Requests => Ok(Shape::Level),
            (SUM, 2) if !monotonic && known.quantity == Quantity::Requests => Err(&mut self.skipped.no_temporality),
            (SUMMARY, _) => Ok(Shape::Cumulative),
            (SUM, 1) if !monotonic => Err(&mut self.skipped.delta_level),
            (SUM, 2) if !monotonic => Ok(Shape::Level),
            (_, 1) => Ok(Shape::Delta),
            (_, 2) => Ok(Shape::Cumulative),
            _ => Err(&mut self.skipped.no_temporality),
        };
        let shape = match shape {
            Ok(shape) => shape,
            Err(reason) => {
                return fields(data, |number, _| {
                    *reason += u64::from(number == 1);
                    Ok(())
                });
            }
        };
        fields(data, |number, bytes| {
            if number != 1 {
                return Ok(());
            }
            let point = PointFields::read(kind, bytes)?;
            if let Some(point) = point.point(name, known, shape, entity, &mut self.skipped) {
                (self.each)(point);
            }
            Ok(())
        })
    }
}

/// Temporality and whether the sum only grows; gauges and summaries have neither.
fn sum_fields(data: &[u8]) -> Result<(u64, bool), Broken> {
    const TEMPORALITY: u32 = key(2, VARINT);
    const MONOTONIC: u32 = key(3, VARINT);
    let (mut temporality, mut monotonic) = (0, false);
    let mut cursor = Cursor::new(data);
    while let Some(field) = cursor.key()? {
        match field {
            TEMPORALITY => temporality = cursor.varint()?,
            MONOTONIC => monotonic = cursor.varint()? != 0,
            _ => cursor.skip(field, DEPTH)?,
        }
    }
    Ok((temporality, monotonic))
}

#[cfg(test)]
mod tests;
