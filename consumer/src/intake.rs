//! Where events come from. The queue on disk is the first source; another one implements [`Intake`].

use std::path::{Path, PathBuf};

use backtrail_model::time::UnixNano;
use backtrail_redact::Redactor;
use backtrail_spool::{Error as SpoolError, Reader, delete_consumed, load_cursor, salvage, store_cursor};

use crate::crash;
use crate::error::Error;
use crate::event::{Event, MOST_BYTES, Refusal};
use crate::redaction;
use crate::store::{Reason, Store};

/// A source of events that is told how far the inbox has come. Events may come again: the inbox knows them by their id.
pub trait Intake {
    /// The next delivery; none at the end for now.
    fn next(&mut self) -> Result<Option<Delivery>, Error>;

    /// All that was delivered so far is on this side's disk.
    fn acknowledge(&mut self) -> Result<(), Error>;
}

/// What a source delivers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Bytes that should be an event.
    Bytes(Vec<u8>),
    /// Bytes that the source knows to be damaged.
    Damaged {
        /// What is left of them, and how many there were.
        bytes: Vec<u8>,
        /// Where, and how it was noticed.
        what: String,
    },
}

/// Takes in at most `most` deliveries: into the inbox, or to the dead letters, and then acknowledges them. Says how many.
/// Secrets in them are replaced before anything is kept.
pub fn take_in(
    intake: &mut dyn Intake,
    store: &mut Store,
    redactor: &Redactor,
    most: usize,
    now: UnixNano,
) -> Result<usize, Error> {
    let mut taken = 0;
    while taken < most {
        let Some(delivery) = intake.next()? else { break };
        store.transact(|tx| match delivery {
            Delivery::Bytes(bytes) => {
                let length = bytes.len();
                let bytes = clean(redactor, bytes);
                let parsed = if length > MOST_BYTES { Err(Refusal::TooLarge(length)) } else { Event::parse(&bytes) };
                match parsed {
                    Ok(event) => tx.insert(&event.id, &bytes, now).map(drop),
                    Err(refusal) => tx.bury(&bytes, length as u64, &refused(&refusal), now),
                }
            }
            Delivery::Damaged { bytes, what } => {
                let length = bytes.len() as u64;
                let bytes = clean(redactor, bytes);
                tx.bury(&bytes, length, &Reason { name: "damaged", detail: what }, now)
            }
        })?;
        taken += 1;
    }
    if taken > 0 {
        intake.acknowledge()?;
        crash::point();
    }
    Ok(taken)
}

/// The bytes without secrets; of what is too large only the part that is kept.
pub(crate) fn clean(redactor: &Redactor, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(MOST_BYTES);
    match redaction::event(redactor, &bytes) {
        Some(clean) => {
            tracing::warn!("an event held secrets; their values were replaced and are not kept");
            clean
        }
        None => bytes,
    }
}

pub(crate) fn refused(refusal: &Refusal) -> Reason {
    Reason { name: refusal.reason(), detail: refusal.to_string() }
}

/// The spool that the collector's `patch_queue` writes.
pub struct Spool {
    dir: PathBuf,
    reader: Reader,
    /// The sequence behind the last record that was delivered.
    next: u64,
}

/// Name of the cursor file.
const CURSOR: &str = "consumer";

impl Spool {
    /// Goes on behind what was acknowledged. A directory that does not exist yet is an empty queue; a damaged cursor
    /// means to begin anew, which the inbox does not mind.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let next = match load_cursor(dir, CURSOR) {
            Ok(next) => next.unwrap_or(0),
            Err(SpoolError::Damaged(damage)) => {
                tracing::warn!(%damage, "the queue is read from its beginning");
                0
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { dir: dir.to_owned(), reader: Reader::open_at(dir, next), next })
    }
}

