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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::verdict::{Confidence, Suspect};

use crate::blocks::{CUTS, Stretch};
use crate::errors::{self, ErrorFinding, Errors};
use crate::judge::{Case, Kind, Options, Slices};
use crate::latency::{self, Finding, sick_edges, slow_services};
use crate::nobody::is_nobody;
use crate::resource::{self, Scrapes};
use crate::spectrum::UNIT;
use crate::stats::universal_threshold;
use crate::structure::{self, Forms, Region};
use crate::table::Table;

/// Most quiet stretches that are judged: as many as the finest cut has blocks.
const MOST: usize = CUTS[CUTS.len() - 1];

/// The kinds of evidence, in the order in which magnitudes are listed: excess time a trace (ns), excess errors a trace,
/// share of the traces that are charged for another path, robust standard deviations over the median.
const PARTS: usize = 4;

/// What quiet stretches of a baseline look like when they are judged.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Quiet {
    /// The greatest magnitude of any service by stretch.
    stretches: Vec<[f64; PARTS]>,
}

/// How long the stretches are that a window is held against, in slices: at most half of the baseline; 0 if there is too
/// little of it.
pub(crate) fn length(baseline: &Slices<'_>, window: &Slices<'_>) -> usize {
    slices_of(window).len().min(slices_of(baseline).len() / 2)
}

fn slices_of(slices: &Slices<'_>) -> BTreeSet<Slice> {
    slices.spectra.iter().map(|part| part.slice).collect()
}

impl Quiet {
    /// Judges stretches of so many slices, spread over the baseline, each by the rest of it.
    pub fn new(baseline: &Slices<'_>, length: usize, options: &Options) -> Self {
        let slices: Vec<Slice> = slices_of(baseline).into_iter().collect();
        if length == 0 || length > slices.len() {
            return Self::default();
        }
        let last = slices.len() - length;
        let count = MOST.min(last + 1);
        let past = Past::new(baseline, options);
        let judged = |n: usize| {
            let first = if count > 1 { last * n / (count - 1) } else { last };
            past.greatest(slices[first], slices[first + length - 1])
        };
        Self { stretches: (0..count).map(judged).collect() }
    }

    /// Lowers a confidence that quiet times would have earned too, and says why.
    pub(crate) fn temper(&self, case: &Case<'_>, confidence: &mut Confidence, suspects: &[Suspect]) {
        let Some(first) = suspects.iter().find(|suspect| suspect.entity.kind == "service") else { return };
        let service: Arc<str> = first.entity.service.as_str().into();
        let parts = case.services.get(&service).copied().unwrap_or_default();
        let by_part = [parts.latency, parts.errors, parts.structure, parts.resources];
        let strongest = (0..PARTS).max_by(|&a, &b| by_part[a].total_cmp(&by_part[b])).unwrap_or(0);
        let sick = case.resources.findings.iter().filter(|finding| finding.sick);
        let found = Found {
            latency: &case.latency.findings,
            errors: &case.errors.findings,
            lost: Some(&case.errors),
            regions: &case.structure.regions,
            resources: &sick.map(|finding| (&finding.service, finding.z)).collect::<Vec<_>>(),
            traces: case.window.traces,
        };
        let magnitude = found.magnitudes().get(&service).map_or(0.0, |of_service| of_service[strongest]);
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

/// A baseline that is judged again and again, with its keys compared once.
struct Past<'a> {
    options: &'a Options,
    stretch: Stretch<'a>,
    table: Table<'a>,
    forms: Forms,
    scrapes: Scrapes<'a>,
    /// One cut is enough to see how large evidence gets.
    cut: Vec<usize>,
}

impl<'a> Past<'a> {
    fn new(baseline: &Slices<'a>, options: &'a Options) -> Self {
        let stretch = Stretch::new(&baseline.spectra);
        Self {
            options,
            table: Table::new(&stretch),
            forms: Forms::new(&stretch, options.sampled_share, options.chains()),
            scrapes: Scrapes::new(&baseline.metrics),
            cut: options.cuts.get(options.cuts.len() / 2).copied().into_iter().collect(),
            stretch,
        }
    }

