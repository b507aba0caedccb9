//! Part M of the score: resources that are used more than ever before, and how close they are to their limit. Source of
//! the rules: FUSION.md, part M; where one is added, its reason stands beside it.
//!
//! Part M names the resource and confirms; alone it decides little. A measure of one unit is a ranking of its own,
//! because cores and bytes do not add up; the score of a service is the greatest over its measures. Requests, errors
//! and durations are no resource: they are symptoms, which parts L and E read out of the traces.

mod fullness;
mod says;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::metrics::{Family, Measure, MetricSlice};

use crate::blame::Scores;
use crate::ochiai::shaped;
use crate::stats::{settle, universal_threshold};
use fullness::Fullness;
use series::{Readings, Series};

pub use says::says;
pub(crate) use series::Scrapes;

/// Series with fewer quiet scrapes are not judged: they have no spread.
const LEAST_QUIET: usize = 4;
/// With no more quiet scrapes than this, the highest of them is what a window must exceed; with more, the second
/// highest, because one of many is an outlier.
const FEW_QUIET: usize = 8;
/// With fewer scrapes in the window there is no second highest: one scrape alone is not believed.
const LEAST_WINDOW: usize = 2;
/// Scrapes of a steady series differ by nothing; a change below this part of the median is none.
const FLOOR: f64 = 0.02;
/// The factor that turns a median absolute deviation into a standard deviation.
const MAD_TO_SD: f64 = 1.4826;

/// What one series says.
#[derive(Clone, PartialEq, Debug)]
pub struct ResourceFinding {
    /// Whose it is.
    pub service: Arc<str>,
    /// Pod or instance.
    pub instance: Arc<str>,
    /// Node; "" when it is not known.
    pub node: Arc<str>,
    /// Container, pool or queue; "" for all of the instance.
    pub part: Arc<str>,
    /// What is measured; the numbers below are in its unit.
    pub measure: Measure,
    /// Name of the metric.
    pub name: Arc<str>,
    /// Median of the quiet scrapes.
    pub baseline_median: f64,
    /// Quiet scrapes.
    pub baseline_scrapes: usize,
    /// Second highest scrape of the window (of one scrape, that).
    pub second_highest: f64,
    /// Scrapes of the window.
    pub scrapes: usize,
    /// Distance of the second highest scrape from the median in robust standard deviations.
    pub z: f64,
    /// What `z²` must exceed: `2 ln(judged series)`.
    pub gate: f64,
    /// Mean of the window above the median, at least 0.
    pub gain: f64,
    /// How full the resource is, 0 to 1: the second highest limit utilisation of the service; none without a limit.
    pub utilisation: Option<f64>,
    /// What the share of the gain is multiplied by, 0 to 1: the utilisation, or what stands in for it.
    pub factor: f64,
    /// Whether it is sick: over the gate, and above what quiet times knew.
    pub sick: bool,
    /// Other services whose processors are sick on the same node: one of them may starve the rest.
    pub shared_node: Vec<Arc<str>>,
}

/// Part M.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Resource {
    /// Significant evidence by service.
    pub scores: Scores,
    /// The same without gates: orders what is not significant.
    pub tail: Scores,
    /// The scores of each family of measures by itself: which resource it is.
    pub families: BTreeMap<Family, Scores>,
    /// Every judged series, in order of its key.
    pub findings: Vec<ResourceFinding>,
}

/// Judges the scrapes of the window against the quiet ones. Slices may come in any order and in parts.
///
/// A series is sick if the second highest scrape of its window lies `z` robust deviations over the median of the quiet
/// scrapes with `z² > 2 ln(judged series)`, and above the (second) highest quiet scrape. With the mean excess over the
/// median as gain, for each measure: `M(s) = gain(s) / sqrt(total * (gain(s) + quiet(s))) * fullness(s)`.
///
/// ```
/// # use backtrail_localize::resource::resource;
/// # use backtrail_model::{Slice, UnixNano, metrics::{Measure, MetricSlice, Scrape, SeriesKey}};
/// let slice = |at: u64, measure, values: &[f64]| {
///     let mut slice = MetricSlice::new(Slice(at));
///     let key = SeriesKey { service: "cart".into(), instance: "cart-1".into(), node: "n1".into(),
///         part: "".into(), measure, name: "cpu".into() };
///     for (i, &value) in values.iter().enumerate() {
///         slice.add(key.clone(), Scrape::new(UnixNano(at * 60 + i as u64), value));
///     }
///     slice
/// };
/// // Five quiet scrapes: median 0.10 cores, median absolute deviation 0.01. Then 0.90, 0.80 and 0.70.
/// let quiet = slice(1, Measure::CpuUsage, &[0.10, 0.09, 0.11, 0.08, 0.12]);
/// let window = slice(2, Measure::CpuUsage, &[0.90, 0.80, 0.70]);
/// let limit = slice(2, Measure::CpuUtilization, &[0.45, 0.40, 0.35]);
/// let m = resource(&[&quiet], &[&window, &limit]);
/// let finding = &m.findings[0];
/// assert!((finding.z - (0.80 - 0.10) / (1.4826 * 0.01)).abs() < 1e-6 && finding.sick);
/// // The mean excess is 0.70 cores, all of the total: 0.70 / sqrt(0.70 * (0.70 + 0.10)), at 40 % of the limit.
/// assert!((finding.gain - 0.70).abs() < 1e-9);
/// assert!((m.scores["cart"] - 0.70 / (0.70_f64 * 0.80).sqrt() * 0.40).abs() < 1e-9);
/// ```
pub fn resource(baseline: &[&MetricSlice], window: &[&MetricSlice]) -> Resource {
    resource_of(baseline, window, &BTreeSet::new())
}

