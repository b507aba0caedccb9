//! Conservation counters of one node instance: accepted = sent + dropped{reason} + held.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counters of one copy of a node. Copies on shards have their own; the status adds them up.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// Items that were given to the node.
    pub accepted: AtomicU64,
    /// Items of these that it passed on, or that reached their end (written, sent).
    pub sent: AtomicU64,
    /// Items now inside.
    pub held: AtomicU64,
    /// Items that the node made itself (slices, incidents, verdicts).
    pub derived: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    notes: Mutex<BTreeMap<&'static str, u64>>,
}

impl NodeStats {
    /// Counts items that were given to the node.
    pub fn accept(&self, items: u64) {
        self.accepted.fetch_add(items, Ordering::Relaxed);
    }

    /// Counts items that left the node as they should.
    pub fn send(&self, items: u64) {
        self.sent.fetch_add(items, Ordering::Relaxed);
    }

    /// Counts items that were dropped, with the reason (one word in `snake_case`).
    pub fn drop_items(&self, reason: &'static str, items: u64) {
        if items > 0 {
            *self.dropped.lock().entry(reason).or_default() += items;
        }
    }

    /// Counts something worth knowing that is no drop: clamped times, overflow, early decisions, repaired values.
    pub fn note(&self, what: &'static str, items: u64) {
        if items > 0 {
            *self.notes.lock().entry(what).or_default() += items;
        }
    }

    /// Dropped items by reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.dropped.lock().clone()
    }

    /// Notes by name.
    pub fn notes(&self) -> BTreeMap<&'static str, u64> {
        self.notes.lock().clone()
    }
}
