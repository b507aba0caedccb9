//! A window that somebody gave.

use std::collections::BTreeMap;

use backtrail_model::incident::{Detector, DetectorKind, Endpoint, Incident, Status, Window};
use backtrail_model::spectra::Entry;
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_pipeline::context::OpenIncident;

use super::config::GivenWindow;
use super::entries::{ByEntry, Counts, endpoint};
use super::shift::excess_above;

/// The incident of a given window, slice by slice.
pub(super) struct Given {
    grid: SliceGrid,
    first: Slice,
    last: Slice,
    before: BTreeMap<Entry, Counts>,
    during: BTreeMap<Entry, Counts>,
    /// The last slice of the window that was judged.
    judged: Option<Slice>,
    /// The last slice of the window in which a metric was scraped: traces may end before the fault does.
    scraped: Option<Slice>,
    resolved: bool,
}

impl Given {
    pub(super) fn new(window: GivenWindow, grid: SliceGrid) -> Self {
        let (start, end) = (window.start.0, window.end.0);
        let last = grid.slice(UnixNano(end.0.saturating_sub(1)));
        Self {
            grid,
            first: grid.slice(start),
            last,
            before: BTreeMap::new(),
            during: BTreeMap::new(),
            judged: None,
            scraped: None,
            resolved: false,
        }
    }

    /// Takes note of a slice of metrics.
    pub(super) fn scraped(&mut self, slice: Slice) {
        if (self.first..=self.last).contains(&slice) {
            self.scraped = self.scraped.max(Some(slice));
        }
    }

    /// Everything before `slice` is over: resolves the incident if that includes the window.
    pub(super) fn pass(&mut self, slice: Slice) -> Option<Incident> {
        (slice > self.last && !self.resolved).then(|| self.revision(self.last, Status::Resolved))
    }

    /// Takes a slice with traffic.
    pub(super) fn judge(&mut self, slice: Slice, counts: &ByEntry) -> Option<Incident> {
        if slice > self.last {
            return None;
        }
        let sums = if slice < self.first { &mut self.before } else { &mut self.during };
        for (entry, counts) in counts {
            sums.entry(entry.clone()).or_default().add(counts);
        }
        if slice < self.first {
            return None;
        }
        let status = match (slice == self.last, self.judged) {
            (true, _) => Status::Resolved,
            (_, None) => Status::Open,
            _ => Status::Updated,
        };
        Some(self.revision(slice, status))
    }

    /// The input ended: so does the window, one revision after its last.
    pub(super) fn finish(&mut self) -> Option<Incident> {
        if self.resolved {
            return None;
        }
        let next = self.judged.map_or(self.first, |judged| Slice(judged.0 + 1));
        let last = next.max(self.scraped.unwrap_or(next)).min(self.last);
        Some(self.revision(last, Status::Resolved))
    }

    pub(super) fn open(&self) -> Vec<OpenIncident> {
        if self.resolved || self.judged.is_none() {
            return Vec::new();
        }
        let since = self.grid.start(self.first);
        vec![OpenIncident { incident_key: self.key(), endpoint: self.endpoint(), since }]
    }

    /// The window is all there is to know about the incident, so the key names no endpoint: which one suffers most may
    /// change from revision to revision.
    fn key(&self) -> String {
        let any = Endpoint { service: "*".to_owned(), route: "*".to_owned(), method: String::new() };
        Incident::key("", &any, DetectorKind::GivenWindow, self.grid.start(self.first))
    }

    /// The entry operation with the most failing or slow traces more than before.
    fn endpoint(&self) -> Endpoint {
        let none = Counts::default();
        let excess = |entry: &Entry, now: &Counts| {
            let before = self.before.get(entry).unwrap_or(&none);
            let usual = before.errors as f64 / before.traces.max(1) as f64;
            let failing = (now.errors as f64 - usual * now.traces as f64).max(0.0) / 256.0;
            failing.max(excess_above(&before.latency, &now.latency, 0.95))
        };
        let ranked = self.during.iter().map(|(entry, now)| (entry, excess(entry, now), now.traces));
        let worst = ranked.reduce(|best, next| if (next.1, next.2) > (best.1, best.2) { next } else { best });
        worst.map(|(entry, ..)| endpoint(entry)).unwrap_or_default()
    }

    fn revision(&mut self, slice: Slice, status: Status) -> Incident {
        self.judged = Some(slice);
        self.resolved |= status == Status::Resolved;
        Incident {
            incident_key: self.key(),
            revision: slice.0 - self.first.0,
            status,
            detector: Detector {
                kind: DetectorKind::GivenWindow,
                slo: String::new(),
                threshold: 0.0,
                observed: 0.0,
                unit: String::new(),
            },
            endpoint: self.endpoint(),
            window: Window {
                start_unix_nano: self.grid.start(self.first),
                end_unix_nano: self.grid.end(slice),
                watermark_unix_nano: self.grid.end(slice),
                late: 0,
            },
            opened: self.first,
        }
    }
}
