//! Odd steps: those that leave their context more often than they used to; and who is charged for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::spectra::Entry;
use hashbrown::HashMap;

use super::forms::{Forms, Taken};
use super::{Region, Shift, SickEdges};
use crate::blocks::Split;
use crate::silent::Silent;
use crate::stats::{disagrees, g_test, weighted_median, xlogx};

/// Contexts with fewer baseline traces are not judged.
const LEAST: f64 = 3.0;

/// An odd step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odd {
    pub(super) step: u32,
    /// The step of the same context whose share fell most.
    expected: u32,
    before: f64,
    now: f64,
    pub(super) g: f64,
    /// Traces of the window that took the step.
    pub(super) hits: f64,
    /// Attributable fraction `1 - ((p N + 0.5) / (N + 1)) / (k / F)`.
    pub(super) weight: f64,
}

/// Traces by step: one column for each block, and the window.
struct Counts {
    blocks: usize,
    cells: Vec<f64>,
    window: Vec<f64>,
}

impl Counts {
    fn new(forms: &Forms, taken: &Taken, split: &Split, cut: &[usize]) -> Self {
        let blocks = cut.iter().max().map_or(0, |last| last + 1);
        let (mut cells, mut window) = (vec![0.0; forms.steps.len() * blocks], vec![0.0; forms.steps.len()]);
        for (form, &now) in forms.list.iter().zip(&taken.forms) {
            for (block, traces) in forms.by_block(form, split, cut) {
                for &(step, share) in &form.shares {
                    cells[step as usize * blocks + block] += traces * share;
                }
            }
            for &(step, share) in form.shares.iter().filter(|_| now > 0.0) {
                window[step as usize] += now * share;
            }
        }
        for (cell, step, traces) in forms.loose_before(split) {
            cells[step as usize * blocks + cut[cell]] += traces;
        }
        for &(step, traces) in &taken.loose {
            window[step as usize] += traces;
        }
        Self { blocks, cells, window }
    }

    fn row(&self, step: u32) -> &[f64] {
        &self.cells[step as usize * self.blocks..][..self.blocks]
    }
}

/// Every step whose share rose, and how many steps were tested.
pub(super) fn find(forms: &Forms, taken: &Taken, split: &Split, cut: &[usize]) -> (Vec<Odd>, usize) {
    let counts = Counts::new(forms, taken, split, cut);
    let (mut odd, mut tested) = (Vec::new(), 0);
    for steps in &forms.contexts {
        let now: f64 = steps.iter().map(|&step| counts.window[step as usize]).sum();
        if now <= 0.0 {
            continue;
        }
        let blocks: Vec<f64> =
            (0..counts.blocks).map(|block| steps.iter().map(|&step| counts.row(step)[block]).sum()).collect();
        let total: f64 = blocks.iter().sum();
        if total <= 0.0 {
            continue;
        }
        tested += steps.len();
        if total < LEAST {
            continue;
        }
        let quiet = quiet_shares(steps, &counts, &blocks);
        let fell = |at: usize| quiet[at] - counts.window[steps[at] as usize] / now;
        let Some(expected) = (0..steps.len()).reduce(|a, b| if fell(b) > fell(a) { b } else { a }) else { continue };
        for (&step, &before) in steps.iter().zip(&quiet) {
            let hits = counts.window[step as usize];
            if hits / now <= before + 1e-12 {
                continue;
            }
            let g = g_test(before * total, total, hits, now);
            let weight = (1.0 - (before * total + 0.5) / (total + 1.0) * now / hits).max(0.0);
            if weight > 0.0 {
                odd.push(Odd { step, expected: steps[expected], before, now: hits / now, g, hits, weight });
            }
        }
    }
    (odd, tested)
}

