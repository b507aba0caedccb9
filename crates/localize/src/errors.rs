//! Part E of the score: where errors begin, and whether they began more often than in the baseline.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blame::{Ledger, Scores, mean};
use crate::blocks::Split;
use crate::causal::{Unexplained, unexplained};
use crate::edge_blame::ServiceGraph;
use crate::silent::{Silent, silent};
use crate::spectrum::UNIT;
use crate::stats::{disagrees, g_test, universal_threshold, weighted_median, xlogx};
use crate::table::Table;

/// Operations with fewer baseline executions are compared with all traces of the baseline instead.
const LEAST: f64 = 3.0;

/// What the errors of one operation say, averaged over the cuts of the baseline.
#[derive(Clone, PartialEq, Debug)]
pub struct ErrorFinding {
    /// Where the errors began.
    pub service: Arc<str>,
    /// Its operation.
    pub operation: Arc<str>,
    /// Errors in the window that no failed child explains.
    pub errors: f64,
    /// Executions in the window.
    pub executions: f64,
    /// Share of the quiet executions that fail, 0 to 1.
    pub baseline_share: f64,
    /// Likelihood ratio that the share changed.
    pub g: f64,
    /// What it must exceed.
    pub gate: f64,
    /// Significant errors in excess of the baseline.
    pub excess: f64,
    /// Whether it is sick: over the gate in more than half of the cuts.
    pub sick: bool,
}

/// Part E.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Errors {
    /// Significant evidence by service.
    pub scores: Scores,
    /// The same without gates.
    pub tail: Scores,
    /// Operations with errors that nothing below explains, in order of name.
    pub findings: Vec<ErrorFinding>,
    /// Errors by the service where they began.
    pub origins: BTreeMap<Arc<str>, f64>,
    /// Failed calls that nothing at or below the callee explains.
    pub unexplained: Unexplained,
    /// Calls whose callee fell silent.
    pub silent: Silent,
}

impl Errors {
    /// The callees that errors of this caller are charged to, and their shares in them, 0 to 1.
    pub(crate) fn lost_by(&self, caller: &Arc<str>) -> impl Iterator<Item = (&Arc<str>, f64)> {
        let lost = self.unexplained.get(caller);
        let all: f64 = lost.into_iter().flatten().map(|(_, calls)| calls).sum();
        let errors = self.origins.get(caller).copied().unwrap_or(0.0).max(all);
        lost.into_iter().flatten().map(move |(callee, calls)| (callee, calls / errors))
    }
}

/// (executions, errors).
type Sums = (f64, f64);

struct Operation {
    service: Arc<str>,
    name: Arc<str>,
    by_cell: BTreeMap<usize, Sums>,
    window: Sums,
}

/// Judges the error origins of every operation. `sampled_share` (0 to 1] turns weighted errors back into observed
/// ones, because a G test counts observations; `before` and `graph` are the calls of baseline and window.
///
/// Self errors `f` of `n` executions against the quiet share `p` (pooled; the median block where blocks disagree): over the gate if
/// `G(p N, N, f, n) > 2 ln m`; excess `(f - p n)(1 - gate/G)`, Ochiai-shaped with `ep = p n + 1`, the
/// one being an error that quiet times did not happen to show. The part of a service's
/// errors that only its clients saw is charged to both ends of the call ([`unexplained`]), as gaps are in part L; to the
/// callee alone where that fell silent ([`silent`]): the caller is alive, it says so.
pub(crate) fn errors(
    table: &Table<'_>,
    split: &Split,
    before: &ServiceGraph,
    graph: &ServiceGraph,
    sampled_share: f64,
) -> Errors {
    let (operations, family) = collect(table, split, sampled_share);
    let mut out = Errors::default();
    for operation in &operations {
        *out.origins.entry(Arc::clone(&operation.service)).or_default() += operation.window.1 / sampled_share;
    }
    out.unexplained = unexplained(graph, &out.origins);
    out.silent = silent(before, graph);
    let gate = universal_threshold(family);
    out.findings = operations.iter().map(|operation| ErrorFinding::empty(operation, gate)).collect();
    let (mut scores, mut tails, mut sick) = (vec![], vec![], vec![0; operations.len()]);
    let cuts = split.cuts.len();
    for blocks in &split.cuts {
        let statistics: Vec<_> = operations.iter().map(|operation| statistic(operation, blocks)).collect();
        let (ledger, excesses) = charge(&operations, &statistics, gate, graph, &out);
        scores.push(ledger.scores());
        tails.push(charge(&operations, &statistics, 0.0, graph, &out).0.scores());
        for (i, (&(share, g), excess)) in statistics.iter().zip(excesses).enumerate() {
            let finding = &mut out.findings[i];
            finding.baseline_share += share / cuts as f64;
            finding.g += g / cuts as f64;
            finding.excess += excess / cuts as f64;
            sick[i] += usize::from(excess > 0.0);
        }
    }
    for (finding, sick) in out.findings.iter_mut().zip(sick) {
        finding.sick = 2 * sick > cuts;
    }
    (out.scores, out.tail) = (mean(&scores), mean(&tails));
    out
}

