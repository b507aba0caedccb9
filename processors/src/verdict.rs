//! Judges incidents: who is to blame, with the evidence for and against, revision by revision.
//!
//! Keeps the closed slices of the last while. When an incident is opened, updated or resolved, its slices are judged
//! against the quiet slices before it (slices of other incidents are nobody's baseline) by the `localize` crate, and the
//! verdict is sent as a full snapshot: the last one wins. A verdict that is sure enough becomes a patch request, at most
//! one for each incident and suspect, when the incident is over or when two revisions in a row are sure of the same
//! suspect.
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
//!     patch_request: { enabled: true, min_confidence: medium, flag_prefix: fix_, max_lines: 200 }
//! ```
//!
//! The slices that a revision names are all there when it comes, and later ones are not looked at, so the same input
//! gives the same verdicts with any number of shards and any rhythm of ticks.

mod config;
mod known;
mod requests;
mod ring;

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_localize::document;
use backtrail_localize::refine::{Known, refine};
use backtrail_localize::{Judgement, Options, judge};
use backtrail_model::change::Change;
use backtrail_model::data::{Batch, Data};
use backtrail_model::incident::{DetectorKind, Incident, Status};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::span::SpanRecord;
use backtrail_model::spectra::Entry;
use backtrail_model::time::{Slice, SliceGrid, Tick, UnixNano};
use backtrail_model::verdict::{Provenance, Verdict as Document};
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Duration, Emit, NodeError, Processor, Scope};

pub use self::config::{Changes, Confidence, Config, Requests};
use self::known::{alert_of, changes_of_file, recent};
use self::requests::Desk;
use self::ring::{Ring, Selected, Sick};

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

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        let grid = cx.grid();
        Ok(Box::new(Verdict {
            ring: Ring::new(slices(self.window, grid), slices(self.baseline, grid)),
            desk: Desk::new(self.patch_request.clone()),
            open: BTreeMap::new(),
            changes: changes_of_file(&self.changes)?,
            config: self.clone(),
            cx: cx.clone(),
        }))
    }
}

/// The node.
struct Verdict {
    config: Config,
    ring: Ring,
    desk: Desk,
    /// Open incidents, by key, with their opening slices.
    open: BTreeMap<String, Slice>,
    /// Changes of the configured file.
    changes: Vec<Arc<Change>>,
    cx: Context,
}

impl Processor for Verdict {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        match &batch.data {
            Data::Edges(part) => self.ring.add_edges(part),
            Data::Spectra(part) => self.ring.add_spectra(part),
            Data::MetricWindows(part) => self.ring.add_metrics(part),
            Data::LogMotifs(part) => self.ring.add_logs(part),
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
            self.ring.expire(self.cx.grid().slice(now.watermark), &opened);
        }
        Ok(())
    }
}

impl Verdict {
    fn revise(&mut self, incident: &Incident, out: &mut Emit<'_>) {
        let sick = sick(incident, self.cx.grid());
        self.ring.mark_sick(&incident.incident_key, sick);
        let over = incident.status == Status::Resolved;
        let new = self.open.insert(incident.incident_key.clone(), sick.first).is_none();
        if over || new || self.config.every_revision {
            // A window that somebody gave is judged as it was given, and an alert's from before it fired: the first
            // symptoms tell the most. Another one is judged by its newest part.
            let selected = self.ring.select(&incident.incident_key, !sick.detected);
            let (judgement, verdict) = self.judge(incident, &selected);
            if let Some(request) = self.desk.consider(&verdict, &judgement, over) {
                out.derive(Data::Verdict(Arc::new(verdict)));
                out.derive(Data::PatchRequest(Arc::new(request)));
            } else {
                out.derive(Data::Verdict(Arc::new(verdict)));
            }
        }
        if over {
            self.open.remove(&incident.incident_key);
            self.desk.close(&incident.incident_key);
        }
    }

    fn judge(&self, incident: &Incident, selected: &Selected<'_>) -> (Judgement, Document) {
        let endpoint = &incident.endpoint;
        let entry = Entry { service: Arc::from(&*endpoint.service), route: Arc::from(&*endpoint.route) };
        let sampled_share = sampled_share(selected);
        let options = Options {
            sampled_share,
            // An alert may know the service only.
            endpoint: (!endpoint.service.is_empty() && !endpoint.route.is_empty()).then_some(entry),
            latency_quantile: self.config.latency_quantile.0,
            suspects: self.config.max_suspects,
            ..Options::default()
        };
        let mut judgement = judge(&selected.baseline, &selected.window, &options);
        let changes = recent(&self.changes, &self.cx.shared().changes.all(), incident, self.config.changes.max_age.0);
        let known = Known {
            alert: alert_of(incident),
            changes: changes.iter().map(|change| &**change).collect(),
            since: incident.window.start_unix_nano,
            begin: selected.first.map_or(incident.window.start_unix_nano, |first| self.cx.grid().start(first)),
        };
        refine(&mut judgement, &selected.baseline, &selected.window, &known, &options);
        let provenance = Provenance {
            engine: concat!("backtrail ", env!("CARGO_PKG_VERSION")).to_owned(),
            config_digest: self.cx.shared().config_digest.clone(),
            baseline_slices: selected.baseline_slices,
            window_slices: selected.window_slices,
            slice_seconds: self.cx.grid().length.as_secs_f64(),
            sampled_share,
            late_spans: incident.window.late,
        };
        let verdict = document::verdict(incident, &judgement, provenance);
        (judgement, verdict)
    }
}

/// The share of the traffic that upstream samplers let through: traces that came over traces that they stand for. A test
/// of significance counts what came; a share of failures is the same either way.
fn sampled_share(selected: &Selected<'_>) -> f64 {
    let slices = || selected.baseline.spectra.iter().chain(&selected.window.spectra);
    let observed: u64 = slices().map(|slice| slice.observed).sum();
    let weighted: u64 = slices().map(|slice| slice.traces()).sum();
    if observed == 0 || weighted == 0 {
        return 1.0;
    }
    (observed as f64 * f64::from(SpanRecord::ONE) / weighted as f64).min(1.0)
}

/// How many slices a time spans.
fn slices(time: Duration, grid: SliceGrid) -> u64 {
    time.0.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as u64
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
