//! What one service is charged with, and how that becomes a score in `[0, 1]`: shared by the latency and the error part.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A score for each service, 0 to 1. Services without evidence are absent.
pub type Scores = BTreeMap<Arc<str>, f64>;

/// The end of a call that a service was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Server = 0,
    Client = 1,
}

/// Calls of one service in one role.
#[derive(Clone, Copy, Debug, Default)]
struct RoleSums {
    /// Excess on sick edges.
    gain: f64,
    /// Calls on sick edges.
    sick: f64,
    /// All calls.
    calls: f64,
}

/// What one service is charged with. The unit of `gain` and `quiet` is the part's own (nanoseconds, errors).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blame {
    /// Excess.
    gain: f64,
    /// What would have been normal in the window.
    quiet: f64,
    /// The part of `gain` that comes from edges.
    edge_gain: f64,
    roles: [RoleSums; 2],
}

/// The ledger of one part.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    services: BTreeMap<Arc<str>, Blame>,
    /// Excess of all tests; an edge counts once.
    total: f64,
}

impl Ledger {
    /// Charges a service with what it did itself.
    pub(crate) fn charge_own(&mut self, service: &Arc<str>, excess: f64, quiet: f64) {
        self.total += excess;
        let blame = self.services.entry(Arc::clone(service)).or_default();
        blame.gain += excess;
        blame.quiet += quiet;
    }

    /// Charges both ends of an edge with what was lost between them; the total counts it once.
    pub(crate) fn charge_edge(&mut self, caller: &Arc<str>, callee: &Arc<str>, excess: f64, quiet: f64, calls: f64) {
        self.total += excess;
        for (service, role) in [(caller, Role::Client), (callee, Role::Server)] {
            let blame = self.services.entry(Arc::clone(service)).or_default();
            blame.gain += excess;
            blame.quiet += quiet;
            blame.edge_gain += excess;
            let sums = &mut blame.roles[role as usize];
            sums.gain += excess;
            sums.calls += calls;
            if excess > 0.0 {
                sums.sick += calls;
            }
        }
    }

    /// Adds to what is normal for every accused service one event that was not yet seen. A baseline without any says
    /// that they are rare, not that there are none: without it a handful in excess of nothing is a perfect score, however
    /// near its gate. (Part C adds one execution for the same reason.)
    pub(crate) fn doubt(&mut self) {
        for blame in self.services.values_mut().filter(|blame| blame.gain > 0.0) {
            blame.quiet += 1.0;
        }
    }

    /// Scores of all services with an excess.
    pub(crate) fn scores(&self) -> Scores {
        let scored = self.services.iter().filter(|(_, blame)| blame.gain > 0.0);
        scored.map(|(service, blame)| (Arc::clone(service), blame.score(self.total))).collect()
    }

    /// The part of each service's excess that comes from its edges, 0 to 1.
    pub(crate) fn edge_shares(&self) -> Scores {
        let scored = self.services.iter().filter(|(_, blame)| blame.gain > 0.0);
        scored.map(|(service, blame)| (Arc::clone(service), blame.edge_gain / blame.gain)).collect()
    }
}

impl Blame {
    /// `sqrt(gain / total * purity)`: the Ochiai shape. The purity of what the service did itself is `gain / (gain +
    /// quiet)`. For edges half of it is the share of sick calls in the service's role: a bystander that calls a faulty
    /// service has other, healthy calls; the faulty one has none. With `a` the share of edges in the gain, `purity =
    /// (1 - a/2) own + a/2 calls`. Source: FUSION.md, part L rule 4.
    fn score(&self, total: f64) -> f64 {
        let own = self.gain / (self.gain + self.quiet);
        if self.edge_gain <= 0.0 {
            return (self.gain / total * own).sqrt();
        }
        let with_calls = self.roles.iter().filter(|role| role.calls > 0.0);
        let calls = with_calls.map(|role| role.gain * role.sick / role.calls).sum::<f64>() / self.edge_gain;
        let half = self.edge_gain / self.gain / 2.0;
        (self.gain / total * (own * (1.0 - half) + calls * half)).sqrt()
    }
}

/// The mean of several runs; a service that a run does not score counts 0 there.
pub(crate) fn mean(runs: &[Scores]) -> Scores {
    let mut out = Scores::new();
    for run in runs {
        for (service, score) in run {
            *out.entry(Arc::clone(service)).or_default() += score / runs.len() as f64;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_cause_scores_by_its_purity() {
        let mut ledger = Ledger::default();
        ledger.charge_own(&"a".into(), 90.0, 10.0);
        assert!((ledger.scores()["a"] - 0.9_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_few_events_in_excess_of_none_are_no_perfect_score_and_many_are() {
        let score = |gain: f64| {
            let mut ledger = Ledger::default();
            ledger.charge_own(&"a".into(), gain, 0.0);
            ledger.doubt();
            ledger.scores()["a"]
        };
        assert!((score(1.0) - 0.5_f64.sqrt()).abs() < 1e-12);
        assert!(score(100.0) > 0.99);
    }

    #[test]
    fn the_sick_callee_beats_a_caller_with_healthy_calls() {
        let mut ledger = Ledger::default();
        let (a, b, c) = ("a".into(), "b".into(), "c".into());
        ledger.charge_edge(&a, &b, 100.0, 10.0, 50.0);
        ledger.charge_edge(&a, &c, 0.0, 0.0, 50.0);
        let scores = ledger.scores();
        assert!(scores["b"] > scores["a"] && !scores.contains_key("c"), "{scores:?}");
        assert!(scores.values().all(|score| (0.0..=1.0).contains(score)));
        assert!((ledger.edge_shares()["a"] - 1.0).abs() < 1e-12);
    }
}
