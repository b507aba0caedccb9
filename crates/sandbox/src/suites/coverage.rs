//! Which lines of the repository's code its tests run, by the language's own tool where that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use super::{Kind, Plan, Suite, golang, node, python, report};
use crate::error::Error;
use crate::sandbox::{Limits, Sandbox};

/// Most lines of one file that are kept.
const MOST: u32 = 1 << 20;

/// Lines that could run, by whether a test ran them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Run at least once.
    pub ran: BTreeSet<u32>,
    /// Never run.
    pub missed: BTreeSet<u32>,
}

/// Lines by file, relative to the worktree.
pub type Coverage = BTreeMap<String, Lines>;

impl Suite {
    /// Runs the suite once more and tells which lines it ran; the text says why that is not known.
    ///
    /// # Errors
    /// Only if the sandbox itself failed.
    pub fn coverage(
        &self,
        sandbox: &Sandbox,
        worktree: &Path,
        limits: Limits,
    ) -> Result<Result<Coverage, String>, Error> {
        let outbox = tempfile::tempdir().map_err(Error::io("could not make a folder for results"))?;
        let file = outbox.path().join("coverage");
        let cache = sandbox.cache.clone().unwrap_or_else(|| outbox.path().join("cache"));
        std::fs::create_dir_all(&cache).map_err(Error::io(format!("could not make {}", cache.display())))?;
        let dir = worktree.join(&self.folder);
        let dir = std::fs::canonicalize(&dir).map_err(Error::io(format!("could not open {}", dir.display())))?;
        let plan = match self.kind {
            Kind::Pytest | Kind::Unittest => python::coverage(&dir, &file, self.kind == Kind::Pytest),
            Kind::Go => covered_go(&dir, &file, &cache),
            Kind::Node => node::node(&dir, outbox.path(), &self.argv, None).map(|plan| covered_node(plan, &file)),
            Kind::Cargo | Kind::Npm | Kind::Maven | Kind::Make | Kind::Given => {
                Err(format!("no tool for the coverage of {:?} is used here", self.kind))
            }
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(why) => return Ok(Err(why)),
        };
        if let (_, Some(outcome)) = self.carry_out(plan, sandbox, worktree, outbox.path(), limits)?
            && let Some(why) = outcome.not_started
        {
            return Ok(Err(why));
        }
        let Some(text) = report(&file).and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Ok(Err("the tool for coverage wrote nothing".into()));
        };
        let found = match self.kind {
            Kind::Go => profile(&text, &module(&dir)),
            Kind::Node => lcov(&text, &dir),
            _ => by_json(&text)?,
        };
        let folder = self.folder.display().to_string();
        let placed = |(path, lines)| (if folder.is_empty() { path } else { format!("{folder}/{path}") }, lines);
        Ok(if found.is_empty() {
            Err("the tool for coverage saw no code".into())
        } else {
            Ok(found.into_iter().map(placed).collect())
        })
    }
}

fn covered_go(dir: &Path, file: &Path, cache: &Path) -> Result<Plan, String> {
    let mut plan = golang::plan(dir, cache, None)?;
    let profile = OsString::from(format!("-coverprofile={}", file.display()));
    let at = plan.command.argv.len() - 1;
    plan.command.argv.splice(at..at, [profile, "-coverpkg=./...".into()]);
    Ok(plan)
}

fn covered_node(mut plan: Plan, file: &Path) -> Plan {
    let destination = OsString::from(format!("--test-reporter-destination={}", file.display()));
    let argv = &mut plan.command.argv;
    // `node --test REPORTER DESTINATION files`: another reporter, to another file.
    argv.retain(|word| !word.to_string_lossy().starts_with("--test-reporter"));
    argv.splice(2..2, ["--experimental-test-coverage".into(), "--test-reporter=lcov".into(), destination]);
    plan
}

/// The module's name, with which paths of a profile begin.
fn module(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("go.mod")).unwrap_or_default();
    let name = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    name.unwrap_or_default().trim().trim_matches('"').to_owned()
}

/// `PATH:LINE.COLUMN,LINE.COLUMN STATEMENTS COUNT`, the same block once for each package's tests.
fn profile(text: &str, module: &str) -> Coverage {
    let mut found = Coverage::new();
    for line in text.lines().skip(1) {
        let block = line.rsplit_once(':').and_then(|(path, rest)| {
            let mut parts = rest.split(' ');
            let (from, to) = parts.next()?.split_once(',')?;
            let line = |place: &str| place.split('.').next()?.parse::<u32>().ok();
            let count: u64 = parts.nth(1)?.parse().ok()?;
            let path = path.strip_prefix(module)?.strip_prefix('/')?;
            Some((path, line(from)?, line(to)?, count > 0))
        });
        let Some((path, from, to, ran)) = block else { continue };
        let lines = found.entry(path.to_owned()).or_default();
        let block = from..=to.min(from.saturating_add(MOST));
        if ran { lines.ran.extend(block) } else { lines.missed.extend(block) }
    }
    settle(&mut found);
    found
}

/// `SF:` begins a file, `DA:LINE,COUNT` is a line of it.
fn lcov(text: &str, dir: &Path) -> Coverage {
    let mut found = Coverage::new();
    let mut file = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path);
            file = path.strip_prefix(dir).unwrap_or(path).display().to_string();
        } else if let Some((number, count)) = line.strip_prefix("DA:").and_then(|rest| rest.split_once(',')) {
            let (Ok(number), Ok(count)) = (number.parse::<u32>(), count.parse::<u64>()) else { continue };
            let lines = found.entry(file.clone()).or_default();
            if count > 0 {
                lines.ran.insert(number)
            } else {
                lines.missed.insert(number)
            };
        }
    }
    settle(&mut found);
    found
}

/// `{PATH: [[lines that could run], [lines that did not]]}`.
fn by_json(text: &str) -> Result<Coverage, Error> {
    let read: BTreeMap<String, (BTreeSet<u32>, BTreeSet<u32>)> =
        serde_json::from_str(text).map_err(|error| Error::refused("the report of coverage", error.to_string()))?;
    let lines = |(could, missed): (BTreeSet<u32>, BTreeSet<u32>)| Lines { ran: &could - &missed, missed };
    Ok(read.into_iter().map(|(path, both)| (path, lines(both))).collect())
}

/// A line that ran once is not missed, whatever another run of it says.
fn settle(found: &mut Coverage) {
    for lines in found.values_mut() {
        lines.missed = &lines.missed - &lines.ran;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_go_counts_a_line_that_any_test_ran() {
        let text = "mode: set\nx.example/a/b/c.go:3.10,5.2 2 0\nx.example/a/b/c.go:3.10,5.2 2 1\nx.example/a/d.go:7.2,7.9 1 0\nother/e.go:1.1,2.2 1 1\n";
        let found = profile(text, "x.example/a");
        assert_eq!(found["b/c.go"], Lines { ran: [3, 4, 5].into(), missed: [].into() });
        assert_eq!(found["d.go"].missed, [7].into());
        assert_eq!(found.len(), 2, "what is of another module is none of ours");
    }

    #[test]
    fn lcov_and_json_are_read() {
        let found = lcov("TN:\nSF:/w/src/a.js\nDA:1,2\nDA:2,0\nend_of_record\n", Path::new("/w"));
        assert_eq!(found["src/a.js"], Lines { ran: [1].into(), missed: [2].into() });
        let found = by_json("{\"a.py\": [[1, 2, 3], [3]]}").expect("read");
        assert_eq!(found["a.py"], Lines { ran: [1, 2].into(), missed: [3].into() });
        assert!(by_json("[]").is_err());
    }
}
