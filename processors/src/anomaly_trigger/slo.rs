//! Burn of error budgets in a short and a long window at once.

use std::collections::{BTreeMap, VecDeque};

use backtrail_model::histogram::bucket;
use backtrail_model::incident::DetectorKind;
use backtrail_model::spectra::Entry;
use backtrail_model::time::{Slice, SliceGrid};

use super::clusters::Finding;
use super::config::{BurnRate, Slo};
use super::entries::{ByEntry, UNIT};

/// Least history, in slices, before a burn is believed.
const LEAST_HISTORY: u64 = 20;
/// Least bad requests in the short window: one failure of three requests is no burn.
const LEAST_BAD: f64 = 5.0;

/// The detector.
pub(super) struct Slos {
    objectives: Vec<Objective>,
    rates: Vec<BurnRate>,
    grid: SliceGrid,
    first: Option<Slice>,
}

struct Objective {
    slo: Slo,
    words: String,
    slices: VecDeque<Spent>,
}

/// Requests of one slice, weighted.
struct Spent {
    slice: Slice,
    all: u64,
    bad: u64,
    bad_by_entry: BTreeMap<Entry, u64>,
}

impl Slos {
    pub(super) fn new(slos: Vec<Slo>, rates: Vec<BurnRate>, grid: SliceGrid) -> Self {
        let objectives = slos.into_iter().map(|slo| {
            let within = slo.latency.map_or(String::new(), |latency| format!(" within {latency}"));
            let words = format!("{} of {} {} succeed{within}", slo.objective, slo.service, slo.route);
            Objective { slo, words, slices: VecDeque::new() }
        });
        Self { objectives: objectives.collect(), rates, grid, first: None }
    }

    pub(super) fn judge(&mut self, slice: Slice, counts: &ByEntry) -> Vec<Finding> {
        let first = *self.first.get_or_insert(slice);
        let held = slice.0 - first.0 + 1;
        let length = self.grid.length.as_nanos().max(1);
        let mut findings = Vec::new();
        for objective in &mut self.objectives {
            objective.spend(slice, counts);
            let mut kept = 1;
            for rate in &self.rates {
                let slices = |time: std::time::Duration| (time.as_nanos().div_ceil(length) as u64).max(1);
                let (short, long) = (slices(rate.short.0), slices(rate.long.0));
                kept = kept.max(long);
                if held < LEAST_HISTORY.min(long) {
                    continue;
                }
                // A young history stands for the long window, and the short one shrinks with it.
                let (short, long) = if held < long { ((short * held / long).max(1), held) } else { (short, long) };
                findings.extend(objective.burn(slice, short, long, rate.rate));
            }
            while objective.slices.front().is_some_and(|old| old.slice.0 + kept <= slice.0) {
                objective.slices.pop_front();
            }
        }
        findings
    }
}

impl Objective {
    fn spend(&mut self, slice: Slice, counts: &ByEntry) {
        let limit = self.slo.latency.map(|latency| bucket(u64::try_from(latency.0.as_nanos()).unwrap_or(u64::MAX)));
        let mut spent = Spent { slice, all: 0, bad: 0, bad_by_entry: BTreeMap::new() };
        let concerned = counts
            .iter()
            .filter(|(entry, _)| *entry.service == *self.slo.service && glob(&self.slo.route, &entry.route));
        for (entry, counts) in concerned {
            // Without the latencies of failures alone, the worse of both counts: a failure is often slow as well.
            let slow = limit.map_or(0, |limit| counts.latency.count_above(limit));
            let bad = counts.errors.max(slow);
            spent.all += counts.traces;
            spent.bad += bad;
            if bad > 0 {
                spent.bad_by_entry.insert(entry.clone(), bad);
            }
        }
        if spent.all > 0 {
            self.slices.push_back(spent);
        }
    }

    fn burn(&self, slice: Slice, short: u64, long: u64, rate: f64) -> Option<Finding> {
        let budget = 1.0 - self.slo.objective.0;
        let within = |slices: u64| self.slices.iter().filter(move |spent| spent.slice.0 + slices > slice.0);
        let speed = |slices: u64| {
            let (all, bad) = within(slices).fold((0, 0), |(all, bad), spent| (all + spent.all, bad + spent.bad));
            if all == 0 { 0.0 } else { bad as f64 / all as f64 / budget }
        };
        let observed = speed(short).min(speed(long));
        let bad: u64 = within(short).map(|spent| spent.bad).sum();
        if observed < rate || (bad as f64) < LEAST_BAD * UNIT {
            return None;
        }
        let mut by_entry: BTreeMap<&Entry, u64> = BTreeMap::new();
        for (entry, bad) in within(short).flat_map(|spent| &spent.bad_by_entry) {
            *by_entry.entry(entry).or_default() += bad;
        }
        let (worst, _) = by_entry.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let burning = within(short).find(|spent| spent.bad as f64 >= rate * budget * spent.all as f64);
        Some(Finding {
            entry: worst.clone(),
            kind: DetectorKind::SloBurn,
            slo: self.words.clone(),
            threshold: rate,
            observed,
            unit: "burn_rate",
            strength: observed / rate,
            since: burning.map_or(slice, |spent| spent.slice),
            ready: true,
            sign: None,
            until: Some(slice),
            absent: None,
        })
    }
}

/// Whether `text` matches a pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_expected() {
        for (pattern, text, matches) in [
            ("*", "GET /", true),
            ("POST /orders*", "POST /orders/7", true),
            ("POST /orders*", "GET /orders", false),
            ("*/items/*/x", "GET /items/3/x", true),
            ("*/items/*/x", "GET /items/3/y", false),
            ("GET /", "GET /", true),
            ("GET /", "GET /a", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
