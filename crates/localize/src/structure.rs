//! Part C of the score: which event follows which inside a visit, and where a trace first diverges from what it used
//! to do. Source of every rule: FUSION.md, part C.
//!
//! A step of a path leaves a *context* (service, entry operation, chain, previous event) by a next event. In the
//! baseline each context has a quiet distribution over next events; a step whose share rose significantly is *odd*. Each
//! trace of the window is walked in order of time, and what is odd is charged to the service of its first divergence:
//! what vanishes further down, and what echoes further up, comes later.

mod forms;
mod odd;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::paths::{Chain, Event, Step};
use hashbrown::HashMap;

use crate::blame::{Scores, mean};
use crate::blocks::Split;
use crate::ochiai::shaped;
use crate::silent::Silent;
use crate::stats::universal_threshold;

pub use forms::Forms;
use forms::Taken;
use odd::Odds;

/// A sick edge: caller and callee.
pub type SickEdges = BTreeSet<(Arc<str>, Arc<str>)>;

/// A step that became more frequent.
#[derive(Clone, PartialEq, Debug)]
pub struct Shift {
    /// The service that is charged: the step's own, or the one that it called last.
    pub service: Arc<str>,
    /// The step.
    pub step: Arc<Step>,
    /// The event whose share fell most: what used to come instead.
    pub expected: Event,
    /// Share of the step among those that leave its context, 0 to 1, in the baseline ...
    pub before: f64,
    /// ... and in the window.
    pub now: f64,
    /// Likelihood ratio that it changed.
    pub g: f64,
    /// The attributable fraction: how much of it is new, 0 to 1.
    pub weight: f64,
}

/// A stretch of code: what comes after `before` is not `expected` any more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Region {
    /// The service that is charged.
    pub service: Arc<str>,
    /// Calls or log statements.
    pub chain: Chain,
    /// The operation that the visit was entered by.
    pub entry: Arc<str>,
    /// The event before the divergence.
    pub before: Event,
    /// The event that used to follow.
    pub expected: Event,
}

/// Part C.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Structure {
    /// Significant evidence by service.
    pub scores: Scores,
    /// The same without gates.
    pub tail: Scores,
    /// The strongest shift of each service with a score, in order of service.
    pub shifts: Vec<Shift>,
    /// Where the divergences of each service begin, with the traces that are charged for it, averaged over the cuts.
    pub regions: BTreeMap<Region, f64>,
    /// What G had to exceed.
    pub gate: f64,
    /// Whether log statements stand among the steps.
    pub with_logs: bool,
    /// Traces of the window whose order is unknown, because they were past the cap of paths.
    pub unordered: f64,
}

/// What one walk over the window charges.
#[derive(Default)]
struct Charges {
    scores: Scores,
    regions: BTreeMap<Region, f64>,
}

/// Judges the paths of a window against its baseline. `sick` are edges that part L finds sick: a divergence right after
/// such a call is the callee's doing, as is a call without an answer on the `silent` ones.
pub fn structure(forms: &Forms, split: &Split, sick: &SickEdges, silent: &Silent) -> Structure {
    let taken = forms.taken(|cell| split.is_window(cell));
    let mut out = Structure { unordered: taken.unordered, with_logs: forms.has_logs(), ..Structure::default() };
    let (mut scores, mut tails, mut best) = (vec![], vec![], BTreeMap::<Arc<str>, Shift>::new());
    for cut in &split.cuts {
        let (all, tested) = odd::find(forms, &taken, split, cut);
        out.gate = universal_threshold(tested);
        let significant = Odds::new(forms, all.iter().filter(|odd| odd.g > out.gate), sick, silent, out.gate);
        let charges = charge(forms, &taken, &significant);
        for (region, weight) in charges.regions {
            *out.regions.entry(region).or_default() += weight / split.cuts.len() as f64;
        }
        scores.push(charges.scores);
        tails.push(charge(forms, &taken, &Odds::new(forms, all.iter(), sick, silent, 0.0)).scores);
        for (odd, guilty) in significant.iter(forms) {
            let shift = odd.shift(forms, guilty);
            let stronger = |old: &Shift| (shift.weight * shift.now, shift.g) > (old.weight * old.now, old.g);
            if best.get(&shift.service).is_none_or(stronger) {
                best.insert(Arc::clone(&shift.service), shift);
            }
        }
    }
    out.scores = mean(&scores);
    out.tail = mean(&tails);
    out.shifts = best.into_values().filter(|shift| out.scores.contains_key(&shift.service)).collect();
    out
}

