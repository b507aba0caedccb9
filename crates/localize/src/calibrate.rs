//! Confidence that is calibrated by the baseline: what do quiet times themselves look like when they are judged?
//!
//! A gate of `2 ln(tests)` holds for independent observations. Real quiet times drift, come in bursts and hold small
//! faults that nobody noticed, so a window can pass gates and still be like many a quiet one. Therefore stretches of the
//! baseline are judged as windows by the rest of it, and a verdict is sure only if its evidence is larger than theirs.
//!
//! For the first suspect's strongest part the *magnitude* is compared, because a score is a share: of next to nothing the
//! only bearer has all. With `T` of the window and `T_1 .. T_K` the greatest of any service in the quiet stretches:
//!
//! ```text
//! sure if  T > max T_k   and   (T - mean)^2 > 2 ln(K + 1) * var * (1 + 1/K)
//! ```
//!
//! The first is the rank test: if the window is one more quiet stretch, it is the greatest with probability 1/(K + 1). The
//! second is the prediction interval of one more value, with this crate's gate.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::verdict::{Confidence, Suspect};

use crate::blocks::CUTS;
use crate::judge::{Case, Options, Slices, evidence};
use crate::spectrum::UNIT;
use crate::stats::universal_threshold;

/// Most quiet stretches that are judged: as many as the finest cut has blocks.
const MOST: usize = CUTS[CUTS.len() - 1];

/// The kinds of evidence, in the order in which magnitudes are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Excess time a trace, nanoseconds.
    Latency,
    /// Excess errors a trace.
    Errors,
    /// Share of the traces that are charged for another path.
    Structure,
    /// Robust standard deviations over the median.
    Resources,
}

const PARTS: [Part; 4] = [Part::Latency, Part::Errors, Part::Structure, Part::Resources];

/// What quiet stretches look like when they are judged.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Quiet {
    /// The greatest magnitude of any service by stretch, each in the order of [`PARTS`].
    stretches: Vec<[f64; PARTS.len()]>,
}

/// Judges stretches of the baseline, each as long as the window (at most half of the baseline) and spread over it, by the
/// rest of the baseline.
pub(crate) fn quiet(baseline: &Slices<'_>, window: &Slices<'_>, options: &Options) -> Quiet {
    let slices: Vec<Slice> = slices_of(baseline).into_iter().collect();
    let length = slices_of(window).len().min(slices.len() / 2);
    if length == 0 {
        return Quiet::default();
    }
    let last = slices.len() - length;
    let count = MOST.min(last + 1);
    // One cut is enough to see how large evidence gets.
    let cuts = options.cuts.get(options.cuts.len() / 2).copied().into_iter().collect();
    let options = Options { cuts, ..options.clone() };
    let mut quiet = Quiet::default();
    for n in 0..count {
        let first = if count > 1 { last * n / (count - 1) } else { last };
        let within = slices[first]..=slices[first + length - 1];
        let case = evidence(
            &baseline.only(|slice| !within.contains(&slice)),
            &baseline.only(|slice| within.contains(&slice)),
            &options,
        );
        quiet.stretches.push(
            PARTS.map(|part| case.services.keys().map(|service| magnitude(&case, service, part)).fold(0.0, f64::max)),
        );
    }
    quiet
}

fn slices_of(slices: &Slices<'_>) -> BTreeSet<Slice> {
    slices.spectra.iter().map(|part| part.slice).collect()
}

/// How large the significant evidence of one kind against a service is, whatever share of all evidence that makes.
fn magnitude(case: &Case<'_>, service: &Arc<str>, part: Part) -> f64 {
    let traces = (case.window.traces as f64 / UNIT).max(1.0);
    match part {
        Part::Latency => {
            let of_service = case
                .latency
                .findings
                .iter()
                .filter(|finding| finding.key.service == *service || finding.key.callee.as_ref() == Some(service));
            of_service.map(|finding| finding.excess_ns).sum::<f64>() / traces
        }
        Part::Errors => {
            let of_service = case.errors.findings.iter().filter(|finding| finding.service == *service);
            of_service.map(|finding| finding.excess).sum::<f64>() / traces
        }
        Part::Structure => {
            let of_service = case.structure.regions.iter().filter(|(region, _)| region.service == *service);
            of_service.map(|(_, weight)| *weight).sum::<f64>() / traces
        }
        Part::Resources => {
            let of_service =
                case.resources.findings.iter().filter(|finding| finding.sick && finding.service == *service);
            of_service.map(|finding| finding.z).fold(0.0, f64::max)
        }
    }
}

impl Quiet {
    /// Lowers a confidence that quiet times would have earned too, and says why.
    pub(crate) fn temper(&self, case: &Case<'_>, confidence: &mut Confidence, suspects: &[Suspect]) {
        let Some(first) = suspects.iter().find(|suspect| suspect.entity.kind == "service") else { return };
        let service: Arc<str> = first.entity.service.as_str().into();
        let parts = case.services.get(&service).copied().unwrap_or_default();
        let by_part = [parts.latency, parts.errors, parts.structure, parts.resources];
        let strongest = (0..PARTS.len()).max_by(|&a, &b| by_part[a].total_cmp(&by_part[b])).unwrap_or(0);
        let magnitude = magnitude(case, &service, PARTS[strongest]);
        let quiet: Vec<f64> = self.stretches.iter().map(|stretch| stretch[strongest]).collect();
        if !exceeds(magnitude, &quiet) {
            confidence.level = "low".into();
            confidence.reasons.push(format!(
                "{} of {} quiet stretches of the baseline show as much when they are judged like the window",
                quiet.iter().filter(|&&other| other >= magnitude).count(),
                quiet.len(),
            ));
        }
    }
}

/// Whether a value is larger than quiet ones let expect.
fn exceeds(value: f64, quiet: &[f64]) -> bool {
    let n = quiet.len() as f64;
    if quiet.iter().any(|&other| other >= value) {
        return false;
    }
    if quiet.len() < 2 {
        return true;
    }
    let mean = quiet.iter().sum::<f64>() / n;
    let variance = quiet.iter().map(|other| (other - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (value - mean).powi(2) > universal_threshold(quiet.len() + 1) * variance * (1.0 + 1.0 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_sure_only_beyond_the_greatest_and_beyond_the_spread_of_the_quiet_ones() {
        assert!(!exceeds(1.0, &[0.0, 0.5, 1.0]));
        assert!(exceeds(1.0, &[0.0, 0.0, 0.0]) && exceeds(1.0, &[]));
        // Mean 2, variance 1, and 2 ln 4 * (1 + 1/3) = 3.70: 1.92 standard deviations.
        assert!(!exceeds(3.9, &[1.0, 2.0, 3.0]) && exceeds(3.95, &[1.0, 2.0, 3.0]));
    }
}
