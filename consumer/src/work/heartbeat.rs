//! Keeps a lease while work takes longer than it: others are kept away as long as this process lives, and no longer.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use backtrail_model::time::UnixNano;

use crate::store::{Lease, Store};

/// Extends a lease until it is dropped.
pub(super) struct Heartbeat {
    stop: Option<SyncSender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Begins. A lease without length is for tests that kill: it is left alone.
    pub(super) fn start(store: &Path, lease: &Lease, length: Duration, now: UnixNano) -> Self {
        if length.is_zero() {
            return Self { stop: None, beats: None };
        }
        let (stop, stopped) = sync_channel(1);
        let (dir, lease) = (store.to_owned(), lease.clone());
        let beats = spawn(move || {
            let pause = length / 3;
            let mut now = now;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                now = now.plus(pause);
                let until = now.plus(length);
                let extended = Store::open(&dir).and_then(|mut store| store.transact(|tx| tx.extend(&lease, until)));
                if let Err(error) = extended {
                    // Somebody else has it by now: the next write of the work says so.
                    tracing::debug!(%error, "the lease is not extended");
                    return;
                }
            }
        });
        Self { stop: Some(stop), beats: Some(beats) }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beats) = self.beats.take() {
            let _ = beats.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_extended_while_the_work_lasts() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path()).expect("opens");
        let (begin, length) = (UnixNano(1_000_000_000), Duration::from_millis(30));
        store.transact(|tx| tx.insert("a", b"x", begin)).expect("written");
        let lease = store.lease(begin, length).expect("works").expect("due");
        let beating = Heartbeat::start(dir.path(), &lease, length, begin);
        // The work waits for what the beats write, and not for a time.
        while store.next_due().expect("readable") <= Some(begin.plus(length * 3)) {
            std::thread::yield_now();
        }
        assert_eq!(store.lease(begin.plus(length * 2), length).expect("works"), None, "still leased");
        drop(beating);
        store.transact(|tx| tx.settle(&lease)).expect("the fence is the same");
    }
}