/// The sick ones among the findings of [`errors`] under one cut.
pub(crate) fn sick(table: &Table<'_>, split: &Split, sampled_share: f64) -> Vec<ErrorFinding> {
    let (operations, family) = collect(table, split, sampled_share);
    let gate = universal_threshold(family);
    let judged = |operation| {
        let (share, g) = statistic(operation, split.cuts.first()?);
        let excess = excess(operation, (share, g), gate);
        let found =
            ErrorFinding { baseline_share: share, g, excess, sick: true, ..ErrorFinding::empty(operation, gate) };
        (excess > 0.0).then_some(found)
    };
    operations.iter().filter_map(judged).collect()
}

impl ErrorFinding {
    fn empty(operation: &Operation, gate: f64) -> Self {
        Self {
            service: Arc::clone(&operation.service),
            operation: Arc::clone(&operation.name),
            errors: operation.window.1,
            executions: operation.window.0,
            baseline_share: 0.0,
            g: 0.0,
            gate,
            excess: 0.0,
            sick: false,
        }
    }
}

/// The operations with errors in the window, and how many operations were looked at.
fn collect(table: &Table<'_>, split: &Split, sampled_share: f64) -> (Vec<Operation>, usize) {
    let scale = |count: u64| count as f64 / UNIT * sampled_share;
    let of_window =
        |counts: &[(usize, u64)]| counts.iter().filter(|(cell, _)| split.is_window(*cell)).map(|(_, n)| n).sum::<u64>();
    let traces: Vec<(usize, u64)> = table.traces.iter().copied().enumerate().collect();
    let mut found = Vec::new();
    for (place, errors) in &table.origins {
        let now = of_window(errors);
        if now == 0 {
            continue;
        }
        let executions = table.executions_of(*place);
        let quiet = |counts: &[(usize, u64)], value: &dyn Fn(u64) -> f64| -> BTreeMap<usize, Sums> {
            let quiet = counts.iter().filter(|(cell, _)| !split.is_window(*cell));
            quiet.map(|&(cell, n)| (cell, (value(n), 0.0))).collect()
        };
        let mut by_cell = quiet(executions, &|n| n as f64);
        let mut window = (of_window(executions) as f64, scale(now));
        // An operation that the baseline hardly has is one that did not fail in all its traces.
        if by_cell.values().map(|sums| sums.0).sum::<f64>() < LEAST {
            by_cell = quiet(&traces, &scale);
            window.0 = window.0.max(scale(of_window(&traces)));
        }
        window.0 = window.0.max(window.1);
        for &(cell, count) in errors.iter().filter(|(cell, _)| !split.is_window(*cell)) {
            let sums = by_cell.entry(cell).or_default();
            sums.1 += scale(count);
            sums.0 = sums.0.max(sums.1);
        }
        found.push(Operation { service: Arc::clone(place.0), name: Arc::clone(place.1), by_cell, window });
    }
    let is_executed = |counts: &[(usize, u64)]| counts.iter().any(|(cell, _)| split.is_window(*cell));
    let executed = table.executions.iter().filter(|(_, counts)| is_executed(counts)).count();
    let family = executed.max(found.len());
    (found, family)
}

/// The share of quiet executions that fail: pooled, because most blocks of a service that fails once in a hundred show no
/// error, and their median would call every error new. Where the blocks disagree some of them hold another fault, and the
/// median block is believed. Source: FUSION.md, part C rule 2.
fn quiet_share(blocks: &[Sums]) -> f64 {
    let (n, f) = blocks.iter().fold((0.0, 0.0), |sums, block| (sums.0 + block.0, sums.1 + block.1));
    let spread = |(n, f): Sums| xlogx(f) + xlogx(n - f) - xlogx(n);
    let het = 2.0 * (blocks.iter().copied().map(spread).sum::<f64>() - spread((n, f)));
    if disagrees(het, (blocks.len() as f64 - 1.0).max(0.0)) {
        let mut shares: Vec<_> = blocks.iter().map(|&(n, f)| (f / n, n)).collect();
        return weighted_median(&mut shares).unwrap_or(0.0);
    }
    if n > 0.0 { f / n } else { 0.0 }
}

