//! Part L of the score: excess time of self time and gap tests. Source of every rule: FUSION.md, part L.

use std::sync::Arc;

use backtrail_model::histogram::Histogram;
use backtrail_model::spectra::{TestKey, TestSums};

use crate::blame::{Ledger, Scores, mean};
use crate::blocks::Split;
use crate::stats::{g_test, universal_threshold, weighted_median};
use crate::table::Table;

/// The resolution floor of a span clock, nanoseconds: differences below it are never significant.
pub(crate) const CLOCK_NS: f64 = 50_000.0;
/// Tests with fewer baseline observations are not judged.
const LEAST: u64 = 5;
/// Quantiles of the count gate.
const QUANTILES: [f64; 4] = [0.5, 0.75, 0.9, 0.95];

/// What one latency test says, averaged over the cuts of the baseline.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// What was measured.
    pub key: TestKey,
    /// Observations in the window ...
    pub n: u64,
    /// ... and the traces that they come from.
    pub traces: u64,
    /// Mean in the window, nanoseconds.
    pub mean_ns: f64,
    /// Observations in the baseline.
    pub baseline_n: u64,
    /// Weighted median of the block means, nanoseconds.
    pub baseline_ns: f64,
    /// Distance of the means in standard errors, drift of the baseline included.
    pub z: f64,
    /// Likelihood ratio that the share above a baseline quantile changed.
    pub g: f64,
    /// What `z²` and `g` must exceed: `2 ln(tests)`.
    pub gate: f64,
    /// Significant excess of the whole window, nanoseconds, shrunk by how close the test is to its gate.
    pub excess_ns: f64,
    /// Whether the test is sick: over the gate in more than half of the cuts.
    pub sick: bool,
}

/// Part L.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Latency {
    /// Significant evidence by service.
    pub scores: Scores,
    /// The same without gates: orders what is not significant.
    pub tail: Scores,
    /// The share of gaps in a service's excess, 0 to 1: near 1 looks like the network.
    pub edge_share: Scores,
    /// Every judged test, in order of key.
    pub findings: Vec<Finding>,
}

/// One test under one cut.
#[derive(Clone, Copy)]
struct Statistic {
    mu: f64,
    excess_mean: f64,
    n: f64,
    z: f64,
    g: f64,
}

/// Baseline sums of one test by cell, and its sums in the window.
struct Test<'a> {
    key: &'a TestKey,
    baseline: Vec<(usize, &'a TestSums)>,
    baseline_n: u64,
    window: Pile<'a>,
}

/// Sums of several slices. Their histograms are added up when they are looked at: most tests need none.
#[derive(Default)]
struct Pile<'a> {
    n: u64,
    traces: u64,
    sum: u128,
    sum_sq: u128,
    histograms: Vec<&'a Histogram>,
}

/// Judges every latency test of the window against the baseline, under each cut of it; `gaps` says whether the gaps of
/// calls are looked at beside the self times.
pub(crate) fn latency(table: &Table<'_>, split: &Split, gaps: bool) -> Latency {
    let tests = collect(table, split, gaps);
    let (gate, cuts) = (universal_threshold(tests.len()), split.cuts.len());
    let mut out =
        Latency { findings: tests.iter().map(|test| Finding::empty(test, gate)).collect(), ..Latency::default() };
    let (mut scores, mut tails, mut shares, mut sick) = (vec![], vec![], vec![], vec![0; tests.len()]);
    for blocks in &split.cuts {
        let statistics: Vec<Statistic> = tests.iter().map(|test| statistic(test, blocks, 0.0)).collect();
        let (ledger, excesses) = charge(&tests, &statistics, gate);
        scores.push(ledger.scores());
        shares.push(ledger.edge_shares());
        tails.push(charge(&tests, &statistics, 0.0).0.scores());
        for (i, (statistic, excess)) in statistics.iter().zip(excesses).enumerate() {
            out.findings[i].add(statistic, excess, cuts as f64);
            sick[i] += usize::from(excess > 0.0);
        }
    }
    for (finding, sick) in out.findings.iter_mut().zip(sick) {
        finding.sick = 2 * sick > cuts;
    }
    (out.scores, out.tail, out.edge_share) = (mean(&scores), mean(&tails), mean(&shares));
    out
}

/// The sick ones among the findings of [`latency`] under one cut, for a small part of its cost: what cannot be sick is not
/// looked into.
pub(crate) fn sick(table: &Table<'_>, split: &Split, gaps: bool) -> Vec<Finding> {
    let tests = collect(table, split, gaps);
    let gate = universal_threshold(tests.len());
    let judged = |test| {
        let statistic = statistic(test, split.cuts.first()?, gate);
        let excess = excess(&statistic, gate);
        let mut finding = (excess > 0.0).then(|| Finding::empty(test, gate))?;
        finding.add(&statistic, excess, 1.0);
        finding.sick = true;
        Some(finding)
    };
    tests.iter().filter_map(judged).collect()
}

