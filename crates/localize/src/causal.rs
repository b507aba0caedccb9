//! Causal pruning of errors: an error that an erroring child explains is not the caller's fault, and an error that
//! only the client saw is charged to both ends of the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::edge_blame::ServiceGraph;
use crate::spectrum::UNIT;

/// For every caller: the callees whose failed calls nothing at or below them explains, with the number of such calls.
pub type Unexplained = BTreeMap<Arc<str>, Vec<(Arc<str>, f64)>>;

/// Finds failed calls that no error at the callee or further down explains: timeouts, refused connections, a callee
/// that is not instrumented. `origins` are errors by the service where they began (no child of theirs failed).
///
/// A call that failed because its server span failed has an origin at the callee or below; what remains of the edge's
/// errors after all origins there is unexplained.
///
/// ```
/// # use backtrail_localize::{causal::unexplained, edge_blame::{Pair, ServiceGraph}};
/// # use backtrail_model::edges::EdgeCounts;
/// let pair = |errors: u64| Pair {
///     counts: EdgeCounts { calls: 100 * 256, errors: errors * 256, ..EdgeCounts::default() },
///     ..Pair::default()
/// };
/// let graph = ServiceGraph {
///     pairs: [(("a".into(), "b".into()), pair(10)), (("a".into(), "c".into()), pair(7))].into(),
/// };
/// let origins = [("b".into(), 10.0), ("a".into(), 7.0)].into();
/// assert_eq!(unexplained(&graph, &origins)["a"], [("c".into(), 7.0)]); // b's errors began at b
/// ```
pub fn unexplained(graph: &ServiceGraph, origins: &BTreeMap<Arc<str>, f64>) -> Unexplained {
    let mut out = Unexplained::new();
    for ((caller, callee), pair) in &graph.pairs {
        if caller.is_empty() || caller == callee || pair.counts.errors == 0 {
            continue;
        }
        let below = graph.below(callee);
        // The caller itself can be below in a cycle of calls; its own errors explain nothing about its callee.
        let inside = below.iter().filter(|service| *service != caller);
        let explained: f64 = inside.filter_map(|service| origins.get(service)).sum();
        let rest = pair.counts.errors as f64 / UNIT - explained;
        if rest > 0.0 {
            out.entry(Arc::clone(caller)).or_default().push((Arc::clone(callee), rest));
        }
    }
    out
}

/// Whether errors at `caller` are only passed on: errors began at services that it calls, and none at itself.
pub fn passed_on(graph: &ServiceGraph, origins: &BTreeMap<Arc<str>, f64>, caller: &Arc<str>) -> Option<Arc<str>> {
    if origins.get(caller).is_some_and(|&errors| errors > 0.0) {
        return None;
    }
    let below = graph.below(caller);
    let sick = below.iter().filter_map(|service| Some((service, *origins.get(service)?)));
    let most = sick.filter(|(_, errors)| *errors > 0.0).max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(a.0)));
    most.map(|(service, _)| Arc::clone(service))
}
