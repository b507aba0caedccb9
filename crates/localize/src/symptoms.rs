//! What is new since the incident, as far as logs and metrics tell it without traces: statements that were never seen
//! before, severities that a service never used, series that left their own past, and what the alert says.
//!
//! A statement is new if it kept silent for longer than its own rate allows by chance: with `n` records in `t` seconds
//! and `gap` seconds of history before the first one, `n / t * gap > 2 ln m` for `m` statements. A series has left its
//! past if the second most extreme scrape of the window lies `z` robust deviations from the quiet median, on either
//! side, with `z² > 2 ln m`, and out of the range that quiet times knew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::log::severity_name;
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::time::UnixNano;

use crate::judge::Slices;
use crate::stats::universal_threshold;
use crate::words::words;

/// OpenTelemetry's severity numbers of INFO and WARN.
const INFO: u8 = 9;
const WARN: u8 = 13;
/// A statement's rate is taken over a minute at least: a burst of two records is no rate.
const LEAST_SPAN: f64 = 60.0;
/// Fewer quiet scrapes are no past.
const LEAST_QUIET: usize = 5;
/// From median absolute deviation to standard deviation, of normal values.
const MAD_TO_SD: f64 = 1.4826;
/// Deviations below this share of the median are nothing to anybody.
const FLOOR: f64 = 0.02;
/// Nothing is said by how far beyond this a series lies.
const MOST_Z: f64 = 1000.0;

/// An alert, as far as it is evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AlertText<'a> {
    /// The service that it names.
    pub service: &'a str,
    /// What it says.
    pub summary: &'a str,
    /// The metric that it watches.
    pub metric: &'a str,
}

/// Where a symptom was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// Log records.
    Log,
    /// A series.
    Metric,
    /// The alert.
    Alert,
    /// What the ranking by traces blames inside the service.
    Place,
}

/// Something that is new.
#[derive(Clone, PartialEq, Debug)]
pub struct Symptom {
    /// Where.
    pub source: Source,
    /// Who shows it.
    pub service: Arc<str>,
    /// Its words: the record's, the series' name.
    pub text: String,
    /// Since when.
    pub since: UnixNano,
    /// How much it weighs within its source: records of the window by severity, or `ln(1 + z)`.
    pub weight: f64,
    /// Texts of records, one a slice: what varies between them.
    pub examples: Vec<Arc<str>>,
}

/// A series that left its past.
#[derive(Clone, PartialEq, Debug)]
pub struct Shift {
    /// The series.
    pub key: SeriesKey,
    /// Median of the quiet scrapes.
    pub before: f64,
    /// The second most extreme scrape of the window.
    pub now: f64,
    /// How far that is, in robust deviations; negative for a fall.
    pub z: f64,
    /// The first scrape that is at least half as far.
    pub since: UnixNano,
    /// Seconds between two scrapes.
    pub step: f64,
}

/// All that is new.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Symptoms {
    /// In order of source and key.
    pub list: Vec<Symptom>,
    /// Series that left their past.
    pub shifts: Vec<Shift>,
    /// Words of what is as ever: they tell nothing.
    pub usual: BTreeSet<String>,
    /// When the kept history begins.
    pub begin: UnixNano,
}

impl Symptoms {
    /// Reads the slices of both stretches; `begin` is when the first of them begins.
    pub fn new(baseline: &Slices<'_>, window: &Slices<'_>, alert: Option<AlertText<'_>>, begin: UnixNano) -> Self {
        let mut out = Self { begin, ..Self::default() };
        out.logs(&baseline.logs, &window.logs);
        out.metrics(&baseline.metrics, &window.metrics);
        if let Some(alert) = alert.filter(|alert| !alert.service.is_empty()) {
            let service: Arc<str> = alert.service.into();
            let since = out.onset(&service).unwrap_or(UnixNano::MAX);
            out.named_series(alert, &service, since);
            let text = format!("{} {}", alert.summary, alert.metric);
            let symptom = Symptom { source: Source::Alert, service, text, since, weight: 1.0, examples: Vec::new() };
            out.list.push(symptom);
        }
        out
    }

    /// When the first symptom of a service began.
    pub fn onset(&self, service: &str) -> Option<UnixNano> {
        let own = self.list.iter().filter(|symptom| &*symptom.service == service && symptom.since != UnixNano::MAX);
        own.map(|symptom| symptom.since).min()
    }

    /// The series that the alert watches has left what somebody allows, if not its past: it counts as much as one that
    /// just passes the gate.
    fn named_series(&mut self, alert: AlertText<'_>, service: &Arc<str>, since: UnixNano) {
        let known = |shift: &Shift| shift.key.service == *service && &*shift.key.name == alert.metric;
        if alert.metric.is_empty() || self.shifts.iter().any(known) {
            return;
        }
        self.list.push(Symptom {
            source: Source::Metric,
            service: Arc::clone(service),
            text: alert.metric.to_owned(),
            since,
            weight: (1.0 + universal_threshold(self.shifts.len().max(2)).sqrt()).ln(),
            examples: Vec::new(),
        });
    }

