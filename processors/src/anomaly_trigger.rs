//! Opens, updates and resolves incidents: says that something is wrong, where and since when, and never why.
//!
//! Four detectors read the closed slices. A given `window` is an incident by the word of who gave it. An `slo` burns
//! when a short and a long window both spend the error budget too fast. A `shift` is an entry operation whose error share
//! or latency left its own past: a likelihood-ratio test against the quiet slices of the last hour, whose gate grows with
//! the number of tests made (`2 ln m`), and a least effect, because with enough traffic every difference is significant.
//!
//! The same is asked of the inside of the system (`evidence`): self times, gaps of calls, and which call or log statement
//! follows which. Faults that no user notices yet show there, and those that fail fast and quietly.
//! An alert of another tool is an incident of its own from `lead` before it fires until it is resolved.
//!
//! Entry operations that go sick together are one incident; what begins to fail while it is open and shares a service
//! with it joins it. What sets in inside, later and on other services, is an incident of its own. Slices of an open incident
//! never become anybody's past; those after its last sign do.
//!
//! ```yaml
//! processors:
//!   anomaly_trigger:
//!     slo:
//!       - { service: frontend, route: "POST /orders*", objective: 99.9%, latency: 300ms }
//!     shift: { for: 2, history: 60m, warm_up: 5m, min_error_rise: 1%, min_latency_rise: 25%, min_time_lost: 10% }
//!     alerts: { lead: 15m }
//!     resolve_after: 4
//!     max_open: 2h
//! ```
//!
//! `backtrail replay --from 2022-08-22T03:53:00Z --to 2022-08-22T03:56:00Z` sets `window: { start: ..., end: ... }`;
//! then the other detectors rest. The past survives a restart (`service.checkpoint`). Limits: the tests take a weighted
//! count for as many observations, so heavy upstream sampling makes them too sure.

mod alerts;
mod clusters;
mod config;
mod entries;
mod evidence;
mod given;
mod scrapes;
mod shift;
mod slo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::incident::Incident;
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::spectra::{ElementKind, Entry, SpectraSlice};
use backtrail_model::time::{Slice, Tick};
use backtrail_pipeline::node::Finding as Problem;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope};

use self::alerts::Alarms;
use self::clusters::Clusters;
pub use self::config::{Alerts, BurnRate, Config, GivenWindow, Shift, Slo};
use self::entries::counts_of;
pub(crate) use self::entries::endpoint as endpoint_of;
use self::evidence::EvidenceShifts;
use self::given::Given;
use self::shift::Shifts;
use self::slo::Slos;
pub use backtrail_model::moment::Time;

impl Component for Config {
    const NAME: &'static str = "anomaly_trigger";
    const SUMMARY: &'static str = "opens, updates and resolves incidents";
    const SCOPE: Scope = Scope::Global;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Edges, Signal::Spectra, Signal::MetricWindows])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Edges, Signal::Spectra, Signal::MetricWindows, Signal::Incidents])
    }

    fn check(&self) -> Vec<Problem> {
        self.problems()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        let grid = cx.grid();
        let alarms = Alarms::new(grid, &self.alerts, self.max_open).map_err(|message| NodeError::Config {
            message,
            hint: "name a JSON file with alerts, or leave alerts.file out".to_owned(),
        })?;
        Ok(Box::new(AnomalyTrigger {
            alarms,
            given: self.window.map(|window| Given::new(window, grid)),
            shifts: Shifts::new(self.shift.clone(), grid),
            evidence: EvidenceShifts::new(self.shift.clone(), grid),
            slos: Slos::new(self.slo.clone(), self.burn_rates.clone(), grid),
            clusters: Clusters::new(grid, self.resolve_after, self.max_open),
            pending: BTreeMap::new(),
            judged: None,
            cx: cx.clone(),
        }))
    }
}

/// The node.
struct AnomalyTrigger {
    given: Option<Given>,
    alarms: Alarms,
    shifts: Shifts,
    evidence: EvidenceShifts,
    slos: Slos,
    clusters: Clusters,
    /// The shards' parts of slices that the watermark has not passed.
    pending: BTreeMap<Slice, Vec<Arc<SpectraSlice>>>,
    /// The last slice that was judged.
    judged: Option<Slice>,
    cx: Context,
}

