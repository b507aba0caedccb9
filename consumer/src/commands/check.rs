//! `backtrail-consumer check`: a patch of anybody, judged by the gates that a candidate of our own passes.
//!
//! A candidate is dropped at its first gate; here every gate is gone through as far as the one before makes it
//! possible, so that whoever wrote the patch gets all reasons in one answer.

use std::collections::BTreeSet;

use anyhow::Context as _;
use backtrail_model::ownership::Ownership;
use backtrail_model::patch_request::PatchRequest;
use backtrail_policy::{FileKind, Finding, kind_of, lint_files};
use backtrail_redact::Redactor;
use backtrail_sandbox::Limits;
use serde::Serialize;
use serde_json::{Value, json};

use super::read_at_most;
use crate::candidate::{Candidate, Counts, Kind, Mechanism, Origin, Proposal};
use crate::cli::{ChangeKind, Check, Exit, Failure, Out};
use crate::context::Context;
use crate::impact::Impact;
use crate::journal::digest;
use crate::redaction;
use crate::triage::Mapping;
use crate::workshop::{Applied, Coverage, Evidence, Judged, Workshop, owners};

/// Most bytes of a patch.
const MOST_BYTES: u64 = 4 << 20;
/// The name of what is checked, where a candidate has its recipe.
const RECIPE: &str = "check";

/// The answer.
#[derive(Debug, Default, Serialize)]
struct Answer {
    allowed: bool,
    /// All that speaks against it.
    reasons: Vec<Reason>,
    /// What the linters say; it refuses nothing by itself.
    hints: Vec<Finding>,
    files: Vec<String>,
    lines: u64,
    /// Hash of the tree with the patch; empty if it does not apply.
    tree: String,
    tests: Option<Tests>,
    /// Digest of the policy.
    policy: String,
    /// What kept the tests from the rest of the machine.
    isolated: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
struct Reason {
    /// The gate: `apply`, `policy` or `tests`.
    by: &'static str,
    /// The rule of the policy; empty for a gate without rules.
    rule: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Tests {
    before: Counts,
    after: Counts,
    added: Vec<String>,
    repeats: u32,
    coverage: Coverage,
}

/// Runs the command. A patch that is refused is a problem that was found.
pub(crate) fn run(args: &Check, out: &mut Out) -> Result<Exit, Failure> {
    let patch = read_at_most(&args.patch, MOST_BYTES)?;
    if patch.len() as u64 > MOST_BYTES {
        return Err(Failure::usage(format!("{} is longer than {MOST_BYTES} bytes", args.patch.display()), ""));
    }
    let redactor = redaction::with_denied(args.deny_values.as_deref(), &[]).map_err(Failure::config)?;
    let answer = answer(args, &patch, &redactor)?;
    if args.json {
        out.json(&answer)?;
    } else {
        print(&answer, out)?;
    }
    Ok(if answer.allowed { Exit::Ok } else { Exit::Problem })
}

fn answer(args: &Check, patch: &[u8], redactor: &Redactor) -> Result<Answer, Failure> {
    let folder = tempfile::tempdir().context("cannot make a folder to work in")?;
    let limits = Limits { wall: args.test_time, cpu: 2 * args.test_time, ..Limits::default() };
    let policy = super::policy::load(args.policy.as_deref())?;
    let workshop =
        Workshop::open(folder.path(), super::run::sandbox()?, policy, limits)?.with_redactor(redactor.clone());
    let mapping = mapping(args);
    let context = workshop.ground(&request(args)?, &mapping)?;
    let context = context.map_err(|missing| Failure::usage(missing.to_string(), "name a commit of the repository"))?;
    let mut answer = gates(args, &workshop, &context, patch)?;
    let clean = |said: &mut String| *said = redaction::text(redactor, said);
    for reason in &mut answer.reasons {
        clean(&mut reason.why);
    }
    for hint in &mut answer.hints {
        clean(&mut hint.what);
    }
    workshop.policy().digest().clone_into(&mut answer.policy);
    Ok(answer)
}

/// Every gate, as far as it can be gone through.
fn gates(args: &Check, workshop: &Workshop, context: &Context, patch: &[u8]) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    let mut reasons = BTreeSet::new();
    let mut refuse = |by: &'static str, rule: &str, why: String| {
        reasons.insert(Reason { by, rule: rule.to_owned(), why });
    };
    match workshop.apply(context, patch)? {
        Err(why) => refuse("apply", "", why),
        Ok(applied) => {
            answer.files = applied.paths();
            answer.lines = applied.lines();
            answer.tree.clone_from(&applied.tree);
            answer.hints = hints(patch, &applied);
            let candidate = candidate(args, patch, &answer);
            let owners = owners(&Ownership::default(), &args.service, &args.team, &answer.files);
            let screened = workshop.screen(context, &candidate, &applied, &owners);
            let known: BTreeSet<(String, String)> = rules(&screened).collect();
            for (rule, why) in &known {
                refuse("policy", rule, why.clone());
            }
            if !args.tests_off {
                let evidence = workshop.prove(context, &applied)?;
                for why in evidence.gaps() {
                    refuse("tests", "", why);
                }
                let decided = workshop.decide(context, &candidate, &applied, &owners, &evidence);
                for (rule, why) in rules(&decided).filter(|reason| !known.contains(reason)) {
                    refuse("tests", &rule, why);
                }
                answer.isolated = evidence.isolation().isolated;
                answer.tests = Some(tests(&evidence));
            }
        }
    }
    answer.reasons = reasons.into_iter().collect();
    answer.allowed = answer.reasons.is_empty();
    Ok(answer)
}

