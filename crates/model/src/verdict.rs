//! The verdict: who is to blame, why, and what speaks against it. One document, several faces (JSON, terminal).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::incident::{Detector, Endpoint, Status, Window};

/// What a suspect is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// service, route, edge, function, file, frame, log, resource or change.
    pub kind: String,
    /// Service that owns it (for an edge: the caller).
    pub service: String,
    /// Its name within the service: route, function, file, frame; for an edge the callee; "" for a service.
    pub name: String,
    /// `service.version`, if telemetry states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Deployed commit, if telemetry states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// Function, if it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// Source file, if it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Line, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The four counts of a spectrum, in traces: failed and passed, with and without the element.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Failing traces that touch the element.
    pub ef: f64,
    /// Passing traces that touch it.
    pub ep: f64,
    /// Failing traces that do not.
    pub nf: f64,
    /// Passing traces that do not.
    pub np: f64,
}

/// A score with its parts: never a bare number.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// What the ranking sorts by, 0 to 1.
    #[serde(rename = "final")]
    pub total: f64,
    /// Named parts (`latency`, `ochiai`, `edge_blame`, `critical_path` ...), 0 to 1 each.
    pub parts: BTreeMap<String, f64>,
    /// How `final` comes from the parts, with the numbers in place.
    pub formula: String,
}

/// One ranked suspect.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Suspect {
    /// 1 is the most likely. Suspects of different kinds are ranked within their kind.
    pub rank: u32,
    /// What it is.
    pub entity: Entity,
    /// How strong the case is.
    pub score: Score,
    /// The spectrum's counts.
    pub counts: Counts,
    /// The Ochiai formula with its numbers, such as `118/sqrt(118*(118+4)) = 0.98`.
    pub ochiai: String,
    /// high, medium, low or none.
    pub confidence: String,
    /// Ids of the evidence for and against it.
    pub why: Vec<String>,
}

/// Whether evidence speaks for or against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Supports {
    /// For the suspect.
    For,
    /// Against it.
    Against,
}

/// One finding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Id within the verdict, such as "e3".
    pub id: String,
    /// `self_time`, `gap`, `errors`, `spectrum`, `critical_path`, `edge_blame` ...
    pub kind: String,
    /// For or against.
    pub supports: Supports,
    /// The entity that it is about.
    pub about: Entity,
    /// The finding in a sentence, with numbers and units.
    pub says: String,
    /// Where to look: a query or a trace id; empty if there is none.
    #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// One hop of the sick part of the graph.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// Caller ("" for users).
    pub from: String,
    /// Callee.
    pub to: String,
    /// Calls in the window.
    pub calls: f64,
    /// Failed ones.
    pub errors: f64,
    /// 95th percentile at the client (at the server for entries), milliseconds.
    pub p95_ms: f64,
    /// The same in the baseline.
    pub baseline_p95_ms: f64,
    /// Retries in the window.
    pub retries: f64,
    /// Attempts per request.
    pub attempts_per_request: f64,
    /// Whether this hop is sick.
    pub sick: bool,
}

/// What was looked at and found innocent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RuledOut {
    /// What.
    pub entity: Entity,
    /// Why.
    pub why: String,
}

/// How sure the verdict is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// high, medium, low or inconclusive.
    pub level: String,
    /// Score of the first suspect, 0 to 1.
    pub score: f64,
    /// Why this level.
    pub reasons: Vec<String>,
}

/// What users felt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Traces in the window.
    pub traces: f64,
    /// Failing ones (errors or over the operation's own limit).
    pub failing: f64,
    /// Traces in the baseline.
    pub baseline_traces: f64,
    /// 95th percentile of the endpoint in the window, milliseconds.
    pub p95_ms: f64,
    /// The same in the baseline.
    pub baseline_p95_ms: f64,
    /// In a sentence.
    pub says: String,
}

/// Who owns a suspect.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SuspectOwner {
    /// The suspect.
    pub entity: Entity,
    /// The team that owns its service.
    pub team: String,
    /// The repository.
    pub repository: String,
    /// Its files in the repository, the service's folder if it names none; empty when their place is not known.
    pub paths: Vec<String>,
    /// Who CODEOWNERS says owns them.
    pub owners: Vec<String>,
    /// Why a patch of it is no candidate; "" when it is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outside: String,
}

/// A step that a person or the consumer can take.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NextAction {
    /// What to do.
    pub action: String,
    /// none, low, medium or high.
    pub risk: String,
    /// What must be passed first.
    pub gate: String,
}

/// Where the verdict comes from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Engine and version.
    pub engine: String,
    /// Digest of the configuration.
    pub config_digest: String,
    /// Slices that were judged: baseline and window.
    pub baseline_slices: u64,
    /// Slices of the window.
    pub window_slices: u64,
    /// Length of a slice, seconds.
    pub slice_seconds: f64,
    /// Share of traffic that was seen (1 without upstream sampling).
    pub sampled_share: f64,
    /// Spans that came too late.
    pub late_spans: u64,
}

/// The verdict document (EVENTS: `dev.backtrail.verdict.v1`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// "1".
    pub schema_version: String,
    /// uuid5 of incident key and revision.
    pub id: String,
    /// The incident.
    pub incident_key: String,
    /// Its revision.
    pub revision: u64,
    /// Its state; `inconclusive` when the data carries no verdict.
    pub status: Status,
    /// What noticed it.
    pub detector: Detector,
    /// Where it is seen.
    pub endpoint: Endpoint,
    /// The judged window.
    pub window: Window,
    /// What users felt.
    pub impact: Impact,
    /// The cause in a sentence.
    pub cause: String,
    /// How sure.
    pub confidence: Confidence,
    /// Services, then routes, edges, functions, files and frames, each kind ranked by itself.
    pub suspects: Vec<Suspect>,
    /// The graph around the first suspect.
    pub propagation: Vec<Hop>,
    /// Evidence for and against.
    pub evidence: Vec<Evidence>,
    /// Found innocent.
    pub ruled_out: Vec<RuledOut>,
    /// Who owns the suspects, in their order; those that nobody is known to own are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<SuspectOwner>,
    /// What to do next.
    pub next_actions: Vec<NextAction>,
    /// What limits the verdict: missing signals, late spans, overflow.
    pub limits: Vec<String>,
    /// How to get it again.
    pub reproduce: String,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl Verdict {
    /// The suspects of one kind, best first.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Suspect> {
        self.suspects.iter().filter(move |suspect| suspect.entity.kind == kind)
    }

    /// Who owns a suspect, if that is known.
    pub fn owner_of(&self, entity: &Entity) -> Option<&SuspectOwner> {
        self.owners.iter().find(|owner| owner.entity == *entity)
    }
}
