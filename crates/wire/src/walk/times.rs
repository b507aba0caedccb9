//! Which times are believed.

use std::time::Duration;

use backtrail_model::UnixNano;

/// The times that are believed: from `past` before the arrival to `future` after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// When the request arrived, by the receiver's clock.
    pub arrival: UnixNano,
    /// How far back a time may lie.
    pub past: Duration,
    /// How far ahead a time may lie.
    pub future: Duration,
}

impl Bounds {
    /// Everything is believed: for replay, where the recorded times are the clock.
    pub const fn none() -> Self {
        Self { arrival: UnixNano(0), past: Duration::MAX, future: Duration::MAX }
    }

    fn limits(&self) -> (u64, u64) {
        (self.arrival.minus(self.past).0, self.arrival.plus(self.future).0)
    }

    /// The time that is used for `time`, counted if it differs.
    pub(super) fn clamp(&self, time: u64, counts: &mut ClampCounts) -> UnixNano {
        let (least, most) = self.limits();
        counts.too_old += u64::from(time < least);
        counts.future += u64::from(time > most);
        UnixNano(time.clamp(least, most))
    }

    /// Start and duration that are used for a span, and whether they differ from what was sent.
    ///
    /// A span with both ends outside on the same side (its host's clock is wrong) moves inside with its duration, as
    /// far as that fits: durations are right even where clocks are not. Otherwise each end is clamped by itself.
    #[inline]
    pub(super) fn span(&self, start: u64, end: u64, counts: &mut ClampCounts) -> (UnixNano, u64, bool) {
        let (least, most) = self.limits();
        if start != 0 && start >= least && start <= end && end <= most {
            return (UnixNano(start), end - start, false);
        }
        let (start, duration) = self.odd_span(start, end, least, most, counts);
        (UnixNano(start), duration, true)
    }

    #[cold]
    fn odd_span(&self, start: u64, end: u64, least: u64, most: u64, counts: &mut ClampCounts) -> (u64, u64) {
        let (mut start, mut end) = (start, end);
        if start == 0 || end == 0 {
            counts.missing_time += 1;
            // One end that is there stands for both; without any, the span happened when it arrived.
            start = if start != 0 {
                start
            } else if end != 0 {
                end
            } else {
                self.arrival.0
            };
            end = end.max(start);
        } else if end < start {
            counts.end_before_start += 1;
            end = start;
        }
        counts.too_old += u64::from(start < least);
        counts.future += u64::from(end > most);
        let duration = end - start;
        if end < least {
            (least, duration.min(most - least))
        } else if start > most {
            let duration = duration.min(most - least);
            (most - duration, duration)
        } else {
            let (start, end) = (start.max(least), end.min(most));
            (start, end - start)
        }
    }
}

/// Times that were not used as sent, by reason. One span can count for more than one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClampCounts {
    /// Start (or a log's time) before the bounds.
    pub too_old: u64,
    /// End (or a log's time) after the bounds.
    pub future: u64,
    /// The end lies before the start: the duration is 0.
    pub end_before_start: u64,
    /// Start or end is not set.
    pub missing_time: u64,
}

impl ClampCounts {
    /// The counts with their names in metrics.
    pub fn by_reason(&self) -> [(&'static str, u64); 4] {
        [
            ("too_old", self.too_old),
            ("future", self.future),
            ("end_before_start", self.end_before_start),
            ("missing_time", self.missing_time),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { arrival: UnixNano(1_000), past: Duration::from_nanos(100), future: Duration::from_nanos(50) };

    #[test]
    fn spans_are_moved_or_clamped_into_the_bounds() {
        let counts = |too_old, future, end_before_start, missing_time| ClampCounts {
            too_old,
            future,
            end_before_start,
            missing_time,
        };
        for ((start, end), (expected_start, expected_duration, clamped), expected) in [
            ((950, 960), (950, 10, false), counts(0, 0, 0, 0)),
            ((900, 1050), (900, 150, false), counts(0, 0, 0, 0)),
            // Wholly outside: moved, with its duration.
            ((100, 120), (900, 20, true), counts(1, 0, 0, 0)),
            ((2_000, 2_030), (1_020, 30, true), counts(0, 1, 0, 0)),
            ((1, 800), (900, 150, true), counts(1, 0, 0, 0)),
            // Partly outside: clamped.
            ((800, 950), (900, 50, true), counts(1, 0, 0, 0)),
            ((1_000, u64::MAX), (1_000, 50, true), counts(0, 1, 0, 0)),
            ((1, u64::MAX), (900, 150, true), counts(1, 1, 0, 0)),
            // Not in order, or not there.
            ((960, 950), (960, 0, true), counts(0, 0, 1, 0)),
            ((960, 0), (960, 0, true), counts(0, 0, 0, 1)),
            ((0, 960), (960, 0, true), counts(0, 0, 0, 1)),
            ((0, 0), (1_000, 0, true), counts(0, 0, 0, 1)),
        ] {
            let mut found = ClampCounts::default();
            let used = BOUNDS.span(start, end, &mut found);
            assert_eq!(
                (used, found),
                ((UnixNano(expected_start), expected_duration, clamped), expected),
                "{start} {end}"
            );
        }
    }

    #[test]
    fn without_bounds_all_set_times_are_believed() {
        let mut counts = ClampCounts::default();
        assert_eq!(Bounds::none().span(1, u64::MAX, &mut counts), (UnixNano(1), u64::MAX - 1, false));
        assert_eq!(Bounds::none().clamp(5, &mut counts), UnixNano(5));
        assert_eq!(counts, ClampCounts::default());
    }
}
