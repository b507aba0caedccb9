//! The closed slices of the last while, and which of them are whose.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_localize::Slices;
use backtrail_model::edges::EdgeSlice;
use backtrail_model::log_motifs::LogMotifSlice;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::time::Slice;
use serde::{Deserialize, Serialize};

/// Closed slices by time. The parts of shards are kept as they came: whoever judges adds them up.
pub(super) struct Ring {
    window: u64,
    baseline: u64,
    slices: BTreeMap<Slice, Parts>,
    /// Every incident that is or was, by key.
    sick: BTreeMap<String, Sick>,
}

/// When an incident was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sick {
    pub(super) first: Slice,
    /// The last slice that shows it.
    pub(super) last: Slice,
    /// The last slice that is known; quiet ones at the end prove nothing yet while it is open.
    pub(super) open_until: Slice,
    /// Whether it was detected in this traffic: a given window and an alert stand beside what is detected and are no
    /// other trouble.
    pub(super) detected: bool,
}

/// With fewer slices than blocks of a baseline nothing is known of how much they differ from each other.
const LEAST_BASELINE: usize = backtrail_localize::signs::BLOCKS;

/// Parts of slices.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) edges: Vec<Arc<EdgeSlice>>,
    pub(super) spectra: Vec<Arc<SpectraSlice>>,
    pub(super) metrics: Vec<Arc<MetricSlice>>,
    pub(super) logs: Vec<Arc<LogMotifSlice>>,
}

/// The slices that one verdict is made of. They are shared with the ring, so that whoever judges needs no lock on it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Selected {
    pub(super) baseline: Parts,
    pub(super) window: Parts,
    /// The first slice of all.
    pub(super) first: Option<Slice>,
    pub(super) baseline_slices: u64,
    pub(super) window_slices: u64,
}

impl Parts {
    fn extend(&mut self, other: &Self) {
        self.edges.extend(other.edges.iter().map(Arc::clone));
        self.spectra.extend(other.spectra.iter().map(Arc::clone));
        self.metrics.extend(other.metrics.iter().map(Arc::clone));
        self.logs.extend(other.logs.iter().map(Arc::clone));
    }

    /// Whether these are the very same parts.
    pub(super) fn is(&self, other: &Self) -> bool {
        fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        }
        same(&self.edges, &other.edges)
            && same(&self.spectra, &other.spectra)
            && same(&self.metrics, &other.metrics)
            && same(&self.logs, &other.logs)
    }

    /// As the judge takes them.
    pub(super) fn slices(&self) -> Slices<'_> {
        Slices {
            edges: self.edges.iter().map(|part| &**part).collect(),
            spectra: self.spectra.iter().map(|part| &**part).collect(),
            metrics: self.metrics.iter().map(|part| &**part).collect(),
            logs: self.logs.iter().map(|part| &**part).collect(),
        }
    }
}

impl Selected {
    fn take_window<'a>(&mut self, slices: impl Iterator<Item = (&'a Slice, &'a Parts)>) {
        for (&slice, parts) in slices {
            self.first.get_or_insert(slice);
            self.window_slices += 1;
            self.window.extend(parts);
        }
    }

    fn take_baseline<'a>(&mut self, slices: impl Iterator<Item = (&'a Slice, &'a Parts)>) {
        for (&slice, parts) in slices {
            self.first = Some(slice);
            self.baseline_slices += 1;
            self.baseline.extend(parts);
        }
    }
}

impl Sick {
    fn holds(&self, slice: Slice) -> bool {
        (self.first..=self.open_until).contains(&slice)
    }
}

impl Ring {
    /// A ring that judges `window` slices by `baseline` slices.
    pub(super) fn new(window: u64, baseline: u64) -> Self {
        Self { window, baseline, slices: BTreeMap::new(), sick: BTreeMap::new() }
    }

