//! Acknowledgements: who sent a batch learns its worst outcome, once every copy of it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

/// What became of a batch, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Outcome {
    /// Every copy reached what the receiver waits for (memory, spool or remote).
    Delivered = 0,
    /// A part was refused for good; a retry would be refused again.
    Rejected = 1,
    /// A copy was lost or not taken; the sender should retry.
    Failed = 2,
}

/// A share in the acknowledgement of a batch. Cloning makes another share; the sender hears when the last is settled.
/// A share that is dropped unsettled counts as failed, so a forgotten ack causes a retry and never a loss.
#[derive(Debug)]
pub struct Ack {
    shared: Option<Arc<Shared>>,
}

type Notify = Box<dyn FnOnce(Outcome) + Send>;

struct Shared {
    worst: AtomicU8,
    notify: Mutex<Option<Notify>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ack(worst {})", self.worst.load(Ordering::Relaxed))
    }
}

impl Ack {
    /// An ack that calls `notify` with the worst outcome when its last share is settled.
    pub fn new(notify: impl FnOnce(Outcome) + Send + 'static) -> Self {
        let shared = Shared { worst: AtomicU8::new(0), notify: Mutex::new(Some(Box::new(notify))) };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// An ack that nobody waits for (derived data: windows, incidents).
    pub fn none() -> Self {
        Self { shared: None }
    }

    /// This share is done: its data is where it has to be.
    pub fn delivered(self) {
        self.settle(Outcome::Delivered);
    }

    /// This share's data was filtered out on purpose (a sampler's "no"): as good as delivered.
    pub fn filtered(self) {
        self.settle(Outcome::Delivered);
    }

    /// This share's data was refused for good.
    pub fn rejected(self) {
        self.settle(Outcome::Rejected);
    }

    /// This share's data was lost; the sender should retry.
    pub fn failed(self) {
        self.settle(Outcome::Failed);
    }

    fn settle(mut self, outcome: Outcome) {
        if let Some(shared) = self.shared.take() {
            shared.worst.fetch_max(outcome as u8, Ordering::AcqRel);
        }
    }
}

impl Clone for Ack {
    fn clone(&self) -> Self {
        Self { shared: self.shared.as_ref().map(Arc::clone) }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.worst.fetch_max(Outcome::Failed as u8, Ordering::AcqRel);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let outcome = match self.worst.load(Ordering::Acquire) {
            0 => Outcome::Delivered,
            1 => Outcome::Rejected,
            _ => Outcome::Failed,
        };
        if let Some(notify) = self.notify.get_mut().take() {
            notify(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn ack() -> (Ack, mpsc::Receiver<Outcome>) {
        let (tx, rx) = mpsc::sync_channel(1);
        (Ack::new(move |outcome| tx.send(outcome).unwrap_or(())), rx)
    }

    #[test]
    fn the_sender_hears_once_every_copy_is_settled() {
        let (first, heard) = ack();
        let second = first.clone();
        first.delivered();
        assert!(heard.try_recv().is_err());
        second.filtered();
        assert_eq!(heard.try_recv(), Ok(Outcome::Delivered));
    }

    #[test]
    fn the_worst_outcome_wins() {
        let (first, heard) = ack();
        let second = first.clone();
        second.rejected();
        first.delivered();
        assert_eq!(heard.try_recv(), Ok(Outcome::Rejected));
    }

    #[test]
    fn a_dropped_ack_counts_as_failed() {
        let (first, heard) = ack();
        let second = first.clone();
        first.delivered();
        drop(second);
        assert_eq!(heard.try_recv(), Ok(Outcome::Failed));
    }
}
