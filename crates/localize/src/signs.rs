//! Whether a window shows anything at all: the signs that it differs from its past. A detector asks this again and
//! again, so its gate grows with the number of looks, and quiet variation counts against a sign.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::histogram::lower_bound;
use backtrail_model::paths::{Chain, Paths, Step, StepHash};
use backtrail_model::spectra::{Element, ElementKind, SpectraSlice, TestKey};

use crate::blocks::Stretch;
use crate::latency::{CLOCK_NS, Finding, latency, sick_edges};
use crate::spectrum::UNIT;
use crate::stats::{universal_threshold, weighted_median};
use crate::structure::{Forms, risen};
use crate::table::Table;

/// Blocks that the past is cut into at least.
pub const BLOCKS: usize = 8;

/// What a difference must amount to, beside being significant: with enough traffic every difference is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Least {
    /// Looks that share the gate: how often the past is renewed.
    pub looks: usize,
    /// Relative rise of a latency.
    pub latency_rise: f64,
    /// Rise of a time, nanoseconds.
    pub time_ns: f64,
    /// Time that is lost by it, as a share of the time of the traces that pass there.
    pub time_share: f64,
    /// Traces that take a new path.
    pub traces: f64,
    /// Share of the traces of a context that take a new path.
    pub share: f64,
}

/// A sign of trouble.
#[derive(Clone, PartialEq, Debug)]
pub struct Symptom {
    /// The service that it points at.
    pub service: Arc<str>,
    /// What it is.
    pub sign: Sign,
    /// Its statistic.
    pub statistic: f64,
    /// What the statistic is held against: `2 ln(tests * looks)`.
    pub gate: f64,
    /// What was observed: milliseconds, or a share.
    pub observed: f64,
    /// What is normal, in the same unit.
    pub normal: f64,
}

impl Symptom {
    /// The statistic over the gate: over 1 is significant.
    pub fn strength(&self) -> f64 {
        self.statistic / self.gate
    }
}

/// What a symptom is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sign {
    /// A self time or a gap grew.
    Slow(TestKey),
    /// Another event follows than used to.
    Path(Arc<Step>),
}

impl Sign {
    /// The services that carry it: both ends of a gap, and of a call that something else follows.
    pub fn services(&self) -> [Option<&Arc<str>>; 2] {
        match self {
            Self::Slow(key) => [Some(&key.service), key.callee.as_ref()],
            Self::Path(step) => [Some(&step.service), step.previous.callee.as_ref().map(|callee| &callee.service)],
        }
    }
}