/// The quiet distribution of a context over its next events: pooled; where the blocks disagree at the 5 % level (bound
/// of Laurent and Massart for chi-squared), some of them hold another fault, and the median block is believed. Source:
/// FUSION.md, part C rule 2.
fn quiet_shares(steps: &[u32], counts: &Counts, blocks: &[f64]) -> Vec<f64> {
    let total: f64 = blocks.iter().sum();
    let pooled: Vec<f64> = steps.iter().map(|&step| counts.row(step).iter().sum::<f64>() / total).collect();
    let (het, dof) = heterogeneity(steps, counts, blocks);
    if !disagrees(het, dof) {
        return pooled;
    }
    let filled = || blocks.iter().enumerate().filter(|(_, size)| **size > 0.0);
    let median = |&step: &u32| {
        let mut shares: Vec<(f64, f64)> =
            filled().map(|(block, &size)| (counts.row(step)[block] / size, size)).collect();
        weighted_median(&mut shares).unwrap_or(0.0)
    };
    let medians: Vec<f64> = steps.iter().map(median).collect();
    let sum: f64 = medians.iter().sum();
    if sum > 0.0 { medians.iter().map(|share| share / sum).collect() } else { pooled }
}

/// The likelihood ratio that the blocks of a context have different shares, and its degrees of freedom.
fn heterogeneity(steps: &[u32], counts: &Counts, blocks: &[f64]) -> (f64, f64) {
    let total: f64 = blocks.iter().sum();
    let sums: Vec<f64> = steps.iter().map(|&step| counts.row(step).iter().sum()).collect();
    let filled = || blocks.iter().enumerate().filter(|(_, size)| **size > 0.0);
    let outcomes = sums.iter().filter(|sum| **sum > 0.0).count();
    let dof = (filled().count() as f64 - 1.0) * (outcomes as f64 - 1.0);
    let spread: f64 = filled()
        .map(|(block, &size)| steps.iter().map(|&step| xlogx(counts.row(step)[block])).sum::<f64>() - xlogx(size))
        .sum();
    (2.0 * (spread - sums.iter().map(|&sum| xlogx(sum)).sum::<f64>() + xlogx(total)), dof)
}

/// How much more the shares of each context vary between blocks than chance lets them, at least 1, and the degrees of
/// freedom of that. The median block is asked: one that holds another fault, perhaps this one, must not hide what comes.
pub(super) fn dispersions(forms: &Forms, taken: &Taken, split: &Split, cut: &[usize]) -> Vec<(f64, f64)> {
    let counts = Counts::new(forms, taken, split, cut);
    let dispersion = |steps: &Vec<u32>| {
        let blocks: Vec<f64> =
            (0..counts.blocks).map(|block| steps.iter().map(|&step| counts.row(step)[block]).sum()).collect();
        let total: f64 = blocks.iter().sum();
        let outcomes = steps.iter().filter(|&&step| counts.row(step).iter().any(|&traces| traces > 0.0)).count();
        if total <= 0.0 || outcomes < 2 {
            return (1.0, 0.0);
        }
        let (quiet, dof) = (quiet_shares(steps, &counts, &blocks), outcomes as f64 - 1.0);
        let filled = || blocks.iter().enumerate().filter(|(_, size)| **size > 0.0);
        let mut strays: Vec<(f64, f64)> =
            filled().map(|(block, &size)| (stray(steps, &counts, &quiet, block, total), size)).collect();
        let usual = weighted_median(&mut strays).unwrap_or(0.0) / median_chi_squared(dof);
        (usual.max(1.0), (filled().count() as f64 - 1.0) * dof)
    };
    forms.contexts.iter().map(dispersion).collect()
}

/// The likelihood ratio that a block has other shares than the quiet ones. A share of nothing is taken for half a trace of
/// the whole past: rare, and not impossible.
fn stray(steps: &[u32], counts: &Counts, quiet: &[f64], block: usize, total: f64) -> f64 {
    let size: f64 = steps.iter().map(|&step| counts.row(step)[block]).sum();
    let of_step = |(&step, &share): (&u32, &f64)| {
        let traces = counts.row(step)[block];
        if traces > 0.0 { 2.0 * traces * (traces / (size * share.max(0.5 / total))).ln() } else { 0.0 }
    };
    steps.iter().zip(quiet).map(of_step).sum::<f64>().max(0.0)
}

/// The median of chi-squared with `dof` degrees of freedom, to a few percent: `dof (1 - 2 / (9 dof))^3`. Source: Wilson and
/// Hilferty 1931.
fn median_chi_squared(dof: f64) -> f64 {
    dof * (1.0 - 2.0 / (9.0 * dof)).powi(3)
}

