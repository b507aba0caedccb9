//! Per-trace arithmetic of the latency tests: how long each span worked itself, and what each remote call lost on the
//! way. Hot path: near linear, no allocation in steady state.

/// "No parent".
pub const NO_PARENT: u32 = u32::MAX;

/// What the arithmetic reads of a span. Times in Unix nanoseconds; `end < start` counts as an empty span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanTimes {
    /// Start.
    pub start: u64,
    /// End.
    pub end: u64,
    /// Index of the parent in the same slice, [`NO_PARENT`] if it is not there.
    pub parent: u32,
    /// Id of the service; only compared.
    pub service: u32,
    /// Whether the span begins the work of a service (kind SERVER or CONSUMER).
    pub entry: bool,
}

/// Memory that is reused from trace to trace.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Index of the span that begins each span's visit.
    visit: Vec<u32>,
    /// First child of each span, [`NO_PARENT`] if it has none.
    child: Vec<u32>,
    /// Next child of the same parent.
    sibling: Vec<u32>,
    /// Whether a span calls another visit.
    calls_away: Vec<bool>,
    /// Spans in order of start, only filled when they do not come so.
    order: Vec<u32>,
    /// First position in `calls` of each visit (one more at the end).
    first_call: Vec<u32>,
    /// Spans that call another visit, by their own visit, then by start.
    calls: Vec<u32>,
    /// Greatest end of this and the earlier calls of the same visit.
    reach: Vec<u64>,
    /// Path from a span to the beginning of its visit.
    path: Vec<u32>,
    /// Intervals that cover the span at hand.
    cover: Vec<(u64, u64)>,
    /// Latest child by callee of the span at hand.
    gaps: Vec<(u32, u32)>,
}

/// Emits the latency tests of one trace: `emit(span, None, ns)` is the self time of a span, `emit(span, Some(child),
/// ns)` the gap of its call to the child's service (client duration minus server duration, at least 0).
///
/// A *visit* is the set of spans of one service below one entry (SERVER or CONSUMER span, root, or change of service).
/// Self time excludes all time in which a child is open, and all time in which the visit has a remote call open, also
/// one under a sibling span: asynchronous gateways look guilty otherwise. A span with children of another service gives
/// one gap for each such service (the last started child counts) instead of its self time. Source: FUSION.md, part L.
///
/// `spans` should be sorted by start; any order gives the same values, a sorted one is faster.
///
/// ```
/// # use backtrail_localize::visits::{latency_tests, Scratch, SpanTimes, NO_PARENT};
/// let span = |start, end, parent, service, entry| SpanTimes { start, end, parent, service, entry };
/// let spans = [
///     span(0, 100, NO_PARENT, 1, true),  // server of service 1
///     span(10, 60, 0, 1, false),         // its client span
///     span(20, 50, 1, 2, true),          // server of service 2
/// ];
/// let mut tests = Vec::new();
/// latency_tests(&spans, &mut Scratch::default(), |span, callee, ns| tests.push((span, callee, ns)));
/// assert_eq!(tests, [(0, None, 50), (1, Some(2), 20), (2, None, 30)]);
/// ```
pub fn latency_tests(spans: &[SpanTimes], scratch: &mut Scratch, mut emit: impl FnMut(usize, Option<usize>, u64)) {
    scratch.assign_visits(spans);
    scratch.link(spans);
    for (i, span) in spans.iter().enumerate() {
        scratch.read_children(spans, i);
        let length = span.end.saturating_sub(span.start);
        for &(_, child) in &scratch.gaps {
            let c = &spans[child as usize];
            emit(i, Some(child as usize), length.saturating_sub(c.end.saturating_sub(c.start)));
        }
        if scratch.gaps.is_empty() {
            scratch.read_open_calls(spans, i);
            emit(i, None, length.saturating_sub(covered(span, &mut scratch.cover)));
        }
    }
}

/// How many nanoseconds of `span` the intervals cover together.
fn covered(span: &SpanTimes, intervals: &mut [(u64, u64)]) -> u64 {
    if !intervals.is_sorted() {
        intervals.sort_unstable();
    }
    let (mut total, mut reached) = (0, span.start);
    for &(start, end) in &*intervals {
        let (from, to) = (start.max(reached), end.min(span.end));
        if to > from {
            total += to - from;
            reached = to;
        }
    }
    total
}

