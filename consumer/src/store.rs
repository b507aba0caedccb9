//! What the consumer knows, in one `SQLite` database: write-ahead log, every commit on the disk before it counts
//! (`synchronous = FULL`). Each change is one transaction: it happens with its journal entry or not at all.

mod artifacts;
mod dead;
mod inbox;
mod record;
mod remediations;

use std::path::{Path, PathBuf};
use std::time::Duration;

use backtrail_model::time::UnixNano;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::crash;
use crate::error::{During, Error};

pub use artifacts::MOST_ARTIFACT;
pub use dead::{DeadLetter, MOST_LETTERS, Reason, Replayed};
pub use inbox::{Inbox, Lease};
pub use remediations::Row;

const VERSION: i64 = 3;

/// How long a command waits for another one's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE inbox (
    event_id    TEXT PRIMARY KEY,
    body        BLOB NOT NULL,
    received    INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    admitted    INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  INTEGER NOT NULL,
    fence       INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    error       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX inbox_due ON inbox (state, not_before);
CREATE TABLE remediation (
    id       TEXT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE REFERENCES inbox (event_id),
    incident TEXT NOT NULL,
    service  TEXT NOT NULL,
    revision INTEGER NOT NULL,
    state    TEXT NOT NULL,
    active   INTEGER NOT NULL,
    entries  INTEGER NOT NULL,
    head     BLOB NOT NULL
) STRICT;
CREATE INDEX remediation_incident ON remediation (incident, revision);
CREATE TABLE journal (
    remediation TEXT NOT NULL REFERENCES remediation (id),
    seq         INTEGER NOT NULL,
    body        TEXT NOT NULL,
    hash        BLOB NOT NULL,
    PRIMARY KEY (remediation, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE resolved (incident TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
CREATE TABLE dead_letter (
    id       TEXT PRIMARY KEY,
    at       INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    body     BLOB NOT NULL,
    length   INTEGER NOT NULL,
    event_id TEXT
) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;
";

/// What version 2 added.
const ARTIFACTS: &str = "
CREATE TABLE artifact (digest TEXT PRIMARY KEY, remediation TEXT NOT NULL, body BLOB NOT NULL) STRICT;
CREATE INDEX artifact_remediation ON artifact (remediation);
";

/// What version 3 changed: an incident may have several suspect services, each with a remediation of its own.
const BY_SERVICE: &str = "
DROP INDEX IF EXISTS one_active_an_incident;
CREATE UNIQUE INDEX IF NOT EXISTS one_active_a_service ON remediation (incident, service) WHERE active = 1;
";

/// The database and the folder that it lies in.
pub struct Store {
    db: Connection,
    dir: PathBuf,
}

/// A transaction: what is done with it is done together.
pub struct Tx<'a>(rusqlite::Transaction<'a>);

impl Store {
    /// Opens or creates `consumer.db` in `dir`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).during("create", dir)?;
        let mut db = Connection::open(dir.join("consumer.db"))?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => [SCHEMA, ARTIFACTS, BY_SERVICE].iter().try_for_each(|sql| tx.execute_batch(sql))?,
            1 => [ARTIFACTS, BY_SERVICE].iter().try_for_each(|sql| tx.execute_batch(sql))?,
            2 => tx.execute_batch(BY_SERVICE)?,
            VERSION => {}
            found => return Err(Error::Newer { found, known: VERSION }),
        }
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()?;
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// Opens what a run left; none when nothing ever ran in `dir`.
    pub fn open_existing(dir: &Path) -> Result<Option<Self>, Error> {
        if dir.join("consumer.db").exists() { Self::open(dir).map(Some) } else { Ok(None) }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does `work` entirely or not at all; what it did is on the disk when this returns.
    pub fn transact<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let tx = Tx(self.db.transaction_with_behavior(TransactionBehavior::Immediate)?);
        let done = work(&tx)?;
        crash::point();
        tx.0.commit()?;
        crash::point();
        Ok(done)
    }

    /// Adds up what was counted, by name.
    pub fn counters(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut query = self.db.prepare("SELECT name, n FROM counter ORDER BY name")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Counts something that would otherwise happen in silence.
    pub fn count(&self, name: &str) -> Result<(), Error> {
        let sql = "INSERT INTO counter VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1";
        self.0.prepare_cached(sql)?.execute([name])?;
        Ok(())
    }

    /// Notes that an incident is over since a revision; a later word replaces an earlier one.
    pub fn note_resolved(&self, incident: &str, revision: u64) -> Result<(), Error> {
        let sql = "INSERT INTO resolved VALUES (?1, ?2)
                   ON CONFLICT (incident) DO UPDATE SET revision = max(revision, excluded.revision)";
        self.0.prepare_cached(sql)?.execute((incident, signed(revision)))?;
        Ok(())
    }

    /// The revision since which an incident is over.
    pub fn resolved_at(&self, incident: &str) -> Result<Option<u64>, Error> {
        let mut query = self.0.prepare_cached("SELECT revision FROM resolved WHERE incident = ?1")?;
        Ok(query.query_row([incident], |row| row.get(0)).optional()?.map(unsigned))
    }
}

/// `SQLite`'s integers are signed; times past the year 2262 and "never" are its largest.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn nanos(time: UnixNano) -> i64 {
    signed(time.0)
}

fn time(value: i64) -> UnixNano {
    if value == i64::MAX { UnixNano::MAX } else { UnixNano(unsigned(value)) }
}

#[cfg(test)]
impl Store {
    /// Changes an entry of a journal behind the back of everything.
    pub(crate) fn tamper(&self, remediation: &str, seq: u64, from: &str, to: &str) {
        let sql = "UPDATE journal SET body = replace(body, ?3, ?4) WHERE remediation = ?1 AND seq = ?2";
        assert_eq!(self.db.execute(sql, (remediation, signed(seq), from, to)).expect("writable"), 1);
    }

    /// As many dead letters as may be.
    pub(crate) fn fill_dead_letters(&self) {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                   INSERT INTO dead_letter SELECT 'l' || i, 0, 'x', 'x', x'', 0, NULL FROM n";
        self.db.execute(sql, [signed(MOST_LETTERS)]).expect("writable");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        let mode: String = store.db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a mode");
        let full: i64 = store.db.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("a level");
        assert_eq!((mode.as_str(), full), ("wal", 2));
    }

    #[test]
    fn a_database_of_a_newer_version_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        store.db.pragma_update(None, "user_version", VERSION + 1).expect("writable");
        drop(store);
        assert!(matches!(Store::open(dir.path()), Err(Error::Newer { found: 4, known: 3 })));
    }

    #[test]
    fn a_database_of_version_1_gets_what_is_new() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        store.db.execute_batch("DROP TABLE artifact; PRAGMA user_version = 1").expect("writable");
        drop(store);
        let mut store = Store::open(dir.path()).expect("opens");
        store.transact(|tx| tx.keep("r", b"x")).expect("there is a place for it");
    }

    #[test]
    fn a_database_of_version_2_lets_each_service_of_an_incident_have_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        let before = "DROP INDEX one_active_a_service;
            CREATE UNIQUE INDEX one_active_an_incident ON remediation (incident) WHERE active = 1;
            PRAGMA user_version = 2";
        store.db.execute_batch(before).expect("writable");
        drop(store);
        let store = Store::open(dir.path()).expect("opens");
        let mut query =
            store.db.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'one_active%'").expect("a query");
        let names: Vec<String> = query.query_map([], |row| row.get(0)).expect("rows").flatten().collect();
        assert_eq!(names, ["one_active_a_service"]);
    }

    #[test]
    fn what_fails_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path()).expect("opens");
        let failed: Result<(), Error> = store.transact(|tx| {
            tx.count("one")?;
            Err(Error::DeadLettersFull(1))
        });
        assert!(failed.is_err());
        assert_eq!(store.counters().expect("readable"), []);
        store.transact(|tx| tx.note_resolved("i", 5)).expect("written");
        store.transact(|tx| tx.note_resolved("i", 3)).expect("written");
        assert_eq!(store.transact(|tx| tx.resolved_at("i")).expect("read"), Some(5));
    }
}
