//! Decided traces: gathered from the arena, put in order, parents found. Their bytes stay where they are.

use std::sync::Arc;

use backtrail_model::Ack;
use backtrail_model::data::{Batch, Data};
use backtrail_model::ids::{SpanId, TraceId};
use backtrail_model::span::SpanRecord;
use backtrail_model::symbols::Symbols;
use backtrail_model::time::UnixNano;
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::Emit;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::arena::{Arena, Place};
use super::logs::{Line, WaitingLogs};
use super::origins::{Origins, UNSEEN};
use super::store::Store;

/// A batch is sent once it has this many spans ...
pub(super) const BATCH_SPANS: usize = 2048;
/// ... or this many bytes, unless a single trace has more.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// ... or this many log records, with the same exception.
const BATCH_LOGS: usize = 16_384;
/// Sent batches that are remembered, and empty ones that are kept.
const RECYCLED: usize = 8;
/// Up to here a scan finds a parent faster than a map is filled.
const SCANNED: usize = 32;

/// The batch that decided traces go to, with what is needed to fill it.
pub(super) struct Building {
    batch: TraceBatch,
    /// Bytes of the spans in it, wherever they lie.
    bytes: u64,
    /// The last batches that were sent. Those that nobody else holds any more become empty ones: fresh memory of this
    /// size costs more than all that is written into it, because the kernel clears it.
    sent: Vec<Arc<TraceBatch>>,
    empty: Vec<TraceBatch>,
    symbols: Arc<Symbols>,
    no_reason: Arc<str>,
    origins: Numbers,
    slabs: Numbers,
    order: Vec<(u64, SpanId, u32)>,
    span_ids: Vec<u64>,
    by_id: HashMap<SpanId, u32, RandomState>,
}

/// The numbers that the batch gives to things which the shard numbers otherwise.
#[derive(Default)]
struct Numbers {
    /// By the shard's number; [`UNSEEN`] if the batch does not have it.
    of: Vec<u32>,
    used: Vec<u32>,
}

impl Numbers {
    /// Where `item`, the shard's number `index`, stands in the batch's list; it is added if it does not yet. The shard may
    /// have given the number to something else since it was met last.
    fn get<T>(&mut self, index: u32, capacity: usize, item: &Arc<T>, list: &mut Vec<Arc<T>>) -> u32 {
        if self.of.len() < capacity {
            self.of.resize(capacity, UNSEEN);
        }
        let number = &mut self.of[index as usize];
        if list.get(*number as usize).is_none_or(|known| !Arc::ptr_eq(known, item)) {
            *number = list.len() as u32;
            self.used.push(index);
            list.push(Arc::clone(item));
        }
        *number
    }

    fn clear(&mut self) {
        for index in self.used.drain(..) {
            self.of[index as usize] = UNSEEN;
        }
    }
}

/// What [`Building::add`] met.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Added {
    /// Exact duplicates that were left out.
    pub(super) duplicates: u64,
    /// Parent links that were cut, because a span would have been its own ancestor.
    pub(super) cycles: u64,
}

impl Building {
    pub(super) fn new(symbols: &Arc<Symbols>) -> Self {
        Self {
            batch: TraceBatch::default(),
            bytes: 0,
            sent: Vec::with_capacity(RECYCLED),
            empty: Vec::with_capacity(RECYCLED),
            symbols: Arc::clone(symbols),
            no_reason: Arc::from(""),
            origins: Numbers::default(),
            slabs: Numbers::default(),
            order: Vec::new(),
            span_ids: Vec::new(),
            by_id: HashMap::default(),
        }
    }

    /// Whether a trace of this size still fits.
    pub(super) fn has_room(&self, spans: usize, bytes: u64, logs: usize) -> bool {
        self.batch.traces.is_empty()
            || (self.batch.records.len() + spans <= BATCH_SPANS
                && self.bytes + bytes <= BATCH_BYTES as u64
                && self.batch.logs.len() + logs <= BATCH_LOGS)
    }

    /// Takes a trace out of the arena, and its log records with it. The batch then holds it as its last.
    pub(super) fn add(
        &mut self,
        id: TraceId,
        places: &[Place],
        flags: TraceFlags,
        logs: &[Line],
        store: &mut Store,
    ) -> Added {
        let Store { arena, origins, .. } = store;
        self.gather(places, arena);
        let mut added = Added { duplicates: self.sort(places, arena, origins), cycles: 0 };
        self.copy(places, arena, origins);
        added.cycles = self.finish(id, flags, logs);
        for &place in places {
            origins.release(arena.record(place).origin);
            arena.free(place);
        }
        added
    }

    /// The trace that was added last.
    pub(super) fn last(&self) -> Option<(&TraceBatch, &TraceHead)> {
        self.batch.traces.last().map(|head| (&self.batch, head))
    }

