//! Admission: what a new event means for the remediations that there are.
//!
//! A service has at most one active remediation in an incident, and a newer revision of it is the better one (a full
//! snapshot, the last wins). An incident that suspects several services has one for each. So a newer revision takes the
//! place of a request that nothing was done for yet (*merged*) or ends the remediation that it finds (*superseded*); an
//! older one is ignored and counted. "Newer" is by revision, then by event id: events may come in any order and any number
//! of times, and the same remediations are left.

use backtrail_model::incident::Status;
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::time::UnixNano;

use crate::error::Error;
use crate::event::{Content, Event, Standing};
use crate::journal::digest;
use crate::state::State;
use crate::step::{Request, Step};
use crate::store::{Lease, Row, Tx};

/// Admits the event of a lease.
pub fn admit(tx: &Tx<'_>, lease: &Lease, now: UnixNano) -> Result<(), Error> {
    match Event::parse(&lease.body)?.content {
        Content::Request(request) => admit_request(tx, lease, &request, now),
        Content::Incident(standing) => {
            admit_standing(tx, &standing, now)?;
            tx.settle(lease)
        }
    }
}

fn admit_request(tx: &Tx<'_>, lease: &Lease, request: &PatchRequest, now: UnixNano) -> Result<(), Error> {
    let suspect = &request.suspect_ref;
    let request = Request {
        event_id: lease.event_id.clone(),
        digest: digest(&lease.body),
        incident: suspect.incident_key.clone(),
        service: suspect.entity.service.clone(),
        revision: suspect.revision,
    };
    if let Some(newest) = tx.newest(&request.incident, &request.service)?
        && (newest.revision, &newest.event_id) >= (request.revision, &request.event_id)
    {
        tx.count("older_revision")?;
        return tx.settle(lease);
    }
    let incident = request.incident.clone();
    match tx.active(&incident, &request.service)? {
        Some(active) if active.state == State::Received.name() => merge(tx, lease, &active, request, now)?,
        Some(active) => {
            let step = Step::Superseded { by: request.event_id.clone(), revision: request.revision };
            tx.append(&tx.seize(&active.event_id, now)?, &active.id, &step, now)?;
            tx.count("superseded")?;
            tx.begin(lease, request, now)?;
        }
        None => drop(tx.begin(lease, request, now)?),
    }
    if let Some(over) = tx.resolved_at(&incident)? {
        resolve(tx, &incident, over, now)?;
    }
    // What was resolved just now was seized from this very lease: it waits already.
    if tx.check(lease).is_ok() { tx.rest(lease, now) } else { Ok(()) }
}

fn merge(tx: &Tx<'_>, lease: &Lease, active: &Row, request: Request, now: UnixNano) -> Result<(), Error> {
    let replaced = tx.seize(&active.event_id, now)?;
    tx.check(lease)?;
    tx.append(&replaced, &active.id, &Step::Merged { request }, now)?;
    tx.settle(&replaced)?;
    tx.count("merged")
}

fn admit_standing(tx: &Tx<'_>, standing: &Standing, now: UnixNano) -> Result<(), Error> {
    if standing.status != Status::Resolved {
        return tx.count("still_open");
    }
    tx.note_resolved(&standing.incident_key, standing.revision)?;
    resolve(tx, &standing.incident_key, standing.revision, now)
}

/// Ends the active remediations of an incident that is over, if their requests are older than that. A request of the very
/// revision that resolves was made in the knowledge of it: the symptom is over, the cause is to be repaired.
fn resolve(tx: &Tx<'_>, incident: &str, revision: u64, now: UnixNano) -> Result<(), Error> {
    for active in tx.all_active(incident)?.into_iter().filter(|active| active.revision < revision) {
        tx.append(&tx.seize(&active.event_id, now)?, &active.id, &Step::Resolved { revision }, now)?;
        tx.count("resolved")?;
    }
    Ok(())
}
