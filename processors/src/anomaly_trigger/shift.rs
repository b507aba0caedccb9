//! Error share and latency of entry operations against their own past.

use std::collections::{BTreeMap, VecDeque};

use backtrail_localize::stats::{g_test, universal_threshold};
use backtrail_model::histogram::{Histogram, lower_bound};
use backtrail_model::incident::DetectorKind;
use backtrail_model::spectra::Entry;
use backtrail_model::time::{Slice, SliceGrid};

use super::clusters::Finding;
use super::config::Shift;
use super::entries::{ByEntry, Counts, UNIT};

/// Quantiles whose excess is tested. Source: FUSION.md, part L, rule 2.
const QUANTILES: [f64; 4] = [0.5, 0.75, 0.9, 0.95];
/// Statistics made for one entry in one slice: errors and quantiles, of the slice and of the last few together.
const TESTS: usize = 2 * (1 + QUANTILES.len());
/// Slices that are tested together, so that little traffic shows as well. A slice becomes past only after that many, so
/// that a slow onset does not become its own yardstick.
const TOGETHER: u64 = 4;
/// The sum of several slices is nearly the same in the next one, so that two in a row confirm little: it needs more.
const TOGETHER_GATE: f64 = 1.5;
/// So many gates above, with at least [`DECISIVE_TRACES`], one slice is enough.
const DECISIVE: f64 = 3.0;
const DECISIVE_TRACES: f64 = 10.0;
/// A sick entry is sick until it falls below this part of its gate.
const STILL: f64 = 0.5;
/// Least past, in traces.
const LEAST_PAST: f64 = 30.0;
/// Least rise of a latency, nanoseconds: less is no symptom for anybody.
const LEAST_RISE: u64 = 1_000_000;

/// The detector.
pub(super) struct Shifts {
    config: Shift,
    history: usize,
    warm_up: usize,
    states: BTreeMap<Entry, State>,
    refused: u64,
}

#[derive(Default)]
struct State {
    past: Past,
    /// The last slices with traffic, oldest first; what is `tainted` never becomes past.
    recent: VecDeque<Recent>,
    /// Since when it is sick, and for how many slices with traffic.
    sick: Option<(Slice, u64)>,
    last: Slice,
}

struct Recent {
    slice: Slice,
    counts: Counts,
    tainted: bool,
}

/// Quiet slices with their running sums.
#[derive(Default)]
struct Past {
    slices: VecDeque<Counts>,
    traces: u64,
    errors: u64,
    latency: BTreeMap<u16, u64>,
}

/// What a test found.
struct Shifted {
    kind: DetectorKind,
    /// G over the dispersion of the past.
    statistic: f64,
    threshold: f64,
    observed: f64,
}

impl Shifts {
    pub(super) fn new(config: Shift, grid: SliceGrid) -> Self {
        let slices =
            |time: std::time::Duration| time.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as usize;
        let (history, warm_up) = (slices(config.history.0), slices(config.warm_up.0));
        Self { config, history, warm_up, states: BTreeMap::new(), refused: 0 }
    }

    /// Judges a slice. While any incident is open, nothing becomes past.
    pub(super) fn judge(&mut self, slice: Slice, counts: &ByEntry, any_open: bool) -> Vec<Finding> {
        if !self.config.enabled {
            return Vec::new();
        }
        // As many tests are made until the past is renewed.
        let gate = universal_threshold(self.states.len().max(1) * TESTS * self.history);
        let mut findings = Vec::new();
        for (entry, now) in counts {
            if !self.states.contains_key(entry) {
                if self.states.len() >= self.config.max_entries {
                    self.refused += 1;
                    continue;
                }
                self.states.insert(entry.clone(), State::default());
            }
            let state = self.states.get_mut(entry).expect("just inserted");
            state.age(slice, self.history, any_open);
            let shifted = (state.past.slices.len() >= self.warm_up && state.past.traces as f64 / UNIT >= LEAST_PAST)
                .then(|| state.test(now, gate, any_open, &self.config))
                .flatten();
            findings.extend(state.note(slice, now, shifted, gate, any_open, &self.config, entry));
        }
        let history = self.history as u64;
        self.states.retain(|_, state| any_open || state.last.0 + 2 * history > slice.0);
        findings
    }

