//! Where a processor puts what it makes: passed on, derived or dropped, and counted as such.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use backtrail_model::data::{Batch, Data};
use backtrail_model::time::UnixNano;

use crate::stats::NodeStats;

/// The outlet of a processor during one call. The engine delivers what lies in it after the call returns.
pub struct Emit<'a> {
    queue: &'a mut VecDeque<Batch>,
    stats: &'a NodeStats,
    arrival: UnixNano,
    hold: &'a mut UnixNano,
    recall: bool,
}

impl<'a> Emit<'a> {
    /// An outlet over the engine's (or a test's) queue. `hold` receives [`Emit::hold_watermark`].
    pub fn new(
        queue: &'a mut VecDeque<Batch>,
        stats: &'a NodeStats,
        arrival: UnixNano,
        hold: &'a mut UnixNano,
    ) -> Self {
        Self { queue, stats, arrival, hold, recall: false }
    }

    /// The same for slices of before a restart: nothing leaves the graph.
    #[must_use]
    pub(crate) fn recalling(self, recall: bool) -> Self {
        Self { recall, ..self }
    }

    /// Whether this is the past, of before a restart, told again: a node learns from it as it did then, and need not make
    /// what would only leave the graph.
    pub const fn is_recall(&self) -> bool {
        self.recall
    }

    /// Sends on a batch whose items the node had accepted: they count as sent.
    pub fn pass(&mut self, batch: Batch) {
        self.stats.send(batch.data.items());
        self.queue.push_back(batch);
    }

    /// Sends something that the node made itself (a slice, an incident, a verdict, copies of evidence).
    pub fn derive(&mut self, data: Data) {
        self.stats.derived.fetch_add(data.items(), Ordering::Relaxed);
        self.queue.push_back(Batch::derived(data, self.arrival));
    }

    /// Counts accepted items that end here without being sent on, because their work is done (a filter's "no" is a
    /// drop with a reason; this is for signals that are consumed, such as an incident that became a verdict).
    pub fn consume(&mut self, items: u64) {
        self.stats.send(items);
    }

    /// Counts items that were dropped, with the reason (one word in `snake_case`).
    pub fn drop_items(&mut self, reason: &'static str, items: u64) {
        self.stats.drop_items(reason, items);
    }

    /// Counts something worth knowing that is no drop.
    pub fn note(&mut self, what: &'static str, items: u64) {
        self.stats.note(what, items);
    }

    /// During `tick`: what follows this node must not close slices at or after `until`, because traces that belong to
    /// them are still held here.
    pub fn hold_watermark(&mut self, until: UnixNano) {
        *self.hold = until.min(*self.hold);
    }

    /// When the batch at hand arrived, or the tick's arrival clock.
    pub fn arrival(&self) -> UnixNano {
        self.arrival
    }
}