    /// From now on `window` slices are judged by `baseline` slices.
    pub(super) fn resize(&mut self, window: u64, baseline: u64) {
        (self.window, self.baseline) = (window, baseline);
    }

    pub(super) fn add_edges(&mut self, part: &Arc<EdgeSlice>) {
        self.slices.entry(part.slice).or_default().edges.push(Arc::clone(part));
    }

    pub(super) fn add_spectra(&mut self, part: &Arc<SpectraSlice>) {
        self.slices.entry(part.slice).or_default().spectra.push(Arc::clone(part));
    }

    pub(super) fn add_metrics(&mut self, part: &Arc<MetricSlice>) {
        self.slices.entry(part.slice).or_default().metrics.push(Arc::clone(part));
    }

    pub(super) fn add_logs(&mut self, part: &Arc<LogMotifSlice>) {
        self.slices.entry(part.slice).or_default().logs.push(Arc::clone(part));
    }

    /// Takes note of when an incident was.
    pub(super) fn mark_sick(&mut self, key: &str, sick: Sick) {
        self.sick.insert(key.to_owned(), sick);
    }

    /// The slices of the incident with this key (the newest of them, unless the `whole` is wanted) and those to judge
    /// them by.
    ///
    /// Where two detected incidents overlap, the earlier one is judged by the slices that it has for itself. The later one
    /// is judged against those: what both have in common is then nothing new. If they are too few, and for every incident
    /// that stands alone, the baseline is the quiet slices before it.
    pub(super) fn select(&self, key: &str, whole: bool) -> Selected {
        let mut selected = Selected::default();
        let Some(&this) = self.sick.get(key) else { return selected };
        let others = || self.sick.iter().filter(|(other, sick)| *other != key && sick.detected && this.detected);
        let later = |slice: Slice| others().any(|(_, sick)| sick.first > this.first && sick.holds(slice));
        let from =
            if whole { this.first } else { this.first.max(Slice((this.last.0 + 1).saturating_sub(self.window))) };
        selected.take_window(self.slices.range(from..=this.last).filter(|(slice, _)| !later(**slice)));
        let earlier = others().map(|(_, sick)| sick).filter(|sick| sick.first < this.first && sick.last >= this.first);
        let common = earlier.map(|sick| sick.first).max().map(|since| self.slices.range(since..this.first));
        let common: Vec<_> = common.into_iter().flatten().filter(|(_, parts)| !parts.spectra.is_empty()).collect();
        if common.len() >= LEAST_BASELINE {
            selected.take_baseline(common.into_iter().rev().take(self.baseline as usize));
        } else {
            selected.take_baseline(self.quiet_before(this.first));
        }
        selected
    }

    /// The slices `first` to `last`, and the quiet ones before them.
    pub(super) fn stretch(&self, first: Slice, last: Slice) -> Selected {
        let mut selected = Selected::default();
        selected.take_window(self.slices.range(first..=last));
        selected.take_baseline(self.quiet_before(first));
        selected
    }

    /// As many slices before this one as make a baseline, without those of incidents; the newest first.
    fn quiet_before(&self, first: Slice) -> impl Iterator<Item = (&Slice, &Parts)> {
        let quiet = self.slices.range(..first).rev().filter(|(slice, _)| !self.is_sick(**slice));
        quiet.take(self.baseline as usize)
    }

    /// The newest slice.
    pub(super) fn newest(&self) -> Option<Slice> {
        self.slices.last_key_value().map(|(&slice, _)| slice)
    }

    /// Forgets what no revision can need any more; `now` is the slice of the watermark, `open` the opening slices of the
    /// open incidents.
    pub(super) fn expire(&mut self, now: Slice, open: &[Slice]) {
        let oldest = now.0.saturating_sub(self.window + self.baseline);
        let baseline = self.baseline;
        let needed = |slice: Slice| {
            let is_baseline = |opened: Slice| slice < opened && slice.0 + baseline >= opened.0;
            slice.0 >= oldest || open.iter().any(|&opened| is_baseline(opened))
        };
        self.slices.retain(|&slice, _| needed(slice));
        let first = self.slices.first_key_value().map_or(now, |(&slice, _)| slice);
        self.sick.retain(|_, sick| sick.open_until >= first);
    }

