//! The scrapes of both stretches by series, and which of the series are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};

use super::{FEW_QUIET, FLOOR, LEAST_QUIET, MAD_TO_SD};
use crate::table::collected;

/// Scrapes of one series, sorted by value.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    pub(super) key: &'a SeriesKey,
    pub(super) quiet: Vec<f64>,
    pub(super) window: Vec<f64>,
}

/// All series that the window has.
pub(super) struct Readings<'a> {
    pub(super) series: BTreeMap<&'a SeriesKey, Series<'a>>,
}

/// All scrapes of a stretch by series: each value with its slice, sorted by value.
pub(crate) struct Scrapes<'a>(BTreeMap<&'a SeriesKey, Vec<(f64, Slice)>>);

impl<'a> Scrapes<'a> {
    pub(crate) fn new(slices: &[&'a MetricSlice]) -> Self {
        let series =
            slices.iter().flat_map(|slice| slice.series.iter().map(|(key, scrapes)| (key, (slice.slice, scrapes))));
        let sorted = |(key, parts): (&'a SeriesKey, Vec<(Slice, &Vec<Scrape>)>)| {
            let scrapes =
                parts.into_iter().flat_map(|(slice, scrapes)| scrapes.iter().map(move |&scrape| (scrape, slice)));
            let mut scrapes: Vec<(Scrape, Slice)> = scrapes.collect();
            // Parts of a slice may repeat each other.
            scrapes.sort_unstable();
            scrapes.dedup_by_key(|(scrape, _)| *scrape);
            let mut values: Vec<(f64, Slice)> =
                scrapes.iter().map(|(scrape, slice)| (scrape.value(), *slice)).collect();
            values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            (key, values)
        };
        Self(collected(series).into_iter().map(sorted).collect())
    }

    fn values(&self, key: &SeriesKey) -> Vec<f64> {
        self.0.get(key).into_iter().flatten().map(|(value, _)| *value).collect()
    }
}

impl<'a> Readings<'a> {
    pub(super) fn new(baseline: &[&'a MetricSlice], window: &[&'a MetricSlice]) -> Self {
        let (quiet, window) = (Scrapes::new(baseline), Scrapes::new(window));
        let series =
            window.0.keys().map(|&key| (key, Series { key, quiet: quiet.values(key), window: window.values(key) }));
        Self { series: series.collect() }
    }

    /// Takes some of the slices as the window.
    pub(super) fn split(scrapes: &Scrapes<'a>, is_window: impl Fn(Slice) -> bool) -> Self {
        let series = scrapes.0.iter().filter_map(|(&key, scrapes)| {
            let mut series = Series { key, quiet: Vec::with_capacity(scrapes.len()), window: Vec::new() };
            for &(value, slice) in scrapes {
                if is_window(slice) { &mut series.window } else { &mut series.quiet }.push(value);
            }
            (!series.window.is_empty()).then_some((key, series))
        });
        Self { series: series.collect() }
    }

    /// The series that are judged, in order of key: resources with enough of a past, each of them once.
    pub(super) fn judged(&self) -> Vec<&Series<'a>> {
        let with_past = self.series.values().filter(|s| is_resource(s.key.measure) && s.quiet.len() >= LEAST_QUIET);
        let with_past: Vec<_> = with_past.collect();
        let (used, names) = (with_usage(&with_past), best_names(&with_past));
        let once = |series: &&&Series<'a>| {
            let key = series.key;
            let entity = (&key.service, &key.instance);
            // A share of the limit says again what the usage says; it is judged where it is all there is.
            let repeats = usage_of(key.measure).is_some_and(|usage| used.contains(&(entity, usage)));
            let best = names.get(&(entity, key.measure)).is_none_or(|name| **name == key.name);
            !repeats && best
        };
        with_past.iter().filter(once).copied().collect()
    }
}

type Entity<'a> = (&'a Arc<str>, &'a Arc<str>);

fn with_usage<'a>(series: &[&Series<'a>]) -> BTreeSet<(Entity<'a>, Measure)> {
    series.iter().map(|series| ((&series.key.service, &series.key.instance), series.key.measure)).collect()
}

