//! The slices that a shard still counts into: shared by all processors that count traces or log records.

use std::collections::BTreeMap;

use backtrail_model::time::{Slice, SliceGrid, Tick, UnixNano};
use backtrail_model::trace::{TraceFlags, TraceHead};
use backtrail_pipeline::Emit;

/// Counts of the slices that the watermark has not passed.
pub(crate) struct OpenSlices<T> {
    grid: SliceGrid,
    open: BTreeMap<Slice, T>,
    watermark: UnixNano,
}

impl<T: Default> OpenSlices<T> {
    pub(crate) fn new(grid: SliceGrid) -> Self {
        Self { grid, open: BTreeMap::new(), watermark: UnixNano(0) }
    }

    /// The counts of the slice in which the trace ended. `None` (and a note) for what is counted nowhere: copies out of
    /// the evidence ring and late spans, whose traces were counted when they were decided, and traces whose slice has
    /// closed.
    pub(crate) fn of_trace(&mut self, head: &TraceHead, out: &mut Emit<'_>) -> Option<(Slice, &mut T)> {
        if head.flags.has(TraceFlags::EVIDENCE) {
            return None;
        }
        if head.flags.has(TraceFlags::LATE) {
            out.note("late", u64::from(head.len));
            return None;
        }
        let found = self.of_time(head.end);
        if found.is_none() {
            out.note("late_slice", u64::from(head.len));
        }
        found
    }

    /// The counts of the slice that holds `time`. `None` if it has closed.
    pub(crate) fn of_time(&mut self, time: UnixNano) -> Option<(Slice, &mut T)> {
        let slice = self.grid.slice(time);
        if self.grid.end(slice) <= self.watermark {
            return None;
        }
        Some((slice, self.open.entry(slice).or_default()))
    }

    /// Takes out the slices that the tick closes, in order.
    pub(crate) fn close(&mut self, now: Tick) -> impl Iterator<Item = (Slice, T)> + use<T> {
        self.watermark = self.watermark.max(now.watermark);
        let still_open = match self.open.keys().find(|&&slice| self.grid.end(slice) > self.watermark) {
            Some(&first) if !now.is_last() => self.open.split_off(&first),
            _ => BTreeMap::new(),
        };
        std::mem::replace(&mut self.open, still_open).into_iter()
    }
}
