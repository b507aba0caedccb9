//! Spectra from slices: which traces fail, and how often each element was in a failing and in a passing one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use backtrail_model::histogram::{Histogram, bucket};
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TraceGroup};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::best::Best;
use crate::judge::TAIL;
use crate::ochiai::{Counts, score_all};

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

/// Counts for every element of the window, in columns: a code base has 100,000 functions, and all of them are scored.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spectrum {
    /// The elements in order of kind, service and name.
    elements: Vec<Element>,
    /// Failing traces that touch each element.
    ef: Vec<f64>,
    /// Passing traces that touch each element.
    ep: Vec<f64>,
    /// Where the elements of one kind and service lie: stretches without gaps, in order.
    owners: Vec<Range<usize>>,
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
        // Elements are long strings, and most occur in many signatures: hashing them all and sorting each once is several
        // times as fast as keeping them in order.
        let mut touched: HashMap<&Element, [u64; 2], FixedState> = HashMap::default();
        for (elements, counts) in signatures.values() {
            for element in elements.iter() {
                let sums = touched.entry(element).or_default();
                sums[0] += counts[0];
                sums[1] += counts[1];
            }
        }
        let mut touched: Vec<(&Element, [u64; 2])> = touched.into_iter().collect();
        touched.sort_unstable_by_key(|(element, _)| *element);
        let traces = |count: u64| count as f64 / UNIT;
        let [passing, failing] = totals.map(traces);
        let mut spectrum = Self { failing, passing, overflow: traces(overflow), ..Self::default() };
        for (element, [ep, ef]) in touched {
            spectrum.push(element.clone(), traces(ef), traces(ep));
        }
        spectrum
    }

    /// Adds an element that comes after all others.
    fn push(&mut self, element: Element, ef: f64, ep: f64) {
        let at = self.elements.len();
        match (self.owners.last_mut(), self.elements.last()) {
            (Some(owner), Some(last)) if last.kind == element.kind && last.service == element.service => {
                owner.end = at + 1;
            }
            _ => self.owners.push(at..at + 1),
        }
        self.elements.push(element);
        self.ef.push(ef);
        self.ep.push(ep);
    }

    /// The four counts of the element at a place.
    fn counts(&self, at: usize) -> Counts {
        let (ef, ep) = (self.ef[at], self.ep[at]);
        Counts { ef, ep, nf: self.failing - ef, np: self.passing - ep }
    }

    /// The counts of an element that no trace touches.
    pub fn absent(&self) -> Counts {
        Counts { nf: self.failing, np: self.passing, ..Counts::default() }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Elements of one kind with their counts, in order of service and name.
    pub fn of_kind(&self, kind: ElementKind) -> impl Iterator<Item = (&Element, Counts)> {
        self.places(kind).map(|at| (&self.elements[at], self.counts(at)))
    }

    /// The places of the elements of one kind.
    fn places(&self, kind: ElementKind) -> Range<usize> {
        let first = self.elements.partition_point(|element| element.kind < kind);
        first..self.elements.partition_point(|element| element.kind <= kind)
    }

    /// The counts of an element; zero if it is in no trace.
    pub fn element(&self, element: &Element) -> Counts {
        self.elements.binary_search(element).map_or_else(|_| self.absent(), |at| self.counts(at))
    }

    /// The counts of a service; zero if it is in no trace.
    pub fn service(&self, service: &Arc<str>) -> Counts {
        self.element(&Element { kind: ElementKind::Service, service: Arc::clone(service), name: "".into() })
    }

    /// The services of the window.
    pub fn services(&self) -> BTreeSet<Arc<str>> {
        self.owners.iter().map(|owner| Arc::clone(&self.elements[owner.start].service)).collect()
    }

    /// The `most` elements of a kind with the greatest `factor * ochiai + TAIL * ochiai` ([`settle`]d), as far as that is
    /// above 0: what a spectrum alone makes of a suspect. `factor` is asked once for each service. Best first, equal ones
    /// in their own order.
    ///
    /// Nothing is made of an element that does not get among the best: of 100,000 only the columns are read.
    pub fn best(&self, kind: ElementKind, most: usize, factor: impl Fn(&Arc<str>) -> f64) -> Vec<(&Element, Counts)> {
        let places = self.places(kind);
        let (mut scores, mut best) = (Vec::new(), Best::new(most));
        for owner in self.owners.iter().filter(|owner| places.contains(&owner.start)) {
            let factor = factor(&self.elements[owner.start].service);
            score_all(&self.ef[owner.clone()], &self.ep[owner.clone()], self.failing, &mut scores);
            for (at, &ochiai) in (owner.start..).zip(&scores) {
                best.offer(at, factor * ochiai + TAIL * ochiai);
            }
        }
        best.places().into_iter().map(|at| (&self.elements[at], self.counts(at))).collect()
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
