//! What can be measured of a remediation by its journal: how long until a plan, a proof and an approval, and how large
//! the patch is.

use std::collections::BTreeMap;

use backtrail_policy::{FileKind, kind_of};
use serde::Serialize;

use super::Case;
use super::words::identifier;
use crate::state::{State, Tried};
use crate::step::Step;

/// Measures of one remediation. What has not happened has none.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Measures {
    /// Seconds from the request to the plan.
    pub seconds_to_plan: Option<f64>,
    /// Seconds from the request to the first candidate that is proved.
    pub seconds_to_proof: Option<f64>,
    /// Seconds from the request to the approval.
    pub seconds_to_approval: Option<f64>,
    /// Lines that the approved or proposed patch adds and removes.
    pub patch_lines: Option<u64>,
    /// The same without files of tests; none when the diff is not kept.
    pub patch_lines_without_tests: Option<u64>,
    /// Candidates that entered the tests.
    pub entered_tests: u64,
    /// Of these, the ones that were no good, by what said so: `tests`, `apply`, or `approval` for a person.
    pub false_suggestions: BTreeMap<String, u64>,
    /// Candidates that were refused before the tests, by what refused them.
    pub refused_before_tests: BTreeMap<String, u64>,
}

impl Measures {
    pub(super) fn of(case: &Case) -> Self {
        let mut measures = Self {
            seconds_to_plan: case.seconds_until(|step| matches!(step, Step::Planned { .. })),
            seconds_to_proof: case.seconds_until(|step| matches!(step, Step::Verified { .. })),
            seconds_to_approval: case.seconds_until(|step| matches!(step, Step::Approved { .. })),
            ..Self::default()
        };
        if let Some(Tried { candidate, .. }) = case.chosen() {
            measures.patch_lines = Some(candidate.lines);
            let diff = case.artifact(&candidate.diff);
            measures.patch_lines_without_tests = diff.map(|diff| lines_without_tests(&String::from_utf8_lossy(diff)));
        }
        measures.count_suggestions(case);
        measures
    }

    fn count_suggestions(&mut self, case: &Case) {
        let mut entered = Vec::new();
        for entry in &case.chain.entries {
            match &entry.step {
                Step::Applied { candidate, .. } => entered.push(candidate),
                Step::CandidateRefused { candidate, by, .. } => {
                    let in_tests = entered.contains(&candidate);
                    let counts = if in_tests { &mut self.false_suggestions } else { &mut self.refused_before_tests };
                    *counts.entry(identifier(by).to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        self.entered_tests = entered.len() as u64;
        let remediation = &case.chain.remediation;
        let proved = remediation.candidates.iter().filter(|tried| tried.is_verified()).count() as u64;
        // A no is a no to every candidate that was shown.
        if remediation.state == State::Rejected && proved > 0 {
            self.false_suggestions.insert("approval".into(), proved);
        }
    }
}

/// Lines that a unified diff adds and removes in files that are no tests.
///
/// ```
/// # use backtrail_consumer::report::lines_without_tests;
/// let diff = "--- a/src/x.py\n+++ b/src/x.py\n@@ -1 +1,2 @@\n-a\n+b\n+c\n\
///     --- /dev/null\n+++ b/tests/test_x.py\n@@ -0,0 +1 @@\n+d\n";
/// assert_eq!(lines_without_tests(diff), 3);
/// ```
pub fn lines_without_tests(diff: &str) -> u64 {
    let (mut lines, mut old_path, mut is_test) = (0, "", false);
    // What is left of the hunk: a removed line "-- x" looks like a header otherwise.
    let (mut old, mut new) = (0_u64, 0_u64);
    for line in diff.lines() {
        if old > 0 || new > 0 {
            match line.as_bytes().first() {
                Some(b'-') => (old, lines) = (old.saturating_sub(1), lines + u64::from(!is_test)),
                Some(b'+') => (new, lines) = (new.saturating_sub(1), lines + u64::from(!is_test)),
                Some(b'\\') => {}
                _ => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
            }
        } else if let Some(path) = line.strip_prefix("--- ") {
            old_path = path;
        } else if let Some(path) = line.strip_prefix("+++ ") {
            let path = if path == "/dev/null" { old_path } else { path };
            is_test = kind_of(without_side(path)) == FileKind::Test;
        } else if let Some(ranges) = line.strip_prefix("@@ ") {
            let mut ranges = ranges.split(' ');
            let mut next = |sign| length(ranges.next().and_then(|range| range.strip_prefix(sign)).unwrap_or_default());
            (old, new) = (next('-'), next('+'));
        }
    }
    lines
}

/// `a/src/x.py`, which git quotes when it holds unusual characters, without its side and quotes.
fn without_side(path: &str) -> &str {
    let path = path.trim_end_matches('\t').trim_matches('"');
    path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).unwrap_or(path)
}

/// The length in `12,3`; 1 in `12`.
fn length(range: &str) -> u64 {
    range.split_once(',').map_or(1, |(_, length)| length.parse().unwrap_or(0))
}

/// The value in the middle; the mean of both when there are two.
///
/// ```
/// # use backtrail_consumer::report::median;
/// assert_eq!(median(vec![5.0, 1.0, 3.0]), Some(3.0));
/// assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
/// assert_eq!(median(vec![]), None);
/// ```
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_line_that_looks_like_a_header_is_a_line() {
        let diff = "diff --git a/x.sql b/x.sql\n--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,1 @@\n--- tests/test_a.py\n a\n\
            diff --git a/t.py b/t.py\n--- a/test_t.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\\ No newline at end of file\n";
        assert_eq!(lines_without_tests(diff), 1, "the second file is a test that is removed");
    }
}
