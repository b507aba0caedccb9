//! The buffered spans of a shard: their bytes and their origins.

use backtrail_model::span::{SlotValue, SpanBatch};

use super::arena::{Arena, Place};
use super::origins::{Origins, UNSEEN};
use super::stored::{Prefix, Stored, encode_slots, head};

/// Arena and origins, with what is needed to write them.
#[derive(Default)]
pub(super) struct Store {
    pub(super) arena: Arena,
    pub(super) origins: Origins,
    /// Index in the table of each origin of the batch at hand. The batch has a share in each until it ends, so that
    /// none goes away in between.
    of_batch: Vec<u32>,
    columns: Vec<u8>,
}

impl Store {
    /// Spans of this batch follow.
    pub(super) fn begin(&mut self, batch: &SpanBatch) {
        self.of_batch.clear();
        self.of_batch.resize(batch.origins.len(), UNSEEN);
    }

    /// Copies a span.
    pub(super) fn put(&mut self, batch: &SpanBatch, index: usize) -> Place {
        let record = &batch.records[index];
        let origin = &mut self.of_batch[record.origin as usize];
        if *origin == UNSEEN {
            *origin = self.origins.acquire(&batch.origins[record.origin as usize]);
        }
        self.origins.share(*origin);
        self.columns.clear();
        // Most spans carry none of the wanted attributes (calls inside a service); for them nothing is stored.
        let slots = batch.slots_of(index);
        let slot_count = if slots.iter().all(|slot| *slot == SlotValue::Absent) { 0 } else { slots.len() };
        if slot_count > 0 {
            encode_slots(slots, &mut self.columns);
        }
        let raw = batch.raw(record);
        let prefix = Prefix::of(raw, batch.trace_ids[index], record);
        let head = head(record, *origin, prefix, slot_count, self.columns.len());
        self.arena.put([&head, &self.columns, &raw[prefix.len()..]])
    }

    /// The batch ends.
    pub(super) fn end(&mut self) {
        for &origin in &self.of_batch {
            if origin != UNSEEN {
                self.origins.release(origin);
            }
        }
        self.of_batch.clear();
    }

    /// Moves spans to the newest slab.
    pub(super) fn relocate(&mut self, places: &mut [Place]) {
        for place in places {
            let len = Stored::read(self.arena.at(*place)).len();
            *place = self.arena.relocate(*place, len);
        }
    }
}
