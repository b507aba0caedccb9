//! The distinct paths of baseline and window, numbered.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::paths::{Chain, Paths, Step, StepHash};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::blocks::{Split, Stretch};
use crate::spectrum::UNIT;
use crate::table::collected;

/// A path and the traces that took it.
pub(super) struct Form {
    /// Its steps, in order of time.
    pub(super) steps: Vec<u32>,
    /// Each distinct step with its share among the trace's passes of its context.
    pub(super) shares: Vec<(u32, f64)>,
    /// Weighted traces by cell; of a cell there may be several.
    cells: Vec<(usize, u64)>,
}

/// A step with the number of the context that it leaves.
pub(super) struct Known {
    pub(super) step: Arc<Step>,
    pub(super) context: u32,
}

/// The distinct paths of a stretch.
#[derive(Default)]
pub struct Forms {
    pub(super) list: Vec<Form>,
    pub(super) steps: Vec<Known>,
    /// The steps that leave each context.
    pub(super) contexts: Vec<Vec<u32>>,
    pub(super) services: Vec<Arc<str>>,
    /// Steps of traces past the cap of paths: (cell, step, weight).
    loose: Vec<(usize, u32, u64)>,
    /// Weighted traces past the cap of paths, by cell.
    unordered: Vec<(usize, u64)>,
    /// What turns weighted counts into observed ones.
    sampled_share: f64,
}

impl Forms {
    /// Numbers the steps of these chains. `sampled_share` turns weighted counts into observed ones.
    pub fn new(stretch: &Stretch<'_>, sampled_share: f64, chains: &[Chain]) -> Self {
        let mut builder = Builder::default();
        // Numbers in the order of the strings, so that no sum depends on hashes or on the order of slices. Most slices
        // have most steps, and by hash each is looked at once.
        let mut steps: HashMap<StepHash, &Arc<Step>, FixedState> = HashMap::default();
        for (hash, step) in stretch.parts().flat_map(|(_, part)| &part.paths.steps) {
            steps.entry(*hash).or_insert(step);
        }
        let mut steps: Vec<_> = steps.into_iter().filter(|(_, step)| chains.contains(&step.chain)).collect();
        steps.sort_unstable_by_key(|(_, step)| *step);
        for (hash, step) in steps {
            builder.add(step, hash);
        }
        let paths = stretch
            .parts()
            .flat_map(|(cell, part)| part.paths.paths.iter().map(move |(hash, count)| (*hash, (cell, count))));
        for (_, counts) in collected(paths) {
            let steps: Vec<u32> =
                counts[0].1.steps.iter().filter_map(|hash| builder.numbers.get(hash).copied()).collect();
            let shares = builder.shares(&steps);
            let cells = counts.into_iter().map(|(cell, count)| (cell, count.traces)).collect();
            builder.forms.list.push(Form { steps, shares, cells });
        }
        let forms = &mut builder.forms;
        for (cell, part) in stretch.parts() {
            let known = part.paths.loose.iter().filter_map(|(hash, &n)| Some((*builder.numbers.get(hash)?, n)));
            forms.loose.extend(known.map(|(step, n)| (cell, step, n)));
            forms.unordered.push((cell, part.paths.overflow));
        }
        forms.sampled_share = sampled_share;
        builder.forms
    }

    /// What the traces of some cells did.
    pub(super) fn taken(&self, wanted: impl Fn(usize) -> bool) -> Taken {
        let scale = self.sampled_share / UNIT;
        let sum = |counts: &[(usize, u64)]| {
            counts.iter().filter(|(cell, _)| wanted(*cell)).map(|(_, n)| n).sum::<u64>() as f64 * scale
        };
        let mut loose: BTreeMap<u32, u64> = BTreeMap::new();
        for &(_, step, n) in self.loose.iter().filter(|(cell, ..)| wanted(*cell)) {
            *loose.entry(step).or_default() += n;
        }
        let scale_of_loose = self.sampled_share / Paths::LOOSE as f64;
        Taken {
            forms: self.list.iter().map(|form| sum(&form.cells)).collect(),
            loose: loose.into_iter().map(|(step, n)| (step, n as f64 * scale_of_loose)).collect(),
            unordered: sum(&self.unordered),
        }
    }

    /// Observed traces of a path by block, `(block, traces)` in order of block.
    pub(super) fn by_block<'a>(
        &'a self,
        form: &'a Form,
        split: &'a Split,
        cut: &'a [usize],
    ) -> impl Iterator<Item = (usize, f64)> {
        let scale = self.sampled_share / UNIT;
        let quiet =
            form.cells.chunk_by(move |a, b| split.is_window(a.0) == split.is_window(b.0) && cut[a.0] == cut[b.0]);
        let quiet = quiet.filter(|cells| !split.is_window(cells[0].0));
        quiet.map(move |cells| (cut[cells[0].0], cells.iter().map(|(_, n)| n).sum::<u64>() as f64 * scale))
    }

    /// Observed traces of loose steps outside of the window: (cell, step, traces).
    pub(super) fn loose_before<'a>(&'a self, split: &'a Split) -> impl Iterator<Item = (usize, u32, f64)> {
        let scale = self.sampled_share / Paths::LOOSE as f64;
        let quiet = self.loose.iter().filter(|(cell, ..)| !split.is_window(*cell));
        quiet.map(move |&(cell, step, n)| (cell, step, n as f64 * scale))
    }

    pub(super) fn has_logs(&self) -> bool {
        self.steps.iter().any(|known| known.step.chain == Chain::Logs)
    }
}

/// What the traces of a window did: observed traces.
pub(super) struct Taken {
    /// By path, in order of the list.
    pub(super) forms: Vec<f64>,
    /// By step, those whose order is not known.
    pub(super) loose: Vec<(u32, f64)>,
    /// Traces whose order is not known.
    pub(super) unordered: f64,
}

#[derive(Default)]
struct Builder {
    forms: Forms,
    numbers: HashMap<StepHash, u32, FixedState>,
    services: HashMap<Arc<str>, u32, FixedState>,
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
}
