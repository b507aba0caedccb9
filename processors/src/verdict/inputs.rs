//! What a verdict is made of, all of it, and how: the same inputs give the same document, byte by byte.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_localize::peers::{Named, Peers};
use backtrail_localize::refine::{Known, refine};
use backtrail_localize::{Judgement, Options, document, judge_with};
use backtrail_localize::{load, motifs};
use backtrail_model::change::Change;
use backtrail_model::incident::Incident;
use backtrail_model::ownership::Ownership;
use backtrail_model::patch_request::{EdgeLoad, LogMotif};
use backtrail_model::span::SpanRecord;
use backtrail_model::spectra::Entry;
use backtrail_model::time::UnixNano;
use backtrail_model::verdict::{Provenance, Verdict};
use backtrail_pipeline::{Context, NodeError};
use serde::{Deserialize, Serialize};

use super::capsule::Keeper;
use super::config::Config;
use super::known::{alert_of, changes_of_file, recent};
use super::ownership;
use super::quiets::Quiets;
use super::ring::Selected;

/// What all verdicts of a node have in common.
pub(super) struct Bench {
    config: Config,
    /// Changes of the configured file.
    changes: Vec<Arc<Change>>,
    ownership: Option<Arc<Ownership>>,
    keeper: Keeper,
    cx: Context,
}

impl Bench {
    pub(super) fn new(config: &Config, cx: &Context) -> Result<Self, NodeError> {
        Ok(Self {
            changes: changes_of_file(&config.changes)?,
            ownership: ownership::read(&config.ownership, cx)?,
            keeper: Keeper::new(&config.capsules, cx.data_dir()),
            config: config.clone(),
            cx: cx.clone(),
        })
    }

    pub(super) const fn cx(&self) -> &Context {
        &self.cx
    }

    /// Judges, and keeps the inputs if that is configured.
    pub(super) fn judge(&self, inputs: &Inputs, quiets: &mut Quiets) -> (Judgement, Verdict) {
        let (judgement, verdict) = inputs.verdict(quiets);
        self.keeper.keep(inputs, &verdict);
        self.cx.shared().said.post(&verdict);
        (judgement, verdict)
    }

    /// The inputs of the verdict on a revision of an incident.
    pub(super) fn inputs(&self, incident: Incident, selected: Selected) -> Inputs {
        let posted = self.cx.shared().changes.all();
        let mut changes = recent(&self.changes, &posted, &incident, self.config.changes.max_age.0);
        if let Some(known) = &self.ownership {
            changes = changes.into_iter().map(|change| ownership::attribute(change, known)).collect();
        }
        let begin = selected.first.map_or(incident.window.start_unix_nano, |first| self.cx.grid().start(first));
        let settings = Settings {
            engine: concat!("backtrail ", env!("CARGO_PKG_VERSION")).to_owned(),
            config_digest: self.cx.shared().config_digest.clone(),
            latency_quantile: self.config.latency_quantile.0,
            max_suspects: self.config.max_suspects,
            slice_seconds: self.cx.grid().length.as_secs_f64(),
            begin,
            among: None,
            capsules: self.keeper.dir().map(|dir| dir.display().to_string()),
        };
        Inputs { incident, selected, changes, ownership: self.ownership.clone(), settings }
    }
}

/// Settings of a verdict, beside its incident, slices and changes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Name and version of the program.
    pub(super) engine: String,
    /// Digest of its configuration.
    pub(super) config_digest: String,
    /// `latency_quantile` of the node, 0 to 1.
    pub(super) latency_quantile: f64,
    /// `max_suspects` of the node.
    pub(super) max_suspects: usize,
    /// Length of a slice, seconds.
    pub(super) slice_seconds: f64,
    /// When the first of all slices begins.
    pub(super) begin: UnixNano,
    /// The only services that are suspected; all when it is `None`.
    pub(super) among: Option<BTreeSet<Arc<str>>>,
    /// Where the verdict's capsule is kept, if it is.
    pub(super) capsules: Option<String>,
}

