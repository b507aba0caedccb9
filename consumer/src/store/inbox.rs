//! The inbox: every event once, by its id; work on it under a lease.
//!
//! A lease has a fence, a number that grows with every lease on the same event. Whatever is written for the event names
//! its fence; one that is not the newest writes nothing. So a worker that was thought dead, or whose work the operator or
//! a newer revision ended, cannot do harm however late it wakes up.

use std::time::Duration;

use backtrail_model::time::UnixNano;
use rusqlite::{OptionalExtension, Row};

use super::{Store, Tx, nanos, time, unsigned};
use crate::error::Error;

/// The right to work on an event for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The event.
    pub event_id: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// The fence.
    pub fence: u64,
    /// Attempts, this one included, since the last success.
    pub attempts: u32,
}

/// How many events are in which state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Inbox {
    /// To be worked on now or later (a retry, the expiry of what is triaged).
    pub waiting: u64,
    /// Of these, with failed attempts.
    pub retrying: u64,
    /// Of these, under a lease now.
    pub leased: u64,
    /// Settled.
    pub done: u64,
    /// Given up; there is a dead letter for each.
    pub dead: u64,
}

impl Store {
    /// Gives out the next event that is due: new ones before those already admitted, so that a burst of revisions is
    /// merged before work begins.
    pub fn lease(&mut self, now: UnixNano, length: Duration) -> Result<Option<Lease>, Error> {
        self.transact(|tx| {
            let sql = "UPDATE inbox SET fence = fence + 1, attempts = attempts + 1, lease_until = ?2
                WHERE event_id = (SELECT event_id FROM inbox
                    WHERE state = 'waiting' AND not_before <= ?1 AND lease_until <= ?1
                    ORDER BY admitted, not_before, rowid LIMIT 1)
                RETURNING event_id, body, fence, attempts";
            let mut update = tx.0.prepare_cached(sql)?;
            let lease = update.query_row((nanos(now), nanos(now.plus(length))), lease);
            Ok(lease.optional()?)
        })
    }

    /// Counts the events.
    pub fn inbox(&self, now: UnixNano) -> Result<Inbox, Error> {
        let sql = "SELECT count(*) FILTER (WHERE state = 'waiting'),
            count(*) FILTER (WHERE state = 'waiting' AND error <> ''),
            count(*) FILTER (WHERE state = 'waiting' AND lease_until > ?1),
            count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'dead') FROM inbox";
        let n = |row: &Row<'_>, column| row.get(column).map(unsigned);
        Ok(self.db.query_row(sql, [nanos(now)], |row| {
            let (waiting, retrying, leased) = (n(row, 0)?, n(row, 1)?, n(row, 2)?);
            Ok(Inbox { waiting, retrying, leased, done: n(row, 3)?, dead: n(row, 4)? })
        })?)
    }

    /// The next time at which an event becomes due, if one does.
    pub fn next_due(&self) -> Result<Option<UnixNano>, Error> {
        let sql = "SELECT min(max(not_before, lease_until)) FROM inbox WHERE state = 'waiting'";
        let due: Option<i64> = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(due.map(time))
    }

    /// The bytes of an event.
    pub fn body(&self, event_id: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut query = self.db.prepare_cached("SELECT body FROM inbox WHERE event_id = ?1")?;
        Ok(query.query_row([event_id], |row| row.get(0)).optional()?)
    }

    /// What an event's last failure was; empty when there was none since the last success.
    pub fn last_error(&self, event_id: &str) -> Result<String, Error> {
        let mut query = self.db.prepare_cached("SELECT error FROM inbox WHERE event_id = ?1")?;
        Ok(query.query_row([event_id], |row| row.get(0)).optional()?.unwrap_or_default())
    }
}

fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let (event_id, body, fence) = (row.get(0)?, row.get(1)?, unsigned(row.get(2)?));
    Ok(Lease { event_id, body, fence, attempts: row.get(3)? })
}