impl Intake for Spool {
    fn next(&mut self) -> Result<Option<Delivery>, Error> {
        match self.reader.read() {
            Ok(Some(record)) => {
                self.next = record.sequence + 1;
                Ok(Some(Delivery::Bytes(record.payload)))
            }
            Ok(None) => Ok(None),
            Err(SpoolError::Damaged(damage)) => {
                let bytes = salvage(&damage, MOST_BYTES as u64)?;
                Ok(Some(Delivery::Damaged { bytes, what: damage.to_string() }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn acknowledge(&mut self) -> Result<(), Error> {
        store_cursor(&self.dir, CURSOR, self.next)?;
        delete_consumed(&self.dir, self.next)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use backtrail_spool::{Options, Writer};

    use super::*;
    use crate::event::tests::{event, request};

    fn queue(dir: &Path, records: &[Vec<u8>]) {
        let mut writer = Writer::open(dir, Options { segment_bytes: 4000, ..Options::default() }).expect("opens");
        for record in records {
            writer.append(record).expect("appended");
        }
        writer.sync().expect("synced");
    }

    fn take_all(dir: &Path, store: &mut Store) -> usize {
        let mut spool = Spool::open(dir).expect("opens");
        take_in(&mut spool, store, &Redactor::new(), usize::MAX, UnixNano(1)).expect("taken in")
    }

    #[test]
    fn what_is_taken_in_is_acknowledged_and_its_segments_are_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let (spool, mut store) = (dir.path().join("q"), Store::open(&dir.path().join("d")).expect("opens"));
        assert_eq!(take_all(&spool, &mut store), 0, "there is no queue yet");
        let events: Vec<_> = (0..20).map(|n| event(&request("i", n, "pay"))).collect();
        queue(&spool, &events);
        let segments = || {
            let files = std::fs::read_dir(&spool).expect("readable").flatten();
            files.filter(|file| file.path().extension().is_some_and(|extension| extension == "seg")).count()
        };
        let before = segments();
        assert_eq!((take_all(&spool, &mut store), take_all(&spool, &mut store)), (20, 0));
        assert!(before > 2 && segments() == 1, "{before} {}", segments());
        queue(&spool, &[event(&request("i", 99, "pay"))]);
        assert_eq!(take_all(&spool, &mut store), 1);
    }

    #[test]
    fn a_lost_acknowledgement_brings_the_events_again_and_does_no_harm() {
        let dir = tempfile::tempdir().expect("a directory");
        let (spool, mut store) = (dir.path().join("q"), Store::open(&dir.path().join("d")).expect("opens"));
        queue(&spool, &[event(&request("i", 1, "pay"))]);
        take_all(&spool, &mut store);
        std::fs::write(spool.join("consumer.cursor"), "torn").expect("writable");
        assert_eq!(take_all(&spool, &mut store), 1);
        assert_eq!(store.inbox(UnixNano(1)).expect("counts").waiting, 1);
    }

    #[test]
    fn what_is_no_event_and_what_is_damaged_become_dead_letters_with_their_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let (spool, mut store) = (dir.path().join("q"), Store::open(&dir.path().join("d")).expect("opens"));
        let good = event(&request("i", 1, "pay"));
        queue(&spool, &[b"{ no event".to_vec(), good.clone(), event(&request("i", 2, "pay"))]);
        let segment = spool.join("00000000000000000000.seg");
        let mut bytes = std::fs::read(&segment).expect("readable");
        // The second record: behind the segment's header and the first record with its own, 20 bytes each.
        let at = 20 + 20 + 10 + 20;
        bytes[at + 5] ^= 1;
        std::fs::write(&segment, &bytes).expect("writable");
        assert_eq!(take_all(&spool, &mut store), 3);
        assert_eq!(store.inbox(UnixNano(1)).expect("counts").waiting, 1);
        let letters = store.dead_letters().expect("readable");
        let mut reasons: Vec<_> = letters.iter().map(|letter| letter.reason.as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["damaged", "malformed"]);
        let damaged = letters.iter().find(|letter| letter.reason == "damaged").expect("there");
        let (_, body) = store.dead_letter(&damaged.id).expect("readable").expect("there");
        assert_eq!(body, bytes[at..at + good.len()], "as they are on the disk");
        assert!(damaged.detail.contains("checksum"), "{}", damaged.detail);
    }

    #[test]
    fn when_no_more_dead_letters_fit_nothing_is_acknowledged_and_nothing_is_lost() {
        let dir = tempfile::tempdir().expect("a directory");
        let (spool, mut store) = (dir.path().join("q"), Store::open(&dir.path().join("d")).expect("opens"));
        store.fill_dead_letters();
        queue(&spool, &[event(&request("i", 1, "pay")), b"{ no event".to_vec()]);
        let full = take_in(&mut Spool::open(&spool).expect("opens"), &mut store, &Redactor::new(), 10, UnixNano(1));
        assert!(matches!(full, Err(Error::DeadLettersFull(_))), "{full:?}");
        assert!(store.transact(|tx| tx.drop_letter("l1")).expect("dropped"));
        assert_eq!(take_all(&spool, &mut store), 2, "both come again");
        assert_eq!(store.inbox(UnixNano(1)).expect("counts").waiting, 1);
    }
}
