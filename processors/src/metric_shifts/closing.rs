//! A slice while it closes: series that differ in attributes are added up, and requests become measures.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::time::{Slice, UnixNano};
use backtrail_wire::metrics::Quantity;

use super::series::{Group, Series, Step};

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
    /// In order of the groups.
    groups: Vec<(Arc<Group>, Times)>,
}

impl Closing {
    /// Adds what a series says at a time. Series come in order of their groups.
    pub(super) fn add(&mut self, series: &Series, time: UnixNano, step: Step) {
        if self.groups.last().is_none_or(|(group, _)| *group != series.group) {
            self.groups.push((Arc::clone(&series.group), Times::new()));
        }
        let Some((_, times)) = self.groups.last_mut() else { return };
        let sums = times.entry(time).or_default();
        sums.value += step.value;
        sums.requests = series.quantity == Quantity::Requests;
        if let Some(duration) = step.sum {
            *sums.duration.get_or_insert(0.0) += duration;
        }
        if series.failed {
            sums.failed += step.value;
        }
    }

    /// The closed slice. Where a metric came under two of its names, the most current one counts: its group is the first.
    pub(super) fn finish(self, slice: Slice) -> MetricSlice {
        let mut closed = MetricSlice::new(slice);
        for names in self.groups.chunk_by(|(a, _), (b, _)| a.0 == b.0) {
            let (group, times) = &names[0];
            let key = &group.0;
            for (&time, sums) in times {
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