impl Scratch {
    /// The span that begins the visit of each span of the trace that was read last.
    pub fn visits(&self) -> &[u32] {
        &self.visit
    }

    fn assign_visits(&mut self, spans: &[SpanTimes]) {
        self.visit.clear();
        self.visit.resize(spans.len(), NO_PARENT);
        for i in 0..spans.len() {
            let mut at = i;
            self.path.clear();
            let found = loop {
                if self.visit[at] != NO_PARENT {
                    break self.visit[at];
                }
                let parent = spans[at].parent as usize;
                self.path.push(at as u32);
                // A path longer than the trace is a cycle of broken parents: treat the span as a beginning.
                if begins_visit(spans, at) || self.path.len() > spans.len() {
                    break at as u32;
                }
                at = parent;
            };
            for &k in &self.path {
                self.visit[k as usize] = found;
            }
        }
    }

    /// Links children to parents and calls to visits, each in order of start.
    fn link(&mut self, spans: &[SpanTimes]) {
        let n = spans.len();
        refill(&mut self.child, n, NO_PARENT);
        refill(&mut self.sibling, n, NO_PARENT);
        refill(&mut self.calls_away, n, false);
        self.order.clear();
        self.order.extend(0..n as u32);
        if !spans.is_sorted_by_key(|span| span.start) {
            self.order.sort_by_key(|&i| spans[i as usize].start);
        }
        // Backwards, because each child is put before the ones that are there.
        for &i in self.order.iter().rev() {
            let parent = spans[i as usize].parent as usize;
            if parent < n {
                self.sibling[i as usize] = std::mem::replace(&mut self.child[parent], i);
                self.calls_away[parent] |= self.visit[i as usize] == i;
            }
        }
        // Counting sort of the calls by visit; it keeps the order of start.
        refill(&mut self.first_call, n + 1, 0);
        for i in 0..n {
            self.first_call[self.visit[i] as usize + 1] += u32::from(self.calls_away[i]);
        }
        for v in 0..n {
            self.first_call[v + 1] += self.first_call[v];
        }
        let total = self.first_call[n] as usize;
        refill(&mut self.calls, total, 0);
        refill(&mut self.reach, total, 0);
        for &i in &self.order {
            if self.calls_away[i as usize] {
                let visit = self.visit[i as usize] as usize;
                let at = self.first_call[visit] as usize;
                self.calls[at] = i;
                self.first_call[visit] += 1;
            }
        }
        // Filling moved each beginning to its end, which is the next visit's beginning: shift back.
        for v in (1..=n).rev() {
            self.first_call[v] = self.first_call[v - 1];
        }
        self.first_call[0] = 0;
        for v in 0..n {
            let mut reach = 0;
            for at in self.first_call[v] as usize..self.first_call[v + 1] as usize {
                reach = spans[self.calls[at] as usize].end.max(reach);
                self.reach[at] = reach;
            }
        }
    }

    /// Fills `cover` with the children of span `i`, and `gaps` with the last one of each other service.
    fn read_children(&mut self, spans: &[SpanTimes], i: usize) {
        self.gaps.clear();
        self.cover.clear();
        let mut child = self.child[i];
        while child != NO_PARENT {
            let c = &spans[child as usize];
            self.cover.push((c.start, c.end));
            if c.service != spans[i].service {
                match self.gaps.iter_mut().find(|gap| gap.0 == c.service) {
                    Some(gap) => gap.1 = child,
                    None => self.gaps.push((c.service, child)),
                }
            }
            child = self.sibling[child as usize];
        }
    }

    /// Adds to `cover` the calls of the visit of span `i` that are open during it, but for itself and its parent.
    fn read_open_calls(&mut self, spans: &[SpanTimes], i: usize) {
        let (span, visit) = (&spans[i], self.visit[i] as usize);
        let (first, last) = (self.first_call[visit] as usize, self.first_call[visit + 1] as usize);
        let skip = self.reach[first..last].partition_point(|&reach| reach <= span.start);
        for &call in &self.calls[first + skip..last] {
            let c = &spans[call as usize];
            if c.start >= span.end {
                break; // sorted by start
            }
            if c.end > span.start && call as usize != i && call != span.parent {
                self.cover.push((c.start, c.end));
            }
        }
    }
}

