//! The metrics that stand beside the traces: which services are at a limit now, by what they used in quiet times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use backtrail_localize::saturation::saturated;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::time::Slice;

/// A scrape says what is so until the next one comes, but no longer than this many slices; younger ones are nobody's past.
const FRESH: u64 = 8;

/// Metrics of the last while.
pub(super) struct Scrapes {
    history: u64,
    /// What is not judged yet, or not old enough to be past.
    recent: BTreeMap<Slice, Vec<Arc<MetricSlice>>>,
    /// Slices of `recent` in which an incident was open.
    tainted: BTreeSet<Slice>,
    /// Quiet slices, oldest first.
    past: VecDeque<(Slice, Vec<Arc<MetricSlice>>)>,
}

impl Scrapes {
    pub(super) fn new(history: usize) -> Self {
        let (recent, tainted, past) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        Self { history: history as u64, recent, tainted, past }
    }

    pub(super) fn add(&mut self, part: &Arc<MetricSlice>) {
        self.recent.entry(part.slice).or_default().push(Arc::clone(part));
    }

    /// Lets what is old enough become past, but for what incidents have: until their last sign `over` once they are.
    pub(super) fn age(&mut self, slice: Slice, any_open: bool, over: Option<Slice>) {
        self.tainted.retain(|slice| over.is_none_or(|over| *slice <= over));
        if any_open {
            self.tainted.extend(self.recent.range(..=slice).map(|(slice, _)| *slice));
        }
        while let Some(oldest) = self.recent.first_entry().filter(|oldest| oldest.key().0 + FRESH <= slice.0) {
            let (of, parts) = oldest.remove_entry();
            if !self.tainted.remove(&of) {
                self.past.push_back((of, parts));
            }
        }
        while self.past.front().is_some_and(|(of, _)| of.0 + self.history < slice.0) {
            self.past.pop_front();
        }
    }

    /// Services that are full in this slice and were not in quiet times.
    pub(super) fn full(&self, slice: Slice) -> BTreeSet<Arc<str>> {
        let newest = self.recent.range(..=slice).flat_map(|(_, parts)| parts);
        let newest: Vec<&MetricSlice> = newest.map(|part| &**part).collect();
        if newest.is_empty() {
            return BTreeSet::new();
        }
        let quiet: Vec<&MetricSlice> = self.past.iter().flat_map(|(_, parts)| parts).map(|part| &**part).collect();
        saturated(&quiet, &newest)
    }

    pub(super) fn forget(&mut self) {
        self.past.clear();
        self.recent.clear();
        self.tainted.clear();
    }
}

#[cfg(test)]
mod tests {
    use backtrail_model::UnixNano;
    use backtrail_model::metrics::{Measure, Scrape, SeriesKey};

    use super::*;

    fn scrape(at: u64, share: f64) -> Arc<MetricSlice> {
        let mut slice = MetricSlice::new(Slice(at));
        let key = SeriesKey {
            service: "cart".into(),
            instance: "cart-1".into(),
            node: "".into(),
            part: "".into(),
            measure: Measure::CpuUtilization,
            name: "cpu".into(),
        };
        slice.add(key, Scrape::new(UnixNano(at * 15_000_000_000), share));
        Arc::new(slice)
    }

    /// In which of the slices, with these shares of the limit, the service is full; an incident is open in those of `open`.
    fn full(shares: &[f64], open: std::ops::Range<u64>) -> Vec<u64> {
        let mut scrapes = Scrapes::new(240);
        let slices = (0..).zip(shares).filter_map(|(at, &share)| {
            scrapes.add(&scrape(at, share));
            let over = (at >= open.end).then(|| Slice(open.end.saturating_sub(1)));
            scrapes.age(Slice(at), open.contains(&at), over);
            (!scrapes.full(Slice(at)).is_empty()).then_some(at)
        });
        slices.collect()
    }

    #[test]
    fn a_service_is_full_while_its_newest_scrape_says_so() {
        let shares: Vec<f64> = (0..40).map(|at| if (30..33).contains(&at) { 0.95 } else { 0.1 }).collect();
        assert_eq!(full(&shares, 0..0), [30, 31, 32]);
    }

    #[test]
    fn what_was_full_in_an_incident_is_no_past_and_what_was_full_in_quiet_times_is() {
        let shares: Vec<f64> = (0..80).map(|at| if at % 40 >= 36 { 0.95 } else { 0.1 }).collect();
        assert_eq!(full(&shares, 0..0), [36, 37, 38, 39]);
        assert_eq!(full(&shares, 36..40), [36, 37, 38, 39, 76, 77, 78, 79]);
    }
}
