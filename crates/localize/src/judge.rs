//! The judge: closed slices of a baseline and a window in, ranked and explained suspects out.
//!
//! `score(s) = 0.999 max(L, E, C, M) + 0.001 tail`: latency, errors, code path and resources are significant evidence in
//! `[0, 1]`; the tail is the noisy-or of the same without gates, the plain Ochiai coefficient and edge blame, and only
//! orders what is not significant. Sources: FUSION.md, LOCALIZATION.md.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::edges::EdgeSlice;
use backtrail_model::log_motifs::LogMotifSlice;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::patch_request::{CriticalStep, DivergentSpan, RecentChange};
use backtrail_model::paths::Chain;
use backtrail_model::spectra::{Entry, SpectraSlice};
use backtrail_model::verdict::{Confidence, Evidence, Hop, Impact, RuledOut, Suspect};

use crate::blame::Scores;
use crate::blocks::{CUTS, Stretch};
use crate::calibrate::{Quiet, length};
use crate::edge_blame::{ServiceGraph, merge_edges};
use crate::errors::{Errors, errors};
use crate::latency::{Latency, latency, sick_edges, slow_services};
use crate::nobody::is_nobody;
use crate::resource::{Resource, resource_of};
use crate::spectrum::{Limits, Spectrum};
use crate::stats::{noisy_or, settle};
use crate::structure::{Forms, Structure, structure};
use crate::table::Table;
use crate::{explain, inner};

/// How much of a score the tail can make: it orders, it does not accuse.
pub(crate) const TAIL: f64 = 1e-3;

/// A kind of evidence that can be left out, to see what it brings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Part L: self times and gaps.
    Latency,
    /// The gaps of part L.
    Gaps,
    /// Part E.
    Errors,
    /// Part C: the order of calls and of log statements.
    Structure,
    /// The log statements of part C.
    Logs,
    /// Part M.
    Resources,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Latency, Self::Gaps, Self::Errors, Self::Structure, Self::Logs, Self::Resources];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Gaps => "gaps",
            Self::Errors => "errors",
            Self::Structure => "structure",
            Self::Logs => "logs",
            Self::Resources => "resources",
        }
    }
}

/// The closed slices of a stretch of time. They come in any order, merged or in parts, and any kind may be missing:
/// without edges errors are charged where they began, without metrics part M is silent.
#[derive(Clone, Debug, Default)]
pub struct Slices<'a> {
    /// Elements, latency tests, errors and paths.
    pub spectra: Vec<&'a SpectraSlice>,
    /// Calls between services.
    pub edges: Vec<&'a EdgeSlice>,
    /// Resources.
    pub metrics: Vec<&'a MetricSlice>,
    /// Log statements; what they say is added by [`refine`](crate::refine).
    pub logs: Vec<&'a LogMotifSlice>,
}

impl Slices<'_> {
    /// Those that are `wanted`.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(Slice) -> bool) -> Self {
        Self {
            spectra: self.spectra.iter().copied().filter(|part| wanted(part.slice)).collect(),
            edges: self.edges.iter().copied().filter(|part| wanted(part.slice)).collect(),
            metrics: self.metrics.iter().copied().filter(|part| wanted(part.slice)).collect(),
            logs: self.logs.iter().copied().filter(|part| wanted(part.slice)).collect(),
        }
    }
}

/// How to judge.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Into how many blocks the baseline is cut; scores are means over the cuts.
    pub cuts: Vec<usize>,
    /// Quantile (0 to 1) of an entry operation's root latency over which its traces fail.
    pub latency_quantile: f64,
    /// Latency limits that are given (SLO), nanoseconds; other entries learn theirs.
    pub limits: BTreeMap<Entry, u64>,
    /// Share of traffic that upstream samplers let through, above 0, at most 1.
    pub sampled_share: f64,
    /// The endpoint whose impact is told; without one, the entry operation that lost most.
    pub endpoint: Option<Entry>,
    /// The only services that can be suspects; all when it is `None`.
    pub among: Option<BTreeSet<Arc<str>>>,
    /// Score from which the verdict is of high confidence.
    pub high: f64,
    /// Score below which it is of low confidence.
    pub medium: f64,
    /// Most suspects of each kind.
    pub suspects: usize,
    /// Kinds of evidence that are left out.
    pub without: Vec<Kind>,
}

impl Default for Options {
    /// `high` is what quiet windows never reached in a stream with healthy hours (highest .83, FUSION.md).
    fn default() -> Self {
        Self {
            cuts: CUTS.to_vec(),
            latency_quantile: 0.99,
            limits: BTreeMap::new(),
            sampled_share: 1.0,
            endpoint: None,
            among: None,
            high: 0.9,
            medium: 0.5,
            suspects: 10,
            without: Vec::new(),
        }
    }
}

