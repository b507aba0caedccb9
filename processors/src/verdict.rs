//! Judges incidents: who is to blame, with the evidence for and against, revision by revision.
//!
//! Keeps the closed slices of the last while. When an incident is opened, updated or resolved, its slices are judged
//! against the quiet slices before it (slices of other incidents are nobody's baseline) by the `localize` crate, and the
//! verdict is sent as a full snapshot: the last one wins. A verdict that is sure enough becomes a patch request, at most
//! one for each incident and suspect, when the incident is over or when two revisions in a row are sure of the same
//! suspect.
//!
//! With `ownership` the owners of suspects are named, and only what they hold is a candidate for a patch.
//!
//! Where traces are few, new log statements, shifted series and the alert rank the services. Changes (from a file, or
//! posted) are suspects too: the commit, deploy or flag that explains what is wrong, or "no commit".
//!
//! ```yaml
//! processors:
//!   verdict:
//!     window: 15m
//!     baseline: 60m
//!     every_revision: true
//!     changes: { file: /etc/backtrail/changes.yaml, max_age: 24h }
//!     ownership: { file: /etc/backtrail/ownership.yaml }
//!     capsules: { enabled: false, max_count: 100, max_bytes: 1GiB }
//!     patch_request: { enabled: true, min_confidence: medium, flag_prefix: fix_, max_lines: 200 }
//! ```
//!
//! With `capsules: { enabled: true }` the inputs of every verdict are written below `<data_dir>/capsules`, and
//! `backtrail replay --verdict ID` makes the same document of them again, byte by byte.
//!
//! `backtrail investigate` (or a POST to `/v1/investigate` of the admin listener) asks for a verdict on the last while
//! without an incident: it is made of the same slices, outside of the pipeline's threads.
//!
//! The slices that a revision names are all there when it comes, and later ones are not looked at, so the same input
//! gives the same verdicts with any number of shards and any rhythm of ticks.

pub mod capsule;
mod config;
mod inputs;
mod investigation;
mod known;
mod ownership;
mod quiets;
mod requests;
mod ring;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use backtrail_model::data::{Batch, Data};
use backtrail_model::incident::{DetectorKind, Incident, Status};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::time::{Slice, SliceGrid, Tick, UnixNano};
use backtrail_pipeline::node::{Finding, Reconfigured};
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope};
use parking_lot::Mutex;

pub use self::config::{Capsules, Changes, Confidence, Config, Owners, Requests};
use self::inputs::Bench;
use self::investigation::Investigation;
use self::quiets::Quiets;
use self::requests::Desk;
use self::ring::{Ring, Sick};

impl Component for Config {
    const NAME: &'static str = "verdict";
    const SUMMARY: &'static str = "judges incidents: ranked suspects with evidence, and patch requests";
    const SCOPE: Scope = Scope::Global;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Edges, Signal::Spectra, Signal::LogMotifs, Signal::MetricWindows, Signal::Incidents])
    }

    fn emits(&self) -> Signals {
        let made = Signals::of(&[Signal::Verdicts, Signal::PatchRequests]);
        self.accepts().and(made)
    }

    fn check(&self) -> Vec<Finding> {
        self.problems()
    }

    fn reads_files(&self) -> bool {
        self.changes.file.is_some() || self.ownership != Owners::default()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        let grid = cx.grid();
        let ring = Arc::new(Mutex::new(Ring::new(slices(self.window.0, grid), slices(self.baseline.0, grid))));
        let bench = Arc::new(Bench::new(self, cx)?);
        let investigation = registered(&ring, &bench, cx);
        Ok(Box::new(Verdict {
            ring,
            bench,
            investigation,
            desk: Desk::new(self.patch_request.clone()),
            open: BTreeMap::new(),
            quiets: BTreeMap::new(),
            config: self.clone(),
            cx: cx.clone(),
        }))
    }
}

/// Whoever asks the pipeline is answered by this ring and this bench, as long as the answer is held.
fn registered(ring: &Arc<Mutex<Ring>>, bench: &Arc<Bench>, cx: &Context) -> Arc<Investigation> {
    let investigation = Arc::new(Investigation::new(Arc::clone(ring), Arc::clone(bench)));
    let asked: Weak<Investigation> = Arc::downgrade(&investigation);
    cx.shared().investigators.register(asked);
    investigation
}

