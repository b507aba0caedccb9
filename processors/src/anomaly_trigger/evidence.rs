//! Signs of trouble inside the system, against its own past: an operation or a call that became slower, or traces that
//! take another path, before (or without) any entry operation showing it.
//!
//! A fault begins in some slice and lasts. So the newest 2, 4 and 8 slices are each held against the quiet slices before
//! them, and a sign is as strong as the best of these says: a likelihood ratio over the time of the change, within a limited
//! window (Willsky and Jones 1976; Lai 1995). As many slices again are left out in between, so that a slow onset does not
//! become its own yardstick. What opens an incident has to be seen in two slices, each by itself. Metrics say where to look
//! first: see [`Scrapes`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use backtrail_localize::signs::{self, Least, Sign, Symptom};
use backtrail_model::incident::DetectorKind;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::spectra::{ElementKind, Entry, SpectraSlice};
use backtrail_model::time::{Slice, SliceGrid};

use super::clusters::Finding;
use super::config::Shift;
use super::entries::UNIT;
use super::scrapes::Scrapes;

/// Slices that are looked at together: a change may have come before any of these.
const LOOKS: [usize; 3] = [2, 4, 8];
/// The longest look.
const LONGEST: u64 = 8;
/// Least past, in traces.
const LEAST_PAST: f64 = 30.0;
/// Least traces that take a new path: one user who does something new is no incident.
const LEAST_TRACES: f64 = 3.0;
/// Least rise of a time, nanoseconds: less is no symptom for anybody.
const LEAST_RISE: f64 = 1e6;
/// A sign of an open incident is there until it falls below this part of its gate.
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
    scrapes: Scrapes,
}

struct Kept {
    slice: Slice,
    parts: Vec<Arc<SpectraSlice>>,
    traces: u64,
    tainted: bool,
}

/// When a sign was seen.
#[derive(Default)]
struct Seen {
    /// The first slice that shows it ...
    first: Option<Slice>,
    /// ... and the last.
    last: Option<Slice>,
    /// How many do.
    slices: u64,
    /// The last slice before them that would have shown it and did not.
    absent: Option<Slice>,
}

impl EvidenceShifts {
    pub(super) fn new(config: Shift, grid: SliceGrid) -> Self {
        let slices =
            |time: std::time::Duration| time.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as usize;
        // A past of fewer slices than blocks says nothing of how much quiet times differ from each other.
        let (history, warm_up) = (slices(config.history.0), slices(config.warm_up.0).max(signs::BLOCKS));
        let scrapes = Scrapes::new(history);
        Self { config, history, warm_up, past: VecDeque::new(), recent: VecDeque::new(), scrapes }
    }

    /// Takes a part of a slice of metrics.
    pub(super) fn scraped(&mut self, part: &Arc<MetricSlice>) {
        if self.config.enabled && self.config.evidence {
            self.scrapes.add(part);
        }
    }

    /// Judges a slice. While any incident is open, nothing becomes past; when it is over, at its last sign `over`, what came
    /// after that does.
    pub(super) fn judge(
        &mut self,
        slice: Slice,
        parts: &[Arc<SpectraSlice>],
        any_open: bool,
        over: Option<Slice>,
    ) -> Vec<Finding> {
        if !self.config.enabled || !self.config.evidence {
            return Vec::new();
        }
        self.age(slice, any_open, over);
        self.scrapes.age(slice, any_open, over);
        let traces: u64 = parts.iter().map(|part| part.traces()).sum();
        if traces == 0 {
            return Vec::new();
        }
        self.recent.push_back(Kept { slice, parts: parts.to_vec(), traces, tainted: any_open });
        let full = self.scrapes.full(slice);
        let mut findings: Vec<Finding> =
            self.look(&full).into_iter().map(|symptom| self.finding(symptom, over)).collect();
        for service in &full {
            set_in_together(service, &mut findings);
        }
        findings
    }

    /// Forgets the past: the new state is the normal one.
    pub(super) fn forget(&mut self) {
        self.past.clear();
        self.recent.clear();
        self.scrapes.forget();
    }

    fn age(&mut self, slice: Slice, any_open: bool, over: Option<Slice>) {
        for kept in &mut self.recent {
            kept.tainted = (kept.tainted && over.is_none_or(|over| kept.slice <= over)) || any_open;
        }
        while self.recent.front().is_some_and(|kept| kept.slice.0 + LONGEST <= slice.0) {
            let Some(kept) = self.recent.pop_front() else { break };
            if !kept.tainted {
                self.past.push_back(kept);
            }
        }
        while self.past.len() > self.history {
            self.past.pop_front();
        }
    }