/// The same, where one scrape of a service that is `slow` by its traces is believed: it does not stand alone. A short window
/// has no second one.
pub(crate) fn resource_of(baseline: &[&MetricSlice], window: &[&MetricSlice], slow: &BTreeSet<Arc<str>>) -> Resource {
    let readings = Readings::new(baseline, window);
    let judged = readings.judged();
    let gate = universal_threshold(judged.len());
    let fullness = Fullness::new(&readings);
    let mut findings: Vec<_> = judged.iter().map(|series| finding(series, gate, &fullness, slow)).collect();
    let above: Vec<bool> = judged.iter().map(|series| series.is_above_quiet()).collect();
    let families = scores(&findings, |i| findings[i].sick);
    let mut out = Resource {
        scores: greatest(&families),
        tail: greatest(&scores(&findings, |i| findings[i].z > 0.0 && above[i])),
        families,
        findings: Vec::new(),
    };
    share_nodes(&mut findings);
    out.findings = findings;
    out
}

/// The service and `z` of every sick series of [`resource_of`], with some of the slices as the window.
pub(crate) fn sick<'a>(
    scrapes: &Scrapes<'a>,
    is_window: impl Fn(Slice) -> bool,
    slow: &BTreeSet<Arc<str>>,
) -> Vec<(&'a Arc<str>, f64)> {
    let readings = Readings::split(scrapes, is_window);
    let judged = readings.judged();
    let gate = universal_threshold(judged.len());
    let sick = judged
        .iter()
        .map(|series| (series, series.z()))
        .filter(|(series, z)| series.is_sick(*z, gate, least_window(&series.key.service, slow)));
    sick.map(|(series, z)| (&series.key.service, z)).collect()
}

/// How many scrapes of a service have to be there to be believed.
fn least_window(service: &Arc<str>, slow: &BTreeSet<Arc<str>>) -> usize {
    if slow.contains(service) { 1 } else { LEAST_WINDOW }
}

fn finding(series: &Series<'_>, gate: f64, fullness: &Fullness, slow: &BTreeSet<Arc<str>>) -> ResourceFinding {
    let (key, z) = (series.key, series.z());
    let (baseline_median, second_highest) = (series.median(), series.second_highest());
    let utilisation = fullness.of(&key.service, key.measure);
    ResourceFinding {
        service: Arc::clone(&key.service),
        instance: Arc::clone(&key.instance),
        node: Arc::clone(&key.node),
        part: Arc::clone(&key.part),
        measure: key.measure,
        name: Arc::clone(&key.name),
        baseline_median,
        baseline_scrapes: series.quiet.len(),
        second_highest,
        scrapes: series.window.len(),
        z,
        gate,
        gain: (series.window_mean() - baseline_median).max(0.0),
        utilisation,
        factor: utilisation.unwrap_or_else(|| fullness.stand_in(key.measure, baseline_median, second_highest)),
        sick: series.is_sick(z, gate, least_window(&key.service, slow)),
        shared_node: Vec::new(),
    }
}

/// Sums of one service in one measure.
#[derive(Clone, Copy, Default)]
struct Sums {
    gain: f64,
    quiet: f64,
    /// The greatest factor of its gaining series.
    factor: f64,
}

/// The greatest score of each service over the families.
fn greatest(families: &BTreeMap<Family, Scores>) -> Scores {
    let mut scores = Scores::new();
    for (service, &score) in families.values().flatten() {
        let best = scores.entry(Arc::clone(service)).or_default();
        *best = score.max(*best);
    }
    scores
}

/// For each family the greatest score over its measures: the Ochiai shape of the gains that count, times the factor.
fn scores(findings: &[ResourceFinding], counts: impl Fn(usize) -> bool) -> BTreeMap<Family, Scores> {
    let mut measures = BTreeMap::<Measure, BTreeMap<&Arc<str>, Sums>>::new();
    for (i, finding) in findings.iter().enumerate() {
        let sums = measures.entry(finding.measure).or_default().entry(&finding.service).or_default();
        sums.quiet += finding.baseline_median;
        if counts(i) && finding.gain > 0.0 {
            sums.gain += finding.gain;
            sums.factor = sums.factor.max(finding.factor);
        }
    }
    let mut families = BTreeMap::<Family, Scores>::new();
    for (measure, services) in &measures {
        let total: f64 = services.values().map(|sums| sums.gain).sum();
        for (service, sums) in services {
            let score = settle(shaped(sums.gain, total, sums.quiet) * sums.factor);
            if score > 0.0 {
                let best = families.entry(measure.family()).or_default().entry(Arc::clone(service)).or_default();
                *best = score.max(*best);
            }
        }
    }
    families
}

/// Says of every sick processor which other services' are sick on the same node. Nobody is blamed more for it: the
/// gains say who took what.
fn share_nodes(findings: &mut [ResourceFinding]) {
    let on_node =
        |finding: &ResourceFinding| finding.sick && finding.measure.family() == Family::Cpu && !finding.node.is_empty();
    let mut nodes = BTreeMap::<Arc<str>, BTreeSet<Arc<str>>>::new();
    for finding in findings.iter().filter(|finding| on_node(finding)) {
        nodes.entry(Arc::clone(&finding.node)).or_default().insert(Arc::clone(&finding.service));
    }
    for finding in findings.iter_mut().filter(|finding| on_node(finding)) {
        let others = nodes[&finding.node].iter().filter(|service| **service != finding.service);
        finding.shared_node = others.cloned().collect();
    }
}

#[cfg(test)]
mod tests;
