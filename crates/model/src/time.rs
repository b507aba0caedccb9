//! The two clocks (arrival and watermark) and the grid of slices that windows are made of.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct UnixNano(pub u64);

impl UnixNano {
    /// Later than every real time: "closed for ever".
    pub const MAX: Self = Self(u64::MAX);

    /// The time `by` later, at most [`Self::MAX`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// The time `by` earlier, at least the epoch; `MAX` stays `MAX`, because "for ever" has no earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        if self == Self::MAX { self } else { Self(self.0.saturating_sub(nanos(by))) }
    }

    /// The time since `earlier`, zero when that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for UnixNano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days((self.0 / 86_400_000_000_000) as i64);
        let millis = self.0 / 1_000_000 % 86_400_000;
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
    }
}

impl fmt::Debug for UnixNano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Year, month and day of a day number since 1970-01-01 in the proleptic Gregorian calendar.
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_index + 2) / 5 + 1) as u32;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The only clock that a processor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick {
    /// The receivers' clock (or the replayed line's time): drives waiting.
    pub arrival: UnixNano,
    /// No input will send anything earlier than this event time: closes slices.
    pub watermark: UnixNano,
}

impl Tick {
    /// The last tick: everything that is open closes.
    pub const LAST: Self = Self { arrival: UnixNano::MAX, watermark: UnixNano::MAX };

    /// Whether this is the last tick.
    pub fn is_last(self) -> bool {
        self.watermark == UnixNano::MAX
    }
}

/// A slice of event time: the `n`-th cell of the grid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slice(pub u64);

/// Cuts event time into slices of equal length. With the default origin (0) the borders are the same on every machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceGrid {
    /// A border of the grid; only its remainder modulo `length` matters.
    pub origin: UnixNano,
    /// Length of a slice, more than zero.
    pub length: Duration,
}

impl SliceGrid {
    /// The slice that holds `time`.
    pub fn slice(&self, time: UnixNano) -> Slice {
        let length = nanos(self.length).max(1);
        Slice(time.0.saturating_add(length - self.origin.0 % length) / length)
    }

    /// When the slice begins.
    pub fn start(&self, slice: Slice) -> UnixNano {
        let length = nanos(self.length).max(1);
        UnixNano(slice.0.saturating_mul(length).saturating_sub(length - self.origin.0 % length))
    }

    /// When the slice ends: the start of the next one.
    pub fn end(&self, slice: Slice) -> UnixNano {
        self.start(Slice(slice.0.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(UnixNano(1_661_140_434_123_456_789).to_string(), "2022-08-22T03:53:54.123Z");
        assert_eq!(UnixNano(951_782_400_000_000_000).to_string(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_grid_has_a_border_at_its_origin_and_covers_time_without_gaps() {
        let grid = SliceGrid { origin: UnixNano(1_000_000_007), length: Duration::from_secs(15) };
        let first = grid.slice(grid.origin);
        assert_eq!(grid.start(first), grid.origin);
        assert_eq!(grid.end(first), grid.origin.plus(Duration::from_secs(15)));
        assert_eq!(grid.slice(UnixNano(grid.end(first).0 - 1)), first);
        assert_eq!(grid.slice(grid.end(first)), Slice(first.0 + 1));
    }
}