/// The inputs of one verdict.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Inputs {
    pub(super) incident: Incident,
    pub(super) selected: Selected,
    /// The changes that can be suspects.
    pub(super) changes: Vec<Arc<Change>>,
    /// Who owns what, if that is configured.
    pub(super) ownership: Option<Arc<Ownership>>,
    pub(super) settings: Settings,
}

impl Inputs {
    /// Judges. Nothing but the inputs is looked at; `quiets` only saves work.
    pub(super) fn verdict(&self, quiets: &mut Quiets) -> (Judgement, Verdict) {
        let Self { incident, selected, changes, ownership, settings } = self;
        let endpoint = &incident.endpoint;
        let entry = Entry { service: Arc::from(&*endpoint.service), route: Arc::from(&*endpoint.route) };
        let sampled_share = sampled_share(selected);
        let options = Options {
            sampled_share,
            // An alert may know the service only.
            endpoint: (!endpoint.service.is_empty() && !endpoint.route.is_empty()).then_some(entry),
            latency_quantile: settings.latency_quantile,
            suspects: settings.max_suspects,
            among: settings.among.clone(),
            ..Options::default()
        };
        let (baseline, window) = self.named();
        let (baseline, window) = (baseline.slices(), window.slices());
        let mut quiet = |length| quiets.of(&selected.baseline, length, &options);
        let mut judgement = judge_with(&baseline, &window, &options, &mut quiet);
        let known = Known {
            alert: alert_of(incident),
            changes: changes.iter().map(|change| &**change).collect(),
            since: incident.window.start_unix_nano,
            begin: settings.begin,
        };
        refine(&mut judgement, &baseline, &window, &known, &options);
        let provenance = Provenance {
            engine: settings.engine.clone(),
            config_digest: settings.config_digest.clone(),
            baseline_slices: selected.baseline_slices,
            window_slices: selected.window_slices,
            slice_seconds: settings.slice_seconds,
            sampled_share,
            late_spans: incident.window.late,
        };
        let mut verdict = document::verdict(incident, &judgement, provenance);
        if let Some(known) = ownership {
            ownership::state(&mut verdict, known, changes);
        }
        if let Some(dir) = &settings.capsules {
            verdict.reproduce = format!("backtrail replay --verdict {} {dir}", verdict.id);
        }
        (judgement, verdict)
    }

    /// Baseline and window, with the services that calls without an answer were meant for. What is remembered of quiet
    /// times goes by the slices as they came.
    fn named(&self) -> (Named<'_>, Named<'_>) {
        let (baseline, window) = (self.selected.baseline.slices(), self.selected.window.slices());
        let peers = Peers::of(&baseline, &window);
        (peers.name(&baseline), peers.name(&window))
    }

    /// The load on the edges of a service.
    pub(super) fn loads(&self, service: &str) -> Vec<EdgeLoad> {
        let (baseline, window) = self.named();
        load::loads(&baseline.slices(), &window.slices(), service, self.settings.slice_seconds)
    }

    /// The log statements of a service that go with the problem.
    pub(super) fn log_motifs(&self, service: &str) -> Vec<LogMotif> {
        motifs::log_motifs(&self.selected.baseline.slices(), &self.selected.window.slices(), service)
    }
}

/// The share of the traffic that upstream samplers let through: traces that came over traces that they stand for. A test
/// of significance counts what came; a share of failures is the same either way.
fn sampled_share(selected: &Selected) -> f64 {
    let slices = || selected.baseline.spectra.iter().chain(&selected.window.spectra);
    let observed: u64 = slices().map(|slice| slice.observed).sum();
    let weighted: u64 = slices().map(|slice| slice.traces()).sum();
    if observed == 0 || weighted == 0 {
        return 1.0;
    }
    (observed as f64 * f64::from(SpanRecord::ONE) / weighted as f64).min(1.0)
}