impl Options {
    pub(crate) fn is_without(&self, kind: Kind) -> bool {
        self.without.contains(&kind)
    }

    /// The chains of events that part C looks at.
    pub(crate) fn chains(&self) -> &'static [Chain] {
        if self.is_without(Kind::Logs) { &[Chain::Calls] } else { &[Chain::Calls, Chain::Logs] }
    }
}

/// The score of a service with its parts, each 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Parts {
    /// What the ranking sorts by.
    pub total: f64,
    /// Latency (part L).
    pub latency: f64,
    /// Errors (part E).
    pub errors: f64,
    /// Code path (part C).
    pub structure: f64,
    /// Resources (part M).
    pub resources: f64,
    /// The plain Ochiai coefficient.
    pub ochiai: f64,
    /// Greatest blame of an edge that ends here.
    pub edge_blame: f64,
    /// Noisy-or of what is not significant.
    pub tail: f64,
}

impl Parts {
    /// The significant evidence: `max(L, E, C, M)`.
    pub fn evidence(&self) -> f64 {
        self.latency.max(self.errors).max(self.structure).max(self.resources)
    }
}

/// What the judge found. Deterministic: the same slices give the same judgement in any order and partition.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// Every service of the window that can be a suspect, with its score.
    pub services: BTreeMap<Arc<str>, Parts>,
    /// Services, then routes, edges, functions, files and frames, each kind ranked by itself; equal scores share a rank.
    pub suspects: Vec<Suspect>,
    /// Evidence for and against, with ids "e1", "e2" ...
    pub evidence: Vec<Evidence>,
    /// Services that look guilty but are not, and why.
    pub ruled_out: Vec<RuledOut>,
    /// The calls around the first suspect and all sick ones.
    pub propagation: Vec<Hop>,
    /// Critical path through the window, outermost first.
    pub critical_path: Vec<CriticalStep>,
    /// Where the window differs most from the baseline.
    pub divergent_span: Option<DivergentSpan>,
    /// The endpoint that `impact` is about.
    pub endpoint: Option<Entry>,
    /// What users felt.
    pub impact: Impact,
    /// high, medium, low or inconclusive.
    pub confidence: Confidence,
    /// The cause in a sentence.
    pub cause: String,
    /// What limits the judgement.
    pub limits: Vec<String>,
    /// Files of the changes that are suspects, the best first; [`refine`](crate::refine) knows them.
    pub recent_changes: Vec<RecentChange>,
    /// Part L in full.
    pub latency: Latency,
    /// Part E in full.
    pub errors: Errors,
    /// Part C in full.
    pub structure: Structure,
    /// Part M in full.
    pub resources: Resource,
}

impl Judgement {
    /// The final scores.
    pub fn scores(&self) -> Scores {
        self.services.iter().map(|(service, parts)| (Arc::clone(service), parts.total)).collect()
    }

    /// Whether the data carries no verdict.
    pub fn is_inconclusive(&self) -> bool {
        self.confidence.level == "inconclusive"
    }
}

/// Everything that explaining needs, borrowed.
pub(crate) struct Case<'a> {
    pub(crate) options: &'a Options,
    pub(crate) baseline: Stretch<'a>,
    pub(crate) window: Stretch<'a>,
    pub(crate) limits: Limits,
    pub(crate) spectrum: Spectrum,
    pub(crate) before: ServiceGraph,
    pub(crate) now: ServiceGraph,
    pub(crate) latency: Latency,
    pub(crate) errors: Errors,
    pub(crate) structure: Structure,
    pub(crate) resources: Resource,
    pub(crate) services: BTreeMap<Arc<str>, Parts>,
}

/// Judges a window against a baseline.
pub fn judge(baseline: &Slices<'_>, window: &Slices<'_>, options: &Options) -> Judgement {
    judge_with(baseline, window, options, &mut |length| Arc::new(Quiet::new(baseline, length, options)))
}

/// As [`judge`], by somebody who may remember what quiet times look like: `quiet` is asked for
/// [`Quiet::new`]`(baseline, length, options)`, where it matters.
pub fn judge_with(
    baseline: &Slices<'_>,
    window: &Slices<'_>,
    options: &Options,
    quiet: &mut dyn FnMut(usize) -> Arc<Quiet>,
) -> Judgement {
    conclude(evidence(baseline, window, options), &mut || quiet(length(baseline, window)))
}

