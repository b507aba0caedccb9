//! Dead letters: what cannot be worked on, with the reason and the original bytes, for an operator to look at.

use backtrail_model::time::UnixNano;
use rusqlite::{OptionalExtension, Row};
use serde::Serialize;

use super::inbox::Lease;
use super::{Store, Tx, nanos, signed, time, unsigned};
use crate::error::Error;
use crate::event::{Event, MOST_BYTES};
use crate::journal::digest;

/// Most dead letters that are kept. Past it nothing is taken in: overload becomes backpressure and never loss.
pub const MOST_LETTERS: u64 = 10_000;

/// Why something is dead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// In one word, for counting: `malformed`, `unknown_version`, `damaged`, `budget_spent` ...
    pub name: &'static str,
    /// In a sentence.
    pub detail: String,
}

/// A dead letter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DeadLetter {
    /// Its id: made of the digest of the bytes and the reason, or of the event's id.
    pub id: String,
    /// Since when.
    pub at: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// Bytes that there were; more than are kept for what was too large.
    pub length: u64,
    /// The event in the inbox, when it got that far.
    pub event_id: Option<String>,
}

/// What became of a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// It waits in the inbox again.
    Waiting,
    /// There is no such letter.
    Unknown,
    /// Only its beginning was kept.
    Cut,
}

const COLUMNS: &str = "id, at, reason, detail, length, event_id";

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.get(0)?,
        at: time(row.get(1)?).to_string(),
        reason: row.get(2)?,
        detail: row.get(3)?,
        length: unsigned(row.get(4)?),
        event_id: row.get(5)?,
    })
}

impl Store {
    /// The dead letters, oldest first.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let mut query = self.db.prepare(&format!("SELECT {COLUMNS} FROM dead_letter ORDER BY at, id"))?;
        let rows = query.query_map([], letter)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One of them with its bytes.
    pub fn dead_letter(&self, id: &str) -> Result<Option<(DeadLetter, Vec<u8>)>, Error> {
        let sql = format!("SELECT {COLUMNS}, body FROM dead_letter WHERE id = ?1");
        let found = self.db.query_row(&sql, [id], |row| Ok((letter(row)?, row.get(6)?)));
        Ok(found.optional()?)
    }
}

