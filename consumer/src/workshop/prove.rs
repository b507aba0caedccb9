//! Proving a candidate: the repository's own tests before and after, added tests that fail before and pass after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use backtrail_policy as policy;
use backtrail_policy::{FileKind, kind_of};
use backtrail_sandbox::suites::{Results, Suite};
use backtrail_sandbox::{Isolation, TreePath};
use serde::Serialize;

use super::{Applied, Coverage, Judged, Workshop, coverage};
use crate::candidate::{Candidate, Counts};
use crate::context::Context;
use crate::error::{During, Error};
use crate::facts::{self, Changed};
use crate::journal::digest;

/// How often added tests run: one that passes by chance is found with it.
const REPEATS: u32 = 5;
/// Most names and messages in a report.
const MOST_LISTED: usize = 200;

/// Results of tests without a patch.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    suites: Vec<Suite>,
    run: Run,
}

/// Results of all suites.
#[derive(Clone, Debug, Default, Serialize)]
struct Run {
    passed: BTreeSet<String>,
    failed: BTreeMap<String, String>,
    /// Why a suite could not be run.
    could_not: Vec<String>,
    isolated: BTreeSet<String>,
    not_isolated: BTreeSet<String>,
}

/// What was found about a candidate by running it.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// How the tests were run.
    suites: Vec<String>,
    before: Counts,
    after: Counts,
    /// Tests that there are only with the patch.
    added: Vec<String>,
    failing_before: u64,
    passing_after: u64,
    repeats: u32,
    /// Tests that both passed and failed.
    flaky: Vec<String>,
    /// Tests that passed before and do not now, with what they said.
    newly_failing: BTreeMap<String, String>,
    /// Tests that failed before and after.
    failing_still: Vec<String>,
    /// Why tests could not be run at all.
    could_not: Vec<String>,
    isolated: Vec<String>,
    not_isolated: Vec<String>,
    /// Whether the tests run the changed lines.
    coverage: Coverage,
}

impl Workshop {
    /// Runs all that there is to run for an applied candidate.
    pub fn prove(&self, context: &Context, applied: &Applied) -> Result<Evidence, Error> {
        let baseline = self.baseline(context)?;
        let (before, path) = (&baseline.run, applied.worktree.path());
        // A copy: what a patch leaves in it, nobody finds again.
        let (_caches, cache) = self.copied_cache(context)?;
        let mut after = self.run(&baseline.suites, path, None, &cache)?;
        let mut flaky = BTreeSet::new();
        let mut newly_failing = newly_failing(before, &after);
        if !newly_failing.is_empty() {
            // Once more: what passes now fails by chance, and says so.
            let again = self.run(&baseline.suites, path, None, &cache)?;
            flaky.extend(newly_failing.keys().filter(|name| again.passed.contains(*name)).cloned());
            newly_failing.retain(|name, _| !again.passed.contains(name));
        }
        let added: Vec<String> =
            after.names().filter(|name| !before.names().any(|one| one == *name)).cloned().collect();
        let (mut failing_before, mut passing_after, mut repeats) = (0, 0, 0);
        if !added.is_empty() {
            let old = self.with_added_tests_only(context, applied, &baseline.suites, &cache)?;
            // A test that does not even load on the old code fails on it.
            failing_before = added.iter().filter(|name| !old.passed.contains(*name)).count() as u64;
            let mut always: BTreeSet<&String> = added.iter().filter(|name| after.passed.contains(*name)).collect();
            let passed_once = always.clone();
            repeats = 1;
            for _ in 1..REPEATS {
                let again = self.run(&baseline.suites, path, Some(&added), &cache)?;
                flaky.extend(
                    passed_once.iter().filter(|name| !again.passed.contains(**name)).map(|name| (*name).clone()),
                );
                flaky.extend(
                    added.iter().filter(|name| again.passed.contains(*name) && !passed_once.contains(name)).cloned(),
                );
                always.retain(|name| again.passed.contains(*name));
                after.isolated.extend(again.isolated);
                repeats += 1;
            }
            passing_after = always.len() as u64;
        }
        let mut sandbox = self.sandbox.clone();
        sandbox.cache = Some(cache.clone());
        let coverage = coverage::measure(&baseline.suites, &sandbox, path, self.limits, &applied.changed())?;
        Ok(Evidence {
            coverage,
            suites: baseline
                .suites
                .iter()
                .map(|suite| format!("{:?} in '{}'", suite.kind, suite.folder.display()))
                .collect(),
            before: before.counts(),
            after: after.counts(),
            failing_still: before
                .failed
                .keys()
                .filter(|name| !after.passed.contains(*name))
                .take(MOST_LISTED)
                .cloned()
                .collect(),
            added,
            failing_before,
            passing_after,
            repeats,
            flaky: flaky.into_iter().collect(),
            newly_failing,
            could_not: before.could_not.iter().chain(&after.could_not).cloned().collect(),
            isolated: after.isolated.into_iter().collect(),
            not_isolated: after.not_isolated.into_iter().collect(),
        })
    }