/// All evidence, and what it makes of the services.
pub(crate) fn evidence<'a>(baseline: &Slices<'a>, window: &Slices<'a>, options: &'a Options) -> Case<'a> {
    let without = |kind| options.is_without(kind);
    let limits = Limits::learn(&baseline.spectra, options.latency_quantile, &options.limits);
    let spectrum = Spectrum::new(&window.spectra, &limits);
    let (before, now) = (graph(&baseline.edges), graph(&window.edges));
    let (quiet_scrapes, scrapes) = (&baseline.metrics, &window.metrics);
    let (baseline, window) = (Stretch::new(&baseline.spectra), Stretch::new(&window.spectra));
    let all = baseline.followed_by(&window);
    let split = all.split(|cell| cell >= baseline.cells.len(), &options.cuts);
    let table = Table::new(&all);
    let latency =
        if without(Kind::Latency) { Latency::default() } else { latency(&table, &split, !without(Kind::Gaps)) };
    let errors = if without(Kind::Errors) {
        Errors::default()
    } else {
        errors(&table, &split, &before, &now, options.sampled_share)
    };
    let structure = if without(Kind::Structure) {
        Structure::default()
    } else {
        let forms = Forms::new(&all, options.sampled_share, options.chains());
        structure(&forms, &split, &sick_edges(&latency.findings), &errors.silent)
    };
    let resources = if without(Kind::Resources) {
        Resource::default()
    } else {
        resource_of(quiet_scrapes, scrapes, &slow_services(&latency.findings))
    };
    let mut services = score(&spectrum, &now, &latency, &errors, &structure, &resources);
    let suspected =
        |service: &Arc<str>| options.among.as_ref().is_none_or(|among| among.contains(service)) && !is_nobody(service);
    services.retain(|service, _| suspected(service));
    Case { options, baseline, window, limits, spectrum, before, now, latency, errors, structure, resources, services }
}

fn graph(slices: &[&EdgeSlice]) -> ServiceGraph {
    ServiceGraph::new(&merge_edges(slices))
}

fn score(
    spectrum: &Spectrum,
    graph: &ServiceGraph,
    latency: &Latency,
    errors: &Errors,
    structure: &Structure,
    resources: &Resource,
) -> BTreeMap<Arc<str>, Parts> {
    let mut names: BTreeSet<Arc<str>> = spectrum.services();
    for finding in &latency.findings {
        names.insert(Arc::clone(&finding.key.service));
        names.extend(finding.key.callee.clone());
    }
    for part in [&latency.scores, &errors.scores, &errors.tail, &structure.scores, &resources.scores] {
        names.extend(part.keys().cloned());
    }
    let blames = graph.blame_by_callee();
    let of = |scores: &Scores, name: &Arc<str>| settle(scores.get(name).copied().unwrap_or(0.0).clamp(0.0, 1.0));
    let parts = |name: Arc<str>| {
        let mut parts = Parts {
            latency: of(&latency.scores, &name),
            errors: of(&errors.scores, &name),
            structure: of(&structure.scores, &name),
            resources: of(&resources.scores, &name),
            ochiai: settle(spectrum.service(&name).score()),
            edge_blame: of(&blames, &name),
            ..Parts::default()
        };
        let ungated = [&latency.tail, &errors.tail, &structure.tail, &resources.tail].map(|scores| of(scores, &name));
        parts.tail = settle(noisy_or(ungated.into_iter().chain([parts.ochiai, parts.edge_blame])));
        parts.total = settle((1.0 - TAIL) * parts.evidence() + TAIL * parts.tail);
        (name, parts)
    };
    names.into_iter().map(parts).collect()
}

fn conclude(case: Case<'_>, quiet: &mut dyn FnMut() -> Arc<Quiet>) -> Judgement {
    let endpoint = explain::endpoint(&case);
    let mut suspects = inner::suspects(&case);
    let evidence = explain::evidence(&case, &mut suspects);
    inner::name_versions(&case, &mut suspects);
    let mut confidence = explain::confidence(&case, &suspects);
    if matches!(confidence.level.as_str(), "high" | "medium") {
        quiet().temper(&case, &mut confidence, &suspects);
    }
    Judgement {
        ruled_out: explain::ruled_out(&case, &suspects),
        propagation: explain::propagation(&case, &suspects),
        critical_path: explain::critical_steps(&case, endpoint.as_ref()),
        divergent_span: explain::divergent_span(&case, &suspects),
        impact: explain::impact(&case, endpoint.as_ref()),
        cause: explain::cause(&case, &suspects, &confidence),
        limits: explain::limits(&case),
        recent_changes: Vec::new(),
        endpoint,
        suspects,
        evidence,
        confidence,
        services: case.services,
        latency: case.latency,
        errors: case.errors,
        structure: case.structure,
        resources: case.resources,
    }
}
