//! From code to proof: what follows for a remediation that is mapped to its code.

use backtrail_model::ownership::Ownership;
use backtrail_model::patch_request::PatchRequest;

use super::Next;
use crate::candidate::{Candidate, LeftOut, Proof, Stage};
use crate::context::Context;
use crate::error::Error;
use crate::impact;
use crate::journal::{Chain, digest};
use crate::plan::{self, Model};
use crate::redaction;
use crate::state::{Remediation, State, Tried};
use crate::step::Step;
use crate::store::Store;
use crate::triage::{Mapping, Missing};
use crate::workshop::{Applied, Judged, Workshop, owners};

/// The next step. Everything is read anew from the mirror, so that a restart goes on where the journal ends.
pub(super) fn next(
    workshop: &Workshop,
    model: Option<&Model>,
    store: &Store,
    chain: &Chain,
    request: &PatchRequest,
    ownership: &Ownership,
) -> Result<Next, Error> {
    let remediation = &chain.remediation;
    let mapping = remediation.mapping.as_ref().ok_or_else(|| bug("no mapping after triage"))?;
    let context = match workshop.context(request, mapping)? {
        Ok(context) => context,
        Err(missing) => return Ok(Step::NoSafePatch { missing: vec![missing] }.into()),
    };
    match remediation.state {
        State::Triaged => Ok(Step::ContextReady { context: context.summary() }.into()),
        State::ContextReady => planned(workshop, model, &context),
        State::Planned => {
            let tried = remediation.next().ok_or_else(|| bug("a plan without an open candidate"))?;
            let patch = store.artifact(&tried.candidate.diff)?;
            let patch = patch.ok_or_else(|| bug("the diff of a candidate is gone or was changed"))?;
            let owners = owners(ownership, &remediation.request.service, &mapping.team, &tried.candidate.files);
            tried_further(workshop, &context, tried, &patch, &owners)
        }
        state => Err(bug(&format!("no work on a remediation that is {}", state.name()))),
    }
}

/// Makes the candidates.
fn planned(workshop: &Workshop, model: Option<&Model>, context: &Context) -> Result<Next, Error> {
    let (mut drafts, mut left_out) = plan::plan(context);
    if let Some(model) = model {
        model.ask(context, workshop.redactor()).join(context, &mut drafts, &mut left_out);
    }
    let (mut candidates, mut artifacts) = (Vec::new(), Vec::new());
    for (n, draft) in drafts.into_iter().enumerate() {
        let made = workshop.make(context, &draft)?;
        let impact = impact::of(context, &draft.edits);
        if made.patch.is_empty() {
            left_out.push(LeftOut { recipe: draft.proposal.recipe, why: "it changes nothing".to_owned() });
            continue;
        }
        // Never kept, so never shown: also when the secret was in the file before and stands beside the change.
        let secrets = redaction::secrets(workshop.redactor(), &made.patch);
        if !secrets.is_empty() {
            let why = format!("its difference would show a secret: {}", secrets.join(", "));
            left_out.push(LeftOut { recipe: draft.proposal.recipe, why });
            continue;
        }
        candidates.push(Candidate {
            id: format!("{}-{n}", draft.proposal.recipe),
            proposal: draft.proposal,
            files: made.files,
            lines: made.lines,
            diff: digest(&made.patch),
            impact,
        });
        artifacts.push(made.patch);
    }
    let step = if candidates.is_empty() {
        Step::NoSafePatch { missing: vec![Missing::Recipe { left_out }] }
    } else {
        Step::Planned { candidates, left_out }
    };
    Ok(Next { step, artifacts })
}

/// Brings a candidate one stage further.
fn tried_further(
    workshop: &Workshop,
    context: &Context,
    tried: &Tried,
    patch: &[u8],
    owners: &[String],
) -> Result<Next, Error> {
    let candidate = &tried.candidate;
    let refused =
        |by: &str, why: Vec<String>| Step::CandidateRefused { candidate: candidate.id.clone(), by: by.into(), why };
    let applied = match workshop.apply(context, patch)? {
        Ok(applied) => applied,
        Err(why) => return Ok(refused("apply", vec![why]).into()),
    };
    match &tried.stage {
        Stage::Planned => {
            let judged = workshop.screen(context, candidate, &applied, owners);
            let step = if judged.decision.allow {
                Step::PolicyPassed {
                    candidate: candidate.id.clone(),
                    policy: judged.decision.policy_digest.clone(),
                    input: digest(&judged.input),
                }
            } else {
                refused("policy", judged.denials())
            };
            Ok(Next { step, artifacts: vec![judged.input] })
        }
        Stage::PolicyPassed => Ok(Step::Applied { candidate: candidate.id.clone(), tree: applied.tree }.into()),
        Stage::Applied { tree } if *tree == applied.tree => {
            proved(workshop, context, candidate, &applied, owners, &refused)
        }
        Stage::Applied { .. } => Ok(refused("apply", vec!["the same patch gave another tree".into()]).into()),
        Stage::Verified { .. } | Stage::Refused { .. } => Err(bug("a candidate that is decided is tried again")),
    }
}

fn proved(
    workshop: &Workshop,
    context: &Context,
    candidate: &Candidate,
    applied: &Applied,
    owners: &[String],
    refused: &dyn Fn(&str, Vec<String>) -> Step,
) -> Result<Next, Error> {
    let evidence = workshop.prove(context, applied)?;
    let report = workshop.document(&evidence);
    let gaps = evidence.gaps();
    if !gaps.is_empty() {
        return Ok(Next { step: refused("tests", gaps), artifacts: vec![report] });
    }
    let judged: Judged = workshop.decide(context, candidate, applied, owners, &evidence);
    let step = if judged.decision.allow {
        let isolation = evidence.isolation();
        let proof = Box::new(Proof {
            tree: applied.tree.clone(),
            before: evidence.before(),
            after: evidence.after(),
            added: evidence.added().to_vec(),
            repeats: evidence.repeats(),
            isolated: isolation.isolated,
            not_isolated: isolation.not_isolated,
            report: digest(&report),
            policy: judged.decision.policy_digest.clone(),
            policy_input: digest(&judged.input),
            coverage: evidence.coverage().clone(),
        });
        Step::Verified { candidate: candidate.id.clone(), proof }
    } else {
        refused("tests", judged.denials())
    };
    Ok(Next { step, artifacts: vec![report, judged.input] })
}

/// The owners of an approved or proposed candidate's files.
pub(crate) fn owners_of(remediation: &Remediation, candidate: &Candidate, ownership: &Ownership) -> Vec<String> {
    let team = remediation.mapping.as_ref().map_or("", |mapping: &Mapping| mapping.team.as_str());
    owners(ownership, &remediation.request.service, team, &candidate.files)
}

fn bug(what: &str) -> Error {
    Error::IllegalStep(what.to_owned())
}