fn refill<T: Copy>(list: &mut Vec<T>, n: usize, value: T) {
    list.clear();
    list.resize(n, value);
}

fn begins_visit(spans: &[SpanTimes], i: usize) -> bool {
    let span = &spans[i];
    span.entry || spans.get(span.parent as usize).is_none_or(|parent| parent.service != span.service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word: quadratic, no lists.
    fn reference(spans: &[SpanTimes]) -> Vec<(usize, Option<usize>, u64)> {
        let visit = |mut i: usize| {
            while !begins_visit(spans, i) {
                i = spans[i].parent as usize;
            }
            i
        };
        let child_of = |i: usize| (0..spans.len()).filter(move |&c| spans[c].parent == i as u32);
        let calls_away = |i: usize| child_of(i).any(|c| visit(c) == c);
        let mut out = Vec::new();
        for (i, span) in spans.iter().enumerate() {
            let mut gaps: Vec<(u32, usize)> = Vec::new();
            for c in child_of(i).filter(|&c| spans[c].service != span.service) {
                gaps.retain(|gap| gap.0 != spans[c].service);
                gaps.push((spans[c].service, c));
            }
            let length = span.end - span.start;
            let gap = |c: usize| length.saturating_sub(spans[c].end - spans[c].start);
            out.extend(gaps.iter().map(|&(_, c)| (i, Some(c), gap(c))));
            if gaps.is_empty() {
                let others = (0..spans.len()).filter(|&k| k != i && k as u32 != span.parent);
                let waits = others.filter(|&k| visit(k) == visit(i) && calls_away(k));
                let open: Vec<usize> = child_of(i).chain(waits).collect();
                let covers = |t: u64| open.iter().any(|&k| spans[k].start <= t && t < spans[k].end);
                out.push((i, None, (span.start..span.end).filter(|&t| !covers(t)).count() as u64));
            }
        }
        out.sort_unstable();
        out
    }

    fn traces() -> impl Strategy<Value = Vec<SpanTimes>> {
        let span = (0..60_u64, 0..40_u64, 0..8_usize, 0..3_u32, any::<bool>());
        proptest::collection::vec(span, 1..12).prop_map(|list| {
            let mut starts: Vec<u64> = list.iter().map(|span| span.0).collect();
            starts.sort_unstable();
            let mut spans = Vec::new();
            for (i, (&(_, length, parent, service, entry), &start)) in list.iter().zip(&starts).enumerate() {
                let parent = if i == 0 || parent == 7 { NO_PARENT } else { (parent % i) as u32 };
                spans.push(SpanTimes { start, end: start + length, parent, service, entry });
            }
            spans
        })
    }

    proptest! {
        #[test]
        fn the_lists_give_what_the_definition_says(spans in traces()) {
            let mut found = Vec::new();
            latency_tests(&spans, &mut Scratch::default(), |i, child, ns| found.push((i, child, ns)));
            found.sort_unstable();
            let expected = reference(&spans);
            let values = |list: &[(usize, Option<usize>, u64)]| -> Vec<(usize, Option<u32>, u64)> {
                list.iter().map(|&(i, c, ns)| (i, c.map(|c| spans[c].service), ns)).collect()
            };
            prop_assert_eq!(values(&found), values(&expected));
        }
    }

    #[test]
    fn a_call_under_a_sibling_makes_the_visit_wait() {
        let span = |start, end, parent, service, entry| SpanTimes { start, end, parent, service, entry };
        let spans = [
            span(0, 100, NO_PARENT, 1, true),
            span(10, 90, 0, 1, false), // a handler that runs while
            span(20, 80, 0, 1, false), // the call under its sibling is open
            span(30, 70, 2, 2, true),
        ];
        let mut tests = Vec::new();
        latency_tests(&spans, &mut Scratch::default(), |i, child, ns| tests.push((i, child, ns)));
        assert_eq!(tests, [(0, None, 20), (1, None, 20), (2, Some(3), 20), (3, None, 40)]);
    }

    #[test]
    fn broken_parents_do_not_hang() {
        let span = |parent| SpanTimes { start: 0, end: 10, parent, service: 1, entry: false };
        let mut n = 0;
        latency_tests(&[span(1), span(0), span(2), span(99)], &mut Scratch::default(), |_, _, _| n += 1);
        assert_eq!(n, 4);
    }
}
