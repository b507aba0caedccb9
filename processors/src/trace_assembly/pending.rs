//! Which slices still have traces that are not decided: until then nobody may close them.

use std::collections::BTreeMap;

use backtrail_model::time::{Slice, SliceGrid, UnixNano};

/// Counts of undecided traces by the slice in which their first seen span ended. A trace never ends earlier than that,
/// so its own slice is this one or a later one.
pub(super) struct Pending {
    grid: SliceGrid,
    counts: BTreeMap<Slice, u32>,
    watermark: UnixNano,
}

impl Pending {
    pub(super) fn new(grid: SliceGrid) -> Self {
        Self { grid, counts: BTreeMap::new(), watermark: UnixNano(0) }
    }

    /// Counts a trace. `None` for one whose slice the watermark has passed already: a sender of old spans must not stop
    /// the windows of everybody else.
    pub(super) fn enter(&mut self, end: UnixNano) -> Option<Slice> {
        if end < self.watermark {
            return None;
        }
        let slice = self.grid.slice(end);
        *self.counts.entry(slice).or_default() += 1;
        Some(slice)
    }

    /// A trace was decided.
    pub(super) fn leave(&mut self, slice: Option<Slice>) {
        let Some(slice) = slice else { return };
        if let Some(count) = self.counts.get_mut(&slice) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&slice);
            }
        }
    }

    /// Notes the watermark, and answers where what follows has to stop.
    pub(super) fn advance(&mut self, watermark: UnixNano) -> Option<UnixNano> {
        self.watermark = self.watermark.max(watermark);
        self.counts.first_key_value().map(|(&slice, _)| self.grid.start(slice))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_slice_with_an_undecided_trace_holds_the_watermark() {
        let second = |n: u64| UnixNano(n * 1_000_000_000);
        let mut pending = Pending::new(SliceGrid { origin: UnixNano(0), length: Duration::from_secs(15) });
        let first = pending.enter(second(31));
        let second_one = pending.enter(second(50));
        assert_eq!(pending.advance(second(40)), Some(second(30)));
        assert_eq!(pending.enter(second(5)), None, "it is older than the watermark");
        pending.leave(first);
        assert_eq!(pending.advance(second(40)), Some(second(45)));
        pending.leave(second_one);
        assert_eq!(pending.advance(second(60)), None);
    }
}
