//! A remediation as an OpenTelemetry trace, in OTLP/JSON: one span a stage, with the times of the journal's entries.
//!
//! ```text
//! remediation                      the request .. the last entry
//! ├─ triage, context, plan         what was known and decided before anything was tried
//! ├─ candidate (one each)
//! │  └─ policy, apply, verify
//! ├─ approval
//! └─ seal
//! ```
//!
//! The same journal gives the same trace, ids included: the trace id is the remediation's id without its dashes (a UUID
//! is 128 bits, too), a span's id the beginning of a SHA-256. The root links to the incident by the trace id that follows
//! from the incident's key in the same way; nothing says that somebody has spans under it. The trace names stages,
//! counts and ids: nothing that telemetry, commits or tests said in words.

use backtrail_model::time::UnixNano;
use serde_json::{Value, json};

use super::Case;
use crate::candidate::Stage;
use crate::journal::{Entry, digest};
use crate::state::State;
use crate::step::Step;

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u32 = 1;

struct Span {
    id: String,
    parent: Option<String>,
    name: &'static str,
    start: UnixNano,
    end: UnixNano,
    attributes: Vec<Value>,
    events: Vec<Value>,
}

/// The trace of a case as an `ExportTraceServiceRequest`.
pub fn of(case: &Case) -> Value {
    let mut stages = Stages::begin(case);
    for entry in &case.chain.entries[1..] {
        stages.take(entry);
    }
    let trace = trace_id(case.id());
    let incident = &case.chain.remediation.request.incident;
    let link = json!({ "traceId": trace_id(incident), "spanId": span_id(incident, "incident", 0),
        "attributes": [text("backtrail.incident.key", incident)] });
    let spans: Vec<Value> = stages.spans.iter().map(|span| to_json(span, &trace, &link)).collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "backtrail-consumer"), text("service.version", version)] },
        "scopeSpans": [{ "scope": { "name": "backtrail.remediation", "version": version }, "spans": spans }],
    }] })
}

/// The trace id that belongs to a remediation's id or an incident's key: a UUID is one as it is, of anything else it is
/// the beginning of the SHA-256.
///
/// ```
/// # use backtrail_consumer::report::trace::trace_id;
/// assert_eq!(trace_id("4f9ac2d1-7b52-5b1e-9d3c-0a1b2c3d4e5f"), "4f9ac2d17b525b1e9d3c0a1b2c3d4e5f");
/// assert_eq!(trace_id("checkout-slow").len(), 32);
/// ```
pub fn trace_id(key: &str) -> String {
    let plain = key.replace('-', "").to_ascii_lowercase();
    let is_id =
        plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()) && plain.bytes().any(|b| b != b'0');
    if is_id { plain } else { digest(key.as_bytes())[..32].to_owned() }
}

fn span_id(key: &str, name: &str, seq: u64) -> String {
    digest(format!("{key}\u{1f}{name}\u{1f}{seq}").as_bytes())[..16].to_owned()
}

/// The stages that a journal goes through, as spans: the root first.
struct Stages<'a> {
    case: &'a Case,
    spans: Vec<Span>,
    /// When the stage that is going on began.
    since: UnixNano,
}

impl<'a> Stages<'a> {
    fn begin(case: &'a Case) -> Self {
        let at = case.first().at_unix_nano;
        let mut stages = Self { case, spans: Vec::new(), since: at };
        stages.add("remediation", 0, None, at);
        let remediation = &case.chain.remediation;
        let reasons = remediation.reason.is_some();
        let refusals = remediation.candidates.iter().map(|tried| reasons_of(&tried.stage)).sum::<u64>();
        stages.spans[0].attributes.extend([
            text("backtrail.remediation.state", case.state().name()),
            number("backtrail.remediation.revision", remediation.request.revision),
            number("backtrail.remediation.candidates", remediation.candidates.len() as u64),
            number("backtrail.remediation.reasons", if refusals > 0 { refusals } else { u64::from(reasons) }),
        ]);
        stages
    }

