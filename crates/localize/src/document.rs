//! The documents: a judgement as a verdict, and a verdict as a patch request. Pure: no clock, no configuration lookup.

use backtrail_model::incident::{Incident, Status, deterministic_id};
use backtrail_model::patch_request::{
    Budget, CodeContext, CodeFile, Constraints, CriticalStep, DivergentSpan, PatchRequest, Problem, RecentChange,
    Redaction, SuspectRef, TelemetrySummary,
};
use backtrail_model::verdict::{NextAction, Provenance, Suspect, Verdict};

use crate::judge::Judgement;

/// Version of both documents.
pub const SCHEMA_VERSION: &str = "1";
/// Most files and functions that a patch request names.
const MOST_NAMED: usize = 5;

/// The verdict on one revision of an incident. Its id is the incident's event id, so a replay gives the same one.
pub fn verdict(incident: &Incident, judgement: &Judgement, provenance: Provenance) -> Verdict {
    let id = incident.event_id();
    let status = if judgement.is_inconclusive() && incident.status != Status::Resolved {
        Status::Inconclusive
    } else {
        incident.status
    };
    Verdict {
        schema_version: SCHEMA_VERSION.into(),
        reproduce: format!(
            "backtrail replay RECORDING --window {}..{}",
            incident.window.start_unix_nano, incident.window.end_unix_nano
        ),
        id,
        incident_key: incident.incident_key.clone(),
        revision: incident.revision,
        status,
        detector: incident.detector.clone(),
        endpoint: incident.endpoint.clone(),
        window: incident.window,
        impact: judgement.impact.clone(),
        cause: judgement.cause.clone(),
        confidence: judgement.confidence.clone(),
        suspects: judgement.suspects.clone(),
        propagation: judgement.propagation.clone(),
        evidence: judgement.evidence.clone(),
        ruled_out: judgement.ruled_out.clone(),
        owners: Vec::new(),
        next_actions: next_actions(judgement),
        limits: judgement.limits.clone(),
        provenance,
    }
}

fn next_actions(judgement: &Judgement) -> Vec<NextAction> {
    let action = |action: String, risk: &str, gate: &str| NextAction { action, risk: risk.into(), gate: gate.into() };
    let Some(first) = judgement.suspects.first().filter(|_| !judgement.is_inconclusive()) else {
        let what = "widen the window or the baseline, and judge again".to_owned();
        return vec![action(what, "none", "")];
    };
    let service = &first.entity.service;
    let operation = judgement.divergent_span.as_ref().map_or("", |span| span.operation.as_str());
    let place = if operation.is_empty() { String::new() } else { format!(" ({operation})") };
    let mut out = vec![action(format!("look at the exemplar traces of {service}{place}"), "none", "")];
    if judgement.confidence.level == "high" {
        out.push(action(format!("roll back or switch off what changed last in {service}"), "medium", "approval"));
        out.push(action(ask_for_patch(service), "low", "tests and approval"));
    } else {
        out.push(action("wait for the next slices: the verdict is revised as they arrive".into(), "none", ""));
    }
    if !judgement.suspects.iter().any(|suspect| matches!(suspect.entity.kind.as_str(), "function" | "file")) {
        let what =
            format!("instrument {service}: its spans name no function or file, so the fault cannot be placed in code");
        out.push(action(what, "none", ""));
    }
    out
}

/// The action that becomes a patch request.
pub fn ask_for_patch(service: &str) -> String {
    format!("ask for a guarded patch of {service}")
}

/// What a patch request needs beyond the verdict. The judgement gives the first two, the configuration the rest.
#[derive(Clone, PartialEq, Debug)]
pub struct PatchContext {
    /// [`Judgement::critical_path`].
    pub critical_path: Vec<CriticalStep>,
    /// [`Judgement::divergent_span`].
    pub divergent_span: Option<DivergentSpan>,
    /// Recent changes in the suspect's code or configuration.
    pub recent_changes: Vec<RecentChange>,
    /// What the name of the flag begins with.
    pub flag_prefix: String,
    /// Bounds of the work.
    pub budget: Budget,
    /// What was removed.
    pub redaction: Redaction,
}

impl PatchContext {
    /// The judgement's part, and the usual bounds: 200 lines in 5 files within half an hour; nothing but
    /// names and counts leaves.
    pub fn new(judgement: &Judgement) -> Self {
        Self {
            critical_path: judgement.critical_path.clone(),
            divergent_span: judgement.divergent_span.clone(),
            recent_changes: judgement.recent_changes.clone(),
            flag_prefix: "backtrail_fix_".into(),
            budget: Budget { max_lines: 200, max_files: 5, max_seconds: 1800 },
            redaction: Redaction { attributes_included: false, replaced: 0 },
        }
    }
}

