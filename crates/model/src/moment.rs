//! A point in time as people write it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::time::UnixNano;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// RFC 3339 (`2022-08-22T03:53:54.123Z`, `2022-08-22T05:53:54+02:00`), or nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Time(pub UnixNano);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(nanos) = text.parse() {
            return Ok(Self(UnixNano(nanos)));
        }
        rfc_3339(text).map(|nanos| Self(UnixNano(nanos))).ok_or_else(|| {
            format!("'{text}' is no time; write 2022-08-22T03:53:54Z or nanoseconds since the Unix epoch")
        })
    }
}

fn rfc_3339(text: &str) -> Option<u64> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = text.get(from..from + len)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let bytes = text.as_bytes();
    let separated = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    if !separated || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 || len > 9 {
            return None;
        }
        nanos = fraction[..len].parse::<i64>().ok()? * 10_i64.pow(9 - len as u32);
        rest = &fraction[len..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ if rest.len() == 6 && rest.as_bytes()[3] == b':' => {
            let at = text.len() - 6;
            let minutes = number(at + 1, 2)? * 60 + number(at + 4, 2)?;
            match rest.as_bytes()[0] {
                b'+' => minutes * 60,
                b'-' => -minutes * 60,
                _ => return None,
            }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    u64::try_from(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?).ok()
}

/// Days since 1970-01-01. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2022-08-22T03:53:54Z, or nanoseconds since the Unix epoch")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, nanos: u64) -> Result<Time, E> {
                Ok(Time(UnixNano(nanos)))
            }

            fn visit_i64<E: Error>(self, nanos: i64) -> Result<Time, E> {
                u64::try_from(nanos).map(|nanos| Time(UnixNano(nanos))).map_err(E::custom)
            }
        }
        from.deserialize_any(Text)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0.0)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "RFC 3339, such as 2022-08-22T03:53:54Z, or nanoseconds since the Unix epoch"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_as_people_and_machines_write_them() {
        let nanos = |text: &str| text.parse::<Time>().map(|time| time.0.0);
        assert_eq!(nanos("2022-08-22T03:53:54.123Z"), Ok(1_661_140_434_123_000_000));
        assert_eq!(nanos("2022-08-22T05:53:54.123+02:00"), Ok(1_661_140_434_123_000_000));
        assert_eq!(nanos("1661140434123000000"), Ok(1_661_140_434_123_000_000));
        assert_eq!(nanos("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(nanos("2000-02-29T00:00:00Z"), Ok(951_782_400_000_000_000));
        for wrong in
            ["", "yesterday", "2022-08-22", "2022-13-22T03:53:54Z", "2022-08-22T03:53:54", "1969-01-01T00:00:00Z"]
        {
            assert!(nanos(wrong).is_err(), "{wrong}");
        }
    }
}
