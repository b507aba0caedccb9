//! Spectra from slices: which traces fail, and how often each element was in a failing and in a passing one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::histogram::{Histogram, bucket};
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TraceGroup};

use crate::ochiai::Counts;

/// Traces and calls are weighted in 1/256.
pub(crate) const UNIT: f64 = 256.0;

/// Latency limits: above it (by histogram bucket, so by at least 3 %) a trace fails.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Greatest bucket that passes, by entry.
    by_entry: BTreeMap<Entry, u16>,
}

impl Limits {
    /// Learns the `quantile` (0 to 1) of each entry operation's root latency from the baseline's passing traces. An
    /// entry in `given` (nanoseconds, an SLO's) takes that limit instead.
    pub fn learn(baseline: &[&SpectraSlice], quantile: f64, given: &BTreeMap<Entry, u64>) -> Self {
        let mut latencies: BTreeMap<&Entry, Histogram> = BTreeMap::new();
        for (group, &count) in baseline.iter().flat_map(|slice| &slice.groups) {
            if !group.error {
                latencies.entry(&group.entry).or_default().add(group.latency, count);
            }
        }
        let learned =
            latencies.into_iter().filter_map(|(entry, h)| Some((entry.clone(), h.quantile_bucket(quantile)?)));
        let mut by_entry: BTreeMap<Entry, u16> = learned.collect();
        by_entry.extend(given.iter().map(|(entry, &nanos)| (entry.clone(), bucket(nanos))));
        Self { by_entry }
    }

    /// The limit of an entry as a bucket of [`backtrail_model::histogram`]; none for an entry that the baseline lacks.
    pub fn of(&self, entry: &Entry) -> Option<u16> {
        self.by_entry.get(entry).copied()
    }

    /// Whether the traces of a group fail: an error at the root or entry span, or a latency over the limit.
    pub fn fails(&self, group: &TraceGroup) -> bool {
        group.error || self.of(&group.entry).is_some_and(|limit| group.latency > limit)
    }
}

/// Counts for every element of the window.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spectrum {
    /// Elements and their four counts, in traces.
    pub counts: BTreeMap<Element, Counts>,
    /// Failing traces.
    pub failing: f64,
    /// Passing traces.
    pub passing: f64,
    /// Traces past the cap of signatures: in `failing` and `passing`, but touching nothing.
    pub overflow: f64,
}

impl Spectrum {
    /// Counts the traces of the window. Counts are sums of integers, the same in any order of the slices.
    pub fn new(window: &[&SpectraSlice], limits: &Limits) -> Self {
        let mut signatures: BTreeMap<u64, (&Arc<[Element]>, [u64; 2])> = BTreeMap::new();
        for (hash, elements) in window.iter().flat_map(|slice| &slice.signatures) {
            signatures.entry(*hash).or_insert((elements, [0, 0]));
        }
        let (mut totals, mut overflow) = ([0_u64; 2], 0);
        for (group, &count) in window.iter().flat_map(|slice| &slice.groups) {
            let fails = usize::from(limits.fails(group));
            totals[fails] += count;
            match signatures.get_mut(&group.signature) {
                Some((_, counts)) => counts[fails] += count,
                None => overflow += count,
            }
        }
        let mut touched: BTreeMap<&Element, [u64; 2]> = BTreeMap::new();
        for (elements, counts) in signatures.values() {
            for element in elements.iter() {
                let sums = touched.entry(element).or_default();
                sums[0] += counts[0];
                sums[1] += counts[1];
            }
        }
        let [passing, failing] = totals.map(|count| count as f64 / UNIT);
        let counts = touched.into_iter().map(|(element, [ep, ef])| {
            let (ep, ef) = (ep as f64 / UNIT, ef as f64 / UNIT);
            (element.clone(), Counts { ef, ep, nf: failing - ef, np: passing - ep })
        });
        Self { counts: counts.collect(), failing, passing, overflow: overflow as f64 / UNIT }
    }

    /// Elements of one kind with their counts, in order of service and name.
    pub fn of_kind(&self, kind: ElementKind) -> impl Iterator<Item = (&Element, &Counts)> {
        self.counts.iter().filter(move |(element, _)| element.kind == kind)
    }

    /// The counts of a service; zero if it is in no trace.
    pub fn service(&self, service: &Arc<str>) -> Counts {
        let element = Element { kind: ElementKind::Service, service: Arc::clone(service), name: "".into() };
        let absent = Counts { nf: self.failing, np: self.passing, ..Counts::default() };
        self.counts.get(&element).copied().unwrap_or(absent)
    }

    /// The services of the window.
    pub fn services(&self) -> BTreeSet<Arc<str>> {
        self.counts.keys().map(|element| Arc::clone(&element.service)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtrail_model::Slice;

    fn group(signature: u64, error: bool, nanos: u64) -> TraceGroup {
        let entry = Entry { service: "web".into(), route: "GET /".into() };
        TraceGroup { entry, signature, error, latency: bucket(nanos) }
    }

    fn service(name: &str) -> Element {
        Element { kind: ElementKind::Service, service: name.into(), name: "".into() }
    }

    #[test]
    fn errors_and_slow_traces_fail_and_overflow_touches_nothing() {
        let mut quiet = SpectraSlice::new(Slice(1));
        quiet.groups.insert(group(1, false, 1_000_000), 100 * 256);
        let mut window = SpectraSlice::new(Slice(2));
        window.signatures.insert(1, [service("a"), service("web")].into());
        window.signatures.insert(2, [service("web")].into());
        window.groups.insert(group(1, false, 9_000_000), 3 * 256);
        window.groups.insert(group(2, true, 1_000_000), 256);
        window.groups.insert(group(2, false, 1_000_000), 6 * 256);
        window.groups.insert(group(TraceGroup::OVERFLOW, false, 1), 2 * 256);
        let limits = Limits::learn(&[&quiet], 0.99, &BTreeMap::new());
        let spectrum = Spectrum::new(&[&window], &limits);
        assert_eq!((spectrum.failing, spectrum.passing, spectrum.overflow), (4.0, 8.0, 2.0));
        assert_eq!(spectrum.service(&"a".into()), Counts { ef: 3.0, ep: 0.0, nf: 1.0, np: 8.0 });
        assert_eq!(spectrum.service(&"web".into()), Counts { ef: 4.0, ep: 6.0, nf: 0.0, np: 2.0 });
    }
}