    fn logs(&mut self, baseline: &[&LogMotifSlice], window: &[&LogMotifSlice]) {
        let mut motifs = BTreeMap::<&MotifKey, Seen>::new();
        let parts = [(baseline, false), (window, true)];
        for (slices, in_window) in parts {
            for (key, counts) in slices.iter().flat_map(|slice| &slice.motifs) {
                motifs.entry(key).or_default().add(counts, in_window);
            }
        }
        let gate = universal_threshold(motifs.len().max(2));
        let begin = self.begin;
        let mut classes = BTreeMap::<(&Arc<str>, u8), Seen>::new();
        for (key, seen) in &motifs {
            classes.entry((&key.service, key.severity)).or_default().merge(seen);
        }
        for (key, seen) in motifs {
            let new = if key.severity >= WARN {
                seen.is_new(begin, gate)
            } else {
                // Below INFO a statement means little; that a service begins to write such records at all means more.
                key.severity < INFO && key.severity > 0 && classes[&(&key.service, key.severity)].is_new(begin, gate)
            };
            if !new || seen.in_window == 0 {
                self.usual.extend(words(&seen.text()));
                continue;
            }
            let by_severity = if key.severity > WARN { 1.0 } else { 0.5 };
            self.list.push(Symptom {
                source: Source::Log,
                service: Arc::clone(&key.service),
                text: format!("{} {}", severity_name(key.severity), seen.text()),
                since: seen.first,
                weight: by_severity * seen.in_window as f64,
                examples: seen.examples.into_iter().collect(),
            });
        }
    }

    fn metrics(&mut self, baseline: &[&MetricSlice], window: &[&MetricSlice]) {
        let (quiet, now) = (scrapes(baseline), scrapes(window));
        let judged: Vec<_> = now
            .into_iter()
            .filter(|(key, _)| !is_limit(key.measure))
            .filter_map(|(key, now)| Some((key, quiet.get(key).filter(|quiet| quiet.len() >= LEAST_QUIET)?, now)))
            .collect();
        let gate = universal_threshold(judged.len().max(2));
        for (key, quiet, now) in judged {
            let Some(shift) = shift(key, quiet, &now).filter(|shift| shift.z * shift.z > gate) else {
                self.usual.extend(words(&key.name));
                continue;
            };
            self.list.push(Symptom {
                source: Source::Metric,
                service: Arc::clone(&key.service),
                text: key.name.to_string(),
                since: shift.since,
                weight: (1.0 + shift.z.abs()).ln(),
                examples: Vec::new(),
            });
            self.shifts.push(shift);
        }
    }
}

/// A statement, or all statements of a severity.
#[derive(Default)]
struct Seen {
    records: u64,
    in_window: u64,
    first: UnixNano,
    last: UnixNano,
    examples: BTreeSet<Arc<str>>,
}

/// Most examples of a statement: a few tell whether they vary.
const MOST_EXAMPLES: usize = 16;

impl Seen {
    fn add(&mut self, counts: &MotifCounts, in_window: bool) {
        self.span(counts.count, counts.first, counts.last);
        self.in_window += if in_window { counts.count } else { 0 };
        self.examples.insert(Arc::clone(&counts.example));
        if self.examples.len() > MOST_EXAMPLES {
            self.examples.pop_last();
        }
    }

    fn merge(&mut self, other: &Self) {
        self.span(other.records, other.first, other.last);
    }

    fn span(&mut self, records: u64, first: UnixNano, last: UnixNano) {
        self.first = if self.records == 0 { first } else { self.first.min(first) };
        self.last = self.last.max(last);
        self.records += records;
    }

    fn text(&self) -> String {
        self.examples.first().map(ToString::to_string).unwrap_or_default()
    }

    fn is_new(&self, begin: UnixNano, gate: f64) -> bool {
        let span = self.last.since(self.first).as_secs_f64().max(LEAST_SPAN);
        self.records > 1 && self.records as f64 / span * self.first.since(begin).as_secs_f64() > gate
    }
}

fn scrapes<'a>(slices: &[&'a MetricSlice]) -> BTreeMap<&'a SeriesKey, BTreeSet<Scrape>> {
    let mut all = BTreeMap::<&SeriesKey, BTreeSet<Scrape>>::new();
    for (key, scrapes) in slices.iter().flat_map(|slice| &slice.series) {
        all.entry(key).or_default().extend(scrapes);
    }
    all
}

/// Limits are settings; a changed one says itself what it is.
fn is_limit(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::CpuLimit | Measure::MemoryLimit | Measure::HeapLimit | Measure::PoolLimit | Measure::QueueLimit
    )
}

