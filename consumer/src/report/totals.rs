//! Measures over all remediations: `report --metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Case;
use super::measure::{Measures, median};
use crate::error::Error;
use crate::state::State;
use crate::store::Store;

/// Most remediations that are looked at: the newest.
pub const MOST_REMEDIATIONS: u64 = 10_000;

/// A median, and of how many.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Median {
    /// The median; none of nothing.
    pub median: Option<f64>,
    /// How many values there are.
    pub of: u64,
}

/// Suggestions that were no good.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Their share of the candidates that entered the tests; none when none did.
    pub rate: Option<f64>,
}

/// Measures over all remediations.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Totals {
    /// Remediations that were looked at.
    pub remediations: u64,
    /// Whether there are older ones that were not.
    pub older_left_out: bool,
    /// Of these, the ones whose journal was changed: nothing else counts them.
    pub tampered: u64,
    /// By state.
    pub by_state: BTreeMap<&'static str, u64>,
    /// Seconds from the request to the plan.
    pub seconds_to_plan: Median,
    /// Seconds from the request to the first candidate that is proved.
    pub seconds_to_proof: Median,
    /// Seconds from the request to the approval.
    pub seconds_to_approval: Median,
    /// Candidates that entered the tests.
    pub entered_tests: u64,
    /// Of these, the ones that were refused or rejected, by what said so.
    pub false_suggestions: BTreeMap<String, Share>,
    /// All of them together.
    pub false_suggestion_rate: Share,
    /// Candidates that were refused before the tests, by what refused them: no part of the rate.
    pub refused_before_tests: BTreeMap<String, u64>,
    /// Lines that the approved or proposed patches add and remove, without files of tests.
    pub patch_lines_without_tests: Median,
}

impl Totals {
    /// Those of a store.
    pub fn of(store: &Store) -> Result<Self, Error> {
        let rows = store.remediations(MOST_REMEDIATIONS + 1)?;
        let older = rows.len() as u64 > MOST_REMEDIATIONS;
        let (mut each, mut tampered) = (Vec::new(), 0);
        for row in rows.iter().take(MOST_REMEDIATIONS as usize) {
            match Case::to_measure(store, &row.id) {
                Ok(case) => each.push((case.state(), Measures::of(&case))),
                Err(Error::Tampered { .. }) => tampered += 1,
                Err(error) => return Err(error),
            }
        }
        let mut totals = Self::over(&each);
        totals.remediations += tampered;
        (totals.tampered, totals.older_left_out) = (tampered, older);
        Ok(totals)
    }

    /// Those of remediations that were measured one by one.
    pub fn over(each: &[(State, Measures)]) -> Self {
        let median_of = |value: fn(&Measures) -> Option<f64>| {
            let values: Vec<f64> = each.iter().filter_map(|(_, measures)| value(measures)).collect();
            Median { of: values.len() as u64, median: median(values) }
        };
        let mut totals = Self {
            remediations: each.len() as u64,
            seconds_to_plan: median_of(|one| one.seconds_to_plan),
            seconds_to_proof: median_of(|one| one.seconds_to_proof),
            seconds_to_approval: median_of(|one| one.seconds_to_approval),
            patch_lines_without_tests: median_of(|one| one.patch_lines_without_tests.map(|lines| lines as f64)),
            entered_tests: each.iter().map(|(_, one)| one.entered_tests).sum(),
            ..Self::default()
        };
        for (state, measures) in each {
            *totals.by_state.entry(state.name()).or_default() += 1;
            for (by, count) in &measures.false_suggestions {
                totals.false_suggestions.entry(by.clone()).or_default().count += count;
                totals.false_suggestion_rate.count += count;
            }
            for (by, count) in &measures.refused_before_tests {
                *totals.refused_before_tests.entry(by.clone()).or_default() += count;
            }
        }
        let entered = totals.entered_tests;
        for share in totals.false_suggestions.values_mut().chain([&mut totals.false_suggestion_rate]) {
            share.rate = (entered > 0).then(|| share.count as f64 / entered as f64);
        }
        totals
    }
}