impl Tx<'_> {
    /// Buries bytes that never became an event. The same bytes for the same reason are the same letter. `length` is what
    /// there was, of which [`MOST_BYTES`] are kept.
    pub fn bury(&self, body: &[u8], length: u64, reason: &Reason, now: UnixNano) -> Result<(), Error> {
        let id = digest(format!("{} {}", digest(body), reason.detail).as_bytes())[..32].to_owned();
        self.write_letter(&id, &body[..body.len().min(MOST_BYTES)], length, reason, None, now)
    }

    /// Buries an event of the inbox.
    pub fn bury_event(&self, lease: &Lease, reason: &Reason, now: UnixNano) -> Result<(), Error> {
        self.give_up(lease, &reason.detail)?;
        let id = digest(lease.event_id.as_bytes())[..32].to_owned();
        self.write_letter(&id, &lease.body, lease.body.len() as u64, reason, Some(&lease.event_id), now)
    }

    fn write_letter(
        &self,
        id: &str,
        body: &[u8],
        length: u64,
        reason: &Reason,
        event_id: Option<&str>,
        now: UnixNano,
    ) -> Result<(), Error> {
        let kept = self.0.query_row("SELECT count(*) FROM dead_letter", [], |row| row.get(0).map(unsigned))?;
        if kept >= MOST_LETTERS {
            return Err(Error::DeadLettersFull(MOST_LETTERS));
        }
        let sql = "INSERT INTO dead_letter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING";
        let values = (id, nanos(now), reason.name, &reason.detail, body, signed(length), event_id);
        if self.0.prepare_cached(sql)?.execute(values)? == 1 {
            self.count(&format!("dead_{}", reason.name))?;
        }
        Ok(())
    }

    /// Removes a letter. Says whether it was there.
    pub fn drop_letter(&self, id: &str) -> Result<bool, Error> {
        Ok(self.0.execute("DELETE FROM dead_letter WHERE id = ?1", [id])? == 1)
    }

    /// Gives what a letter holds another chance, with a fresh budget. Bytes that still are no event are refused, and the
    /// letter stays.
    pub fn replay_letter(&self, id: &str, now: UnixNano) -> Result<Replayed, Error> {
        let sql = "SELECT body, length, event_id FROM dead_letter WHERE id = ?1";
        let found = self.0.query_row(sql, [id], |row| Ok((row.get(0)?, unsigned(row.get(1)?), row.get(2)?)));
        let Some((body, length, event_id)): Option<(Vec<u8>, u64, Option<String>)> = found.optional()? else {
            return Ok(Replayed::Unknown);
        };
        if length > body.len() as u64 {
            return Ok(Replayed::Cut);
        }
        if let Some(event_id) = event_id {
            self.seize(&event_id, now)?;
        } else {
            let event = Event::parse(&body)?;
            self.insert(&event.id, &body, now)?;
        }
        self.drop_letter(id)?;
        Ok(Replayed::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::{event, request};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opens");
        (dir, store)
    }

    fn reason(name: &'static str) -> Reason {
        Reason { name, detail: "because".into() }
    }

    #[test]
    fn the_same_bytes_are_one_letter_and_are_kept_as_they_were() {
        let (_dir, mut store) = store();
        for _ in 0..2 {
            store.transact(|tx| tx.bury(b"{\xff", 2, &reason("malformed"), UnixNano(1))).expect("written");
        }
        let letters = store.dead_letters().expect("readable");
        assert_eq!(letters.len(), 1);
        let (letter, body) = store.dead_letter(&letters[0].id).expect("readable").expect("there");
        assert_eq!((letter.reason.as_str(), body.as_slice()), ("malformed", &b"{\xff"[..]));
        assert_eq!(store.counters().expect("readable"), [("dead_malformed".into(), 1)]);
    }

    #[test]
    fn a_replay_gives_a_fresh_budget_and_refuses_what_is_still_no_event() {
        let (_dir, mut store) = store();
        let good = event(&request("i", 1, "pay"));
        store
            .transact(|tx| {
                tx.bury(&good, good.len() as u64, &reason("unknown_version"), UnixNano(1))?;
                tx.bury(b"no", 2, &reason("malformed"), UnixNano(2))?;
                tx.bury(b"long", 9, &reason("too_large"), UnixNano(3))
            })
            .expect("written");
        let ids: Vec<String> = store.dead_letters().expect("readable").into_iter().map(|letter| letter.id).collect();
        let mut replay = |id: &str| store.transact(|tx| tx.replay_letter(id, UnixNano(4)));
        assert_eq!(replay(&ids[0]).expect("an event"), Replayed::Waiting);
        assert!(matches!(replay(&ids[1]), Err(Error::Refused(_))));
        assert_eq!(replay(&ids[2]).expect("answered"), Replayed::Cut);
        assert_eq!(replay("nobody").expect("answered"), Replayed::Unknown);
        assert_eq!(store.dead_letters().expect("readable").len(), 2);
        let lease = store.lease(UnixNano(4), std::time::Duration::from_secs(1)).expect("works").expect("due");
        store.transact(|tx| tx.bury_event(&lease, &reason("budget_spent"), UnixNano(5))).expect("written");
        let letter = store.dead_letters().expect("readable").pop().expect("there");
        assert_eq!(letter.event_id.as_deref(), Some("i-1"));
        assert_eq!(store.transact(|tx| tx.replay_letter(&letter.id, UnixNano(6))).expect("known"), Replayed::Waiting);
        let again = store.lease(UnixNano(6), std::time::Duration::from_secs(1)).expect("works").expect("due");
        assert_eq!((again.attempts, again.body), (1, good));
    }
}
