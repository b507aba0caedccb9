//! The buffered spans of a shard: records, bytes and origins.

use std::cell::OnceCell;

use backtrail_model::columns;
use backtrail_model::lead::Lead;
use backtrail_model::span::{Slot, SpanBatch, SpanFlags};

use super::arena::{Arena, Place};
use super::origins::{Origins, UNSEEN};

/// Arena and origins, with what is needed to write them.
#[derive(Default)]
pub(super) struct Store {
    pub(super) arena: Arena,
    pub(super) origins: Origins,
    /// Index in the table of each origin of the batch at hand. The batch has a share in each until it ends, so that
    /// none goes away in between.
    of_batch: Vec<u32>,
    /// The attributes that are kept of each span. Known once all nodes are built, so only when the first span comes.
    wanted: OnceCell<Vec<Slot>>,
    columns: Vec<u8>,
}

impl Store {
    /// Spans of this batch follow, of which these attributes are kept.
    pub(super) fn begin(&mut self, batch: &SpanBatch, wanted: impl FnOnce() -> Vec<Slot>) {
        self.wanted.get_or_init(wanted);
        self.of_batch.clear();
        self.of_batch.resize(batch.origins.len(), UNSEEN);
    }

    /// Copies a span.
    pub(super) fn put(&mut self, batch: &SpanBatch, index: usize) -> Place {
        let mut record = batch.records[index];
        let origin = &mut self.of_batch[record.origin as usize];
        if *origin == UNSEEN {
            *origin = self.origins.acquire(&batch.origins[record.origin as usize]);
        }
        self.origins.share(*origin);
        record.origin = *origin;
        let raw = batch.raw(&record);
        record.lead = Lead::of(raw, batch.trace_ids[index], &record);
        let rest = &raw[record.lead.len()..];
        record.raw_len = rest.len() as u32;
        let wanted = self.wanted.get().map_or(&[][..], Vec::as_slice);
        self.columns.clear();
        if columns::write(batch.slots_of(index), wanted, record.lead.len(), &mut self.columns) {
            record.flags.set(SpanFlags::COLUMNS);
        }
        self.arena.put(record, [rest, &self.columns])
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
            *place = self.arena.relocate(*place);
        }
    }
}