fn rules(judged: &Judged) -> impl Iterator<Item = (String, String)> + '_ {
    judged.decision.denials.iter().map(|denial| (denial.rule.clone(), denial.msg.clone()))
}

fn tests(evidence: &Evidence) -> Tests {
    Tests {
        before: evidence.before(),
        after: evidence.after(),
        added: evidence.added().to_vec(),
        repeats: evidence.repeats(),
        coverage: evidence.coverage().clone(),
    }
}

/// What the linters say of the patch, and of the tests that it adds.
fn hints(patch: &[u8], applied: &Applied) -> Vec<Finding> {
    let text = String::from_utf8_lossy(patch);
    let tests = applied.texts().filter(|(path, _)| kind_of(path) == FileKind::Test);
    let files: Vec<(&str, &str)> = std::iter::once(("the.patch", text.as_ref())).chain(tests).collect();
    lint_files(&files)
}

fn candidate(args: &Check, patch: &[u8], answer: &Answer) -> Candidate {
    let (kind, tier) = match args.kind {
        ChangeKind::Code => (Kind::Code, 2),
        ChangeKind::Config => (Kind::Config, 1),
        ChangeKind::Revert => (Kind::Revert, 0),
    };
    let proposal = Proposal {
        recipe: RECIPE.into(),
        tier,
        kind,
        // Nobody here made it: it gets no more trust than what a model says.
        origin: Origin::Llm,
        title: args.patch.display().to_string(),
        why: Vec::new(),
        computation: Vec::new(),
        mechanism: Mechanism { metric: String::new(), now: String::new(), claim: String::new() },
        risk: String::new(),
        undo: "revert it".into(),
        authors: Vec::new(),
        flag: args.flag.clone(),
        tests: Vec::new(),
    };
    Candidate {
        id: RECIPE.into(),
        proposal,
        files: answer.files.clone(),
        lines: answer.lines,
        diff: digest(patch),
        impact: Impact::default(),
    }
}

fn mapping(args: &Check) -> Mapping {
    Mapping {
        repository: args.repository.clone(),
        commit: args.commit.clone(),
        team: args.team.clone(),
        path_prefix: args.prefix.clone(),
        default_branch: String::new(),
        files: Vec::new(),
        functions: Vec::new(),
    }
}

/// The request that the patch would answer: nothing but its bounds matters.
fn request(args: &Check) -> Result<PatchRequest, Failure> {
    let request: Value = json!({
        "schema_version": "1", "id": RECIPE,
        "problem": {
            "slo": "",
            "time_window": { "start_unix_nano": 0, "end_unix_nano": 0, "watermark_unix_nano": 0, "late": 0 },
            "endpoint": { "service": &args.service, "route": "", "method": "" },
            "detector": { "kind": "error_shift", "slo": "", "threshold": 0.0, "observed": 0.0, "unit": "" },
        },
        "telemetry_summary": { "critical_path": [], "divergent_span": null, "log_motifs": [] },
        "recent_changes": [],
        "code_context": { "files": [], "functions": [], "tests": [], "public_api": [] },
        "constraints": { "do_not_change_public_api": true, "prefer_config_change": false,
            "patch_must_be_guarded_by_flag": &args.flag, "must_add_telemetry": [] },
        "ask": [],
        "suspect_ref": { "id": RECIPE, "incident_key": RECIPE, "revision": 0,
            "entity": { "kind": "service", "service": &args.service, "name": "", "commit": &args.commit },
            "score": 1.0, "confidence": "high" },
        "budget": { "max_lines": args.max_lines, "max_files": args.max_files, "max_seconds": 0 },
        "redaction": { "attributes_included": false, "replaced": 0 },
    });
    Ok(serde_json::from_value(request).context("the request of a check")?)
}

fn print(answer: &Answer, out: &mut Out) -> std::io::Result<()> {
    for reason in &answer.reasons {
        let rule = if reason.rule.is_empty() { String::new() } else { format!(" {}", reason.rule) };
        out.line(&format!("{}{rule}: {}", reason.by, reason.why))?;
    }
    for hint in &answer.hints {
        out.line(&format!("hint {}: {} ({})", hint.rule, hint.what, hint.why))?;
    }
    if let Some(tests) = &answer.tests {
        let Counts { passed, failed } = tests.after;
        out.line(&format!(
            "tests: {} passed and {} failed before, {passed} and {failed} after, {} added",
            tests.before.passed,
            tests.before.failed,
            tests.added.len()
        ))?;
        out.line(&format!("coverage: {}", tests.coverage.says()))?;
    }
    out.line(match (answer.allowed, &answer.tests) {
        (true, Some(_)) => "allowed",
        (true, None) => "allowed, as far as can be said without tests",
        (false, _) => "refused",
    })
}
