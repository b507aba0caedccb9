//! A slice while it closes: series that differ in attributes are added up, and requests become measures.

use std::collections::BTreeMap;

use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::time::{Slice, UnixNano};
use backtrail_wire::metrics::Quantity;

use super::series::{Sent, Series, Step};

/// Sums over the attributes at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    value: f64,
    /// Seconds of duration in a second, if durations were measured.
    duration: Option<f64>,
    /// The part of `value` that failed.
    failed: f64,
    requests: bool,
}

/// Sums by time.
type Times = BTreeMap<UnixNano, Sums>;

/// The slice. Sums are of floats, but their order is that of the series' identities, so they are equal on every run.
#[derive(Default)]
pub(super) struct Closing {
    /// By series and by the name that it was sent under.
    series: BTreeMap<SeriesKey, BTreeMap<Sent, Times>>,
}

impl Closing {
    /// Adds what a series says at a time.
    pub(super) fn add(&mut self, series: &Series, time: UnixNano, step: Step) {
        let (key, sent) = &series.group;
        let names = self.series.entry(key.clone()).or_default();
        let sums = names.entry(sent.clone()).or_default().entry(time).or_default();
        sums.value += step.value;
        sums.requests = series.quantity == Quantity::Requests;
        if let Some(duration) = step.sum {
            *sums.duration.get_or_insert(0.0) += duration;
        }
        if series.failed {
            sums.failed += step.value;
        }
    }

    /// The closed slice. Where a metric came under two of its names, the most current one counts.
    pub(super) fn finish(self, slice: Slice) -> MetricSlice {
        let mut closed = MetricSlice::new(slice);
        for (key, mut names) in self.series {
            let Some((_, times)) = names.pop_first() else { continue };
            for (time, sums) in times {
                let mut add = |measure, value: f64| {
                    // Sums of what nobody can have sent together may leave the range.
                    if value.is_finite() {
                        closed.add(SeriesKey { measure, ..key.clone() }, Scrape::new(time, value));
                    }
                };
                add(key.measure, sums.value);
                if sums.requests && sums.value > 0.0 {
                    add(Measure::ErrorShare, sums.failed / sums.value);
                    if let Some(duration) = sums.duration {
                        add(Measure::RequestDuration, duration / sums.value);
                    }
                }
            }
        }
        closed
    }
}