    /// Asks the policy with what was found.
    pub fn decide(
        &self,
        context: &Context,
        candidate: &Candidate,
        applied: &Applied,
        owners: &[String],
        evidence: &Evidence,
    ) -> Judged {
        self.judge(&self.input(context, candidate, applied, owners, Some(evidence)))
    }

    /// The tests of the deployed commit.
    fn baseline(&self, context: &Context) -> Result<Baseline, Error> {
        let key = format!("{} {} {}", context.mapping.repository, context.commit, context.mapping.path_prefix);
        if let Some(known) = self.baselines.borrow().get(&key) {
            return Ok(known.clone());
        }
        let (_folder, worktree) = self.checkout(context)?;
        let suites = suites(worktree.path(), &context.mapping.path_prefix);
        let cache = self.cache(context);
        std::fs::create_dir_all(&cache).during("create", &cache)?;
        let mut run = self.run(&suites, worktree.path(), None, &cache)?;
        if suites.is_empty() {
            run.could_not.push("the repository has no tests that are known here".into());
        }
        let baseline = Baseline { suites, run };
        self.baselines.borrow_mut().insert(key, baseline.clone());
        Ok(baseline)
    }

    /// Where the suites of a commit keep what they build: filled by the run without a patch.
    fn cache(&self, context: &Context) -> PathBuf {
        let of = format!("{} {}", context.mapping.repository, context.commit);
        self.scratch.join("caches").join(&digest(of.as_bytes())[..16])
    }

    /// A copy of it, gone with the first of what is given.
    fn copied_cache(&self, context: &Context) -> Result<(tempfile::TempDir, PathBuf), Error> {
        let folder = tempfile::tempdir_in(&self.scratch).during("create a folder in", &self.scratch)?;
        let copy = folder.path().join("cache");
        let copied = Command::new("cp").arg("-a").arg("--").arg(self.cache(context)).arg(&copy).output();
        let copied = copied.during("copy to", &copy)?;
        if !copied.status.success() {
            // Slower, and nothing else.
            tracing::debug!(said = %String::from_utf8_lossy(&copied.stderr), "the build cache is not copied");
            std::fs::create_dir_all(&copy).during("create", &copy)?;
        }
        Ok((folder, copy))
    }

    /// The old code with the tests that the patch adds or changes.
    fn with_added_tests_only(
        &self,
        context: &Context,
        applied: &Applied,
        suites: &[Suite],
        cache: &Path,
    ) -> Result<Run, Error> {
        let (_folder, mut worktree) = self.checkout(context)?;
        for (path, _, after) in &applied.texts {
            if let (FileKind::Test, Some(text)) = (kind_of(path), after) {
                worktree.write(&TreePath::checked(path.as_bytes())?, text.as_bytes())?;
            }
        }
        self.run(suites, worktree.path(), None, cache)
    }