/// Some odd steps, and who is charged for each context that has one.
pub(super) struct Odds<'a> {
    by_step: BTreeMap<u32, &'a Odd>,
    /// Number of the service, by context.
    guilty: HashMap<u32, u32, foldhash::fast::FixedState>,
    /// What G had to exceed.
    gate: f64,
}

impl<'a> Odds<'a> {
    /// The service of the context is charged; but what diverges right after a call is the callee's doing if that edge is
    /// sick, or if two or more services diverge after calling the same operation. Source: FUSION.md, part C rule 5. So is
    /// the same call without an answer, if the callee fell silent: the caller did what it always does.
    pub(super) fn new(
        forms: &Forms,
        odd: impl Iterator<Item = &'a Odd>,
        sick: &SickEdges,
        silent: &Silent,
        gate: f64,
    ) -> Self {
        let by_step: BTreeMap<u32, &Odd> = odd.map(|odd| (odd.step, odd)).collect();
        let mut callers: BTreeMap<&Entry, BTreeSet<&Arc<str>>> = BTreeMap::new();
        for &step in by_step.keys() {
            let step = &forms.steps[step as usize].step;
            if let Some(callee) = &step.previous.callee {
                callers.entry(callee).or_default().insert(&step.service);
            }
        }
        let numbers: BTreeMap<&Arc<str>, u32> = forms.services.iter().zip(0..).collect();
        let mut guilty = HashMap::default();
        for &step in by_step.keys() {
            let known = &forms.steps[step as usize];
            let service = &known.step.service;
            let callee = known.step.previous.callee.as_ref().filter(|callee| {
                callers[callee].len() > 1 || sick.contains(&(Arc::clone(service), Arc::clone(&callee.service)))
            });
            let who = callee.map_or(service, |callee| &callee.service);
            guilty.entry(known.context).or_insert(numbers[who]);
        }
        for odd in by_step.values() {
            let (known, expected) = (&forms.steps[odd.step as usize], &forms.steps[odd.expected as usize].step.next);
            let unanswered = known.step.next.callee.is_none() && known.step.next.name == expected.name;
            let Some(callee) = expected.callee.as_ref().filter(|_| unanswered) else { continue };
            if silent.contains_key(&(Arc::clone(&known.step.service), Arc::clone(&callee.service)))
                && let Some(&number) = numbers.get(&callee.service)
            {
                guilty.insert(known.context, number);
            }
        }
        Self { by_step, guilty, gate }
    }

    /// Who is charged for a context with an odd step.
    pub(super) fn guilty(&self, context: u32) -> Option<u32> {
        self.guilty.get(&context).copied()
    }

    /// How far from luck a step is: `1 - gate/G`, as the excess of the other parts is shrunk.
    pub(super) fn trust(&self, odd: &Odd) -> f64 {
        1.0 - self.gate / odd.g.max(self.gate).max(f64::MIN_POSITIVE)
    }

    /// The odd step of this number.
    pub(super) fn step(&self, step: u32) -> Option<&'a Odd> {
        self.by_step.get(&step).copied()
    }

    /// All, in order, with the service that is charged.
    pub(super) fn iter(&self, forms: &Forms) -> impl Iterator<Item = (&'a Odd, u32)> {
        let context = |odd: &Odd| forms.steps[odd.step as usize].context;
        self.by_step.values().map(move |&odd| (odd, self.guilty[&context(odd)]))
    }
}

impl Odd {
    pub(super) fn shift(&self, forms: &Forms, guilty: u32) -> Shift {
        Shift {
            service: Arc::clone(&forms.services[guilty as usize]),
            step: Arc::clone(&forms.steps[self.step as usize].step),
            expected: forms.steps[self.expected as usize].step.next.clone(),
            before: self.before,
            now: self.now,
            g: self.g,
            weight: self.weight,
        }
    }

    pub(super) fn region(&self, forms: &Forms, guilty: u32) -> Region {
        let step = &forms.steps[self.step as usize].step;
        Region {
            service: Arc::clone(&forms.services[guilty as usize]),
            chain: step.chain,
            entry: Arc::clone(&step.entry),
            before: step.previous.clone(),
            expected: forms.steps[self.expected as usize].step.next.clone(),
        }
    }
}