    /// Forgets an entry's past: its new state is the normal one.
    pub(super) fn forget(&mut self, entry: &Entry) {
        self.states.remove(entry);
    }

    /// Entries that were not judged because there are too many.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

impl State {
    /// Lets what is old enough become past.
    fn age(&mut self, slice: Slice, history: usize, any_open: bool) {
        if any_open {
            self.recent.iter_mut().for_each(|recent| recent.tainted = true);
        }
        while self.recent.front().is_some_and(|recent| recent.slice.0 + TOGETHER <= slice.0) {
            let Some(recent) = self.recent.pop_front() else { break };
            if !recent.tainted {
                self.past.push(recent.counts, history);
            }
        }
        if self.last.0 + TOGETHER < slice.0 {
            self.sick = None;
        }
        self.last = slice;
    }

    /// The strongest shift of this slice, or of the last few together, and whether it is decisive. A slice that does not
    /// lean that way itself is not sick, whatever those before it were. While an incident is open every slice speaks for
    /// itself, or its last sick slices would outlive it.
    fn test(&self, now: &Counts, gate: f64, any_open: bool, config: &Shift) -> Option<(Shifted, bool)> {
        let alone = self.past.shift(now, config)?;
        let decisive = now.traces as f64 / UNIT >= DECISIVE_TRACES && alone.statistic > DECISIVE * gate;
        if decisive || any_open {
            return Some((alone, decisive));
        }
        let mut sum = now.clone();
        self.recent.iter().for_each(|recent| sum.add(&recent.counts));
        let together = self.past.shift(&sum, config);
        let together = together.map(|shifted| Shifted { statistic: shifted.statistic / TOGETHER_GATE, ..shifted });
        let stronger = together.filter(|together| together.statistic > alone.statistic);
        Some((stronger.unwrap_or(alone), false))
    }

    #[expect(clippy::too_many_arguments, reason = "one call; a struct for it would only rename them")]
    fn note(
        &mut self,
        slice: Slice,
        now: &Counts,
        shifted: Option<(Shifted, bool)>,
        gate: f64,
        any_open: bool,
        config: &Shift,
        entry: &Entry,
    ) -> Option<Finding> {
        let confirmed = self.sick.is_some_and(|(_, streak)| streak >= config.slices);
        let limit = if confirmed { STILL * gate } else { gate };
        let shifted = shifted.filter(|(shifted, _)| shifted.statistic > limit);
        self.recent.push_back(Recent { slice, counts: now.clone(), tainted: any_open || shifted.is_some() });
        let Some((shifted, decisive)) = shifted else {
            self.sick = None;
            return None;
        };
        let (since, streak) = self.sick.map_or((slice, 1), |(since, streak)| (since, streak + 1));
        self.sick = Some((since, if decisive { streak.max(config.slices) } else { streak }));
        Some(Finding {
            entry: entry.clone(),
            kind: shifted.kind,
            slo: String::new(),
            threshold: shifted.threshold,
            observed: shifted.observed,
            unit: if shifted.kind == DetectorKind::ErrorShift { "share" } else { "ms" },
            strength: shifted.statistic / gate,
            since,
            ready: streak >= config.slices || decisive,
            sign: None,
            until: Some(slice),
            absent: None,
        })
    }
}

impl Past {
    fn push(&mut self, counts: Counts, history: usize) {
        self.traces += counts.traces;
        self.errors += counts.errors;
        for &(bucket, count) in counts.latency.buckets() {
            *self.latency.entry(bucket).or_default() += count;
        }
        self.slices.push_back(counts);
        while self.slices.len() > history {
            let Some(old) = self.slices.pop_front() else { break };
            self.traces -= old.traces;
            self.errors -= old.errors;
            for &(bucket, count) in old.latency.buckets() {
                if let Some(sum) = self.latency.get_mut(&bucket) {
                    *sum -= count;
                }
            }
            self.latency.retain(|_, sum| *sum > 0);
        }
    }