    /// The greatest magnitudes of any service in the slices `first` to `last`, judged by all others.
    fn greatest(&self, first: Slice, last: Slice) -> [f64; PARTS] {
        let Self { options, stretch, table, forms, scrapes, cut } = self;
        let within = |slice: Slice| first <= slice && slice <= last;
        let is_window = |cell: usize| within(stretch.cells[cell].slice);
        let split = stretch.split(is_window, cut);
        let has = |kind| !options.is_without(kind);
        let latency = if has(Kind::Latency) { latency::sick(table, &split, has(Kind::Gaps)) } else { Vec::new() };
        let errors = if has(Kind::Errors) { errors::sick(table, &split, options.sampled_share) } else { Vec::new() };
        let regions = if has(Kind::Structure) {
            structure::regions(forms, &split, &sick_edges(&latency))
        } else {
            BTreeMap::new()
        };
        let found = Found {
            latency: &latency,
            errors: &errors,
            lost: None,
            regions: &regions,
            resources: &if has(Kind::Resources) {
                resource::sick(scrapes, within, &slow_services(&latency))
            } else {
                Vec::new()
            },
            traces: (0..table.traces.len()).filter(|&cell| is_window(cell)).map(|cell| table.traces[cell]).sum(),
        };
        let mut greatest = [0.0_f64; PARTS];
        for (service, magnitudes) in found.magnitudes() {
            if !is_nobody(service) && options.among.as_ref().is_none_or(|among| among.contains(service)) {
                greatest = std::array::from_fn(|part| greatest[part].max(magnitudes[part]));
            }
        }
        greatest
    }
}

/// The significant evidence of a window.
struct Found<'a> {
    latency: &'a [Finding],
    errors: &'a [ErrorFinding],
    /// Where failed calls went that only their callers saw. Not asked of quiet stretches, where the greatest of all
    /// services is wanted: a callee is not charged with more than its caller.
    lost: Option<&'a Errors>,
    regions: &'a BTreeMap<Region, f64>,
    /// Service and `z` of each sick series.
    resources: &'a [(&'a Arc<str>, f64)],
    /// Weighted traces.
    traces: u64,
}

impl<'a> Found<'a> {
    /// How large the evidence against each service is, whatever share of all evidence that makes.
    fn magnitudes(&self) -> BTreeMap<&'a Arc<str>, [f64; PARTS]> {
        let traces = (self.traces as f64 / UNIT).max(1.0);
        let mut all = BTreeMap::<&Arc<str>, [f64; PARTS]>::new();
        for finding in self.latency {
            let ends = [Some(&finding.key.service), finding.key.callee.as_ref()];
            for service in ends.into_iter().flatten() {
                all.entry(service).or_default()[0] += finding.excess_ns / traces;
            }
        }
        for finding in self.errors {
            all.entry(&finding.service).or_default()[1] += finding.excess / traces;
            for (callee, share) in self.lost.into_iter().flat_map(|errors| errors.lost_by(&finding.service)) {
                all.entry(callee).or_default()[1] += finding.excess * share / traces;
            }
        }
        for (region, weight) in self.regions {
            all.entry(&region.service).or_default()[2] += weight / traces;
        }
        for &(service, z) in self.resources {
            let greatest = &mut all.entry(service).or_default()[3];
            *greatest = greatest.max(z);
        }
        all
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
    use backtrail_model::spectra::SpectraSlice;

    #[test]
    fn a_value_is_sure_only_beyond_the_greatest_and_beyond_the_spread_of_the_quiet_ones() {
        assert!(!exceeds(1.0, &[0.0, 0.5, 1.0]));
        assert!(exceeds(1.0, &[0.0, 0.0, 0.0]) && exceeds(1.0, &[]));
        // Mean 2, variance 1, and 2 ln 4 * (1 + 1/3) = 3.70: 1.92 standard deviations.
        assert!(!exceeds(3.9, &[1.0, 2.0, 3.0]) && exceeds(3.95, &[1.0, 2.0, 3.0]));
    }

    #[test]
    fn stretches_are_as_long_as_the_window_and_leave_half_of_the_baseline() {
        let parts: Vec<SpectraSlice> = (0..20).map(|at| SpectraSlice::new(Slice(at / 2))).collect();
        let slices = |n: usize| Slices { spectra: parts.iter().take(2 * n).collect(), ..Slices::default() };
        let lengths: Vec<usize> = [0, 1, 3, 5, 9].map(|n| length(&slices(10), &slices(n))).into();
        assert_eq!(lengths, [0, 1, 3, 5, 5]);
        assert_eq!(length(&slices(1), &slices(3)), 0);
    }
}
