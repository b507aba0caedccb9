//! Reading remediations: rows for lists, chains for the truth.

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::{Store, Tx, signed, unsigned};
use crate::error::Error;
use crate::journal::{Chain, Hash};

/// A remediation in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// The event of the request in force.
    pub event_id: String,
    /// The incident.
    pub incident: String,
    /// The suspect service.
    pub service: String,
    /// The revision of the incident.
    pub revision: u64,
    /// Where it stands.
    pub state: String,
}

const COLUMNS: &str = "id, event_id, incident, service, revision, state";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        event_id: row.get(1)?,
        incident: row.get(2)?,
        service: row.get(3)?,
        revision: unsigned(row.get(4)?),
        state: row.get(5)?,
    })
}

impl Store {
    /// The newest remediations, at most `most`, newest first.
    pub fn remediations(&self, most: u64) -> Result<Vec<Row>, Error> {
        let mut query = self.db.prepare(&format!("SELECT {COLUMNS} FROM remediation ORDER BY rowid DESC LIMIT ?1"))?;
        let rows = query.query_map([signed(most)], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Remediations by state.
    pub fn by_state(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut query = self.db.prepare("SELECT state, count(*) FROM remediation GROUP BY state")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Remediations whose id begins with `prefix`, at most two: one is the answer, two are too many.
    pub fn find(&self, prefix: &str) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM remediation WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
        let mut query = self.db.prepare(&sql)?;
        let rows = query.query_map([prefix], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The journal of a remediation, checked from end to end.
    pub fn chain(&self, remediation: &str) -> Result<Chain, Error> {
        chain(&self.db, remediation)
    }

    /// Checks every journal and gives what is wrong.
    pub fn tampered(&self) -> Result<Vec<Error>, Error> {
        let mut query = self.db.prepare("SELECT id FROM remediation ORDER BY rowid")?;
        let ids = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let mut wrong = Vec::new();
        for id in ids {
            match self.chain(&id) {
                Ok(_) => {}
                Err(error @ Error::Tampered { .. }) => wrong.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(wrong)
    }
}

impl Tx<'_> {
    /// [`Store::chain`].
    pub fn chain(&self, remediation: &str) -> Result<Chain, Error> {
        chain(&self.0, remediation)
    }

    /// The remediation of an event, if the event is the one in force.
    pub fn of_event(&self, event_id: &str) -> Result<Option<Row>, Error> {
        self.one("event_id = ?1", [event_id])
    }

    /// The remediation of a service in an incident that has not ended; the database has at most one.
    pub fn active(&self, incident: &str, service: &str) -> Result<Option<Row>, Error> {
        self.one("incident = ?1 AND service = ?2 AND active = 1", (incident, service))
    }

    /// The remediations of an incident that have not ended, one a service.
    pub fn all_active(&self, incident: &str) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM remediation WHERE incident = ?1 AND active = 1 ORDER BY service");
        let mut query = self.0.prepare_cached(&sql)?;
        let rows = query.query_map([incident], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The one of the newest revision of a service in an incident, ended or not.
    pub fn newest(&self, incident: &str, service: &str) -> Result<Option<Row>, Error> {
        let filter = "incident = ?1 AND service = ?2 ORDER BY revision DESC, event_id DESC LIMIT 1";
        self.one(filter, (incident, service))
    }

    fn one(&self, filter: &str, values: impl rusqlite::Params) -> Result<Option<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM remediation WHERE {filter}");
        Ok(self.0.prepare_cached(&sql)?.query_row(values, row).optional()?)
    }
}

fn chain(db: &Connection, id: &str) -> Result<Chain, Error> {
    let sql = "SELECT entries, head, state, event_id FROM remediation WHERE id = ?1";
    let (entries, head, state, event_id): (i64, Vec<u8>, String, String) =
        db.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut query = db.prepare_cached("SELECT body, hash FROM journal WHERE remediation = ?1 ORDER BY seq")?;
    let mut bodies = Vec::new();
    let mut hashes: Vec<Hash> = Vec::new();
    let mut rows = query.query([id])?;
    while let Some(row) = rows.next()? {
        bodies.push(row.get(0)?);
        // A hash of another length is none.
        hashes.push(row.get::<_, Vec<u8>>(1)?.try_into().unwrap_or_default());
    }
    let chain = Chain::read(id, bodies, Some(&hashes))?;
    let tampered = |entry: usize, what: &str| {
        Err(Error::Tampered { remediation: id.to_owned(), entry: entry as u64, what: what.to_owned() })
    };
    let last = chain.entries.len() - 1;
    match chain.entries.len() as u64 {
        n if n < unsigned(entries) => return tampered(last + 1, "it is missing"),
        n if n > unsigned(entries) => return tampered(unsigned(entries) as usize, "it was never written"),
        _ => {}
    }
    if chain.head[..] != head[..] {
        return tampered(last, "the chain ends with another hash than was written");
    }
    if chain.remediation.state.name() != state || chain.remediation.request.event_id != event_id {
        return tampered(last, &format!("the database says '{state}' of event {event_id}, the journal does not"));
    }
    Ok(chain)
}