/// All signs in the window that are large enough, significant or not; none without a past.
///
/// `min(z², G, T)` of a latency test and `min(G, F)` of a step are held against `2 ln(tests * looks)`: as many tests
/// are made until the past is renewed. `T` and `F` ask the past itself, cut into `K` stretches of the window's length (at
/// least [`BLOCKS`]), how much such stretches differ in quiet times: users come and go, caches fill, pods are moved, and
/// none of it is chance from request to request. See [`apart`] and [`overdispersed`].
///
/// The latency tests of services that are `full` (see [`saturated`](crate::saturation::saturated)) are a family of their own,
/// with the gate `2 ln(tests of these)`: other data chose them, and has paid for all the looks (hierarchical testing,
/// Yekutieli 2008). What such a service loses in all its operations adds up: what starves it slows each of them a little.
pub fn find(
    baseline: &[&SpectraSlice],
    window: &[&SpectraSlice],
    least: Least,
    full: &BTreeSet<Arc<str>>,
) -> Vec<Symptom> {
    let (baseline, window) = (Stretch::new(baseline), Stretch::new(window));
    let quiet = baseline.cells.len();
    let all = baseline.followed_by(&window);
    let split = all.split(|cell| cell >= quiet, &[BLOCKS, (quiet / window.cells.len().max(1)).max(BLOCKS)]);
    let latency = latency(&Table::new(&all), &split.with(split.cuts[0].clone()), true);
    let chance = universal_threshold(latency.findings.len().max(1) * least.looks);
    let is_full = |finding: &Finding| full.contains(suspect(&finding.key));
    let among_full = universal_threshold(latency.findings.iter().filter(|finding| is_full(finding)).count());
    let gate_of = |finding: &Finding| if is_full(finding) { among_full } else { chance };
    let of_full = |found: &&Finding| is_full(found) && found.z > 0.0 && statistic(found) > among_full;
    let starved = by_suspect(latency.findings.iter().filter(of_full));
    let slow = latency.findings.iter().filter_map(|finding| {
        let gate = gate_of(finding);
        let rise = rise(finding);
        let large = rise >= least.time_ns && rise >= least.latency_rise * finding.baseline_ns;
        if !large || finding.z <= 0.0 {
            return None;
        }
        let statistic = statistic(finding);
        // The dear part is asked only where the answer matters.
        let asked = statistic > gate / 2.0;
        let felt = |tests: &[&Finding]| lost(tests) >= least.time_share * passing_time(&window, tests);
        if asked && !felt(&[finding]) && !starved.get(suspect(&finding.key)).is_some_and(|tests| felt(tests)) {
            return None;
        }
        let means = if asked { means(&baseline, &split.cuts[1], &finding.key) } else { Vec::new() };
        Some(Symptom {
            service: Arc::clone(suspect(&finding.key)),
            sign: Sign::Slow(finding.key.clone()),
            statistic: if asked { statistic.min(apart(finding.mean_ns, means, CLOCK_NS)) } else { statistic },
            gate,
            observed: finding.mean_ns / 1e6,
            normal: finding.baseline_ns / 1e6,
        })
    });
    let forms = Forms::new(&all, 1.0, &[Chain::Calls, Chain::Logs]);
    let (steps, tested) = risen(&forms, &split, &sick_edges(&latency.findings));
    let gate = universal_threshold(tested.max(1) * least.looks);
    let paths = steps.iter().filter_map(|step| {
        let (traces, share) = (step.traces * step.shift.weight, step.shift.now * step.shift.weight);
        (traces >= least.traces && share >= least.share).then(|| Symptom {
            service: Arc::clone(&step.shift.service),
            sign: Sign::Path(Arc::clone(&step.shift.step)),
            statistic: overdispersed(step.shift.g, step.dispersion, step.dof),
            gate,
            observed: step.shift.now,
            normal: step.shift.before,
        })
    });
    slow.chain(paths).collect()
}

/// Whom a latency test points at: a gap at who is called.
fn suspect(key: &TestKey) -> &Arc<str> {
    key.callee.as_ref().unwrap_or(&key.service)
}

/// What a latency test says as it stands: `min(z², G)`.
fn statistic(finding: &Finding) -> f64 {
    (finding.z * finding.z).min(finding.g)
}

/// How much longer it takes than normal, nanoseconds.
fn rise(finding: &Finding) -> f64 {
    finding.mean_ns - finding.baseline_ns
}

/// Tests by whom they point at.
fn by_suspect<'a>(tests: impl Iterator<Item = &'a Finding>) -> BTreeMap<&'a Arc<str>, Vec<&'a Finding>> {
    let mut by_suspect: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for test in tests {
        by_suspect.entry(suspect(&test.key)).or_default().push(test);
    }
    by_suspect
}

/// Time that is lost in these tests, nanoseconds: self times and gaps are parts of a request that do not overlap.
fn lost(tests: &[&Finding]) -> f64 {
    tests.iter().map(|test| rise(test) * test.n as f64).sum()
}