/// A longer gap without any traffic is a break (a restart of the source), and not that many empty slices.
const LONGEST_GAP: u64 = 240;

impl Processor for AnomalyTrigger {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Spectra(part) = &batch.data {
            if self.judged.is_some_and(|judged| part.slice <= judged) {
                out.note("late_part", 1);
            } else {
                self.pending.entry(part.slice).or_default().push(Arc::clone(part));
            }
        }
        if let Data::MetricWindows(part) = &batch.data {
            match &mut self.given {
                Some(given) => given.scraped(part.slice),
                None => self.evidence.scraped(part),
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        let grid = self.cx.grid();
        while let Some((&slice, _)) = self.pending.first_key_value() {
            if grid.end(slice) > now.watermark {
                break;
            }
            let parts = self.pending.remove(&slice).unwrap_or_default();
            self.pass_gap(slice, out);
            self.judge(slice, &parts, out);
        }
        if now.is_last() {
            if let Some(given) = &mut self.given {
                emit(given.finish(), out);
            }
        } else {
            self.pass_gap(grid.slice(now.watermark), out);
        }
        if self.given.is_none() {
            self.hear_alarms(now, out);
        }
        self.cx.shared().incidents.publish(match &self.given {
            Some(given) => given.open(),
            None => self.clusters.open().into_iter().chain(self.alarms.open()).collect(),
        });
        Ok(())
    }
}

impl AnomalyTrigger {
    /// Takes what was posted, and makes the revisions of alerts slice by slice.
    fn hear_alarms(&mut self, now: Tick, out: &mut Emit<'_>) {
        let shared = self.cx.shared();
        let missed = self.alarms.hear(&shared.alerts);
        out.note("alerts_missed", missed);
        let revisions =
            if now.is_last() { self.alarms.finish(shared.allowed_lateness) } else { self.alarms.pass(now.watermark) };
        emit(revisions, out);
    }

    /// Judges the slices before `slice` in which nothing happened.
    fn pass_gap(&mut self, slice: Slice, out: &mut Emit<'_>) {
        if let Some(given) = &mut self.given {
            emit(given.pass(slice), out);
        }
        let Some(judged) = self.judged else { return };
        let first = (judged.0 + 1).max(slice.0.saturating_sub(LONGEST_GAP));
        for empty in first..slice.0 {
            self.judge(Slice(empty), &[], out);
        }
    }

    fn judge(&mut self, slice: Slice, parts: &[Arc<SpectraSlice>], out: &mut Emit<'_>) {
        self.judged = Some(slice);
        let counts = counts_of(parts);
        if let Some(given) = &mut self.given {
            if !parts.is_empty() {
                emit(given.judge(slice, &counts), out);
            }
            return;
        }
        let mut findings = self.slos.judge(slice, &counts);
        findings.extend(self.shifts.judge(slice, &counts, self.clusters.any_open()));
        findings.extend(self.evidence.judge(slice, parts, self.clusters.any_open(), self.clusters.over()));
        out.note("entries_past_max", self.shifts.take_refused());
        let revisions = self.clusters.step(slice, findings, |entry| services_of(entry, parts));
        let given_up = self.clusters.take_given_up();
        given_up.entries.iter().for_each(|entry| self.shifts.forget(entry));
        if given_up.signs {
            self.evidence.forget();
        }
        emit(revisions, out);
    }
}

fn emit(revisions: impl IntoIterator<Item = Incident>, out: &mut Emit<'_>) {
    for incident in revisions {
        out.derive(Data::Incident(Arc::new(incident)));
    }
}

/// The services that the traces of an entry operation touch.
fn services_of(entry: &Entry, parts: &[Arc<SpectraSlice>]) -> BTreeSet<Arc<str>> {
    let mut services = BTreeSet::new();
    for part in parts {
        let signatures: BTreeSet<u64> =
            part.groups.keys().filter(|group| group.entry == *entry).map(|group| group.signature).collect();
        let elements = signatures.iter().filter_map(|hash| part.signatures.get(hash)).flat_map(|list| list.iter());
        services.extend(elements.filter(|e| e.kind == ElementKind::Service).map(|e| Arc::clone(&e.service)));
    }
    services
}

#[cfg(test)]
mod tests;
