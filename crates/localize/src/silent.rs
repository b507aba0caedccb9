//! Calls that nobody answers: the callee's own span is missing where it used to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::edge_blame::{Pair, ServiceGraph};
use crate::spectrum::UNIT;

/// Calls without an answer in excess of quiet times, by (caller, callee).
pub type Silent = BTreeMap<(Arc<str>, Arc<str>), f64>;

/// The calls of the window that the callee did not answer with a span of its own, beyond the share that it never answered,
/// where the callee is the one that fell silent: the caller's other calls are answered, and others get no answer from the
/// callee either (each compared with half of what this call loses). Else it is the caller that is cut off, or the way
/// between the two, and nothing is said here.
///
/// Only calls between services that answered before count: what is not instrumented is always silent.
///
/// ```
/// # use backtrail_localize::{edge_blame::{Pair, ServiceGraph}, silent::silent};
/// # use backtrail_model::edges::EdgeCounts;
/// let pair = |calls: u64, served: u64| {
///     let mut counts = EdgeCounts { calls: calls * 256, ..EdgeCounts::default() };
///     counts.server.record(1, served * 256);
///     Pair { counts, instrumented: true, ..Pair::default() }
/// };
/// let graph = |served: [u64; 3]| ServiceGraph {
///     pairs: [("a", "b"), ("a", "c"), ("d", "b")].into_iter().zip(served)
///         .map(|((caller, callee), served)| ((caller.into(), callee.into()), pair(100, served))).collect(),
/// };
/// let lost = |now| silent(&graph([100, 90, 100]), &graph(now)).into_iter()
///     .map(|((caller, callee), calls)| (format!("{caller}{callee}"), calls.round() as u64)).collect::<Vec<_>>();
/// assert_eq!(lost([40, 90, 50]), [("ab".into(), 60), ("db".into(), 50)]); // b is down
/// assert_eq!(lost([40, 30, 100]), []); // a is cut off
/// assert_eq!(lost([40, 90, 100]), []); // the way from a to b
/// ```
pub fn silent(before: &ServiceGraph, now: &ServiceGraph) -> Silent {
    let mut missing = Vec::new();
    let (mut of_caller, mut of_callee) = (Sums::new(), Sums::new());
    for (key, pair) in now.pairs.iter().filter(|((caller, callee), _)| !caller.is_empty() && caller != callee) {
        let lost = Lost { calls: pair.counts.calls as f64 / UNIT, unanswered: unanswered(before.pairs.get(key), pair) };
        of_caller.entry(&key.0).or_default().add(lost);
        of_callee.entry(&key.1).or_default().add(lost);
        missing.push((key, lost));
    }
    let fell_silent = |((caller, callee), lost): &(&(Arc<str>, Arc<str>), Lost)| {
        let half = lost.share().unwrap_or(0.0) / 2.0;
        let to_others = of_caller[caller].without(*lost).share();
        let from_others = of_callee[callee].without(*lost).share();
        half > 0.0 && to_others.is_none_or(|share| share < half) && from_others.is_none_or(|share| share >= half)
    };
    let fallen = missing.into_iter().filter(fell_silent);
    fallen.map(|(key, lost)| (key.clone(), lost.unanswered)).collect()
}

/// Calls of the window without an answer that quiet times would have had.
fn unanswered(before: Option<&Pair>, now: &Pair) -> f64 {
    let Some(quiet) = before.filter(|quiet| quiet.counts.server.count() > 0) else { return 0.0 };
    let answered = (quiet.counts.server.count() as f64 / quiet.counts.calls.max(1) as f64).min(1.0);
    ((now.counts.calls as f64 * answered - now.counts.server.count() as f64) / UNIT).max(0.0)
}

#[derive(Clone, Copy, Default)]
struct Lost {
    calls: f64,
    unanswered: f64,
}

type Sums<'a> = BTreeMap<&'a Arc<str>, Lost>;

impl Lost {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.unanswered += other.unanswered;
    }

    fn without(self, other: Self) -> Self {
        Self { calls: self.calls - other.calls, unanswered: self.unanswered - other.unanswered }
    }

    /// None without calls.
    fn share(self) -> Option<f64> {
        (self.calls >= 1.0).then(|| self.unanswered / self.calls)
    }
}