/// The patch request for the first suspect; none when the verdict is inconclusive or the incident is over. The id
/// depends on the incident and the suspect only: a later revision with the same suspect is the same request.
pub fn patch_request(verdict: &Verdict, context: &PatchContext) -> Option<PatchRequest> {
    let over = matches!(verdict.status, Status::Inconclusive | Status::Resolved);
    let first = verdict.of_kind("service").next().filter(|_| !over && verdict.confidence.level != "inconclusive")?;
    let service = first.entity.service.as_str();
    let operation = context.divergent_span.as_ref().filter(|span| span.service == service);
    let operation = operation.map_or_else(String::new, |span| span.operation.clone());
    let slo = if verdict.detector.slo.is_empty() { verdict.impact.says.clone() } else { verdict.detector.slo.clone() };
    let flag = flag(&context.flag_prefix, service, &operation);
    Some(PatchRequest {
        schema_version: SCHEMA_VERSION.into(),
        id: deterministic_id(&["patch-request", &verdict.incident_key, &first.entity.kind, service]),
        problem: Problem {
            slo,
            time_window: verdict.window,
            endpoint: verdict.endpoint.clone(),
            detector: verdict.detector.clone(),
        },
        telemetry_summary: TelemetrySummary {
            critical_path: context.critical_path.clone(),
            divergent_span: context.divergent_span.clone(),
            log_motifs: Vec::new(),
            load: Vec::new(),
        },
        recent_changes: context.recent_changes.clone(),
        code_context: code_context(verdict, service),
        constraints: Constraints {
            do_not_change_public_api: true,
            prefer_config_change: true,
            must_add_telemetry: telemetry(service, &operation, &flag),
            patch_must_be_guarded_by_flag: flag,
        },
        target: None,
        ask: ask(service, &operation),
        suspect_ref: suspect_ref(verdict, first),
        budget: context.budget.clone(),
        redaction: context.redaction.clone(),
    })
}

fn code_context(verdict: &Verdict, service: &str) -> CodeContext {
    let named = |kind| verdict.of_kind(kind).filter(|suspect| suspect.entity.service == service).take(MOST_NAMED);
    let file = |suspect: &Suspect| {
        let line = suspect.entity.line.unwrap_or(0);
        CodeFile { path: suspect.entity.name.clone(), snippet_start: line, snippet_end: line, content: String::new() }
    };
    CodeContext {
        files: named("file").map(file).collect(),
        functions: named("function").map(|suspect| suspect.entity.name.clone()).collect(),
        ..CodeContext::default()
    }
}

/// The flag that a patch hides behind: `<prefix><service>_<operation>` in lower case, other characters as underscores.
///
/// ```
/// # use backtrail_localize::document::flag;
/// assert_eq!(flag("fix_", "cart-service", "POST /cart/{id}"), "fix_cart_service_post_cart_id");
/// assert_eq!(flag("fix_", "cart-service", ""), "fix_cart_service");
/// ```
pub fn flag(prefix: &str, service: &str, operation: &str) -> String {
    let words = [service, operation].into_iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    format!("{prefix}{}", words.join("_"))
}

fn telemetry(service: &str, operation: &str, flag: &str) -> Vec<String> {
    let of = if operation.is_empty() { service.to_owned() } else { format!("{operation} in {service}") };
    vec![
        format!("a span around the changed code of {of}, with error status"),
        format!("a counter of how often the flag {flag} takes the new path"),
    ]
}

fn ask(service: &str, operation: &str) -> Vec<String> {
    let of = if operation.is_empty() { service.to_owned() } else { format!("{operation} of {service}") };
    vec![
        format!("find why {of} behaves as the evidence says"),
        "propose the smallest change that removes the cause, a configuration change if one is enough".into(),
        "add a test that fails without the change".into(),
        "say what would disprove this cause".into(),
    ]
}

fn suspect_ref(verdict: &Verdict, first: &Suspect) -> SuspectRef {
    SuspectRef {
        id: verdict.id.clone(),
        incident_key: verdict.incident_key.clone(),
        revision: verdict.revision,
        entity: first.entity.clone(),
        score: first.score.total,
        confidence: verdict.confidence.level.clone(),
    }
}
