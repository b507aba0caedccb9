//! The distinct paths of baseline and window, numbered.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::paths::{Chain, PathHash, Paths, Step, StepHash};
use hashbrown::HashMap;

use crate::blocks::Stretch;
use crate::spectrum::UNIT;

/// A path and the traces that took it.
pub(super) struct Form {
    /// Its steps, in order of time.
    pub(super) steps: Vec<u32>,
    /// Each distinct step with its share among the trace's passes of its context.
    pub(super) shares: Vec<(u32, f64)>,
    /// Baseline traces by cell.
    pub(super) baseline: Vec<(usize, f64)>,
    /// Traces of the window.
    pub(super) window: f64,
}

/// A step with the number of the context that it leaves.
pub(super) struct Known {
    pub(super) step: Arc<Step>,
    pub(super) context: u32,
}

/// The distinct paths of a baseline and a window.
#[derive(Default)]
pub struct Forms {
    pub(super) list: Vec<Form>,
    pub(super) steps: Vec<Known>,
    /// The steps that leave each context.
    pub(super) contexts: Vec<Vec<u32>>,
    pub(super) services: Vec<Arc<str>>,
    /// Steps of baseline traces past the cap of paths: (cell, step, traces).
    pub(super) loose_baseline: Vec<(usize, u32, f64)>,
    /// The same of the window.
    pub(super) loose_window: Vec<(u32, f64)>,
    /// Traces of the window past the cap of paths.
    pub(super) unordered: f64,
}

/// A path's steps, its baseline traces by cell, and its traces in the window, weighted.
type Counted<'a> = (&'a Arc<[StepHash]>, BTreeMap<usize, u64>, u64);

impl Forms {
    /// Numbers the steps of these chains. `sampled_share` turns weighted counts into observed ones.
    pub fn new(baseline: &Stretch<'_>, window: &Stretch<'_>, sampled_share: f64, chains: &[Chain]) -> Self {
        let mut builder = Builder::default();
        let parts = || baseline.parts().chain(window.parts()).map(|(_, part)| &part.paths);
        // Numbers in the order of the strings, so that no sum depends on hashes or on the order of slices.
        let mut steps: BTreeMap<&Arc<Step>, StepHash> = BTreeMap::new();
        steps.extend(parts().flat_map(|paths| &paths.steps).map(|(hash, step)| (step, *hash)));
        for (step, hash) in steps.into_iter().filter(|(step, _)| chains.contains(&step.chain)) {
            builder.add(step, hash);
        }
        let scale = sampled_share / UNIT;
        let mut traces: BTreeMap<PathHash, Counted<'_>> = BTreeMap::new();
        for (cell, part) in baseline.parts() {
            for (hash, count) in &part.paths.paths {
                let path = traces.entry(*hash).or_insert_with(|| (&count.steps, BTreeMap::new(), 0));
                *path.1.entry(cell).or_default() += count.traces;
            }
        }
        for (_, part) in window.parts() {
            for (hash, count) in &part.paths.paths {
                traces.entry(*hash).or_insert_with(|| (&count.steps, BTreeMap::new(), 0)).2 += count.traces;
            }
        }
        for (steps, before, now) in traces.into_values() {
            let steps: Vec<u32> = steps.iter().filter_map(|hash| builder.numbers.get(hash).copied()).collect();
            let shares = builder.shares(&steps);
            let baseline = before.into_iter().map(|(cell, count)| (cell, count as f64 * scale)).collect();
            builder.forms.list.push(Form { steps, shares, baseline, window: now as f64 * scale });
        }
        builder.add_loose(baseline, window, sampled_share / Paths::LOOSE as f64);
        builder.forms.unordered = window.parts().map(|(_, part)| part.paths.overflow as f64 * scale).sum();
        builder.forms
    }

    pub(super) fn has_logs(&self) -> bool {
        self.steps.iter().any(|known| known.step.chain == Chain::Logs)
    }
}

#[derive(Default)]
struct Builder {
    forms: Forms,
    numbers: HashMap<StepHash, u32, foldhash::fast::FixedState>,
    services: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
}

impl Builder {
    /// Steps come in order, so those of a context come together.
    fn add(&mut self, step: &Arc<Step>, hash: StepHash) {
        let of_context =
            |step: &Step| (Arc::clone(&step.service), Arc::clone(&step.entry), step.chain, step.previous.clone());
        let forms = &mut self.forms;
        if forms.steps.last().is_none_or(|last| of_context(&last.step) != of_context(step)) {
            forms.contexts.push(Vec::new());
        }
        let (number, context) = (forms.steps.len() as u32, forms.contexts.len() as u32 - 1);
        forms.contexts[context as usize].push(number);
        forms.steps.push(Known { step: Arc::clone(step), context });
        self.numbers.insert(hash, number);
        self.service(&step.service);
        if let Some(callee) = &step.previous.callee {
            self.service(&callee.service);
        }
    }

    fn service(&mut self, name: &Arc<str>) {
        if !self.services.contains_key(name) {
            self.services.insert(Arc::clone(name), self.forms.services.len() as u32);
            self.forms.services.push(Arc::clone(name));
        }
    }

    /// A trace is one observation of a context, however often it passes: it is split over what happened next.
    fn shares(&self, steps: &[u32]) -> Vec<(u32, f64)> {
        let mut sorted: Vec<(u32, u32)> =
            steps.iter().map(|&step| (self.forms.steps[step as usize].context, step)).collect();
        sorted.sort_unstable();
        let mut shares = Vec::new();
        for context in sorted.chunk_by(|a, b| a.0 == b.0) {
            for same in context.chunk_by(|a, b| a.1 == b.1) {
                shares.push((same[0].1, same.len() as f64 / context.len() as f64));
            }
        }
        shares
    }

    fn add_loose(&mut self, baseline: &Stretch<'_>, window: &Stretch<'_>, scale: f64) {
        for (cell, part) in baseline.parts() {
            let known = part.paths.loose.iter().filter_map(|(hash, &count)| Some((*self.numbers.get(hash)?, count)));
            self.forms.loose_baseline.extend(known.map(|(step, count)| (cell, step, count as f64 * scale)));
        }
        let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
        for (hash, count) in window.parts().flat_map(|(_, part)| &part.paths.loose) {
            if let Some(&step) = self.numbers.get(hash) {
                *sums.entry(step).or_default() += count;
            }
        }
        self.forms.loose_window = sums.into_iter().map(|(step, count)| (step, count as f64 * scale)).collect();
    }
}
