//! Writing to a journal.

use backtrail_model::time::UnixNano;

use super::inbox::Lease;
use super::{Tx, signed};
use crate::error::Error;
use crate::journal::{Chain, Entry, Hash, link};
use crate::state::Remediation;
use crate::step::{Request, Step};

impl Tx<'_> {
    /// Begins the remediation of a request and gives its id.
    pub fn begin(&self, lease: &Lease, request: Request, now: UnixNano) -> Result<String, Error> {
        self.check(lease)?;
        let id = backtrail_model::incident::deterministic_id(&["remediation", &request.event_id]);
        let sql = "INSERT INTO remediation VALUES (?1, ?2, ?3, ?4, ?5, '', 1, 0, x'')";
        let Request { event_id, incident, service, revision, .. } = &request;
        self.0.prepare_cached(sql)?.execute((&id, event_id, incident, service, signed(*revision)))?;
        self.write(None, &id, &Step::Received { request }, now)?;
        Ok(id)
    }

    /// Appends a step to the journal of the remediation that the lease is on, if its fence is in force and the step can
    /// follow. Everything else that is known of the remediation follows from the journal.
    pub fn append(&self, lease: &Lease, remediation: &str, step: &Step, now: UnixNano) -> Result<Chain, Error> {
        self.check(lease)?;
        let chain = self.chain(remediation)?;
        debug_assert!(
            chain.remediation.request.event_id == lease.event_id || matches!(step, Step::Merged { .. }),
            "the lease is on another remediation"
        );
        self.write(Some(chain), remediation, step, now)?;
        self.chain(remediation)
    }

    fn write(&self, before: Option<Chain>, id: &str, step: &Step, now: UnixNano) -> Result<(), Error> {
        let (seq, previous): (u64, Hash) =
            before.as_ref().map_or((0, crate::journal::GENESIS), |chain| (chain.entries.len() as u64, chain.head));
        let after = Remediation::after(before.map(|chain| chain.remediation), step)
            .map_err(|illegal| Error::IllegalStep(illegal.to_string()))?;
        let entry = Entry { remediation: id.to_owned(), seq, at_unix_nano: now, step: step.clone() };
        let body = serde_json::to_string(&entry).map_err(|error| Error::IllegalStep(error.to_string()))?;
        let head = link(&previous, body.as_bytes());
        let sql = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4)";
        self.0.prepare_cached(sql)?.execute((id, signed(seq), &body, &head[..]))?;
        let sql = "UPDATE remediation SET event_id = ?2, service = ?3, revision = ?4, state = ?5, active = ?6,
                   entries = ?7, head = ?8 WHERE id = ?1";
        let Request { event_id, service, revision, .. } = &after.request;
        let active = !after.state.is_terminal();
        let values = (id, event_id, service, signed(*revision), after.state.name(), active, signed(seq + 1), &head[..]);
        self.0.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