impl Finding {
    fn empty(test: &Test<'_>, gate: f64) -> Self {
        Self {
            key: test.key.clone(),
            n: test.window.n,
            traces: test.window.traces,
            mean_ns: test.window.sum as f64 / test.window.n as f64,
            baseline_n: test.baseline_n,
            baseline_ns: 0.0,
            z: 0.0,
            g: 0.0,
            gate,
            excess_ns: 0.0,
            sick: false,
        }
    }

    fn add(&mut self, statistic: &Statistic, excess: f64, cuts: f64) {
        self.baseline_ns += statistic.mu / cuts;
        self.z += statistic.z / cuts;
        self.g += statistic.g / cuts;
        self.excess_ns += excess / cuts;
    }
}

/// The tests that the window has and the baseline knows, in order of key.
fn collect<'a>(table: &Table<'a>, split: &Split, gaps: bool) -> Vec<Test<'a>> {
    let wanted = table.tests.iter().filter(|(key, _)| gaps || key.callee.is_none());
    let tests = wanted.map(|(key, sums)| {
        let mut test = Test { key, baseline: Vec::with_capacity(sums.len()), baseline_n: 0, window: Pile::default() };
        for &(cell, sums) in sums {
            if split.is_window(cell) {
                test.window.add(sums);
            } else {
                test.baseline.push((cell, sums));
                test.baseline_n += sums.n;
            }
        }
        test
    });
    tests.filter(|test| test.baseline_n >= LEAST && test.window.n > 0).collect()
}

impl<'a> Pile<'a> {
    fn add(&mut self, sums: &'a TestSums) {
        self.n += sums.n;
        self.traces += sums.traces;
        self.sum += sums.sum;
        self.sum_sq += sums.sum_sq;
        self.histograms.push(&sums.histogram);
    }

    fn histogram(&self) -> Histogram {
        Histogram::sum(self.histograms.iter().copied())
    }
}

/// `g` is 0 unless the mean is larger than in the baseline and `z²` larger than `least`.
fn statistic(test: &Test<'_>, block_of: &[usize], least: f64) -> Statistic {
    let mut blocks: Vec<Pile<'_>> = Vec::new();
    // Cells come in order, so those of a block come together.
    for cells in test.baseline.chunk_by(|a, b| block_of[a.0] == block_of[b.0]) {
        let mut block = Pile::default();
        for (_, sums) in cells {
            block.add(sums);
        }
        if block.n > 0 {
            blocks.push(block);
        }
    }
    let median = |value: &dyn Fn(&Pile<'_>) -> f64| {
        weighted_median(&mut blocks.iter().map(|block| (value(block), block.n as f64)).collect::<Vec<_>>())
            .unwrap_or(0.0)
    };
    let mu = median(&mean_of);
    let few = blocks.len() <= 2;
    let sd = if few { deviation(&merged(&blocks)) } else { median(&deviation) };
    // Drift: how far quiet blocks stray from their median beyond what their own size explains.
    let drift = if few {
        0.0
    } else {
        let mut sizes: Vec<_> = blocks.iter().map(|block| (block.traces as f64, 1.0)).collect();
        let size = weighted_median(&mut sizes).unwrap_or(1.0);
        ((1.4826 * median(&|block| (mean_of(block) - mu).abs())).powi(2) - sd * sd / size).max(0.0)
    };
    let (n, traces) = (test.window.n as f64, test.window.traces as f64);
    let excess_mean = mean_of(&test.window) - mu;
    let z = excess_mean / ((sd * sd / traces + drift).sqrt() + CLOCK_NS);
    let g = if z > 0.0 && z * z > least { count_evidence(&blocks, test) } else { 0.0 };
    Statistic { mu, excess_mean, n, z, g }
}