/// Time that the traces took which pass through one of the operations, nanoseconds; 0 if their elements were not counted.
fn passing_time(window: &Stretch<'_>, tests: &[&Finding]) -> f64 {
    let operation = |test: &&Finding| Element {
        kind: ElementKind::Route,
        service: Arc::clone(&test.key.service),
        name: Arc::clone(&test.key.operation),
    };
    let operations: Vec<Element> = tests.iter().map(operation).collect();
    let mut time = 0.0;
    for (_, part) in window.parts() {
        for (group, &traces) in &part.groups {
            let elements = part.signatures.get(&group.signature).map_or(&[][..], |elements| &**elements);
            if operations.iter().any(|operation| elements.binary_search(operation).is_ok()) {
                time += lower_bound(group.latency) as f64 * traces as f64 / UNIT;
            }
        }
    }
    time
}

/// Means of a test in stretches of the past, with the observations of each.
fn means(baseline: &Stretch<'_>, stretches: &[usize], key: &TestKey) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<usize, (u128, u64)> = BTreeMap::new();
    for (cell, part) in baseline.parts() {
        if let Some(test) = part.tests.get(key) {
            let sum = sums.entry(stretches[cell]).or_default();
            *sum = (sum.0 + test.sum, sum.1 + test.n);
        }
    }
    let filled = sums.into_values().filter(|(_, n)| *n > 0);
    filled.map(|(sum, n)| (sum as f64 / n as f64, n as f64)).collect()
}

/// How far a mean lies from those of `K` stretches, as a likelihood ratio: `T = (v + 1) ln(1 + t² / v)` with
/// `t = (mean - median) / (1.4826 MAD + least spread)`, Student's statistic in a robust form, and `v = 0.37 (K - 1)`. With few stretches
/// nobody knows how much they differ, and the same distance says less; a median of deviations knows it as well as a
/// standard deviation of 37 % as many values. Sources: the likelihood ratio of a normal mean, variance unknown; efficiency
/// of the MAD, Rousseeuw and Croux 1993.
///
/// ```
/// # use backtrail_localize::signs::apart;
/// let steady: Vec<(f64, f64)> = (0..60).map(|i| (5e6 + f64::from(i % 7) * 1e5, 40.0)).collect();
/// assert!(apart(8.5e6, steady.clone(), 5e4) > 20.0);
/// assert!(apart(5.5e6, steady.clone(), 5e4) < 6.0);
/// assert!(apart(8.5e6, steady[..5].to_vec(), 5e4) < apart(8.5e6, steady, 5e4)); // less is known
/// ```
pub fn apart(mean: f64, mut stretches: Vec<(f64, f64)>, least_spread: f64) -> f64 {
    let freedom = MAD_EFFICIENCY * (stretches.len() as f64 - 1.0);
    if freedom <= 0.0 {
        return 0.0;
    }
    let middle = weighted_median(&mut stretches).unwrap_or(mean);
    let mut strays: Vec<(f64, f64)> = stretches.iter().map(|(other, n)| ((other - middle).abs(), *n)).collect();
    let spread = 1.4826 * weighted_median(&mut strays).unwrap_or(0.0) + least_spread;
    let t = ((mean - middle) / spread).max(0.0);
    (freedom + 1.0) * (1.0 + t * t / freedom).ln()
}

/// Variance of a standard deviation over that of a median absolute deviation, for normal values.
const MAD_EFFICIENCY: f64 = 0.37;

/// A likelihood ratio where the past is more dispersed than chance: `F = G / dispersion` with its degrees of freedom, on
/// the scale of G again: `(dof + 1) ln(1 + F / dof)`. Where chance explains the past, G itself. Source: quasi-likelihood,
/// Generalized Linear Models (1989), chapter 9.
fn overdispersed(g: f64, dispersion: f64, dof: f64) -> f64 {
    if dispersion <= 1.0 { g } else { (dof + 1.0) * (1.0 + g / dispersion / dof.max(1.0)).ln() }
}

