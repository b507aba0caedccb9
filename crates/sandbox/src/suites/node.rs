//! `node --test` by its `junit` reporter, and `npm test` by TAP where it prints that.

use std::ffi::OsString;
use std::path::Path;

use super::{Plan, Results, first, junit, report, toolchain};
use crate::sandbox::{Command, Outcome};

pub(super) fn node(dir: &Path, outbox: &Path, files: &[OsString], only: Option<&[String]>) -> Result<Plan, String> {
    let node = toolchain::program("node")?;
    let file = outbox.join("junit.xml");
    let mut argv: Vec<OsString> = vec![node.into(), "--test".into(), "--test-reporter=junit".into()];
    argv.push(format!("--test-reporter-destination={}", file.display()).into());
    for test in only.unwrap_or_default() {
        // The pattern meets the name of one level; a test in a suite is found by its own name.
        let own = test.rsplit(" > ").next().unwrap_or(test);
        argv.push(format!("--test-name-pattern=^{}$", literal(own)).into());
    }
    argv.extend(files.iter().cloned());
    let read = move |_: &Outcome| {
        let name = |case: &junit::Case| case.name.clone();
        report(&file).map_or_else(Results::default, |xml| junit::results(&xml, name))
    };
    Ok(Plan { command: Command::new(dir, argv), readable: toolchain::in_path(), read: Box::new(read) })
}

/// A text as a pattern that meets only itself.
fn literal(text: &str) -> String {
    let special = |c: char| if "\\^$.*+?()[]{}|/".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(special).collect()
}

pub(super) fn npm(dir: &Path, cache: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let npm = toolchain::program("npm")?;
    if only.is_some_and(|only| only.iter().any(|test| test != "npm test")) {
        return Err("'npm test' has no tests that could be run by name".into());
    }
    let command =
        Command::new(dir, [npm.into_os_string(), "test".into(), "--offline".into(), "--no-update-notifier".into()])
            .env("npm_config_cache", cache.join("npm"))
            .env("npm_config_fund", "false")
            .env("CI", "true");
    let read = |outcome: &Outcome| {
        let mut results = tap(&outcome.stdout.text());
        if results.passed.is_empty() && results.failed.is_empty() && results.skipped.is_empty() {
            if outcome.success() {
                results.passed.push("npm test".into());
            } else if outcome.not_started.is_none() {
                results.failed.push(("npm test".into(), super::said(outcome)));
            }
        }
        results
    };
    Ok(Plan { command, readable: toolchain::in_path(), read: Box::new(read) })
}

/// The top level of TAP; only of a text that says it is TAP.
fn tap(text: &str) -> Results {
    let mut results = Results::default();
    if !text.lines().any(|line| line.starts_with("TAP version ")) {
        return results;
    }
    let mut failing = false;
    for line in text.lines() {
        let (ok, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => {
                // The lines indented below a failure belong to it.
                if let (true, true, Some((_, said))) = (failing, line.starts_with("  "), results.failed.last_mut()) {
                    *said = first(&format!("{said}{}\n", line.trim_start()));
                }
                continue;
            }
        };
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([' ', '-']);
        let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
        let directive = directive.to_ascii_lowercase();
        failing = false;
        if directive.starts_with("skip") || directive.starts_with("todo") {
            results.skipped.push(name.to_owned());
        } else if ok {
            results.passed.push(name.to_owned());
        } else {
            failing = true;
            results.failed.push((name.to_owned(), String::new()));
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_top_level_of_tap() {
        let text = "TAP version 13\n# Subtest: a\n    ok 1 - inner\nok 1 - a\nnot ok 2 - b\n  ---\n  error: 'boom'\n  ...\n\
                    ok 3 - c # SKIP later\n1..3\n";
        let results = tap(text);
        assert_eq!(
            (results.passed.as_slice(), results.skipped.as_slice()),
            (&["a".to_owned()][..], &["c".to_owned()][..])
        );
        assert!(results.failed[0].0 == "b" && results.failed[0].1.contains("boom"), "{results:?}");
        assert_eq!(tap("ok 1 - not TAP at all"), Results::default());
    }

    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(literal("a (b) | c.*"), "a \\(b\\) \\| c\\.\\*");
    }
}
