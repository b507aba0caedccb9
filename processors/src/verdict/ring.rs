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
    /// First and last slice of every incident that is or was, by key.
    sick: BTreeMap<String, (Slice, Slice)>,
}

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

impl Ring {
    /// A ring that judges `window` slices by `baseline` slices.
    pub(super) fn new(window: u64, baseline: u64) -> Self {
        Self { window, baseline, slices: BTreeMap::new(), sick: BTreeMap::new() }
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

    /// Slices `first` to `last` belong to an incident.
    pub(super) fn mark_sick(&mut self, key: &str, first: Slice, last: Slice) {
        self.sick.insert(key.to_owned(), (first, last));
    }

    /// The slices `first` to `last` (the newest of them, unless the `whole` is wanted) and the quiet ones before them.
    pub(super) fn select(&self, first: Slice, last: Slice, whole: bool) -> Selected {
        let mut selected = Selected::default();
        let from = if whole { first } else { first.max(Slice((last.0 + 1).saturating_sub(self.window))) };
        for (&slice, parts) in self.slices.range(from..=last) {
            selected.first.get_or_insert(slice);
            selected.window_slices += 1;
            selected.window.extend(parts);
        }
        let quiet = self.slices.range(..first).rev().filter(|(slice, _)| !self.is_sick(**slice));
        for (&slice, parts) in quiet.take(self.baseline as usize) {
            selected.first = Some(slice);
            selected.baseline_slices += 1;
            selected.baseline.extend(parts);
        }
        selected
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
        self.sick.retain(|_, &mut (_, last)| last >= first);
    }

    fn is_sick(&self, slice: Slice) -> bool {
        self.sick.values().any(|&(first, last)| (first..=last).contains(&slice))
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

    #[test]
    fn the_baseline_leaves_out_what_belongs_to_incidents() {
        let mut ring = ring(0..30);
        ring.mark_sick("old", Slice(14), Slice(16));
        ring.mark_sick("this", Slice(20), Slice(21));
        let selected = ring.select(Slice(20), Slice(21), false);
        assert_eq!(numbers(&selected.window.spectra), [20, 21]);
        assert_eq!(numbers(&selected.baseline.spectra), [19, 18, 17, 13, 12, 11, 10, 9, 8, 7]);
    }

    #[test]
    fn a_long_incident_is_judged_by_its_newest_slices_and_a_given_one_whole() {
        let ring = ring(0..30);
        assert_eq!(numbers(&ring.select(Slice(20), Slice(28), false).window.spectra), [25, 26, 27, 28]);
        assert_eq!(ring.select(Slice(20), Slice(28), true).window_slices, 9);
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
