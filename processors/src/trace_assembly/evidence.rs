//! Copies of recent traces, a few of each entry operation and slice, that are released when an incident opens: the
//! traces from before anybody knew that they would matter.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backtrail_model::data::Data;
use backtrail_model::span::SpanRecord;
use backtrail_model::symbols::Symbol;
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::Emit;

use super::building::{BATCH_BYTES, BATCH_SPANS};
use crate::trace_copy::{Copier, with_room};

/// A slice and what the traces of a cell entered by: slice first, so that the oldest cells are the first ones.
type Key = (Slice, Symbol, Symbol);

/// The ring of one shard.
#[derive(Default)]
pub(super) struct Evidence {
    cells: BTreeMap<Key, Cell>,
    bytes: u64,
}

/// Bounds of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_operation: usize,
    pub(super) max_bytes: u64,
    pub(super) keep_for: Duration,
}

/// Three choices of at most `per_operation` traces each, best first. They depend on which traces there were and not on
/// their order.
#[derive(Default)]
struct Cell {
    /// With an error: those with the least hash.
    failed: Vec<Kept>,
    /// Without: the longest.
    slow: Vec<Kept>,
    /// Without, and not among the longest: those with the least hash.
    plain: Vec<Kept>,
}

struct Kept {
    hash: u64,
    length: u64,
    decided: UnixNano,
    /// This one trace.
    trace: TraceBatch,
}

impl Kept {
    fn slowness(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.length), self.hash)
    }

    fn bytes(&self) -> u64 {
        let trace = &self.trace;
        let columns = size_of_val(trace.records.as_slice());
        let columns = columns + size_of_val(trace.logs.as_slice());
        (size_of::<Self>() + columns + size_of_val(trace.parents.as_slice()) + trace.raw.len()) as u64
    }
}

impl Evidence {
    /// Keeps a copy of the trace if it is one of the few of its cell.
    pub(super) fn offer(
        &mut self,
        batch: &TraceBatch,
        head: &TraceHead,
        now: UnixNano,
        grid: SliceGrid,
        limits: Limits,
    ) {
        if limits.per_operation == 0 || limits.max_bytes == 0 {
            return;
        }
        let spans = batch.spans(head);
        let entry = if head.root == NO_SPAN { head.first } else { head.root };
        let entry = &batch.records[entry as usize];
        let (hash, length) = (hash(head), head.end.0.saturating_sub(head.start.0));
        let cell = self.cells.entry((grid.slice(head.end), entry.service, entry.operation)).or_default();
        let wants = |kept: &[Kept], better: &dyn Fn(&Kept) -> bool| {
            kept.len() < limits.per_operation || kept.last().is_some_and(better)
        };
        let failed = spans.iter().any(SpanRecord::is_error);
        let wanted = if failed {
            wants(&cell.failed, &|worst| hash < worst.hash)
        } else {
            wants(&cell.slow, &|worst| (Reverse(length), hash) < worst.slowness())
                || wants(&cell.plain, &|worst| hash < worst.hash)
        };
        if !wanted {
            return;
        }
        // Reserved exactly: what is kept for minutes has no slack.
        let mut trace = with_room(batch, std::iter::once(head));
        Copier::new(batch).copy(head, &mut trace, |copy| copy.flags.set(TraceFlags::EVIDENCE));
        let kept = Kept { hash, length, decided: now, trace };
        self.bytes += kept.bytes();
        let lost = cell.insert(kept, failed, limits.per_operation);
        self.bytes -= lost.map_or(0, |lost| lost.bytes());
        while self.bytes > limits.max_bytes {
            let Some((_, oldest)) = self.cells.pop_first() else { break };
            self.bytes -= oldest.all().map(Kept::bytes).sum::<u64>();
        }
    }

    /// Forgets what was decided more than `keep_for` before `now`.
    pub(super) fn expire(&mut self, now: UnixNano, limits: Limits) {
        let since = now.minus(limits.keep_for);
        let mut freed = 0;
        self.cells.retain(|_, cell| {
            for list in cell.lists() {
                list.retain(|kept| {
                    let stays = kept.decided >= since;
                    freed += if stays { 0 } else { kept.bytes() };
                    stays
                });
            }
            cell.all().next().is_some()
        });
        self.bytes -= freed;
    }