    fn shift(&self, now: &Counts, config: &Shift) -> Option<Shifted> {
        let errors = self.error_shift(now, config);
        let latencies = QUANTILES.iter().filter_map(|&q| self.latency_shift(now, q, config));
        // The first of equals wins, so errors go before latency: a failure is the stronger symptom.
        errors
            .into_iter()
            .chain(latencies)
            .reduce(|best, next| if next.statistic > best.statistic { next } else { best })
    }

    fn error_shift(&self, now: &Counts, config: &Shift) -> Option<Shifted> {
        let (n, m) = (self.traces as f64 / UNIT, now.traces as f64 / UNIT);
        let (before, after) = (self.errors as f64 / UNIT, now.errors as f64 / UNIT);
        let usual = (before + 0.5) / (n + 1.0);
        let (observed, threshold) = (after / m, (usual + config.min_error_rise.0).max(1.5 * usual));
        if m <= 0.0 || observed < threshold {
            return None;
        }
        let statistic = g_test(before, n, after, m) / self.dispersion(usual, |counts| counts.errors);
        Some(Shifted { kind: DetectorKind::ErrorShift, statistic, threshold, observed })
    }

    fn latency_shift(&self, now: &Counts, q: f64, config: &Shift) -> Option<Shifted> {
        let limit = self.quantile_bucket(q)?;
        let (usual, observed) = (lower_bound(limit), lower_bound(now.latency.quantile_bucket(q)?));
        let threshold = ((usual as f64 * (1.0 + config.min_latency_rise.0)) as u64).max(usual + LEAST_RISE);
        if observed < threshold {
            return None;
        }
        let (n, m) = (self.traces as f64 / UNIT, now.traces as f64 / UNIT);
        let before = self.latency.range(limit + 1..).map(|(_, &count)| count).sum::<u64>() as f64 / UNIT;
        let after = now.latency.count_above(limit) as f64 / UNIT;
        if after / m <= before / n {
            return None;
        }
        let above = |counts: &Counts| counts.latency.count_above(limit);
        let statistic = g_test(before, n, after, m) / self.dispersion((before + 0.5) / (n + 1.0), above);
        let millis = |nanos: u64| nanos as f64 / 1e6;
        let kind = DetectorKind::LatencyShift;
        Some(Shifted { kind, statistic, threshold: millis(threshold), observed: millis(observed) })
    }

    fn quantile_bucket(&self, q: f64) -> Option<u16> {
        let rank = (q * self.traces as f64) as u64;
        let mut seen = 0;
        let mut buckets = self.latency.iter();
        buckets
            .find(|&(_, &count)| {
                seen += count;
                seen > rank
            })
            .map(|(&bucket, _)| bucket)
    }

    /// How much more a share varies from slice to slice than chance alone lets it: Pearson's statistic over its degrees
    /// of freedom, at least 1. Quiet operations differ from coins, and what is usual must not be news.
    fn dispersion(&self, share: f64, hits: impl Fn(&Counts) -> u64) -> f64 {
        let excess = self.slices.iter().map(|counts| {
            let n = counts.traces as f64 / UNIT;
            (hits(counts) as f64 / UNIT - n * share).powi(2) / (n * share * (1.0 - share)).max(1e-9)
        });
        let sum: f64 = excess.sum();
        (sum / (self.slices.len() as f64 - 1.0).max(1.0)).max(1.0)
    }
}

/// How many traces of a histogram lie above its past's quantile by more than chance: what ranks endpoints of a given
/// window.
pub(super) fn excess_above(before: &Histogram, now: &Histogram, q: f64) -> f64 {
    let Some(limit) = before.quantile_bucket(q) else { return 0.0 };
    let share = before.count_above(limit) as f64 / before.count().max(1) as f64;
    ((now.count_above(limit) as f64 - share * now.count() as f64) / UNIT).max(0.0)
}