    fn is_sick(&self, slice: Slice) -> bool {
        self.sick.values().any(|sick| sick.holds(slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(slices: std::ops::Range<u64>) -> Ring {
        let mut ring = Ring::new(4, 10);
        for slice in slices {
            ring.add_spectra(&Arc::new(SpectraSlice::new(Slice(slice))));
        }
        ring
    }

    fn numbers(slices: &[Arc<SpectraSlice>]) -> Vec<u64> {
        slices.iter().map(|part| part.slice.0).collect()
    }

    fn sick(first: u64, last: u64) -> Sick {
        Sick { first: Slice(first), last: Slice(last), open_until: Slice(last), detected: true }
    }

    #[test]
    fn the_baseline_leaves_out_what_belongs_to_incidents() {
        let mut ring = ring(0..30);
        ring.mark_sick("old", sick(14, 16));
        ring.mark_sick("this", sick(20, 21));
        let selected = ring.select("this", false);
        assert_eq!(numbers(&selected.window.spectra), [20, 21]);
        assert_eq!(numbers(&selected.baseline.spectra), [19, 18, 17, 13, 12, 11, 10, 9, 8, 7]);
    }

    #[test]
    fn quiet_slices_at_the_end_of_an_open_incident_are_in_no_window_and_no_baseline() {
        let mut ring = ring(0..30);
        ring.mark_sick("open", Sick { open_until: Slice(24), ..sick(20, 22) });
        assert_eq!(numbers(&ring.select("open", false).window.spectra), [20, 21, 22]);
        ring.mark_sick("next", sick(25, 25));
        assert_eq!(ring.select("next", false).baseline.spectra[0].slice, Slice(19));
    }

    #[test]
    fn a_long_incident_is_judged_by_its_newest_slices_and_a_given_one_whole() {
        let mut ring = ring(0..30);
        ring.mark_sick("long", sick(20, 28));
        assert_eq!(numbers(&ring.select("long", false).window.spectra), [25, 26, 27, 28]);
        assert_eq!(ring.select("long", true).window_slices, 9);
    }

    #[test]
    fn of_two_that_overlap_each_is_judged_by_what_the_other_does_not_explain() {
        let mut ring = ring(0..40);
        ring.window = 40;
        ring.mark_sick("first", sick(10, 30));
        ring.mark_sick("second", sick(20, 24));
        let expected: Vec<u64> = (10..20).chain(25..=30).collect();
        assert_eq!(numbers(&ring.select("first", false).window.spectra), expected);
        let second = ring.select("second", false);
        assert_eq!(numbers(&second.window.spectra), [20, 21, 22, 23, 24]);
        assert_eq!(numbers(&second.baseline.spectra), [19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
    }

    #[test]
    fn a_second_one_that_begins_soon_after_the_first_or_when_that_is_over_is_judged_by_quiet_slices() {
        for first in [sick(17, 30), sick(10, 19)] {
            let mut ring = ring(0..40);
            ring.mark_sick("first", first);
            ring.mark_sick("second", sick(20, 24));
            let newest = ring.select("second", false).baseline.spectra[0].slice;
            assert_eq!(newest, Slice(first.first.0 - 1));
        }
    }

    #[test]
    fn the_baseline_of_an_open_incident_stays() {
        let mut ring = ring(0..200);
        ring.expire(Slice(199), &[Slice(50)]);
        let held: Vec<u64> = ring.slices.keys().map(|slice| slice.0).collect();
        assert_eq!(held, (40..50).chain(185..200).collect::<Vec<_>>());
        ring.expire(Slice(199), &[]);
        assert_eq!(ring.slices.len(), 15);
    }
}