/// Whether a slice, in parts, shows the sign by itself: the share of its step, or its mean, is nearer to what was observed
/// than to what is normal. `None` if nothing in the slice could show it.
pub fn shows(parts: &[&SpectraSlice], symptom: &Symptom) -> Option<bool> {
    let value = match &symptom.sign {
        Sign::Path(step) => share(parts, step)?,
        Sign::Slow(key) => {
            let sums = parts.iter().filter_map(|part| part.tests.get(key));
            let (sum, n) = sums.fold((0, 0), |(sum, n), sums| (sum + sums.sum, n + sums.n));
            (n > 0).then(|| sum as f64 / n as f64 / 1e6)?
        }
    };
    Some(value > f64::midpoint(symptom.observed, symptom.normal))
}

/// The share of a step among the traces that leave its context, by ordered paths and by loose steps.
fn share(parts: &[&SpectraSlice], step: &Step) -> Option<f64> {
    let same_context = |known: &Step| {
        (&known.service, &known.entry, known.chain, &known.previous)
            == (&step.service, &step.entry, step.chain, &step.previous)
    };
    let steps = parts.iter().flat_map(|part| &part.paths.steps).filter(|(_, known)| same_context(known));
    let same: BTreeMap<StepHash, bool> = steps.map(|(hash, known)| (*hash, **known == *step)).collect();
    let (mut all, mut hits) = (0.0, 0.0);
    for path in parts.iter().flat_map(|part| part.paths.paths.values()) {
        let passes = path.steps.iter().filter_map(|hash| same.get(hash));
        let (n, k) = passes.fold((0_u32, 0_u32), |(n, k), hit| (n + 1, k + u32::from(*hit)));
        if n > 0 {
            all += path.traces as f64 / UNIT;
            hits += path.traces as f64 / UNIT * f64::from(k) / f64::from(n);
        }
    }
    for (hash, &loose) in parts.iter().flat_map(|part| &part.paths.loose) {
        if let Some(&hit) = same.get(hash) {
            all += loose as f64 / Paths::LOOSE as f64;
            hits += if hit { loose as f64 / Paths::LOOSE as f64 } else { 0.0 };
        }
    }
    (all > 0.0).then(|| hits / all)
}

#[cfg(test)]
mod tests {
    use backtrail_model::histogram::bucket;
    use backtrail_model::spectra::{Entry, TraceGroup};
    use backtrail_model::time::Slice;

    use super::*;

    const LEAST: Least =
        Least { looks: 100, latency_rise: 0.25, time_ns: 1e6, time_share: 0.1, traces: 3.0, share: 0.01 };

    fn key() -> TestKey {
        TestKey { service: "cart".into(), operation: "load".into(), callee: None }
    }

    /// A slice with 40 traces, each with an observation around so many microseconds.
    fn slice(at: u64, micros: u64) -> SpectraSlice {
        let mut slice = SpectraSlice::new(Slice(at));
        let entry = Entry { service: "cart".into(), route: "load".into() };
        slice.groups.insert(TraceGroup { entry, signature: 1, error: false, latency: 3 }, 40 * 256);
        let sums = slice.tests.entry(key()).or_default();
        (0..40).for_each(|n| sums.record((micros + 10 * (n % 20)) * 1000));
        slice
    }

    fn strength(past: &[SpectraSlice], window: &[SpectraSlice], full: &[&str]) -> f64 {
        let full = full.iter().map(|&service| Arc::from(service)).collect();
        let found = find(&past.iter().collect::<Vec<_>>(), &window.iter().collect::<Vec<_>>(), LEAST, &full);
        found.first().map_or(0.0, Symptom::strength)
    }

