//! Edges of the window against the baseline, and edge blame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};

use crate::spectrum::UNIT;

/// Merges edge slices: integer sums, the same in any order.
pub fn merge_edges(slices: &[&EdgeSlice]) -> BTreeMap<EdgeKey, EdgeCounts> {
    let mut edges: BTreeMap<EdgeKey, EdgeCounts> = BTreeMap::new();
    for (key, counts) in slices.iter().flat_map(|slice| &slice.edges) {
        edges.entry(key.clone()).or_default().merge(counts);
    }
    edges
}

/// How many attempts a request took: `calls / requests`, 1 without requests.
///
/// ```
/// # use backtrail_localize::edge_blame::attempts_per_request;
/// # use backtrail_model::edges::EdgeCounts;
/// let counts = EdgeCounts { calls: 3 * 256, requests: 256, ..EdgeCounts::default() };
/// assert_eq!(attempts_per_request(&counts), 3.0);
/// assert_eq!(attempts_per_request(&EdgeCounts::default()), 1.0);
/// ```
pub fn attempts_per_request(counts: &EdgeCounts) -> f64 {
    if counts.requests > 0 { counts.calls as f64 / counts.requests as f64 } else { 1.0 }
}

/// Edge blame, 0 to 1: `errors/calls * critical share * (1 - breaker/calls)`.
///
/// * `critical_total`: nanoseconds of the critical path on all edges of the window; the edge's share of it is the
///   weight of its position;
/// * calls that a breaker, guard or fallback answered were protected, so what failed behind them did not reach users.
///
/// Source: LOCALIZATION.md, "The signals of the design".
///
/// ```
/// # use backtrail_localize::edge_blame::edge_blame;
/// # use backtrail_model::edges::EdgeCounts;
/// let mut counts = EdgeCounts { calls: 100, errors: 50, critical_ns: 800, ..EdgeCounts::default() };
/// assert!((edge_blame(&counts, 1000) - 0.4).abs() < 1e-12); // half fail, on 80 % of the critical path
/// counts.breaker = 50;
/// assert!((edge_blame(&counts, 1000) - 0.2).abs() < 1e-12); // half of the calls were caught
/// ```
pub fn edge_blame(counts: &EdgeCounts, critical_total: u128) -> f64 {
    if counts.calls == 0 || critical_total == 0 {
        return 0.0;
    }
    let calls = counts.calls as f64;
    let failing = (counts.errors as f64 / calls).min(1.0);
    let position = (counts.critical_ns as f64 / critical_total as f64).min(1.0);
    failing * position * (1.0 - (counts.breaker as f64 / calls).min(1.0))
}

/// Sums of all routes between two services.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    /// Counts of all routes.
    pub counts: EdgeCounts,
    /// Sum of the routes' [`edge_blame`], at most 1.
    pub blame: f64,
    /// The route with most time on the critical path, then most calls.
    pub main_route: Arc<str>,
    /// Whether the callee sends spans of its own; a virtual node does not.
    pub instrumented: bool,
}

impl Default for Pair {
    fn default() -> Self {
        Self { counts: EdgeCounts::default(), blame: 0.0, main_route: "".into(), instrumented: false }
    }
}

impl Pair {
    /// Share of failed calls, 0 to 1.
    pub fn error_share(&self) -> f64 {
        if self.counts.calls == 0 { 0.0 } else { (self.counts.errors as f64 / self.counts.calls as f64).min(1.0) }
    }

    /// 95th percentile in milliseconds: at the client, or at the server if no client was seen.
    pub fn p95_ms(&self) -> f64 {
        let side = if self.counts.client.count() > 0 { &self.counts.client } else { &self.counts.server };
        side.quantile(0.95) as f64 / 1e6
    }
}

/// The calls between services, summed over routes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ServiceGraph {
    /// By (caller, callee); the caller is "" for requests from outside.
    pub pairs: BTreeMap<(Arc<str>, Arc<str>), Pair>,
}

impl ServiceGraph {
    /// Sums the edges of a window.
    pub fn new(edges: &BTreeMap<EdgeKey, EdgeCounts>) -> Self {
        let critical_total: u128 = edges.values().map(|counts| counts.critical_ns).sum();
        let mut pairs: BTreeMap<(Arc<str>, Arc<str>), Pair> = BTreeMap::new();
        for (key, counts) in edges.iter().filter(|(key, _)| key.kind != EdgeKind::Overflow) {
            let pair = pairs.entry((Arc::clone(&key.caller), Arc::clone(&key.callee))).or_default();
            pair.counts.merge(counts);
            pair.blame = (pair.blame + edge_blame(counts, critical_total)).min(1.0);
            pair.instrumented |= key.kind != EdgeKind::Virtual;
        }
        let mut most = BTreeMap::new();
        for (key, counts) in edges {
            let weight = (counts.critical_ns, counts.calls, &key.route);
            let best = most.entry((&key.caller, &key.callee)).or_insert(weight);
            if (weight.0, weight.1) > (best.0, best.1) {
                *best = weight;
            }
        }
        for ((caller, callee), (_, _, route)) in most {
            if let Some(pair) = pairs.get_mut(&(Arc::clone(caller), Arc::clone(callee))) {
                pair.main_route = Arc::clone(route);
            }
        }
        Self { pairs }
    }

    /// Whether anything calls from `caller` to `callee`.
    pub fn has(&self, caller: &Arc<str>, callee: &Arc<str>) -> bool {
        self.pairs.contains_key(&(Arc::clone(caller), Arc::clone(callee)))
    }

    /// The service and everything that it calls, directly or not.
    pub fn below(&self, service: &Arc<str>) -> BTreeSet<Arc<str>> {
        let mut seen = BTreeSet::from([Arc::clone(service)]);
        let mut open = vec![Arc::clone(service)];
        while let Some(at) = open.pop() {
            let from = (Arc::clone(&at), Arc::from(""));
            for (_, callee) in self.pairs.range(from..).map(|(key, _)| key).take_while(|key| key.0 == at) {
                if seen.insert(Arc::clone(callee)) {
                    open.push(Arc::clone(callee));
                }
            }
        }
        seen
    }

    /// The greatest blame of the edges that end at each service.
    pub fn blame_by_callee(&self) -> BTreeMap<Arc<str>, f64> {
        let mut out: BTreeMap<Arc<str>, f64> = BTreeMap::new();
        for ((_, callee), pair) in self.pairs.iter().filter(|(_, pair)| pair.blame > 0.0) {
            let blame = out.entry(Arc::clone(callee)).or_default();
            *blame = blame.max(pair.blame);
        }
        out
    }

    /// Requests that a breaker, guard or fallback answered, in calls.
    pub fn breaker_calls(&self) -> f64 {
        self.pairs.values().map(|pair| pair.counts.breaker as f64 / UNIT).sum()
    }
}