    fn take(&mut self, entry: &Entry) {
        // The clock of a machine may have been set back between two entries.
        let at = entry.at_unix_nano.max(self.since);
        self.spans[0].end = at;
        let seq = entry.seq;
        match &entry.step {
            // The time until triage counts from the first request.
            Step::Merged { .. } => return self.event("merged", at),
            Step::Received { .. } | Step::Intended { .. } => {}
            Step::Triaged { .. } => self.stage("triage", seq, at),
            Step::ContextReady { .. } => self.stage("context", seq, at),
            Step::Planned { .. } => self.stage("plan", seq, at),
            Step::NoSafePatch { .. } => self.stage(self.before(entry), seq, at),
            Step::PolicyPassed { candidate, .. } => self.tried(candidate, "policy", seq, at),
            Step::Applied { candidate, .. } => self.tried(candidate, "apply", seq, at),
            Step::Verified { candidate, .. } => self.tried(candidate, "verify", seq, at),
            Step::CandidateRefused { candidate, by, .. } => {
                let name = match &**by {
                    "policy" => "policy",
                    "apply" | "revert" => "apply",
                    _ => "verify",
                };
                self.tried(candidate, name, seq, at);
            }
            Step::Approved { .. } | Step::Rejected { .. } => self.stage("approval", seq, at),
            Step::Expired { .. } | Step::Superseded { .. } | Step::Resolved { .. } | Step::Cancelled { .. } => {
                self.stage(self.before(entry), seq, at);
                self.event(entry.step.name(), at);
            }
            Step::Happened { .. } => self.stage("seal", seq, at),
        }
        self.since = at;
    }

    /// The stage that an entry ends which may come at any time.
    fn before(&self, entry: &Entry) -> &'static str {
        match self.case.state_before(entry) {
            Some(State::Received) => "triage",
            Some(State::Triaged) => "context",
            Some(State::ContextReady) => "plan",
            Some(State::Verified) => "approval",
            _ => "candidates",
        }
    }

    fn stage(&mut self, name: &'static str, seq: u64, at: UnixNano) {
        let root = self.spans[0].id.clone();
        self.add(name, seq, Some(root), at);
    }

    /// A stage of a candidate, whose own span begins with its first one.
    fn tried(&mut self, candidate: &str, name: &'static str, seq: u64, at: UnixNano) {
        let is_it = text("backtrail.candidate.id", candidate);
        let known = self.spans.iter().position(|span| span.name == "candidate" && span.attributes.contains(&is_it));
        let parent = known.unwrap_or_else(|| {
            self.stage("candidate", seq, at);
            let parent = self.spans.len() - 1;
            self.spans[parent].attributes.push(is_it.clone());
            if let Some(tried) = self.case.chain.remediation.candidate(candidate) {
                let proposal = &tried.candidate.proposal;
                self.spans[parent].attributes.extend([
                    text("backtrail.candidate.recipe", &proposal.recipe),
                    text("backtrail.candidate.kind", proposal.kind.name()),
                    number("backtrail.candidate.tier", u64::from(proposal.tier)),
                    text("backtrail.candidate.outcome", outcome(&tried.stage)),
                    number("backtrail.candidate.reasons", reasons_of(&tried.stage)),
                ]);
            }
            parent
        });
        self.spans[parent].end = at;
        let id = self.spans[parent].id.clone();
        self.add(name, seq, Some(id), at);
        let last = self.spans.len() - 1;
        self.spans[last].attributes.push(is_it);
    }

    fn add(&mut self, name: &'static str, seq: u64, parent: Option<String>, end: UnixNano) {
        let attributes = vec![
            text("backtrail.remediation.id", self.case.id()),
            text("backtrail.incident.key", &self.case.chain.remediation.request.incident),
            number("backtrail.journal.entry", seq),
        ];
        let id = span_id(self.case.id(), name, seq);
        self.spans.push(Span { id, parent, name, start: self.since, end, attributes, events: Vec::new() });
    }

    fn event(&mut self, name: &str, at: UnixNano) {
        self.spans[0].events.push(json!({ "timeUnixNano": at.0.to_string(), "name": name }));
    }
}

const fn outcome(stage: &Stage) -> &'static str {
    match stage {
        Stage::Planned => "planned",
        Stage::PolicyPassed => "policy_passed",
        Stage::Applied { .. } => "applied",
        Stage::Verified { .. } => "verified",
        Stage::Refused { .. } => "refused",
    }
}

const fn reasons_of(stage: &Stage) -> u64 {
    if let Stage::Refused { why, .. } = stage { why.len() as u64 } else { 0 }
}

fn to_json(span: &Span, trace: &str, link: &Value) -> Value {
    let mut json = json!({ "traceId": trace, "spanId": span.id, "name": span.name, "kind": INTERNAL,
        "startTimeUnixNano": span.start.0.to_string(), "endTimeUnixNano": span.end.0.to_string(),
        "attributes": span.attributes });
    match &span.parent {
        Some(parent) => json["parentSpanId"] = json!(parent),
        None => json["links"] = json!([link]),
    }
    if !span.events.is_empty() {
        json["events"] = json!(span.events);
    }
    json
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// 64-bit integers are strings in OTLP/JSON.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}