/// An instance has one processor allowance and one memory, which several metrics may report (the pod's, the container's,
/// the process's): the metric with the most scrapes is judged, of equal ones the one that holds the most and so includes
/// the others. Pools and queues of different names are different things.
fn best_names<'a>(series: &[&Series<'a>]) -> BTreeMap<(Entity<'a>, Measure), &'a Arc<str>> {
    let mut sums = BTreeMap::<(Entity<'a>, Measure), BTreeMap<&'a Arc<str>, (usize, f64)>>::new();
    for series in series.iter().filter(|series| is_single(series.key.measure)) {
        let key = series.key;
        let names = sums.entry(((&key.service, &key.instance), key.measure)).or_default();
        let (scrapes, held) = names.entry(&key.name).or_default();
        *scrapes = series.quiet.len().max(*scrapes);
        *held += series.median();
    }
    let best = sums.into_iter().filter_map(|(entity, names)| {
        let best = names.into_iter().max_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        best.map(|(name, _)| (entity, name))
    });
    best.collect()
}

/// Limits are read and never judged; requests are no resource.
fn is_resource(measure: Measure) -> bool {
    use Measure::{
        CpuThrottled, CpuUsage, CpuUtilization, HeapUsage, MemoryUsage, MemoryUtilization, PoolPending, PoolUsage,
        QueueDepth, Threads,
    };
    matches!(
        measure,
        CpuUsage
            | CpuUtilization
            | CpuThrottled
            | MemoryUsage
            | MemoryUtilization
            | HeapUsage
            | PoolUsage
            | PoolPending
            | QueueDepth
            | Threads
    )
}

fn is_single(measure: Measure) -> bool {
    !matches!(measure, Measure::PoolUsage | Measure::PoolPending | Measure::QueueDepth)
}

/// The usage that a utilisation is the share of.
fn usage_of(measure: Measure) -> Option<Measure> {
    match measure {
        Measure::CpuUtilization => Some(Measure::CpuUsage),
        Measure::MemoryUtilization => Some(Measure::MemoryUsage),
        _ => None,
    }
}

/// The least step of a count; other values have none.
fn resolution(measure: Measure) -> f64 {
    match measure {
        Measure::PoolUsage | Measure::PoolPending | Measure::QueueDepth | Measure::Threads => 1.0,
        _ => 1e-12,
    }
}

impl Series<'_> {
    pub(super) fn median(&self) -> f64 {
        median(&self.quiet)
    }

    /// The second highest scrape of the window; of one scrape, that.
    pub(super) fn second_highest(&self) -> f64 {
        second_highest(&self.window)
    }

    pub(super) fn window_mean(&self) -> f64 {
        self.window.iter().sum::<f64>() / self.window.len() as f64
    }

    /// How far the second highest scrape lies over the quiet median, in robust deviations: the median absolute
    /// deviation as a standard deviation, at least 2 % of the median, and for counts at least one.
    pub(super) fn z(&self) -> f64 {
        let median = self.median();
        let spread = (MAD_TO_SD * self::median(&deviations(&self.quiet, median))).max(FLOOR * median);
        (self.second_highest() - median) / spread.max(resolution(self.key.measure))
    }

    /// Whether the window is over the gate, and above what quiet times knew, with at least so many scrapes.
    pub(super) fn is_sick(&self, z: f64, gate: f64, least: usize) -> bool {
        z > 0.0 && z * z > gate && self.is_above_quiet() && self.window.len() >= least
    }

    /// Whether the second highest scrape lies above the second highest quiet one (the highest of few).
    pub(super) fn is_above_quiet(&self) -> bool {
        let from_top = if self.quiet.len() > FEW_QUIET { 2 } else { 1 };
        self.quiet.len().checked_sub(from_top).is_some_and(|at| self.second_highest() > self.quiet[at])
    }
}

/// How far sorted values lie from their median, sorted: those below it and those above it are in order already.
fn deviations(sorted: &[f64], median: f64) -> Vec<f64> {
    let (below, above) = sorted.split_at(sorted.partition_point(|&value| value < median));
    let (mut below, mut above) = (below.iter().rev().peekable(), above.iter().peekable());
    let mut deviations = Vec::with_capacity(sorted.len());
    loop {
        let (low, high) = (below.peek().map(|&value| median - value), above.peek().map(|&value| value - median));
        match (low, high) {
            (Some(low), high) if high.is_none_or(|high| low <= high) => {
                below.next();
                deviations.push(low);
            }
            (_, Some(high)) => {
                above.next();
                deviations.push(high);
            }
            _ => return deviations,
        }
    }
}

/// The middle of sorted values, of an even number the mean of both; 0 of none.
fn median(sorted: &[f64]) -> f64 {
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 || sorted.is_empty() { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) }
}

/// The second highest of sorted values; of one value, that; 0 of none.
pub(super) fn second_highest(sorted: &[f64]) -> f64 {
    sorted.iter().rev().nth(1).or(sorted.first()).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_come_sorted_without_sorting() {
        for values in [&[1.0, 2.0, 4.0, 8.0, 9.0][..], &[1.0, 1.0, 1.0], &[5.0], &[], &[-3.0, 0.0, 0.5, 7.0]] {
            let middle = median(values);
            let mut expected: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
            expected.sort_by(f64::total_cmp);
            assert_eq!(deviations(values, middle), expected);
        }
    }
}