    /// Sends what was added.
    pub(super) fn send(&mut self, out: &mut Emit<'_>) {
        if self.batch.traces.is_empty() {
            return;
        }
        self.origins.clear();
        self.slabs.clear();
        self.bytes = 0;
        self.recycle();
        let spans = self.batch.records.len();
        let next = self.empty.pop().unwrap_or_else(|| with_room(spans));
        let batch = Arc::new(std::mem::replace(&mut self.batch, next));
        if self.sent.len() < RECYCLED {
            self.sent.push(Arc::clone(&batch));
        }
        out.pass(Batch { data: Data::Traces(batch), arrival: out.arrival(), ack: Ack::none() });
    }

    /// Takes back the batches that nobody else holds any more, so that they pin no slab.
    pub(super) fn recycle(&mut self) {
        for batch in self.sent.extract_if(.., |batch| Arc::strong_count(batch) == 1) {
            if let Some(mut batch) = Arc::into_inner(batch).filter(|_| self.empty.len() < RECYCLED) {
                batch.clear();
                self.empty.push(batch);
            }
        }
    }

    fn gather(&mut self, places: &[Place], arena: &Arena) {
        self.order.clear();
        self.order.extend(places.iter().zip(0..).map(|(&place, n)| {
            let record = arena.record(place);
            (record.start.0, record.span_id, n)
        }));
        self.order.sort_unstable();
    }

    /// Leaves exact duplicates out of the order, and puts spans that share start and id in an order that does not depend
    /// on which came first.
    fn sort(&mut self, places: &[Place], arena: &Arena, origins: &Origins) -> u64 {
        let same = |a: &(u64, SpanId, u32), b: &(u64, SpanId, u32)| (a.0, a.1) == (b.0, b.1);
        if !self.order.windows(2).any(|pair| same(&pair[0], &pair[1])) {
            return 0;
        }
        let record = |index: u32| arena.record(places[index as usize]);
        self.order.sort_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| {
                let content = |index: u32| {
                    let SpanRecord { duration, parent_id, lead, origin, .. } = *record(index);
                    let origin = origins.get(origin).map(|origin| (origin.hash, &origin.resource, &origin.scope));
                    (duration, parent_id, lead, arena.stored(places[index as usize]), origin)
                };
                content(a.2).cmp(&content(b.2))
            })
        });
        let before = self.order.len();
        self.order.dedup_by(|next, kept| same(next, kept) && record(next.2).duration == record(kept.2).duration);
        (before - self.order.len()) as u64
    }

    fn copy(&mut self, places: &[Place], arena: &Arena, origins: &Origins) {
        let Self { batch, origins: of_origin, slabs, bytes, .. } = self;
        for &(_, _, index) in &self.order {
            let place = places[index as usize];
            let mut record = *arena.record(place);
            *bytes += u64::from(record.raw_len);
            if let Some(origin) = origins.get(record.origin) {
                record.origin = of_origin.get(record.origin, origins.capacity(), origin, &mut batch.origins);
            }
            if let Some(shared) = arena.shared(place.slab) {
                record.chunk = 1 + slabs.get(place.slab, arena.capacity(), shared, &mut batch.shared);
            } else {
                // The slab is still written to.
                record.raw_offset = batch.raw.len() as u32;
                batch.raw.extend_from_slice(arena.stored(place));
            }
            batch.records.push(record);
        }
    }

    /// Parents and head of the trace whose records were just copied. Answers how many links were cut.
    fn finish(&mut self, id: TraceId, flags: TraceFlags, logs: &[Line]) -> u64 {
        let len = self.order.len();
        let first = self.batch.records.len() - len;
        let records = &self.batch.records[first..];
        let shift = |index: Option<usize>| index.map_or(NO_SPAN, |index| (first + index) as u32);
        let mut backward = false;
        if len <= SCANNED {
            self.span_ids.clear();
            self.span_ids.extend(records.iter().map(|record| record.span_id.0));
            for (child, record) in records.iter().enumerate() {
                let wanted = record.parent_id;
                let ids = &self.span_ids;
                let parent = wanted.is_valid().then(|| ids.iter().position(|&id| id == wanted.0)).flatten();
                backward |= parent.is_some_and(|parent| parent >= child);
                self.batch.parents.push(shift(parent));
            }
        } else {
            self.by_id.clear();
            for (index, record) in records.iter().enumerate() {
                self.by_id.entry(record.span_id).or_insert(index as u32);
            }
            for (child, record) in records.iter().enumerate() {
                let wanted = record.parent_id;
                let parent = wanted.is_valid().then(|| self.by_id.get(&wanted)).flatten().map(|&index| index as usize);
                backward |= parent.is_some_and(|parent| parent >= child);
                self.batch.parents.push(shift(parent));
            }
        }
        // A parent that starts before its child cannot be part of a cycle of such links; only others need a look.
        let cycles = if backward { cut_cycles(&mut self.batch.parents[first..], first as u32) } else { 0 };
        let root = records.iter().position(|record| !record.parent_id.is_valid());
        let mut flags = flags;
        if root.is_none() {
            flags.set(TraceFlags::ROOTLESS);
        }
        let first_log = self.batch.logs.len() as u32;
        if !logs.is_empty() {
            let index_of = |id: SpanId| match len {
                _ if !id.is_valid() => NO_SPAN,
                ..=SCANNED => shift(self.span_ids.iter().position(|&known| known == id.0)),
                _ => shift(self.by_id.get(&id).map(|&index| index as usize)),
            };
            WaitingLogs::resolve(&self.symbols, logs, index_of, &mut self.batch.logs);
        }
        self.batch.traces.push(TraceHead {
            trace_id: id,
            first: first as u32,
            len: len as u32,
            root: shift(root),
            first_log,
            log_len: logs.len() as u32,
            start: records.first().map_or(UnixNano(0), |record| record.start),
            end: records.iter().map(SpanRecord::end).max().unwrap_or_default(),
            flags,
            reason: Arc::clone(&self.no_reason),
        });
        cycles
    }
}

