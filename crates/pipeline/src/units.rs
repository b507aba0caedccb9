//! Values with units in configuration: `200ms`, `64MiB`, `5%`; and text that is never shown.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time: `150us`, `200ms`, `1.5s`, `15m`, `2h`, `7d`, and sums such as `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Duration(pub StdDuration);

/// A number of bytes: `512KiB`, `64MiB`, `2GiB`, `10MB`, or a plain number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct ByteSize(pub u64);

/// A share between 0 and 1, written `5%` or `0.05`.
#[derive(Clone, Copy, PartialEq, PartialOrd, Default, Debug)]
pub struct Ratio(pub f64);

/// A password, token or key. It reads like a string and prints as `***` everywhere; write it as `${env:NAME}` or
/// `${file:path}`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing was configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is shown: whether there is one, and nothing else.
    fn shown(&self) -> &'static str {
        if self.is_empty() { "" } else { "***" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(")?;
        f.write_str(self.shown())?;
        f.write_str(")")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.shown())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A secret: ${env:NAME} or ${file:path}; never printed" })
    }
}

const DURATIONS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86_400e9)];
const SIZES: [(&str, f64); 8] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
];

/// Reads number-unit pairs and adds them up.
fn parse(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (mut rest, mut sum) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let factor = units.iter().find(|(unit, _)| *unit == &after[..end])?.1;
        sum += number * factor;
        rest = after[end..].trim_start();
    }
    Some(sum)
}

impl Duration {
    /// From whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    /// From whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(StdDuration::from_millis(millis))
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse(text, &DURATIONS) {
            Some(nanos) if nanos <= u64::MAX as f64 => Ok(Self(StdDuration::from_nanos(nanos as u64))),
            _ if text.trim() == "0" => Ok(Self::default()),
            _ if text.trim().parse::<f64>().is_ok() => {
                Err(format!("duration '{text}' has no unit; write {text}s or {text}ms"))
            }
            _ => Err(format!("'{text}' is no duration; write a number with a unit, such as 200ms, 30s or 15m")),
        }
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(bytes) = text.trim().parse() {
            return Ok(Self(bytes));
        }
        parse(text, &SIZES)
            .filter(|&bytes| bytes <= u64::MAX as f64)
            .map(|bytes| Self(bytes as u64))
            .ok_or_else(|| format!("'{text}' is no size; write a number with a unit, such as 64MiB or 10MB"))
    }
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().map(|p| p / 100.0),
            None => text.trim().parse(),
        };
        value
            .ok()
            .and_then(|v| Self::try_from(v).ok())
            .ok_or_else(|| format!("'{text}' is no share; write 5% or a number from 0 to 1"))
    }
}

impl TryFrom<f64> for Ratio {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{value} is no share; write 5% or a number from 0 to 1"))
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit, size) in [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1000),
        ] {
            if nanos >= size && nanos.is_multiple_of(size) {
                return write!(f, "{}{unit}", nanos / size);
            }
        }
        if nanos == 0 { f.write_str("0s") } else { write!(f, "{nanos}ns") }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 1e8).round() / 1e6;
        write!(f, "{percent}%")
    }
}

struct Text<T>(std::marker::PhantomData<T>, &'static str);

impl<T: std::str::FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }
}

macro_rules! text_value {
    ($type:ident, $expecting:literal, $pattern:literal, $description:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Text(std::marker::PhantomData, $expecting))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number"], "pattern": $pattern, "description": $description })
            }
        }
    };
}

text_value!(
    Duration,
    "a duration such as 200ms, 30s or 15m",
    r"^\s*(([0-9.]+\s*(ns|us|µs|ms|s|m|h|d)\s*)+|0)$",
    "A duration with a unit: 200ms, 30s, 15m, 1h30m"
);
text_value!(
    ByteSize,
    "a size such as 64MiB",
    r"^\s*[0-9.]+\s*(B|KiB|MiB|GiB|KB|kB|MB|GB)?\s*$",
    "A size: 64MiB, 10MB or bytes"
);
text_value!(Ratio, "a share such as 5% or 0.05", r"^\s*[0-9.]+\s*%?\s*$", "A share: 5% or 0.05");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_may_be_sums() {
        assert_eq!("1h30m".parse::<Duration>(), Ok(Duration::from_secs(5400)));
        assert_eq!("1.5s".parse::<Duration>(), Ok(Duration::from_millis(1500)));
        assert_eq!("0".parse::<Duration>(), Ok(Duration::default()));
        assert!("30".parse::<Duration>().is_err_and(|e| e.contains("30s")));
        assert!("5 parsecs".parse::<Duration>().is_err());
        assert_eq!(Duration::from_secs(900).to_string(), "15m");
        assert_eq!(Duration::from_millis(1500).to_string(), "1500ms");
    }

    #[test]
    fn sizes_and_shares_parse_and_print() {
        assert_eq!("64MiB".parse::<ByteSize>(), Ok(ByteSize(64 << 20)));
        assert_eq!("10MB".parse::<ByteSize>(), Ok(ByteSize(10_000_000)));
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
        assert_eq!("5%".parse::<Ratio>(), Ok(Ratio(0.05)));
        assert_eq!("0.05".parse::<Ratio>(), Ok(Ratio(0.05)));
        assert!("150%".parse::<Ratio>().is_err());
        assert_eq!(Ratio(0.05).to_string(), "5%");
    }

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(
            format!("{secret:?} {secret} {}", serde_json::to_string(&secret).unwrap()),
            "Secret(***) *** \"***\""
        );
        assert_eq!(serde_json::to_string(&Secret::default()).unwrap(), "\"\"");
    }
}
