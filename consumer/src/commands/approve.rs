//! `backtrail-consumer approve` and `reject`: the gate `confirm-patch`.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::{existing, now, one, read_at_most};
use crate::approval::{Approvers, Consent, Subject};
use crate::cli::{Approve, Exit, Failure, Out, Reject};
use crate::evidence::{Envelope, Signer};
use crate::ownership;
use crate::state::{State, Tried};
use crate::step::Step;
use crate::work::owners_of;

/// Most characters of a reason.
const MOST_WHY: usize = 2000;
/// Most bytes of a signed consent.
const MOST_CONSENT: u64 = 1 << 16;

/// Signs and uses an approval, or one of the two. A running consumer writes the evidence, or the next one.
pub(crate) fn approve(args: &Approve, out: &mut Out) -> Result<Exit, Failure> {
    let mut store = existing(&args.data)?;
    let row = one(&store, &args.id)?;
    let remediation = store.chain(&row.id)?.remediation;
    if remediation.state != State::Verified {
        let hint = "only a remediation that is 'verified' waits for an approval";
        return Err(Failure::usage(format!("{} is {}", row.id, remediation.state.name()), hint));
    }
    let chosen = match &args.candidate {
        Some(id) => remediation.candidate(id).filter(|tried| tried.is_verified()),
        None => remediation.proposed(),
    };
    let Some(Tried { candidate, .. }) = chosen else {
        let hint = "'backtrail-consumer show' lists the candidates that are verified";
        return Err(Failure::usage("there is no such verified candidate", hint));
    };
    let signed: Envelope = match (&args.envelope, &args.key, &args.by) {
        (Some(path), ..) => {
            let bytes = read_at_most(path, MOST_CONSENT)?;
            serde_json::from_slice(&bytes).with_context(|| format!("{} is no signed approval", path.display()))?
        }
        (None, Some(key), Some(by)) => {
            let signer = Signer::read(key).map_err(|error| Failure::config(error.to_string()))?;
            Consent::new(&row.id, candidate, by, now()).sign(&signer)
        }
        _ => return Err(Failure::usage("who approves?", "give --as NAME and --key FILE, or --envelope FILE")),
    };
    if args.sign_only {
        out.json(&signed)?;
        return Ok(Exit::Ok);
    }
    let approvers = Approvers::read(&args.approvers).map_err(|error| Failure::config(error.to_string()))?;
    let ownership = ownership::read(&args.ownership).map_err(|error| Failure::config(error.to_string()))?;
    let owners = owners_of(&remediation, candidate, &ownership);
    let subject = Subject { remediation: &row.id, candidate, owners: &owners };
    let approval = match approvers.accept(&signed, subject, now()) {
        Ok(approval) => approval,
        Err(void) => {
            store.transact(|tx| tx.count("approval_void"))?;
            return Err(anyhow::anyhow!("the approval does not count: {void}").into());
        }
    };
    let (by, id) = (approval.by.clone(), candidate.id.clone());
    store.transact(|tx| {
        let lease = tx.seize(&remediation.request.event_id, now())?;
        tx.append(&lease, &row.id, &Step::Approved { approval: approval.clone() }, now())
    })?;
    if args.json {
        out.json(&json!({ "id": row.id, "state": State::Attested, "candidate": id, "by": by }))?;
    } else {
        out.line(&format!("{} is attested: {by} approved {id}", row.id))?;
    }
    Ok(Exit::Ok)
}

/// Says no. No signature is asked for: whoever can write here could abort as well, and nothing is changed by it.
pub(crate) fn reject(args: &Reject, out: &mut Out) -> Result<Exit, Failure> {
    if args.why.chars().count() > MOST_WHY {
        return Err(Failure::usage(format!("--why has more than {MOST_WHY} characters"), "say it shorter"));
    }
    let mut store = existing(&args.data)?;
    let row = one(&store, &args.id)?;
    let remediation = store.chain(&row.id)?.remediation;
    if remediation.state != State::Verified {
        let hint = "only a remediation that is 'verified' can be rejected; 'abort' ends any";
        return Err(Failure::usage(format!("{} is {}", row.id, remediation.state.name()), hint));
    }
    store.transact(|tx| {
        let lease = tx.seize(&remediation.request.event_id, now())?;
        tx.append(&lease, &row.id, &Step::Rejected { by: args.by.clone(), why: args.why.clone() }, now())
    })?;
    if args.json {
        out.json(&json!({ "id": row.id, "state": State::Rejected }))?;
    } else {
        out.line(&format!("{} is rejected", row.id))?;
    }
    Ok(Exit::Ok)
}

/// `backtrail-consumer keygen`: a key for an approver. A file that is there is left alone.
pub(crate) fn keygen(file: &Path, out: &mut Out) -> Result<Exit, Failure> {
    if file.exists() {
        return Err(Failure::usage(format!("{} is there already", file.display()), "name another file"));
    }
    let signer = Signer::make(file)?;
    out.bytes(signer.public().to_pem().as_bytes())?;
    Ok(Exit::Ok)
}