fn shift(key: &SeriesKey, quiet: &BTreeSet<Scrape>, now: &BTreeSet<Scrape>) -> Option<Shift> {
    let sorted = |scrapes: &BTreeSet<Scrape>| {
        let mut values: Vec<f64> = scrapes.iter().map(|scrape| scrape.value()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (quiet, values) = (sorted(quiet), sorted(now));
    let before = quiet[quiet.len() / 2];
    let mut deviations: Vec<f64> = quiet.iter().map(|value| (value - before).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    let spread = (MAD_TO_SD * deviations[deviations.len() / 2]).max(FLOOR * before.abs()).max(1e-9);
    let high = *values.iter().rev().nth(1)?;
    let low = *values.get(1)?;
    let (rises, falls) = (high > *quiet.last()?, low < *quiet.first()?);
    let now_value = match (rises, falls) {
        (true, true) if before - low > high - before => low,
        (true, _) => high,
        (false, true) => low,
        (false, false) => return None,
    };
    let half = (now_value - before) / 2.0;
    let far = |scrape: &&Scrape| (scrape.value() - before) * half.signum() >= half.abs();
    let since = now.iter().find(far)?.time;
    let (first, last) = (now.first()?.time, now.last()?.time);
    let step = last.since(first).as_secs_f64() / (now.len() - 1).max(1) as f64;
    let z = ((now_value - before) / spread).clamp(-MOST_Z, MOST_Z);
    Some(Shift { key: key.clone(), before, now: now_value, z, since, step })
}

#[cfg(test)]
mod tests {
    use backtrail_model::time::Slice;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One record of a statement in each of the given seconds.
    fn records(severity: u8, text: &str, seconds: impl IntoIterator<Item = u64>) -> LogMotifSlice {
        let mut slice = LogMotifSlice::new(Slice(0));
        for second in seconds {
            let key = MotifKey { service: "cart".into(), template: text.into(), severity };
            let time = UnixNano(second * SECOND);
            let counts = MotifCounts { count: 1, in_traces: 0, first: time, last: time, example: text.into() };
            slice.add(key, counts);
        }
        slice
    }

    fn series(name: &str, seconds: std::ops::Range<u64>, value: impl Fn(u64) -> f64) -> MetricSlice {
        let mut slice = MetricSlice::new(Slice(0));
        let [service, name]: [Arc<str>; 2] = ["cart".into(), name.into()];
        let empty: Arc<str> = "".into();
        let (instance, node, part) = (Arc::clone(&empty), Arc::clone(&empty), empty);
        let key = SeriesKey { service, instance, node, part, measure: Measure::Other, name };
        for second in seconds.step_by(60) {
            slice.add(key.clone(), Scrape::new(UnixNano(second * SECOND), value(second)));
        }
        slice
    }

    fn found(symptoms: &Symptoms) -> Vec<(Source, &str, u64)> {
        let of = |symptom: &Symptom| (symptom.source, symptom.since.0 / SECOND);
        symptoms.list.iter().map(|symptom| (of(symptom).0, symptom.text.as_str(), of(symptom).1)).collect()
    }

    #[test]
    fn statements_that_were_silent_are_new_and_those_that_come_seldom_are_not() {
        let quiet = [records(17, "seldom", [100, 1900]), records(9, "usual", (0..3600).step_by(60))];
        let now = [
            records(17, "broken ledger", (3600..3700).step_by(10)),
            records(17, "seldom", [3650]),
            records(9, "usual", [3660]),
            records(9, "begun", (3600..3700).step_by(10)),
            records(5, "chatty", (3600..3700).step_by(10)),
        ];
        let (baseline, window) = (
            Slices { logs: quiet.iter().collect(), ..Slices::default() },
            Slices { logs: now.iter().collect(), ..Slices::default() },
        );
        let symptoms = Symptoms::new(&baseline, &window, None, UnixNano(0));
        assert_eq!(found(&symptoms), [(Source::Log, "ERROR broken ledger", 3600), (Source::Log, "DEBUG chatty", 3600)]);
        assert!(symptoms.usual.contains("usual") && !symptoms.usual.contains("ledg"), "{:?}", symptoms.usual);
        assert_eq!(symptoms.onset("cart"), Some(UnixNano(3600 * SECOND)));
    }

    #[test]
    fn a_series_of_any_name_that_leaves_its_past_is_a_symptom_whichever_way_it_goes() {
        let jitter = |second: u64| (second / 60 % 5) as f64;
        let quiet = [
            series("db_cpu_pct", 0..3600, |s| 40.0 + jitter(s)),
            series("served", 0..3600, |s| 90.0 + jitter(s)),
            series("steady", 0..3600, jitter),
        ];
        let now = [
            series("db_cpu_pct", 3600..4200, |s| if s < 3780 { 41.0 } else { 97.0 }),
            series("served", 3600..4200, |s| 3.0 + jitter(s)),
            series("steady", 3600..4200, jitter),
        ];
        let (baseline, window) = (
            Slices { metrics: quiet.iter().collect(), ..Slices::default() },
            Slices { metrics: now.iter().collect(), ..Slices::default() },
        );
        let alert = AlertText { service: "cart", summary: "slow", metric: "p99_ms" };
        let symptoms = Symptoms::new(&baseline, &window, Some(alert), UnixNano(0));
        let expected = [
            (Source::Metric, "db_cpu_pct", 3780),
            (Source::Metric, "served", 3600),
            (Source::Metric, "p99_ms", 3600),
            (Source::Alert, "slow p99_ms", 3600),
        ];
        assert_eq!(found(&symptoms), expected);
        assert!(symptoms.shifts[0].z > 0.0 && symptoms.shifts[1].z < 0.0);
    }
}