    #[test]
    fn the_same_rise_is_a_sign_in_a_steady_system_and_none_where_slices_always_differ_that_much() {
        let window: Vec<_> = (100..102).map(|at| slice(at, 8000)).collect();
        let steady: Vec<_> = (0..60).map(|at| slice(at, 5000 + at % 3 * 50)).collect();
        // Every seventh slice is slow, and blocks of many slices do not show it.
        let bursts: Vec<_> = (0..60).map(|at| slice(at, 4000 + at % 7 * 700)).collect();
        assert!(strength(&steady, &window, &[]) > 1.0, "{}", strength(&steady, &window, &[]));
        assert!(strength(&bursts, &window, &[]) < 1.0, "{}", strength(&bursts, &window, &[]));
    }

    /// A slice in which each request takes so many milliseconds and passes these operations, each of which takes so many
    /// microseconds.
    fn with_requests(at: u64, operations: &[&str], micros: u64, millis: u64) -> SpectraSlice {
        let mut slice = SpectraSlice::new(Slice(at));
        for operation in operations {
            let key = TestKey { operation: (*operation).into(), ..key() };
            let sums = slice.tests.entry(key).or_default();
            (0..40).for_each(|n| sums.record((micros + 10 * (n % 20)) * 1000));
        }
        let element = |name: &&str| Element { kind: ElementKind::Route, service: "cart".into(), name: (*name).into() };
        slice.signatures.insert(1, operations.iter().map(element).collect());
        let entry = Entry { service: "shop".into(), route: "buy".into() };
        let latency = bucket(millis * 1_000_000);
        slice.groups.insert(TraceGroup { entry, signature: 1, error: false, latency }, 40 * UNIT as u64);
        slice
    }

    #[test]
    fn time_that_no_request_feels_is_no_sign_unless_it_adds_up_where_a_limit_is_reached() {
        let strength = |operations: &[&str], full: &[&str], millis: u64| {
            let past: Vec<_> = (0..60).map(|at| with_requests(at, operations, 5000 + at % 3 * 50, millis)).collect();
            let slow = |at| with_requests(at, operations, 8000, millis);
            strength(&past, &[slow(100), slow(101)], full)
        };
        assert!(strength(&["load"], &[], 20) > 1.0, "3 of 20 ms");
        assert!(strength(&["load"], &["cart"], 60) < 1.0, "3 of 60 ms");
        assert!(strength(&["load", "move", "save"], &["cart"], 60) > 1.0, "9 of 60 ms in one service");
        assert!(strength(&["load", "move", "save"], &[], 60) < 1.0, "they may have nothing to do with each other");
    }

    #[test]
    fn where_a_limit_is_reached_less_proof_is_asked_for() {
        let past: Vec<_> = (0..60).map(|at| slice(at, 5000 + at % 7 * 300)).collect();
        let window = [slice(100, 8000), slice(101, 8000)];
        let found = |full: &[&str]| {
            let full = full.iter().map(|&name| Arc::from(name)).collect();
            let found = find(&past.iter().collect::<Vec<_>>(), &window.iter().collect::<Vec<_>>(), LEAST, &full);
            (found[0].statistic, found[0].gate)
        };
        let (alone, elsewhere, full) = (found(&[]), found(&["stock"]), found(&["cart"]));
        assert_eq!(alone, elsewhere);
        assert!(full.1 < alone.1 && (full.0 - alone.0).abs() < 1e-9, "the same statistic, another gate: {full:?}");
    }

    #[test]
    fn a_slice_shows_a_sign_if_it_is_nearer_to_it_than_to_what_is_normal_in_however_many_parts() {
        let symptom = Symptom {
            service: "cart".into(),
            sign: Sign::Slow(key()),
            statistic: 1.0,
            gate: 1.0,
            observed: 9.0,
            normal: 5.0,
        };
        assert_eq!(shows(&[&slice(1, 8000)], &symptom), Some(true));
        assert_eq!(shows(&[&slice(1, 6000)], &symptom), Some(false));
        assert_eq!(shows(&[&slice(1, 6000), &slice(1, 9000)], &symptom), Some(true));
        assert_eq!(shows(&[&SpectraSlice::new(Slice(1))], &symptom), None);
    }
}