    fn run(&self, suites: &[Suite], tree: &Path, only: Option<&[String]>, cache: &Path) -> Result<Run, Error> {
        let mut all = Run::default();
        let mut sandbox = self.sandbox.clone();
        sandbox.cache = Some(cache.to_owned());
        for suite in suites {
            let folder = suite.folder.display().to_string();
            // Names are told apart by the folder of their suite, which is cut off again for the suite itself.
            let inside = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}: {name}") };
            let only: Option<Vec<String>> = only.map(|names| {
                let own = |name: &String| match folder.as_str() {
                    "" => Some(name.clone()),
                    folder => name.strip_prefix(folder)?.strip_prefix(": ").map(str::to_owned),
                };
                names.iter().filter_map(own).collect()
            });
            if only.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let (results, outcome) = suite.run(&sandbox, tree, only.as_deref(), self.limits)?;
            all.take(results, inside);
            if let Some(outcome) = outcome {
                all.note(&outcome.isolation);
            }
        }
        Ok(all)
    }
}

impl Run {
    fn take(&mut self, results: Results, inside: impl Fn(&str) -> String) {
        self.passed.extend(results.passed.iter().map(|name| inside(name)));
        let failed = results.failed.iter().chain(&results.errors);
        self.failed.extend(failed.map(|(name, said)| (inside(name), said.clone())));
        for name in self.failed.keys() {
            self.passed.remove(name);
        }
        self.could_not.extend(results.could_not_run);
    }

    fn note(&mut self, isolation: &Isolation) {
        let name = |aspect| serde_json::to_value(aspect).ok().and_then(|name| name.as_str().map(str::to_owned));
        self.isolated.extend(isolation.isolated.iter().filter_map(name));
        let not = isolation.not_isolated.iter();
        self.not_isolated.extend(not.filter_map(|(aspect, why)| Some(format!("{}: {why}", name(aspect)?))));
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.passed.iter().chain(self.failed.keys())
    }

    fn counts(&self) -> Counts {
        Counts { passed: self.passed.len() as u64, failed: self.failed.len() as u64 }
    }
}

fn newly_failing(before: &Run, after: &Run) -> BTreeMap<String, String> {
    let fails = |name: &&String| !after.passed.contains(*name);
    let said = |name: &String| after.failed.get(name).cloned().unwrap_or_else(|| "it was not run".into());
    before.passed.iter().filter(fails).take(MOST_LISTED).map(|name| (name.clone(), said(name))).collect()
}

/// The suites of the owner's part of the repository; those of the whole where it has none of its own.
fn suites(tree: &Path, prefix: &str) -> Vec<Suite> {
    let prefix = prefix.trim_matches('/');
    if !prefix.is_empty() {
        let own = Suite::detect(&tree.join(prefix));
        if !own.is_empty() {
            return own
                .into_iter()
                .map(|suite| Suite { folder: Path::new(prefix).join(&suite.folder), ..suite })
                .collect();
        }
    }
    Suite::detect(tree)
}

impl Evidence {
    /// Reasons why there is no proof, before any policy is asked.
    pub fn gaps(&self) -> Vec<String> {
        self.could_not.iter().map(|why| format!("tests could not be run: {why}")).collect()
    }

    /// Before the patch.
    pub const fn before(&self) -> Counts {
        self.before
    }

    /// With the patch.
    pub const fn after(&self) -> Counts {
        self.after
    }

    /// Tests that there are only with the patch.
    pub fn added(&self) -> &[String] {
        &self.added
    }

    /// How often they ran.
    pub const fn repeats(&self) -> u32 {
        self.repeats
    }

    /// Whether the tests run the changed lines.
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What was kept apart, and what was not.
    pub fn isolation(&self) -> policy::Sandbox {
        policy::Sandbox { isolated: self.isolated.clone(), not_isolated: self.not_isolated.clone() }
    }

    pub(super) fn tests(&self, changed: &[Changed<'_>]) -> policy::Tests {
        let suite = |counts: Counts| policy::Suite { passed: counts.passed, failed: counts.failed };
        policy::Tests {
            added_count: self.added.len() as u64,
            added: self.added.clone(),
            failing_before: self.failing_before,
            passing_after: self.passing_after,
            repeats: u64::from(self.repeats),
            flaky: self.flaky.len() as u64,
            suite_before: suite(self.before),
            suite_after: suite(self.after),
            newly_failing: self.newly_failing.keys().cloned().collect(),
            changed_or_removed: facts::tests_touched(changed),
        }
    }
}