/// (normal share, G that it changed); G is 0 where the share did not rise.
fn statistic(operation: &Operation, block_of: &[usize]) -> (f64, f64) {
    let mut blocks: BTreeMap<usize, Sums> = BTreeMap::new();
    for (&cell, sums) in &operation.by_cell {
        let block = blocks.entry(block_of[cell]).or_default();
        *block = (block.0 + sums.0, block.1 + sums.1);
    }
    let blocks: Vec<Sums> = blocks.into_values().filter(|block| block.0 > 0.0).collect();
    let before: f64 = blocks.iter().map(|block| block.0).sum();
    let normal = quiet_share(&blocks);
    let (n, f) = operation.window;
    if n <= 0.0 || f / n <= normal {
        return (normal, 0.0);
    }
    (normal, g_test(normal * before, before, f, n))
}

/// Significant errors in excess of the baseline, by its share and G.
fn excess(operation: &Operation, (share, g): (f64, f64), gate: f64) -> f64 {
    let (n, f) = operation.window;
    if g > gate { (f - share * n) * (1.0 - gate / g) } else { 0.0 }
}

fn charge(
    operations: &[Operation],
    statistics: &[(f64, f64)],
    gate: f64,
    graph: &ServiceGraph,
    found: &Errors,
) -> (Ledger, Vec<f64>) {
    let (mut ledger, mut excesses) = (Ledger::default(), Vec::with_capacity(operations.len()));
    let mut on_edges: BTreeMap<&Arc<str>, f64> = BTreeMap::new();
    for (operation, &(share, g)) in operations.iter().zip(statistics) {
        let n = operation.window.0;
        let excess = excess(operation, (share, g), gate);
        excesses.push(excess);
        let service = &operation.service;
        let lost: f64 = found.unexplained.get(service).into_iter().flatten().map(|(_, calls)| calls).sum();
        let part = (lost / found.origins[service]).min(1.0);
        ledger.charge_own(service, excess * (1.0 - part), share * n * (1.0 - part));
        *on_edges.entry(service).or_default() += excess * part;
    }
    for ((caller, callee), pair) in &graph.pairs {
        let Some(&excess) = on_edges.get(caller).filter(|excess| **excess > 0.0) else { continue };
        let lost = &found.unexplained[caller];
        let all: f64 = lost.iter().map(|(_, calls)| calls).sum();
        let calls = lost.iter().find(|(other, _)| other == callee).map_or(0.0, |(_, calls)| *calls);
        let unanswered = found.silent.get(&(Arc::clone(caller), Arc::clone(callee))).copied().unwrap_or(0.0);
        let silent = if calls > 0.0 { excess * unanswered.min(calls) / all } else { 0.0 };
        if silent > 0.0 {
            ledger.charge_own(callee, silent, 0.0);
        }
        ledger.charge_edge(caller, callee, excess * calls / all - silent, 0.0, pair.counts.calls as f64 / UNIT);
    }
    // Healthy calls from others speak for a callee.
    for ((caller, callee), pair) in &graph.pairs {
        let counted = on_edges.get(caller).is_some_and(|excess| *excess > 0.0);
        let accused = found.unexplained.iter().any(|(other, lost)| {
            on_edges.get(other).is_some_and(|excess| *excess > 0.0) && lost.iter().any(|(service, _)| service == callee)
        });
        if !counted && accused && !caller.is_empty() {
            ledger.charge_edge(caller, callee, 0.0, 0.0, pair.counts.calls as f64 / UNIT);
        }
    }
    ledger.doubt();
    (ledger, excesses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_errors_are_pooled_and_a_block_with_a_fault_of_its_own_is_not() {
        let rare = [(100.0, 0.0), (100.0, 2.0), (100.0, 0.0), (100.0, 1.0), (100.0, 0.0)];
        assert!((quiet_share(&rare) - 3.0 / 500.0).abs() < 1e-12);
        let faulty = [(100.0, 0.0), (100.0, 70.0), (100.0, 0.0), (100.0, 1.0), (100.0, 0.0)];
        assert!(quiet_share(&faulty).abs() < 1e-12);
        assert!(quiet_share(&[]).abs() < 1e-12);
    }
}
