//! Whether a window shows anything at all: the strongest sign that it differs from its past. A detector asks this again
//! and again, so its gate grows with the number of looks, and quiet variation counts against a sign.

use std::sync::Arc;

use backtrail_model::paths::{Chain, Step};
use backtrail_model::spectra::{SpectraSlice, TestKey};

use crate::blocks::Stretch;
use crate::latency::{latency, sick_edges};
use crate::stats::universal_threshold;
use crate::structure::{Forms, risen};

/// Blocks that the past is cut into: one cut, because a detector has to be cheap.
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
    /// Its statistic over the gate: over 1 is significant.
    pub strength: f64,
    /// What was observed: milliseconds, or a share.
    pub observed: f64,
    /// What is normal, in the same unit.
    pub normal: f64,
}

/// What a symptom is.
#[derive(Clone, PartialEq, Debug)]
pub enum Sign {
    /// A self time or a gap grew.
    Slow(TestKey),
    /// Another event follows than used to.
    Path(Arc<Step>),
}

/// The strongest sign in the window, significant or not; none without a past or when nothing is large enough.
///
/// `v = min(z², G)` of a latency test and `G / dispersion` of a step are held against `2 ln(tests * looks)`: as many
/// tests are made until the past is renewed.
/// With `about` only signs that point at that service count.
pub fn strongest(
    baseline: &[&SpectraSlice],
    window: &[&SpectraSlice],
    least: Least,
    about: Option<&str>,
) -> Option<Symptom> {
    let (baseline, window) = (Stretch::new(baseline), Stretch::new(window));
    let latency = latency(&baseline, &window, &[BLOCKS], true);
    let slow_gate = universal_threshold(latency.findings.len().max(1) * least.looks);
    let slow = latency.findings.iter().filter_map(|finding| {
        let rise = finding.mean_ns - finding.baseline_ns;
        let large = rise >= least.time_ns && rise >= least.latency_rise * finding.baseline_ns;
        let strength = (finding.z * finding.z).min(finding.g) / slow_gate;
        (large && finding.z > 0.0).then(|| Symptom {
            service: Arc::clone(finding.key.callee.as_ref().unwrap_or(&finding.key.service)),
            sign: Sign::Slow(finding.key.clone()),
            strength,
            observed: finding.mean_ns / 1e6,
            normal: finding.baseline_ns / 1e6,
        })
    });
    let forms = Forms::new(&baseline, &window, 1.0, &[Chain::Calls, Chain::Logs]);
    let (steps, tested) = risen(&forms, &baseline, BLOCKS, &sick_edges(&latency.findings));
    let path_gate = universal_threshold(tested.max(1) * least.looks);
    let paths = steps.iter().filter_map(|step| {
        let (traces, share) = (step.traces * step.shift.weight, step.shift.now * step.shift.weight);
        (traces >= least.traces && share >= least.share).then(|| Symptom {
            service: Arc::clone(&step.shift.service),
            sign: Sign::Path(Arc::clone(&step.shift.step)),
            strength: step.shift.g / step.dispersion / path_gate,
            observed: step.shift.now,
            normal: step.shift.before,
        })
    });
    let counts = |symptom: &Symptom| about.is_none_or(|about| *symptom.service == *about);
    slow.chain(paths).filter(counts).reduce(|best, next| if next.strength > best.strength { next } else { best })
}

/// Whether a slice shows the sign by itself: its step occurs, or its mean is nearer to what was observed than to what is
/// normal. `None` if nothing in the slice could show it.
pub fn shows(slice: &SpectraSlice, symptom: &Symptom) -> Option<bool> {
    match &symptom.sign {
        Sign::Path(step) => {
            let same_context = |known: &&Arc<Step>| {
                (&known.service, &known.entry, known.chain, &known.previous)
                    == (&step.service, &step.entry, step.chain, &step.previous)
            };
            let mut passes = slice.paths.steps.values().filter(same_context).peekable();
            passes.peek()?;
            Some(passes.any(|known| known == step))
        }
        Sign::Slow(key) => slice.tests.get(key).map(|sums| {
            let mean = sums.sum as f64 / sums.n.max(1) as f64 / 1e6;
            mean > f64::midpoint(symptom.observed, symptom.normal)
        }),
    }
}
