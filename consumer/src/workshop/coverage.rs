//! Which of the changed lines the tests run: a patch whose lines no test runs is proved by nothing.

use std::collections::BTreeMap;
use std::path::Path;

use backtrail_policy::FileKind;
use backtrail_sandbox::suites::{Coverage as Lines, Suite};
use backtrail_sandbox::{Limits, Sandbox};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::Changed;

/// Most places that are named.
const MOST_NAMED: usize = 50;

/// Changed lines of code, by whether the tests with the patch run them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Changed lines that could run, and how many of them ran.
    pub could_run: u64,
    /// See above.
    pub ran: u64,
    /// Those that did not: `path:line`.
    pub missed: Vec<String>,
    /// Why it is not known, of a file or of all; empty when all is known.
    pub not_measured: Vec<String>,
}

impl Coverage {
    /// Whether nothing was looked at: in journals from before it was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// In one line.
    pub fn says(&self) -> String {
        let Self { could_run, ran, missed, not_measured } = self;
        let measured = match (could_run, missed.as_slice()) {
            (0, _) => String::new(),
            (_, []) => format!("{ran} of {could_run} changed lines are run by tests"),
            (_, missed) => {
                format!("{ran} of {could_run} changed lines are run by tests, not run: {}", missed.join(", "))
            }
        };
        let not =
            if not_measured.is_empty() { String::new() } else { format!("not measured: {}", not_measured.join("; ")) };
        [measured, not].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// Runs the suites once more and looks at the changed lines.
pub(super) fn measure(
    suites: &[Suite],
    sandbox: &Sandbox,
    tree: &Path,
    limits: Limits,
    changed: &[Changed<'_>],
) -> Result<Coverage, Error> {
    let code: Vec<&Changed<'_>> =
        changed.iter().filter(|file| file.kind() == FileKind::Source && file.after.is_some()).collect();
    if code.is_empty() {
        return Ok(Coverage { not_measured: vec!["it changes no code".into()], ..Coverage::default() });
    }
    let (mut lines, mut why) = (Lines::new(), Vec::new());
    for suite in suites {
        match suite.coverage(sandbox, tree, limits)? {
            Ok(found) => merge(&mut lines, found),
            Err(reason) => why.push(reason),
        }
    }
    let added: BTreeMap<String, Vec<u64>> = code
        .into_iter()
        .map(|file| (file.path.clone(), file.added_lines().into_iter().map(|(line, _)| line).collect()))
        .collect();
    Ok(of(&lines, &added, &why))
}

fn merge(lines: &mut Lines, found: Lines) {
    for (path, found) in found {
        let known = lines.entry(path).or_default();
        known.ran.extend(found.ran);
        known.missed.extend(found.missed);
        known.missed = &known.missed - &known.ran;
    }
}

fn of(lines: &Lines, added: &BTreeMap<String, Vec<u64>>, why: &[String]) -> Coverage {
    let mut coverage = Coverage::default();
    for (path, added) in added {
        let Some(known) = lines.get(path) else {
            let reason = if why.is_empty() { "no test loads it".to_owned() } else { why.join("; ") };
            coverage.not_measured.push(format!("{path}: {reason}"));
            continue;
        };
        for line in added.iter().filter_map(|line| u32::try_from(*line).ok()) {
            if known.ran.contains(&line) {
                coverage.ran += 1;
                coverage.could_run += 1;
            } else if known.missed.contains(&line) {
                coverage.could_run += 1;
                if coverage.missed.len() < MOST_NAMED {
                    coverage.missed.push(format!("{path}:{line}"));
                }
            }
        }
    }
    if coverage.could_run == 0 && coverage.not_measured.is_empty() {
        coverage.not_measured.push("no changed line is one that could run".into());
    }
    coverage
}

#[cfg(test)]
mod tests {
    use backtrail_sandbox::suites::Lines as OfFile;

    use super::*;

    #[test]
    fn changed_lines_are_counted_and_what_no_tool_saw_is_said() {
        let lines = Lines::from([("a.py".to_owned(), OfFile { ran: [1, 2].into(), missed: [3].into() })]);
        let added = BTreeMap::from([("a.py".to_owned(), vec![2, 3, 4]), ("b.rs".to_owned(), vec![1])]);
        let coverage = of(&lines, &added, &["no tool".into()]);
        assert_eq!((coverage.could_run, coverage.ran), (2, 1));
        assert_eq!(
            coverage.says(),
            "1 of 2 changed lines are run by tests, not run: a.py:3; not measured: b.rs: no tool"
        );
        let comment = of(&lines, &BTreeMap::from([("a.py".to_owned(), vec![9])]), &[]);
        assert_eq!(comment.says(), "not measured: no changed line is one that could run");
    }
}