    /// Sends the copies of traces that ended at `since` or later, and forgets them: each is released once.
    pub(super) fn release(&mut self, since: UnixNano, out: &mut Emit<'_>) {
        let mut batch = TraceBatch::default();
        let mut freed = 0;
        self.cells.retain(|_, cell| {
            for list in cell.lists() {
                for kept in list.extract_if(.., |kept| kept.trace.traces.iter().any(|head| head.end >= since)) {
                    freed += kept.bytes();
                    let full = batch.records.len() + kept.trace.records.len() > BATCH_SPANS
                        || batch.raw.len() + kept.trace.raw.len() > BATCH_BYTES;
                    if full && !batch.traces.is_empty() {
                        out.derive(Data::Traces(Arc::new(std::mem::take(&mut batch))));
                    }
                    let mut copier = Copier::new(&kept.trace);
                    kept.trace.traces.iter().for_each(|head| copier.copy(head, &mut batch, |_| ()));
                }
            }
            cell.all().next().is_some()
        });
        self.bytes -= freed;
        if !batch.traces.is_empty() {
            out.derive(Data::Traces(Arc::new(batch)));
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Cell {
    /// Puts the trace where it belongs. Answers the one that has to go.
    fn insert(&mut self, kept: Kept, failed: bool, limit: usize) -> Option<Kept> {
        if failed {
            return insert_sorted(&mut self.failed, kept, limit, |kept| kept.hash);
        }
        let displaced = insert_sorted(&mut self.slow, kept, limit, Kept::slowness)?;
        insert_sorted(&mut self.plain, displaced, limit, |kept| kept.hash)
    }

    fn lists(&mut self) -> [&mut Vec<Kept>; 3] {
        [&mut self.failed, &mut self.slow, &mut self.plain]
    }

    fn all(&self) -> impl Iterator<Item = &Kept> {
        self.failed.iter().chain(&self.slow).chain(&self.plain)
    }
}

fn insert_sorted<K: Ord>(list: &mut Vec<Kept>, kept: Kept, limit: usize, key: impl Fn(&Kept) -> K) -> Option<Kept> {
    let at = list.partition_point(|other| key(other) <= key(&kept));
    list.insert(at, kept);
    if list.len() > limit { list.pop() } else { None }
}

fn hash(head: &TraceHead) -> u64 {
    let id = u128::from_be_bytes(head.trace_id.0);
    let mixed = ((id >> 64) as u64 ^ (id as u64).rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use backtrail_pipeline::Context;

    use super::*;
    use crate::testing::{Span, traces};

    const LIMITS: Limits = Limits { per_operation: 2, max_bytes: 1 << 20, keep_for: Duration::from_mins(2) };

    fn offered(batch: &TraceBatch, order: impl Iterator<Item = usize>, limits: Limits) -> Evidence {
        let mut evidence = Evidence::default();
        let grid = Context::for_test("grid").grid();
        for index in order {
            evidence.offer(batch, &batch.traces[index], UnixNano(1000), grid, limits);
        }
        evidence
    }

    fn lengths(evidence: &Evidence) -> Vec<u64> {
        let mut lengths: Vec<u64> =
            evidence.cells.values().flat_map(Cell::all).map(|kept| kept.length / 1000).collect();
        lengths.sort_unstable();
        lengths
    }

    fn thirty() -> TraceBatch {
        let spans = |n: u64| {
            let span = Span { length: 100 + n, ..Span::default() };
            vec![if n.is_multiple_of(3) { span.failed() } else { span }]
        };
        traces(&Context::for_test("t"), 1, &(0..30).map(spans).collect::<Vec<_>>())
    }

    #[test]
    fn the_choice_does_not_depend_on_the_order() {
        let batch = thirty();
        let forward = offered(&batch, 0..30, LIMITS);
        let backward = offered(&batch, (0..30).rev(), LIMITS);
        assert_eq!(lengths(&forward), lengths(&backward));
        assert_eq!(forward.bytes, backward.bytes);
        assert_eq!(lengths(&forward).len(), 6);
    }

    #[test]
    fn the_slowest_traces_without_an_error_are_kept() {
        let kept = lengths(&offered(&thirty(), 0..30, LIMITS));
        assert!(kept.contains(&128) && kept.contains(&129), "{kept:?}");
        assert_eq!(kept.iter().filter(|&&length| (length - 100).is_multiple_of(3)).count(), 2, "two that failed");
    }

    #[test]
    fn old_copies_go_and_the_count_of_bytes_returns_to_zero() {
        let mut evidence = offered(&thirty(), 0..30, LIMITS);
        evidence.expire(UnixNano(1000).plus(LIMITS.keep_for), LIMITS);
        assert!(evidence.bytes() > 0);
        evidence.expire(UnixNano(1001).plus(LIMITS.keep_for), LIMITS);
        assert_eq!(evidence.bytes(), 0);
        assert!(evidence.cells.is_empty());
    }

    #[test]
    fn the_ring_stays_within_its_bytes() {
        let limits = Limits { max_bytes: 3000, per_operation: 20, ..LIMITS };
        assert!(offered(&thirty(), 0..30, limits).bytes() <= 3000);
    }
}
