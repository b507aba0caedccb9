//! Signs of trouble inside the system, against its own past: an operation or a call that became slower, or traces that
//! take another path, before (or without) any entry operation showing it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use backtrail_localize::signs::{self, Least, Sign, Symptom};
use backtrail_model::incident::DetectorKind;
use backtrail_model::spectra::{ElementKind, Entry, SpectraSlice};
use backtrail_model::time::{Slice, SliceGrid};

use super::clusters::Finding;
use super::config::Shift;
use super::entries::UNIT;

/// Slices that are looked at together: a short look for what is plain, a long one for what is rare.
const LOOKS: [usize; 2] = [4, 8];
/// Least past, in traces.
const LEAST_PAST: f64 = 30.0;
/// Least traces that take a new path: one user who does something new is no incident.
const LEAST_TRACES: f64 = 3.0;
/// Least rise of a time, nanoseconds: less is no symptom for anybody.
const LEAST_RISE: f64 = 1e6;
/// An incident that is open is sick until its signs fall below this part of the gate.
const STILL: f64 = 0.5;

/// The detector.
pub(super) struct EvidenceShifts {
    config: Shift,
    history: usize,
    warm_up: usize,
    /// Quiet slices with traffic, oldest first.
    past: VecDeque<Kept>,
    /// The last slices with traffic; they become past when they are older than the longest look.
    recent: VecDeque<Kept>,
    /// Slices in a row whose look was significant.
    streak: u64,
    since: Slice,
    /// The service that the open incident's sign points at, if this detector opened one.
    about: Option<Arc<str>>,
}

struct Kept {
    slice: Slice,
    parts: Vec<Arc<SpectraSlice>>,
    traces: u64,
    tainted: bool,
}

impl EvidenceShifts {
    pub(super) fn new(config: Shift, grid: SliceGrid) -> Self {
        let slices =
            |time: std::time::Duration| time.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as usize;
        // A past of fewer slices than blocks says nothing of how much quiet times differ from each other.
        let (history, warm_up) = (slices(config.history.0), slices(config.warm_up.0).max(signs::BLOCKS));
        Self {
            config,
            history,
            warm_up,
            past: VecDeque::new(),
            recent: VecDeque::new(),
            streak: 0,
            since: Slice(0),
            about: None,
        }
    }

    /// Judges a slice. While any incident is open, nothing becomes past.
    pub(super) fn judge(&mut self, slice: Slice, parts: &[Arc<SpectraSlice>], any_open: bool) -> Option<Finding> {
        if !self.config.enabled || !self.config.evidence {
            return None;
        }
        self.age(slice, any_open);
        let traces: u64 = parts.iter().map(|part| part.traces()).sum();
        if traces == 0 {
            return None;
        }
        self.recent.push_back(Kept { slice, parts: parts.to_vec(), traces, tainted: any_open });
        let past: u64 = self.past.iter().map(|kept| kept.traces).sum();
        if self.past.len() < self.warm_up || (past as f64 / UNIT) < LEAST_PAST {
            return None;
        }
        if !any_open {
            self.about = None;
        }
        let limit = if self.about.is_some() { STILL } else { 1.0 };
        let found = self.look().filter(|symptom| symptom.strength > limit);
        let Some(symptom) = found else {
            self.streak = 0;
            return None;
        };
        self.streak += 1;
        if self.streak == 1 {
            self.since = self.onset(&symptom);
        }
        let ready = self.streak >= self.config.slices;
        if ready && self.about.is_none() {
            self.about = Some(Arc::clone(&symptom.service));
        }
        Some(self.finding(&symptom, ready))
    }

    /// Forgets the past: the new state is the normal one.
    pub(super) fn forget(&mut self) {
        self.past.clear();
        self.recent.clear();
    }

    fn age(&mut self, slice: Slice, any_open: bool) {
        if any_open {
            self.recent.iter_mut().for_each(|kept| kept.tainted = true);
        }
        let longest = LOOKS.iter().copied().max().unwrap_or(1) as u64;
        while self.recent.front().is_some_and(|kept| kept.slice.0 + longest <= slice.0) {
            let Some(kept) = self.recent.pop_front() else { break };
            if !kept.tainted {
                self.past.push_back(kept);
            }
        }
        while self.past.len() > self.history {
            self.past.pop_front();
        }
    }

    /// The strongest sign of the looks. While its incident is open only signs of the same service count, or whatever is
    /// new in the world would keep it open; and only the short look, or the last sick slices would outlive it.
    fn look(&self) -> Option<Symptom> {
        let past: Vec<&SpectraSlice> = self.past.iter().flat_map(|kept| &kept.parts).map(|part| &**part).collect();
        let least = Least {
            looks: self.history * LOOKS.len(),
            latency_rise: self.config.min_latency_rise.0,
            time_ns: LEAST_RISE,
            traces: LEAST_TRACES,
            share: self.config.min_error_rise.0,
        };
        let looks = if self.about.is_some() { &LOOKS[..1] } else { &LOOKS[..] };
        let signs = looks.iter().filter_map(|&look| {
            let newest = self.recent.iter().rev().take(look);
            let window: Vec<&SpectraSlice> = newest.flat_map(|kept| &kept.parts).map(|part| &**part).collect();
            signs::strongest(&past, &window, least, self.about.as_deref())
        });
        signs.reduce(|best, next| if next.strength > best.strength { next } else { best })
    }

    /// The first of the recent slices that show the sign in one stretch up to now; slices that say nothing about it do
    /// not end the stretch.
    fn onset(&self, symptom: &Symptom) -> Slice {
        let mut since = self.recent.back().map_or(Slice(0), |kept| kept.slice);
        for kept in self.recent.iter().rev() {
            let says: Vec<bool> = kept.parts.iter().filter_map(|part| signs::shows(part, symptom)).collect();
            match (says.contains(&true), says.is_empty()) {
                (true, _) => since = kept.slice,
                (false, true) => {}
                (false, false) => break,
            }
        }
        since
    }

    fn finding(&self, symptom: &Symptom, ready: bool) -> Finding {
        let times = matches!(symptom.sign, Sign::Slow(_));
        Finding {
            entry: self.entry_of(&symptom.service),
            kind: DetectorKind::EvidenceShift,
            slo: String::new(),
            threshold: symptom.normal,
            observed: symptom.observed,
            unit: if times { "ms" } else { "share" },
            strength: symptom.strength,
            since: self.since,
            ready,
        }
    }

    /// The entry operation with the most recent traces through the service.
    fn entry_of(&self, service: &str) -> Entry {
        let mut traces: BTreeMap<&Entry, u64> = BTreeMap::new();
        for part in self.recent.iter().flat_map(|kept| &kept.parts) {
            let through = |elements: &[backtrail_model::spectra::Element]| {
                elements.iter().any(|element| element.kind == ElementKind::Service && *element.service == *service)
            };
            let touching: BTreeSet<u64> =
                part.signatures.iter().filter(|(_, elements)| through(elements)).map(|(hash, _)| *hash).collect();
            for (group, count) in part.groups.iter().filter(|(group, _)| touching.contains(&group.signature)) {
                *traces.entry(&group.entry).or_default() += count;
            }
        }
        let most = traces.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
        most.map_or_else(|| Entry { service: service.into(), route: "".into() }, |(entry, _)| entry.clone())
    }
}