    /// Every sign that is at least half as strong as its gate.
    fn look(&self, full: &BTreeSet<Arc<str>>) -> Vec<Symptom> {
        let mut best: BTreeMap<Sign, Symptom> = BTreeMap::new();
        for look in LOOKS {
            let Some(newer) = self.recent.len().checked_sub(look) else { break };
            let recent = self.recent.iter().take(newer.saturating_sub(look)).filter(|kept| !kept.tainted);
            let quiet: Vec<&Kept> = self.past.iter().chain(recent).collect();
            let traces: u64 = quiet.iter().map(|kept| kept.traces).sum();
            if quiet.len() < self.warm_up || (traces as f64 / UNIT) < LEAST_PAST {
                continue;
            }
            // Until the past is renewed, its every slice is looked at anew, by looks that overlap: those of 2 slices make
            // half as many, those of 4 a quarter.
            let least = self.least(quiet.len());
            let (quiet, newest) = (parts(quiet.into_iter()), parts(self.recent.iter().skip(newer)));
            for symptom in signs::find(&quiet, &newest, least, full) {
                let strength = symptom.strength();
                if strength > STILL && best.get(&symptom.sign).is_none_or(|known| known.strength() < strength) {
                    best.insert(symptom.sign.clone(), symptom);
                }
            }
        }
        best.into_values().collect()
    }

    fn least(&self, looks: usize) -> Least {
        Least {
            looks,
            latency_rise: self.config.min_latency_rise.0,
            time_ns: LEAST_RISE,
            time_share: self.config.min_time_lost.0,
            traces: LEAST_TRACES,
            share: self.config.min_error_rise.0,
        }
    }

    /// When the sign was seen: in one stretch up to now, not counting slices that say nothing about it. What was seen until
    /// `over` belongs to an incident of before.
    fn seen(&self, symptom: &Symptom, over: Option<Slice>) -> Seen {
        let (mut seen, mut newest) = (Seen::default(), None);
        for kept in self.recent.iter().rev().take_while(|kept| over.is_none_or(|over| kept.slice > over)) {
            match signs::shows(&parts(std::iter::once(kept)), symptom) {
                Some(true) => {
                    seen.first = Some(kept.slice);
                    // Slices that say nothing do not say that it is over.
                    seen.last = seen.last.or(newest).or(seen.first);
                    seen.slices += 1;
                }
                // A last slice that does not show it does not end a stretch, but what is before it does.
                Some(false) if seen.slices == 0 => newest = seen.first,
                Some(false) => {
                    seen.absent = Some(kept.slice);
                    break;
                }
                None if seen.slices == 0 => newest = newest.or(Some(kept.slice)),
                None => {}
            }
        }
        seen
    }

    fn finding(&self, symptom: Symptom, over: Option<Slice>) -> Finding {
        let seen = self.seen(&symptom, over);
        let newest = self.recent.back().map_or(Slice(0), |kept| kept.slice);
        let ready = symptom.strength() > 1.0 && seen.slices >= self.config.slices;
        let entry =
            if ready { self.entry_of(&symptom.service) } else { Entry { service: "".into(), route: "".into() } };
        Finding {
            entry,
            kind: DetectorKind::EvidenceShift,
            slo: String::new(),
            threshold: symptom.normal,
            observed: symptom.observed,
            unit: if matches!(symptom.sign, Sign::Slow(_)) { "ms" } else { "share" },
            strength: symptom.strength(),
            since: seen.first.unwrap_or(newest),
            until: seen.last,
            absent: seen.absent,
            ready,
            sign: Some(symptom.sign),
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

/// All signs of a service that is full set in with the first of them: each request shows another one, and a limit explains
/// them all.
fn set_in_together(service: &Arc<str>, findings: &mut [Finding]) {
    let carries = |finding: &Finding| {
        finding.sign.as_ref().is_some_and(|sign| sign.services().into_iter().flatten().any(|one| one == service))
    };
    let Some(first) = findings.iter().filter(|finding| carries(finding)).map(|finding| finding.since).min() else {
        return;
    };
    for finding in findings.iter_mut().filter(|finding| finding.ready && carries(finding)) {
        finding.since = first;
    }
}

fn parts<'a>(kept: impl Iterator<Item = &'a Kept>) -> Vec<&'a SpectraSlice> {
    kept.flat_map(|kept| &kept.parts).map(|part| &**part).collect()
}

#[cfg(test)]
mod tests {
    use backtrail_model::spectra::TestKey;

    use super::*;

    #[test]
    fn the_signs_of_a_full_service_set_in_with_the_first_of_them() {
        let finding = |service: &str, callee: Option<&str>, since: u64, ready: bool| Finding {
            entry: Entry { service: "web".into(), route: "GET /".into() },
            kind: DetectorKind::EvidenceShift,
            slo: String::new(),
            threshold: 1.0,
            observed: 9.0,
            unit: "ms",
            strength: 1.0,
            since: Slice(since),
            until: None,
            absent: None,
            ready,
            sign: Some(Sign::Slow(TestKey {
                service: service.into(),
                operation: "load".into(),
                callee: callee.map(Arc::from),
            })),
        };
        let mut findings =
            [finding("cart", None, 9, true), finding("web", Some("cart"), 7, false), finding("stock", None, 5, true)];
        set_in_together(&"cart".into(), &mut findings);
        assert_eq!(findings.map(|finding| finding.since.0), [7, 7, 5]);
    }
}