/// The same as counts, so that one huge span is not enough: the greatest G over the quantiles that the share above the
/// blocks' `q`-quantile became more than `1 - q`. Limits and values are histogram buckets on both sides.
fn count_evidence(blocks: &[Pile<'_>], test: &Test<'_>) -> f64 {
    let window = test.window.histogram();
    let traces = blocks.iter().map(|block| block.traces).sum::<u64>() as f64;
    let blocks: Vec<(Histogram, f64)> = blocks.iter().map(|block| (block.histogram(), block.n as f64)).collect();
    let (window_n, window_traces) = (test.window.n as f64, test.window.traces as f64);
    let mut best = 0.0_f64;
    for q in QUANTILES {
        let bucket = |block: &Histogram| f64::from(block.quantile_bucket(q).unwrap_or(0));
        let mut limits: Vec<_> = blocks.iter().map(|(block, n)| (bucket(block), *n)).collect();
        let limit = weighted_median(&mut limits).unwrap_or(0.0) as u16;
        // By the definition of a quantile at most 1 - q lies above its bucket. Small blocks measure less than that (the
        // 0.95-quantile of five values is the greatest), so the bound is what a quiet window is held to.
        let (normal, above) = (1.0 - q, window.count_above(limit) as f64 / window_n);
        if above > normal {
            best = best.max(g_test(normal * traces, traces, above * window_traces, window_traces));
        }
    }
    best
}

/// What a test over the gate has in excess: `n (mean - mu) (1 - gate / v)` with `v = min(z², G)`.
fn excess(s: &Statistic, gate: f64) -> f64 {
    let v = (s.z * s.z).min(s.g);
    if s.excess_mean > 0.0 && v > gate { s.n * s.excess_mean * (1.0 - gate / v) } else { 0.0 }
}

/// Charges every test over the gate.
fn charge(tests: &[Test<'_>], statistics: &[Statistic], gate: f64) -> (Ledger, Vec<f64>) {
    let (mut ledger, mut excesses) = (Ledger::default(), Vec::with_capacity(tests.len()));
    for (test, s) in tests.iter().zip(statistics) {
        let excess = excess(s, gate);
        let (quiet, service) = (s.mu * s.n, &test.key.service);
        match &test.key.callee {
            Some(callee) => ledger.charge_edge(service, callee, excess, quiet, s.n),
            None => ledger.charge_own(service, excess, quiet),
        }
        excesses.push(excess);
    }
    (ledger, excesses)
}

/// Without the histograms.
fn merged<'a>(blocks: &[Pile<'a>]) -> Pile<'a> {
    let mut all = Pile::default();
    for block in blocks {
        (all.n, all.sum, all.sum_sq) = (all.n + block.n, all.sum + block.sum, all.sum_sq + block.sum_sq);
    }
    all
}

fn mean_of(sums: &Pile<'_>) -> f64 {
    sums.sum as f64 / sums.n as f64
}

/// Standard deviation of the population, from integer sums: `n Σx² - (Σx)²` is exact while it fits in 128 bits (10⁹
/// observations of 10 s do), so nothing cancels.
fn deviation(sums: &Pile<'_>) -> f64 {
    let n = u128::from(sums.n);
    let exact = n.checked_mul(sums.sum_sq).zip(sums.sum.checked_mul(sums.sum));
    let scaled = exact.map_or_else(
        || sums.n as f64 * sums.sum_sq as f64 - (sums.sum as f64).powi(2),
        |(squares, square)| squares.saturating_sub(square) as f64,
    );
    scaled.max(0.0).sqrt() / sums.n as f64
}

/// Services that are slow: their own time, or the way to them.
pub(crate) fn slow_services(findings: &[Finding]) -> std::collections::BTreeSet<Arc<str>> {
    let sick = findings.iter().filter(|finding| finding.sick);
    sick.map(|f| Arc::clone(f.key.callee.as_ref().unwrap_or(&f.key.service))).collect()
}

/// Edges that are sick, as (caller, callee).
pub(crate) fn sick_edges(findings: &[Finding]) -> std::collections::BTreeSet<(Arc<str>, Arc<str>)> {
    let sick = findings.iter().filter(|finding| finding.sick);
    sick.filter_map(|f| f.key.callee.as_ref().map(|callee| (Arc::clone(&f.key.service), Arc::clone(callee)))).collect()
}

#[cfg(test)]
mod tests {
    use backtrail_model::Slice;
    use backtrail_model::spectra::SpectraSlice;

    use super::*;
    use crate::blocks::Stretch;

    /// A slice of 24 calls of so many milliseconds and some, `calls` in each trace.
    fn slice(at: u64, millis: u64, calls: u64) -> SpectraSlice {
        let key = TestKey { service: "db".into(), operation: "SELECT".into(), callee: None };
        let mut slice = SpectraSlice::new(Slice(at));
        let sums = slice.tests.entry(key).or_default();
        for call in 0..24 {
            let value = (millis + 50 * (call % 5)) * 1_000_000;
            if call % calls == 0 { sums.record(value) } else { sums.record_again(value) }
        }
        slice
    }

    #[test]
    fn two_slow_traces_are_two_observations_however_many_calls_they_make() {
        let judged = |calls: u64| {
            let window = slice(40, 500, calls);
            let slices: Vec<_> = (0..30).map(|at| slice(at, 300, 1)).chain([window]).collect();
            let all = Stretch::new(&slices.iter().collect::<Vec<_>>());
            latency(&Table::new(&all), &all.split(|cell| cell == 30, &[5]), true).findings.remove(0)
        };
        let (alone, together) = (judged(1), judged(12));
        assert_eq!((alone.n, alone.traces, together.n, together.traces), (24, 24, 24, 2));
        // A mean of 2 instead of one of 24: the square root of a twelfth, but for the resolution of the clock.
        assert!((together.z / alone.z - (1.0_f64 / 12.0).sqrt()).abs() < 0.01, "{} {}", alone.z, together.z);
        assert!(together.g < alone.g / 6.0, "{} {}", alone.g, together.g);
    }
}
