//! Incidents: something is wrong at an endpoint, since when, and how it is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::{Slice, UnixNano};

/// Namespace of every deterministic id that backtrail makes (uuid5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6261_636b_7472_4169_8c00_6465_762e_6274);

/// A deterministic id: the same parts give the same uuid5 on every machine.
pub fn deterministic_id(parts: &[&str]) -> String {
    // The unit separator cannot be confused with text inside a part.
    Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes()).to_string()
}

/// State of an incident (EVENTS: `status`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// First revision.
    Open,
    /// A later revision of an open incident.
    Updated,
    /// It is over.
    Resolved,
    /// The data carries no verdict.
    Inconclusive,
}

/// What noticed the incident.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectorKind {
    /// The window was given (by a user, an alert or `eval`).
    GivenWindow,
    /// Burn of an error budget over several windows.
    SloBurn,
    /// An operation's error share rose against its own past.
    ErrorShift,
    /// An operation's latency rose against its own past.
    LatencyShift,
    /// Time is lost inside the system, or traces take another path than in the past, whatever users notice.
    EvidenceShift,
    /// Another tool's alert (Alertmanager, or a file of alerts).
    Alert,
}

impl DetectorKind {
    /// The name in documents and Parquet.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GivenWindow => "given_window",
            Self::SloBurn => "slo_burn",
            Self::ErrorShift => "error_shift",
            Self::LatencyShift => "latency_shift",
            Self::EvidenceShift => "evidence_shift",
            Self::Alert => "alert",
        }
    }
}

/// How the incident was noticed, with the numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Detector {
    /// Which detector.
    pub kind: DetectorKind,
    /// The objective in words, such as "99 % of requests succeed", or what an alert says; empty without one.
    pub slo: String,
    /// The limit that was crossed, in the detector's unit.
    pub threshold: f64,
    /// What was observed, in the same unit.
    pub observed: f64,
    /// The unit: `burn_rate`, `share`, `ms`, `z`, the metric of an alert, or empty for a given window.
    pub unit: String,
}

/// Where users see the problem.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Service of the entry point.
    pub service: String,
    /// Its route or operation.
    pub route: String,
    /// HTTP method if the route states one; empty otherwise.
    pub method: String,
}

/// The time that a judgement is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Its start.
    pub start_unix_nano: UnixNano,
    /// Its end (exclusive).
    pub end_unix_nano: UnixNano,
    /// The watermark when it was judged.
    pub watermark_unix_nano: UnixNano,
    /// Spans that came too late for it.
    pub late: u64,
}

/// A revision of an incident: a full snapshot, the last one wins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Stable while the incident lasts; another one when the same endpoint breaks again.
    pub incident_key: String,
    /// Slices since the opening slice: never a counter, so it survives a restart.
    pub revision: u64,
    /// State.
    pub status: Status,
    /// What noticed it.
    pub detector: Detector,
    /// Where it is seen.
    pub endpoint: Endpoint,
    /// The window so far.
    pub window: Window,
    /// The slice that opened it.
    #[serde(skip)]
    pub opened: Slice,
}

impl Incident {
    /// The key of an incident: hash of tenant, endpoint, detector kind and opening slice.
    pub fn key(tenant: &str, endpoint: &Endpoint, kind: DetectorKind, opened: UnixNano) -> String {
        let parts = [tenant, &endpoint.service, &endpoint.route, &endpoint.method, kind.name(), &opened.0.to_string()];
        deterministic_id(&parts)
    }

    /// Id of this revision's event: uuid5 of key and revision, so duplicates are harmless.
    pub fn event_id(&self) -> String {
        deterministic_id(&[&self.incident_key, &self.revision.to_string()])
    }
}