/// The regions of [`structure`] under one cut.
pub(crate) fn regions(forms: &Forms, split: &Split, sick: &SickEdges) -> BTreeMap<Region, f64> {
    let Some(cut) = split.cuts.first() else { return BTreeMap::new() };
    let taken = forms.taken(|cell| split.is_window(cell));
    let (all, tested) = odd::find(forms, &taken, split, cut);
    let gate = universal_threshold(tested);
    charge(forms, &taken, &Odds::new(forms, all.iter().filter(|odd| odd.g > gate), sick, &Silent::new(), gate)).regions
}

/// Walks every trace of the window in order of time. With `left = 1` at its start, an odd step charges `left * w` and
/// leaves `left *= 1 - w`. `C(s) = ochiai(ef, T, ep + 1)`: `ef` = charges of s, `T` = sum of all charges, `ep` = traces
/// that passed one of its odd contexts and are not in `ef`; one execution that was not yet seen is added, so that a
/// single odd trace is not perfect.
fn charge(forms: &Forms, taken: &Taken, odds: &Odds<'_>) -> Charges {
    let (mut blamed, mut seen) = (vec![0.0; forms.services.len()], vec![0.0; forms.services.len()]);
    let (mut total, mut regions) = (0.0, BTreeMap::new());
    for (form, &traces) in forms.list.iter().zip(&taken.forms).filter(|(_, traces)| **traces > 0.0) {
        total += walk(forms, odds, (&form.steps, traces), &mut blamed, &mut seen, &mut regions);
    }
    // What is past the cap of paths has no order: every odd step charges its share.
    for &(step, traces) in &taken.loose {
        let Some(guilty) = odds.guilty(forms.steps[step as usize].context) else { continue };
        seen[guilty as usize] += traces;
        if let Some(odd) = odds.step(step) {
            let charge = traces * odd.weight * odds.trust(odd);
            blamed[guilty as usize] += charge;
            total += charge;
        }
    }
    let charged = blamed.iter().zip(&seen).zip(&forms.services).filter(|((ef, _), _)| **ef > 0.0);
    let scores = charged
        .map(|((&ef, &seen), service)| (Arc::clone(service), shaped(ef, total.max(ef), (seen - ef).max(0.0) + 1.0)));
    Charges { scores: scores.collect(), regions }
}

/// One path, its steps and its traces; answers what it charges.
fn walk(
    forms: &Forms,
    odds: &Odds<'_>,
    (steps, traces): (&[u32], f64),
    blamed: &mut [f64],
    seen: &mut [f64],
    regions: &mut BTreeMap<Region, f64>,
) -> f64 {
    let (mut left, mut charged, mut here) = (1.0, 0.0, BTreeSet::new());
    // Inside a service the first divergence of each chain counts, whatever others did before.
    let mut left_of: HashMap<(u32, Chain), f64, foldhash::fast::FixedState> = HashMap::default();
    for &step in steps {
        let known = &forms.steps[step as usize];
        let Some(guilty) = odds.guilty(known.context) else { continue };
        here.insert(guilty);
        let Some(odd) = odds.step(step) else { continue };
        let charge = traces * odd.weight * left * odds.trust(odd);
        blamed[guilty as usize] += charge;
        charged += charge;
        left *= 1.0 - odd.weight;
        let own = left_of.entry((guilty, known.step.chain)).or_insert(1.0);
        *regions.entry(odd.region(forms, guilty)).or_default() += traces * odd.weight * *own;
        *own *= 1.0 - odd.weight;
    }
    for service in here {
        seen[service as usize] += traces;
    }
    charged
}

/// Every step that rose against the baseline, with the number of tested steps: what a detector looks at. `split` has two
/// cuts: the blocks of the baseline, and stretches as long as the window.
pub(crate) fn risen(forms: &Forms, split: &Split, sick: &SickEdges) -> (Vec<Risen>, usize) {
    let [blocks, stretches] = &split.cuts[..] else { return (Vec::new(), 0) };
    let taken = forms.taken(|cell| split.is_window(cell));
    let (all, tested) = odd::find(forms, &taken, split, blocks);
    let odds = Odds::new(forms, all.iter(), sick, &Silent::new(), 0.0);
    let dispersions = odd::dispersions(forms, &taken, split, stretches);
    let risen = |(odd, guilty): (&odd::Odd, u32)| {
        let (dispersion, dof) = dispersions[forms.steps[odd.step as usize].context as usize];
        Risen { shift: odd.shift(forms, guilty), dispersion, dof, traces: odd.hits }
    };
    (odds.iter(forms).map(risen).collect(), tested)
}

/// A step that rose, whatever its significance.
pub(crate) struct Risen {
    pub(crate) shift: Shift,
    /// How much more its context varies between stretches of quiet times than chance lets it, at least 1 ...
    pub(crate) dispersion: f64,
    /// ... and the degrees of freedom of that.
    pub(crate) dof: f64,
    /// Traces of the window that took it.
    pub(crate) traces: f64,
}

#[cfg(test)]
mod tests;
