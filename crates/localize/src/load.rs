//! What a service asks of others and is asked for, in numbers that a repair is computed from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::edges::{EdgeCounts, EdgeKind};
use backtrail_model::patch_request::EdgeLoad;
use backtrail_model::span::SpanRecord;

use crate::Slices;
use crate::edge_blame::merge_edges;

/// Most edges that are stated, by calls.
const MOST: usize = 16;
/// What one call weighs.
const UNIT: u64 = SpanRecord::ONE as u64;

/// The load on each edge of `service`, most calls first: what `window` counted and how it was in `baseline`, all routes of
/// an edge together.
pub fn loads(baseline: &Slices<'_>, window: &Slices<'_>, service: &str, slice_seconds: f64) -> Vec<EdgeLoad> {
    let quiet = pairs(baseline, service);
    // Shards may give several parts of one slice.
    let slices: BTreeSet<_> = window.edges.iter().map(|part| part.slice).collect();
    let seconds = slices.len() as f64 * slice_seconds;
    let mut loads: Vec<EdgeLoad> = pairs(window, service)
        .into_iter()
        .map(|((from, to), counts)| {
            let before = quiet.get(&(Arc::clone(&from), Arc::clone(&to)));
            EdgeLoad {
                from: from.to_string(),
                to: to.to_string(),
                seconds,
                requests: counts.requests / UNIT,
                calls: counts.calls / UNIT,
                errors: counts.errors / UNIT,
                served: counts.server.count() / UNIT,
                p95_ms: p95_ms(&counts.client),
                served_p95_ms: p95_ms(&counts.server),
                quiet_p95_ms: before.map_or(0.0, |before| p95_ms(&before.server)),
            }
        })
        .collect();
    loads.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    loads.truncate(MOST);
    loads
}

fn pairs(slices: &Slices<'_>, service: &str) -> BTreeMap<(Arc<str>, Arc<str>), EdgeCounts> {
    let mut pairs: BTreeMap<_, EdgeCounts> = BTreeMap::new();
    for (key, counts) in merge_edges(&slices.edges) {
        let of_service = &*key.caller == service || &*key.callee == service;
        if of_service && matches!(key.kind, EdgeKind::Call | EdgeKind::Virtual) {
            pairs.entry((key.caller, key.callee)).or_default().merge(&counts);
        }
    }
    pairs
}

fn p95_ms(durations: &backtrail_model::histogram::Histogram) -> f64 {
    durations.quantile(0.95) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use backtrail_model::edges::{EdgeKey, EdgeSlice};
    use backtrail_model::time::Slice;

    use super::*;

    fn slice(n: u64, routes: &[(&str, u64, u64)]) -> EdgeSlice {
        let mut slice = EdgeSlice::new(Slice(n));
        for &(route, requests, server_ms) in routes {
            let key =
                EdgeKey { caller: "pay".into(), callee: "bank".into(), route: route.into(), kind: EdgeKind::Call };
            let mut counts =
                EdgeCounts { requests: requests * UNIT, calls: 4 * requests * UNIT, ..EdgeCounts::default() };
            counts.server.record(server_ms * 1_000_000, 2 * requests * UNIT);
            slice.edges.insert(key, counts);
        }
        slice
    }

    #[test]
    fn routes_and_slices_of_an_edge_are_added_up() {
        let quiet = slice(1, &[("POST /charge", 5, 60)]);
        let (one, two) =
            (slice(2, &[("POST /charge", 10, 400), ("GET /", 1, 1)]), slice(3, &[("POST /charge", 10, 400)]));
        let baseline = Slices { edges: vec![&quiet], ..Slices::default() };
        let window = Slices { edges: vec![&one, &two], ..Slices::default() };
        let found = loads(&baseline, &window, "pay", 15.0);
        let [load] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((load.requests, load.calls, load.served), (21, 84, 42));
        assert!((load.seconds - 30.0).abs() < 1e-9);
        assert!((load.served_p95_ms / 400.0 - 1.0).abs() < 0.04 && (load.quiet_p95_ms / 60.0 - 1.0).abs() < 0.04);
        assert!(loads(&baseline, &window, "cart", 15.0).is_empty());
    }
}
