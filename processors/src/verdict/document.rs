//! The documents of a judgement: the verdict of an incident's revision, and the patch request for its first suspect.

use backtrail_localize::Judgement;
use backtrail_model::incident::{Incident, Status, deterministic_id};
use backtrail_model::patch_request::{
    Budget, CodeContext, CodeFile, Constraints, PatchRequest, Problem, Redaction, SuspectRef, TelemetrySummary,
};
use backtrail_model::verdict::{Entity, NextAction, Provenance, Suspect, Verdict};

use super::config::Requests;

/// The verdict of one revision.
pub(super) fn verdict(incident: &Incident, judgement: &Judgement, provenance: Provenance) -> Verdict {
    let inconclusive = judgement.is_inconclusive();
    let id = incident.event_id();
    Verdict {
        schema_version: "1".to_owned(),
        incident_key: incident.incident_key.clone(),
        revision: incident.revision,
        // Over is over, also when nobody knows why: consumers wait for it.
        status: match incident.status {
            Status::Open | Status::Updated if inconclusive => Status::Inconclusive,
            status => status,
        },
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
        next_actions: next_actions(judgement),
        limits: judgement.limits.clone(),
        reproduce: format!("backtrail replay --verdict {id}"),
        provenance,
        id,
    }
}

fn next_actions(judgement: &Judgement) -> Vec<NextAction> {
    let step =
        |action: String, risk: &str, gate: &str| NextAction { action, risk: risk.to_owned(), gate: gate.to_owned() };
    let Some(first) = judgement.suspects.iter().find(|suspect| suspect.entity.kind == "service") else {
        return vec![step("wait for more traffic, or widen the window".to_owned(), "none", "none")];
    };
    let service = &first.entity.service;
    if judgement.is_inconclusive() {
        return vec![step(format!("look at {service} first, and confirm by hand"), "none", "none")];
    }
    let mut steps = vec![step(format!("look at the traces of {service} in the window"), "none", "none")];
    if !first.entity.version.is_empty() {
        let action = format!("roll {service} {} back, if it was deployed shortly before", first.entity.version);
        steps.push(step(action, "medium", "the deployment's own checks"));
    }
    steps.push(step(format!("patch {service} behind a flag"), "low", "policy, tests, golden traces, shadow, canary"));
    steps
}

/// The request for a patch of the first suspect.
pub(super) fn patch_request(
    verdict: &Verdict,
    suspect: &Suspect,
    judgement: &Judgement,
    config: &Requests,
) -> PatchRequest {
    let entity = &suspect.entity;
    let id = deterministic_id(&["patch_request", &verdict.incident_key, &entity.kind, &entity.service, &entity.name]);
    PatchRequest {
        schema_version: "1".to_owned(),
        problem: Problem {
            slo: if verdict.detector.slo.is_empty() {
                verdict.impact.says.clone()
            } else {
                verdict.detector.slo.clone()
            },
            time_window: verdict.window,
            endpoint: verdict.endpoint.clone(),
            detector: verdict.detector.clone(),
        },
        telemetry_summary: TelemetrySummary {
            critical_path: judgement.critical_path.clone(),
            divergent_span: judgement.divergent_span.clone(),
            log_motifs: Vec::new(),
        },
        recent_changes: Vec::new(),
        code_context: code_context(verdict, entity),
        constraints: Constraints {
            do_not_change_public_api: true,
            prefer_config_change: true,
            patch_must_be_guarded_by_flag: format!(
                "{}{}",
                config.flag_prefix,
                id.split('-').next().unwrap_or_default()
            ),
            must_add_telemetry: vec![format!(
                "a span attribute that tells which side of the flag {} took",
                entity.service
            )],
        },
        ask: vec![
            format!("find why {} is sick: {}", entity.service, verdict.cause),
            "propose the smallest change that removes the symptom, with a test that fails without it".to_owned(),
        ],
        suspect_ref: SuspectRef {
            id: verdict.id.clone(),
            incident_key: verdict.incident_key.clone(),
            revision: verdict.revision,
            entity: entity.clone(),
            score: suspect.score.total,
            confidence: verdict.confidence.level.clone(),
        },
        budget: Budget {
            max_lines: config.max_lines,
            max_files: config.max_files,
            max_seconds: u32::try_from(config.max_time.0.as_secs()).unwrap_or(u32::MAX),
        },
        redaction: Redaction { attributes_included: false, replaced: 0 },
        id,
    }
}

/// Files and functions of the suspect that telemetry names, most suspicious first.
fn code_context(verdict: &Verdict, suspect: &Entity) -> CodeContext {
    let names = |kind: &'static str| {
        let own = verdict.of_kind(kind).filter(|other| other.entity.service == suspect.service);
        own.map(|other| other.entity.name.clone())
    };
    let file = |path: String| CodeFile { path, snippet_start: 0, snippet_end: 0, content: String::new() };
    CodeContext {
        files: names("file").map(file).collect(),
        functions: names("function").collect(),
        tests: Vec::new(),
        public_api: names("route").collect(),
    }
}
