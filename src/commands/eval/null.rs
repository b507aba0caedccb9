//! What the engine says where nothing is wrong (`eval --null`): windows of a case's quiet time, judged as the fault is.
//!
//! A `quiet` window is a stretch before the fault, as long as the fault, judged by all that came before it. A `shuffled`
//! one is as many quiet slices drawn at random, judged by the others: labels without a meaning. Whatever the verdict on
//! either is sure of is a false alarm, because no constant was fitted to these windows either.

use std::collections::BTreeSet;

use backtrail_localize::refine::{Known, refine};
use backtrail_localize::{Options, judge};
use backtrail_model::time::{Slice, UnixNano};
use serde::Serialize;

use super::case::Case;
use crate::commands::incident::Replayed;
use crate::render::Paint;
use crate::render::table::Table;

/// How a window was chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Quiet,
    Shuffled,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Shuffled => "shuffled",
        }
    }
}

/// The verdict on one window.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Judged {
    system: String,
    kind: Kind,
    level: String,
    score: f64,
}

/// Verdicts by system and kind of window.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Row {
    system: String,
    kind: &'static str,
    windows: usize,
    inconclusive: usize,
    low: usize,
    medium: usize,
    high: usize,
    highest: f64,
}

/// Judges up to `most` windows of each kind.
pub(super) fn windows(case: &Case, replayed: &Replayed, most: usize) -> Vec<Judged> {
    let grid = replayed.grid;
    let slices: BTreeSet<Slice> = replayed.spectra.iter().map(|part| part.slice).collect();
    let quiet: Vec<Slice> = slices.into_iter().filter(|&slice| grid.start(slice) < case.window.start).collect();
    let lasted = case.window.end.since(case.window.start).as_nanos();
    let length = lasted.div_ceil(grid.length.as_nanos().max(1)) as usize;
    // Half of the quiet time is left to compare with.
    let length = length.min(quiet.len() / 2);
    if length == 0 {
        return Vec::new();
    }
    let mut judged = Vec::new();
    for end in spread(2 * length, quiet.len(), most) {
        let (from, last) = (quiet[end - length], quiet[end - 1]);
        let window = |slice: Slice| from <= slice && slice <= last;
        judged.push(verdict(case, replayed, Kind::Quiet, |slice| slice < from, window));
    }
    for round in 0..most {
        let drawn = draw(&quiet, length, round as u64);
        let rest = |slice: Slice| quiet.binary_search(&slice).is_ok() && !drawn.contains(&slice);
        judged.push(verdict(case, replayed, Kind::Shuffled, rest, |slice| drawn.contains(&slice)));
    }
    judged
}

/// Up to `most` different numbers from `first` to `last`, evenly spread.
fn spread(first: usize, last: usize, most: usize) -> BTreeSet<usize> {
    let steps = most.saturating_sub(1).max(1);
    (0..most).map(|i| last - (last - first) * i / steps).collect()
}

/// `wanted` of the slices, another choice each round and the same in every run.
fn draw(slices: &[Slice], wanted: usize, round: u64) -> BTreeSet<Slice> {
    let mut slices = slices.to_vec();
    let mut state = round;
    for i in 0..wanted {
        let rest = slices.len() - i;
        slices.swap(i, i + (split_mix(&mut state) % rest as u64) as usize);
    }
    slices.into_iter().take(wanted).collect()
}

/// `SplitMix64`. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn verdict(
    case: &Case,
    replayed: &Replayed,
    kind: Kind,
    baseline: impl Fn(Slice) -> bool,
    window: impl Fn(Slice) -> bool,
) -> Judged {
    let (baseline, window) = (replayed.slices(baseline), replayed.slices(window));
    let options = Options::default();
    let mut judgement = judge(&baseline, &window, &options);
    let first = window.spectra.iter().map(|part| part.slice).min().unwrap_or_default();
    let begin = baseline.spectra.iter().map(|part| part.slice).min().unwrap_or(first);
    let start = |slice| -> UnixNano { replayed.grid.start(slice) };
    let known = Known { since: start(first), begin: start(begin), ..Known::default() };
    refine(&mut judgement, &baseline, &window, &known, &options);
    let confidence = judgement.confidence;
    Judged { system: case.system.clone(), kind, level: confidence.level, score: confidence.score }
}

/// One row for each system and kind.
pub(super) fn summarize(judged: &[Judged]) -> Vec<Row> {
    let groups: BTreeSet<(&str, Kind)> = judged.iter().map(|one| (one.system.as_str(), one.kind)).collect();
    let row = |(system, kind): (&str, Kind)| {
        let of: Vec<&Judged> = judged.iter().filter(|one| one.system == system && one.kind == kind).collect();
        let count = |level: &str| of.iter().filter(|one| one.level == level).count();
        Row {
            system: system.to_owned(),
            kind: kind.name(),
            windows: of.len(),
            inconclusive: count("inconclusive"),
            low: count("low"),
            medium: count("medium"),
            high: count("high"),
            highest: of.iter().map(|one| one.score).fold(0.0, f64::max),
        }
    };
    groups.into_iter().map(row).collect()
}

/// The rows for people.
pub(super) fn table(rows: &[Row], paint: Paint) -> Vec<String> {
    let head = ["system", "windows", ">n", ">inconclusive", ">low", ">medium", ">high", ">highest score"];
    let mut table = Table::new(&head);
    for row in rows {
        let numbers = [row.windows, row.inconclusive, row.low, row.medium, row.high].map(|n| n.to_string());
        let names = [row.system.clone(), row.kind.to_owned()];
        table.row(names.into_iter().chain(numbers).chain([format!("{:.2}", row.highest)]).collect());
    }
    let mut lines = table.lines();
    lines[0] = paint.dim(&lines[0]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_spread_and_draws_differ_from_round_to_round_and_not_from_run_to_run() {
        assert_eq!(spread(4, 10, 3).into_iter().collect::<Vec<_>>(), [4, 7, 10]);
        assert_eq!(spread(4, 4, 3).len(), 1);
        let slices: Vec<Slice> = (0..20).map(Slice).collect();
        let drawn = draw(&slices, 6, 1);
        assert_eq!((drawn.len(), &drawn), (6, &draw(&slices, 6, 1)));
        assert_ne!(drawn, draw(&slices, 6, 2));
    }
}
