//! The patch request: what the consumer is asked to repair (EVENTS: `dev.backtrail.patch.requested.v1`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::incident::{Detector, Endpoint, Window};
use crate::verdict::Entity;

/// What is wrong.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The objective or the detector's finding in words.
    pub slo: String,
    /// When.
    pub time_window: Window,
    /// Where.
    pub endpoint: Endpoint,
    /// What noticed it.
    pub detector: Detector,
}

/// One step of the critical path.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CriticalStep {
    /// Service.
    pub service: String,
    /// Route or operation.
    pub route: String,
    /// 95th percentile, milliseconds.
    pub p95_ms: f64,
    /// Share of failed calls, 0 to 1.
    pub error_rate: f64,
}

/// The span where failing traffic differs from passing traffic.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DivergentSpan {
    /// Service.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// The error or the symptom.
    pub error: String,
    /// Repeated calls to the service and by it.
    pub retries: f64,
}

/// A log statement of the suspect that writes more, or less, for each call than before the problem.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogMotif {
    /// Severity.
    pub level: String,
    /// Template; behind a place in the code what it says, without what varies.
    pub message: String,
    /// The place in the code, if the records state one: file, or namespace and function.
    pub file: String,
    /// Occurrences in the window.
    pub count: u64,
    /// Occurrences that the time before lets expect.
    #[serde(default)]
    pub expected: f64,
}

/// How much one service asks of another in the window of the problem.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EdgeLoad {
    /// The caller.
    pub from: String,
    /// The callee.
    pub to: String,
    /// Length of the window, seconds.
    pub seconds: f64,
    /// Requests: calls without the repeats.
    pub requests: u64,
    /// Calls, repeats included. `calls / requests` is attempts per request.
    pub calls: u64,
    /// Calls that failed.
    #[serde(default)]
    pub errors: u64,
    /// Calls that the callee served: its own spans. Fewer than `calls` when it refused or lost some.
    pub served: u64,
    /// 95th percentile at the caller, milliseconds.
    pub p95_ms: f64,
    /// 95th percentile at the callee, milliseconds; 0 without spans of its own.
    pub served_p95_ms: f64,
    /// The same before the problem; 0 if that is not known.
    pub quiet_p95_ms: f64,
}

/// What telemetry says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TelemetrySummary {
    /// Critical path through the sick part.
    pub critical_path: Vec<CriticalStep>,
    /// Where it diverges; absent when nothing diverges.
    pub divergent_span: Option<DivergentSpan>,
    /// Log statements that go with the problem, warnings and worse first.
    pub log_motifs: Vec<LogMotif>,
    /// The load on the edges of the suspect, most calls first.
    #[serde(default)]
    pub load: Vec<EdgeLoad>,
}

/// A recent change in the suspect's code or configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecentChange {
    /// File.
    pub file: String,
    /// Line range, such as "120-160".
    pub lines: String,
    /// Commit.
    pub sha: String,
    /// Author.
    pub author: String,
    /// When.
    pub ts: String,
}

/// A part of a source file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CodeFile {
    /// Path in the repository.
    pub path: String,
    /// First line of the snippet.
    pub snippet_start: u32,
    /// Last line.
    pub snippet_end: u32,
    /// The lines; empty until the consumer fills them.
    pub content: String,
}

/// Code around the suspect: named here from telemetry, filled by the consumer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CodeContext {
    /// Files.
    pub files: Vec<CodeFile>,
    /// Functions that telemetry names.
    pub functions: Vec<String>,
    /// Tests.
    pub tests: Vec<String>,
    /// Public API.
    pub public_api: Vec<String>,
}

/// What the patch must respect.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Constraints {
    /// Leave the public API alone.
    pub do_not_change_public_api: bool,
    /// Configuration before code.
    pub prefer_config_change: bool,
    /// Flag that code changes hide behind.
    pub patch_must_be_guarded_by_flag: String,
    /// Telemetry that the patch must add.
    pub must_add_telemetry: Vec<String>,
}

/// The suspect that the request is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SuspectRef {
    /// Verdict id.
    pub id: String,
    /// Incident.
    pub incident_key: String,
    /// Revision.
    pub revision: u64,
    /// The suspect.
    pub entity: Entity,
    /// Its score, 0 to 1.
    pub score: f64,
    /// high, medium or low.
    pub confidence: String,
}

/// Bounds of the work.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// Most changed lines.
    pub max_lines: u32,
    /// Most changed files.
    pub max_files: u32,
    /// Most seconds until a candidate.
    pub max_seconds: u32,
}

/// What was removed from the request before it left.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Redaction {
    /// Whether span attributes and bodies were left out.
    pub attributes_included: bool,
    /// Values that detectors replaced.
    pub replaced: u64,
}

/// Something that telemetry or a change names and a patch may not touch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// A file, as it was named; with the commit if it comes from a change.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Where a patch may be made: a patch outside of it is denied.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The repository.
    pub repository: String,
    /// The folder in it; "" for all of it.
    pub path_prefix: String,
    /// The branch to start from; "" for the repository's default.
    pub default_branch: String,
    /// The team that owns it.
    pub team: String,
    /// Who CODEOWNERS says owns the files of `code_context`, of the folder if there are none.
    pub owners: Vec<String>,
    /// Code and changes that were found and lie outside.
    pub left_out: Vec<LeftOut>,
}

/// The patch request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PatchRequest {
    /// "1".
    pub schema_version: String,
    /// Deterministic id (uuid5 of the incident and the suspect): a repeated request is the same request.
    pub id: String,
    /// What is wrong.
    pub problem: Problem,
    /// What telemetry says.
    pub telemetry_summary: TelemetrySummary,
    /// Recent changes.
    pub recent_changes: Vec<RecentChange>,
    /// Code.
    pub code_context: CodeContext,
    /// What to respect.
    pub constraints: Constraints,
    /// Where the patch may be made; absent when nobody said who owns what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What is asked for.
    pub ask: Vec<String>,
    /// The suspect.
    pub suspect_ref: SuspectRef,
    /// Bounds.
    pub budget: Budget,
    /// What was removed.
    pub redaction: Redaction,
}
