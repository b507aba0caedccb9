//! The critical path of one trace: which spans its duration was spent in.

/// A span as the critical path sees it. Times in Unix nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathSpan {
    /// Start.
    pub start: u64,
    /// End.
    pub end: u64,
    /// Index of the parent in the same slice, [`crate::visits::NO_PARENT`] if it is not there.
    pub parent: u32,
}

/// Memory that is reused from trace to trace.
#[derive(Debug, Default)]
pub struct PathScratch {
    /// Spans by (parent, end descending).
    order: Vec<u32>,
    /// First position in `order` of each span's children.
    first: Vec<u32>,
    /// Spans to walk, each with the stretch of time in which it is on the path.
    stack: Vec<(u32, u64, u64)>,
}

/// Nanoseconds that each span contributes to the critical path below `root`; `out[i] = 0` for spans that are not on it.
///
/// Walks backwards from the end of the root: the child that ended last before the cursor was waited for, and before its
/// start the next one; what no child explains is the span's own. Children are clipped to their parent. The sum of `out`
/// is the root's duration. Source: the "last returning child" rule (Yang and Miller 1988; CRISP, Zhang et al. 2022).
/// O(n log n).
///
/// ```
/// # use backtrail_localize::critical_path::{critical_path, PathScratch, PathSpan};
/// # use backtrail_localize::visits::NO_PARENT;
/// let spans = [
///     PathSpan { start: 0, end: 100, parent: NO_PARENT },
///     PathSpan { start: 10, end: 50, parent: 0 }, // hidden behind the next from 20 on
///     PathSpan { start: 20, end: 90, parent: 0 },
/// ];
/// let mut out = Vec::new();
/// critical_path(&spans, 0, &mut PathScratch::default(), &mut out);
/// assert_eq!(out, [20, 10, 70]); // 0..10 and 90..100; 10..20; 20..90
/// ```
pub fn critical_path(spans: &[PathSpan], root: usize, scratch: &mut PathScratch, out: &mut Vec<u64>) {
    out.clear();
    out.resize(spans.len(), 0);
    let Some(top) = spans.get(root) else { return };
    scratch.sort(spans);
    scratch.stack.clear();
    scratch.stack.push((root as u32, top.start, top.end.max(top.start)));
    // A span is pushed only by its parent and once, so even broken parents (a cycle cannot contain the root) end.
    while let Some((i, since, until)) = scratch.stack.pop() {
        let mut cursor = until;
        let first = scratch.first[i as usize] as usize;
        for &c in scratch.order[first..].iter().take_while(|&&c| spans[c as usize].parent == i) {
            let child = &spans[c as usize];
            // Sorted by end, descending: a child that ended after the cursor ran beside one already on the path, and
            // counts up to the cursor.
            let (start, end) = (child.start.max(since), child.end.min(cursor));
            if end <= start || c as usize == root {
                continue;
            }
            out[i as usize] += cursor - end;
            scratch.stack.push((c, start, end));
            cursor = start;
        }
        out[i as usize] += cursor - since;
    }
}

impl PathScratch {
    fn sort(&mut self, spans: &[PathSpan]) {
        self.order.clear();
        self.order.extend((0..spans.len() as u32).filter(|&i| (spans[i as usize].parent as usize) < spans.len()));
        self.order.sort_unstable_by_key(|&i| {
            let span = &spans[i as usize];
            (span.parent, std::cmp::Reverse(span.end), i)
        });
        self.first.clear();
        self.first.resize(spans.len(), self.order.len() as u32);
        for (position, &i) in self.order.iter().enumerate().rev() {
            self.first[spans[i as usize].parent as usize] = position as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visits::NO_PARENT;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn contributions_add_up_to_the_root(list in proptest::collection::vec((0..50_u64, 0..50_u64, 0..9_usize), 1..20)) {
            let spans: Vec<PathSpan> = list.iter().enumerate().map(|(i, &(start, length, parent))| PathSpan {
                start,
                end: start + length,
                parent: if i == 0 { NO_PARENT } else { (parent % i) as u32 },
            }).collect();
            let mut out = Vec::new();
            critical_path(&spans, 0, &mut PathScratch::default(), &mut out);
            prop_assert_eq!(out.iter().sum::<u64>(), spans[0].end - spans[0].start);
        }
    }

    #[test]
    fn a_cycle_beside_the_root_is_not_walked() {
        let span = |parent| PathSpan { start: 0, end: 10, parent };
        let mut out = Vec::new();
        critical_path(&[span(NO_PARENT), span(2), span(1)], 0, &mut PathScratch::default(), &mut out);
        assert_eq!(out, [10, 0, 0]);
        critical_path(&[], 0, &mut PathScratch::default(), &mut out);
        assert!(out.is_empty());
    }
}
