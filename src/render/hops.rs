//! The whole service graph of a window, from the slices of edges that the verdict was judged from.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::edges::{EdgeCounts, EdgeKind, EdgeSlice};
use backtrail_model::time::SliceGrid;
use backtrail_model::verdict::{Hop, Verdict};

/// Calls that are drawn; the sick ones and the busiest come first.
const MOST: usize = 40;
/// Counts are in 1/256 call.
const UNIT: f64 = 256.0;

/// Every call between services in the verdict's window, beside what came before it, with the verdict's marks.
pub(crate) fn of_window(verdict: &Verdict, slices: &[Arc<EdgeSlice>], grid: SliceGrid) -> Vec<Hop> {
    let mut sums: BTreeMap<(&str, &str), [EdgeCounts; 2]> = BTreeMap::new();
    for slice in slices {
        let start = grid.start(slice.slice);
        let part = usize::from(start >= verdict.window.start_unix_nano);
        if start >= verdict.window.end_unix_nano {
            continue;
        }
        for (key, counts) in &slice.edges {
            if !matches!(key.kind, EdgeKind::SelfCall | EdgeKind::Overflow) {
                sums.entry((&key.caller, &key.callee)).or_default()[part].merge(counts);
            }
        }
    }
    let seen = sums.into_iter().filter(|(_, [_, now])| now.calls > 0);
    let mut hops: Vec<Hop> = seen.map(|((from, to), [before, now])| hop(verdict, from, to, &before, &now)).collect();
    hops.sort_by(|a, b| {
        b.sick.cmp(&a.sick).then(b.calls.total_cmp(&a.calls)).then((&a.from, &a.to).cmp(&(&b.from, &b.to)))
    });
    hops.truncate(MOST);
    hops
}

fn hop(verdict: &Verdict, from: &str, to: &str, before: &EdgeCounts, now: &EdgeCounts) -> Hop {
    let marked = verdict.propagation.iter().any(|hop| hop.sick && hop.from == from && hop.to == to);
    Hop {
        from: from.to_owned(),
        to: to.to_owned(),
        calls: now.calls as f64 / UNIT,
        errors: now.errors as f64 / UNIT,
        p95_ms: p95(now),
        baseline_p95_ms: p95(before),
        retries: now.retries as f64 / UNIT,
        attempts_per_request: now.calls as f64 / (now.requests.max(1)) as f64,
        sick: marked,
    }
}

/// At the client; at the server for what users call.
fn p95(counts: &EdgeCounts) -> f64 {
    let seen = if counts.client.count() > 0 { &counts.client } else { &counts.server };
    seen.quantile(0.95) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backtrail_model::edges::EdgeKey;
    use backtrail_model::time::UnixNano;

    use super::*;
    use crate::render::text::count;
    use crate::render::verdict::tests::sample;

    #[test]
    fn window_and_baseline_are_told_apart_and_marks_come_from_the_verdict() {
        let verdict = sample();
        let grid = SliceGrid { origin: UnixNano(0), length: Duration::from_secs(15) };
        let start = grid.slice(verdict.window.start_unix_nano);
        let slice = |n: u64, nanos: u64| {
            let mut slice = EdgeSlice::new(backtrail_model::time::Slice(start.0 + n));
            let (caller, callee, route) = ("frontend".into(), "currencyservice".into(), "Convert".into());
            let mut counts = EdgeCounts { calls: 256, requests: 256, ..EdgeCounts::default() };
            counts.client.record(nanos, 1);
            slice.edges.insert(EdgeKey { caller, callee, route, kind: EdgeKind::Call }, counts);
            Arc::new(slice)
        };
        let hops = of_window(&verdict, &[slice(0, 10_000_000), slice(1, 400_000_000), slice(400, 1)], grid);
        assert_eq!(hops.len(), 1);
        assert!(hops[0].sick && count(hops[0].calls) == "1", "{hops:?}");
        assert!(hops[0].p95_ms > 390.0 && (9.0..11.0).contains(&hops[0].baseline_p95_ms), "{hops:?}");
    }
}