/// An empty batch with as much room as the last one took, but all at once where that was nearly full, so that nothing is
/// moved while it grows.
fn with_room(last: usize) -> TraceBatch {
    let spans = if last > BATCH_SPANS / 2 { BATCH_SPANS } else { last };
    TraceBatch { records: Vec::with_capacity(spans), parents: Vec::with_capacity(spans), ..TraceBatch::default() }
}

/// Makes the links a forest: cuts one link of every cycle, that of its first span. Answers how many were cut.
fn cut_cycles(parents: &mut [u32], first: u32) -> u64 {
    // 0 = not looked at; otherwise the number of the walk that passed here.
    let mut walk_of = vec![0_u32; parents.len()];
    let mut cut = 0;
    for start in 0..parents.len() {
        let (walk, mut at) = (start as u32 + 1, start);
        while walk_of[at] == 0 {
            walk_of[at] = walk;
            match parents[at] {
                NO_SPAN => break,
                parent => at = (parent - first) as usize,
            }
        }
        // The walk ended on its own trail, and not at a root: `at` is on a cycle.
        if walk_of[at] == walk && parents[at] != NO_SPAN {
            let (mut least, mut next) = (at, (parents[at] - first) as usize);
            while next != at {
                least = least.min(next);
                next = (parents[next] - first) as usize;
            }
            parents[least] = NO_SPAN;
            cut += 1;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use backtrail_pipeline::Context;

    use super::*;
    use crate::encoded::{self, Encoded};

    /// Puts the only span of a trace, with a name of so many bytes.
    fn put(cx: &Context, store: &mut Store, service: &str, name: usize) -> Place {
        let span = Encoded { service: service.into(), name: "n".repeat(name), ..Encoded::default() };
        let batch = encoded::batch(cx, [&span]);
        store.begin(&batch, Vec::new);
        let place = store.put(&batch, 0);
        store.end();
        place
    }

    #[test]
    fn numbers_that_the_shard_gives_anew_while_a_batch_is_filled_mean_something_else() {
        let cx = Context::for_test("building");
        let (mut store, mut building) = (Store::default(), Building::new(cx.symbols()));
        let full = BATCH_BYTES - 60;
        let first = put(&cx, &mut store, "a", 100);
        let _filler = put(&cx, &mut store, "b", full);
        building.add(encoded::trace_id(1), &[first], TraceFlags::default(), &[], &mut store);
        let second = put(&cx, &mut store, "c", 110);
        let _filler = put(&cx, &mut store, "b", full);
        assert_eq!(second.slab, first.slab, "the slab's number is used again");
        building.add(encoded::trace_id(1), &[second], TraceFlags::default(), &[], &mut store);
        let batch = &building.batch;
        assert_eq!(batch.shared.len(), 2, "both slabs were sealed");
        for (record, (service, name)) in batch.records.iter().zip([("a", 100), ("c", 110)]) {
            let origin = &batch.origins[record.origin as usize];
            let symbol = cx.symbols().intern(backtrail_model::SymbolKind::Service, service);
            assert_eq!((origin.service, record.service), (symbol, symbol));
            let raw = batch.raw(record);
            assert!(raw.windows(name).any(|part| part.iter().all(|&byte| byte == b'n')), "{name} bytes of name");
        }
    }

    #[test]
    fn a_cycle_is_cut_at_its_first_span_and_nothing_else_is_touched() {
        let mut parents = [11, 12, 11, NO_SPAN, 13, 15];
        assert_eq!(cut_cycles(&mut parents, 10), 2);
        assert_eq!(parents, [11, NO_SPAN, 11, NO_SPAN, 13, NO_SPAN]);
    }

    #[test]
    fn a_forest_stays_as_it_is() {
        let mut parents = [2, 0, 3, NO_SPAN, 3];
        assert_eq!(cut_cycles(&mut parents, 0), 0);
        assert_eq!(parents, [2, 0, 3, NO_SPAN, 3]);
    }
}