/// The node.
struct Verdict {
    config: Config,
    /// Locked for as long as it takes to add a slice or to share some: nobody judges meanwhile.
    ring: Arc<Mutex<Ring>>,
    bench: Arc<Bench>,
    /// Held for the board, which does not.
    investigation: Arc<Investigation>,
    desk: Desk,
    /// Open incidents, by key, with their opening slices.
    open: BTreeMap<String, Slice>,
    /// What quiet times before each of them look like.
    quiets: BTreeMap<String, Quiets>,
    cx: Context,
}

impl Processor for Verdict {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        match &batch.data {
            Data::Edges(part) => self.ring.lock().add_edges(part),
            Data::Spectra(part) => self.ring.lock().add_spectra(part),
            Data::MetricWindows(part) => self.ring.lock().add_metrics(part),
            Data::LogMotifs(part) => self.ring.lock().add_logs(part),
            Data::Incident(incident) => {
                let incident = Arc::clone(incident);
                out.pass(batch);
                self.revise(&incident, out);
                return Ok(());
            }
            _ => {}
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, _out: &mut Emit<'_>) -> Result<(), NodeError> {
        if !now.is_last() {
            let opened: Vec<Slice> = self.open.values().copied().collect();
            self.ring.lock().expire(self.cx.grid().slice(now.watermark), &opened);
        }
        Ok(())
    }

    /// Its files are read again. One that cannot be read changes nothing: slices and incidents are worth more than a
    /// setting.
    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        let Some(new) = new.downcast_ref::<Config>() else { return Reconfigured::Rebuild };
        match Bench::new(new, &self.cx) {
            Ok(bench) => {
                let grid = self.cx.grid();
                self.ring.lock().resize(slices(new.window.0, grid), slices(new.baseline.0, grid));
                self.bench = Arc::new(bench);
                self.investigation = registered(&self.ring, &self.bench, &self.cx);
                self.desk.reconfigure(new.patch_request.clone());
                self.config = new.clone();
            }
            Err(error) => {
                self.cx.stats().note("reload_failed", 1);
                tracing::error!(node = self.cx.node(), %error, "kept the old configuration");
            }
        }
        Reconfigured::Live
    }
}

impl Verdict {
    fn revise(&mut self, incident: &Incident, out: &mut Emit<'_>) {
        let sick = sick(incident, self.cx.grid());
        self.ring.lock().mark_sick(&incident.incident_key, sick);
        let over = incident.status == Status::Resolved;
        let new = self.open.insert(incident.incident_key.clone(), sick.first).is_none();
        // The verdicts of before a restart were made then.
        if !out.is_recall() && (over || new || self.config.every_revision) {
            // A window that somebody gave is judged as it was given, and an alert's from before it fired: the first
            // symptoms tell the most. Another one is judged by its newest part.
            let selected = self.ring.lock().select(&incident.incident_key, !sick.detected);
            let quiets = self.quiets.entry(incident.incident_key.clone()).or_default();
            let inputs = self.bench.inputs(incident.clone(), selected);
            let (judgement, verdict) = self.bench.judge(&inputs, quiets);
            let request = self.desk.consider(&verdict, &judgement, over, &inputs);
            out.note("unowned_suspects", self.desk.take_unowned());
            if let Some(request) = request {
                out.derive(Data::Verdict(Arc::new(verdict)));
                out.derive(Data::PatchRequest(Arc::new(request)));
            } else {
                out.derive(Data::Verdict(Arc::new(verdict)));
            }
        }
        if over {
            self.open.remove(&incident.incident_key);
            self.quiets.remove(&incident.incident_key);
            self.desk.close(&incident.incident_key);
        }
    }
}

/// How many slices a time spans.
fn slices(time: std::time::Duration, grid: SliceGrid) -> u64 {
    time.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as u64
}

/// When an incident was, as far as this revision knows.
fn sick(incident: &Incident, grid: SliceGrid) -> Sick {
    let ends = |end: UnixNano| grid.slice(UnixNano(end.0.saturating_sub(1))).max(incident.opened);
    let last = ends(incident.window.end_unix_nano);
    let over = incident.status == Status::Resolved;
    Sick {
        first: incident.opened,
        last,
        open_until: if over { last } else { last.max(ends(incident.window.watermark_unix_nano)) },
        detected: !matches!(incident.detector.kind, DetectorKind::GivenWindow | DetectorKind::Alert),
    }
}

#[cfg(test)]
mod tests;