impl Tx<'_> {
    /// Puts an event in, unless it is there. Says whether it is new.
    pub fn insert(&self, event_id: &str, body: &[u8], now: UnixNano) -> Result<bool, Error> {
        let sql = "INSERT OR IGNORE INTO inbox (event_id, body, received, state, not_before)
                   VALUES (?1, ?2, ?3, 'waiting', ?3)";
        let inserted = self.0.prepare_cached(sql)?.execute((event_id, body, nanos(now)))?;
        self.count(if inserted == 1 { "accepted" } else { "duplicate" })?;
        Ok(inserted == 1)
    }

    /// Fails unless the lease's fence is in force.
    pub fn check(&self, lease: &Lease) -> Result<(), Error> {
        let mut query = self.0.prepare_cached("SELECT fence FROM inbox WHERE event_id = ?1")?;
        let current = query.query_row([&lease.event_id], |row| row.get(0).map(unsigned))?;
        if current == lease.fence {
            return Ok(());
        }
        Err(Error::Stale { event: lease.event_id.clone(), held: lease.fence, current })
    }

    /// The work is over.
    pub fn settle(&self, lease: &Lease) -> Result<(), Error> {
        self.release(lease, "done", UnixNano(0), "")
    }

    /// The event is part of a remediation, whose work begins or goes on at `until`.
    pub fn rest(&self, lease: &Lease, until: UnixNano) -> Result<(), Error> {
        self.release(lease, "waiting", until, "")
    }

    /// The work takes longer: others are kept away until `until`.
    pub fn extend(&self, lease: &Lease, until: UnixNano) -> Result<(), Error> {
        self.check(lease)?;
        let sql = "UPDATE inbox SET lease_until = ?2 WHERE event_id = ?1";
        self.0.prepare_cached(sql)?.execute((&lease.event_id, nanos(until)))?;
        Ok(())
    }

    /// It failed; it is tried again at `at`. The attempts stay counted.
    pub fn retry(&self, lease: &Lease, at: UnixNano, error: &str) -> Result<(), Error> {
        self.check(lease)?;
        let sql = "UPDATE inbox SET lease_until = 0, not_before = ?2, error = ?3 WHERE event_id = ?1";
        self.0.prepare_cached(sql)?.execute((&lease.event_id, nanos(at), error))?;
        self.count("retried")
    }

    pub(super) fn give_up(&self, lease: &Lease, error: &str) -> Result<(), Error> {
        self.release(lease, "dead", UnixNano(0), error)
    }

    fn release(&self, lease: &Lease, state: &str, not_before: UnixNano, error: &str) -> Result<(), Error> {
        self.check(lease)?;
        let sql =
            "UPDATE inbox SET state = ?2, admitted = 1, attempts = 0, lease_until = 0, not_before = ?3, error = ?4
                   WHERE event_id = ?1";
        self.0.prepare_cached(sql)?.execute((&lease.event_id, state, nanos(not_before), error))?;
        Ok(())
    }

    /// Takes an event away from whoever works on it, for a write of one's own in this transaction; afterwards it waits
    /// for the next worker.
    pub fn seize(&self, event_id: &str, now: UnixNano) -> Result<Lease, Error> {
        let sql = "UPDATE inbox SET fence = fence + 1, attempts = 0, lease_until = 0, not_before = ?2,
                state = 'waiting', error = '' WHERE event_id = ?1 RETURNING event_id, body, fence, attempts";
        Ok(self.0.prepare_cached(sql)?.query_row((event_id, nanos(now)), lease)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Write = fn(&Tx<'_>, &Lease) -> Result<(), Error>;

    const SECOND: Duration = Duration::from_secs(1);

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        (dir, store)
    }

    #[test]
    fn an_event_is_taken_in_once() {
        let (_dir, mut store) = store();
        for (id, new) in [("a", true), ("b", true), ("a", false)] {
            assert_eq!(store.transact(|tx| tx.insert(id, b"x", UnixNano(1))).expect("written"), new);
        }
        assert_eq!(store.counters().expect("readable"), [("accepted".into(), 2), ("duplicate".into(), 1)]);
    }

    #[test]
    fn a_lease_keeps_others_away_until_it_ends_and_a_stale_fence_writes_nothing() {
        let (_dir, mut store) = store();
        store.transact(|tx| tx.insert("a", b"x", UnixNano(1))).expect("written");
        let first = store.lease(UnixNano(1), SECOND).expect("works").expect("due");
        assert_eq!(store.lease(UnixNano(2), SECOND).expect("works"), None, "leased");
        let later = UnixNano(1).plus(SECOND);
        let second = store.lease(later, SECOND).expect("works").expect("the first one's time is over");
        assert_eq!((first.fence, second.fence, second.attempts), (1, 2, 2));
        let before = store.inbox(later).expect("counts");
        let late: [Write; 5] = [
            |tx, lease| tx.extend(lease, UnixNano(5)),
            |tx, lease| tx.settle(lease),
            |tx, lease| tx.rest(lease, UnixNano(5)),
            |tx, lease| tx.retry(lease, UnixNano(5), "no"),
            |tx, lease| tx.give_up(lease, "no"),
        ];
        for write in late {
            let stale = store.transact(|tx| write(tx, &first));
            assert!(matches!(stale, Err(Error::Stale { held: 1, current: 2, .. })), "{stale:?}");
        }
        assert_eq!(store.inbox(later).expect("counts"), before);
        store.transact(|tx| tx.settle(&second)).expect("in force");
        assert_eq!(store.inbox(later).expect("counts").done, 1);
    }

    #[test]
    fn what_is_seized_is_lost_to_its_worker() {
        let (_dir, mut store) = store();
        store.transact(|tx| tx.insert("a", b"x", UnixNano(1))).expect("written");
        let worker = store.lease(UnixNano(1), SECOND).expect("works").expect("due");
        store.transact(|tx| tx.seize("a", UnixNano(2))).expect("seized");
        assert!(store.transact(|tx| tx.settle(&worker)).is_err());
        assert!(store.lease(UnixNano(2), SECOND).expect("works").is_some(), "free again");
    }

    #[test]
    fn new_events_go_before_admitted_ones_and_a_retry_waits() {
        let (_dir, mut store) = store();
        store.transact(|tx| tx.insert("a", b"x", UnixNano(1)).and(tx.insert("b", b"x", UnixNano(1)))).expect("written");
        let a = store.lease(UnixNano(1), SECOND).expect("works").expect("due");
        store.transact(|tx| tx.rest(&a, UnixNano(1))).expect("rests");
        let b = store.lease(UnixNano(1), SECOND).expect("works").expect("due");
        assert_eq!((a.event_id.as_str(), b.event_id.as_str()), ("a", "b"));
        store.transact(|tx| tx.retry(&b, UnixNano(9), "later")).expect("waits");
        assert_eq!(store.lease(UnixNano(8), SECOND).expect("works").expect("due").event_id, "a");
        assert_eq!(store.lease(UnixNano(8), SECOND).expect("works"), None);
        assert_eq!(store.lease(UnixNano(9), SECOND).expect("works").expect("due").attempts, 2);
    }
}
