//! How the tests of a repository are run, and what they say.
//!
//! Names of tests come from the tests themselves and results are files that they can write: a repository that wants to
//! lie about its own tests can. What it cannot do is pass with a failing exit code.

mod cargo;
mod coverage;
mod detect;
mod golang;
mod junit;
mod maven;
mod node;
mod python;
mod toolchain;

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use coverage::{Coverage, Lines};
pub use toolchain::in_path as tools_in_path;

use crate::error::Error;
use crate::sandbox::{Command, Limit, Limits, Outcome, Sandbox};

/// A way to run tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `python3 -m pytest`, results by test.
    Pytest,
    /// Python's own `unittest`, results by test.
    Unittest,
    /// `go test -json`, results by test.
    Go,
    /// `cargo test --offline`, results by test.
    Cargo,
    /// `node --test`, results by test.
    Node,
    /// `npm test`; results by test if it prints TAP, else its exit code.
    Npm,
    /// `mvn -o -q test`, results by test.
    Maven,
    /// `make test`, its exit code.
    Make,
    /// A command of the configuration, its exit code.
    Given,
}

/// One suite of tests of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// How it is run.
    pub kind: Kind,
    /// The folder it is run in, relative to the worktree; empty for its root.
    pub folder: PathBuf,
    /// The command, for [`Kind::Given`], and the files for [`Kind::Node`].
    pub argv: Vec<OsString>,
}

/// What a suite came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// Tests that passed.
    pub passed: Vec<String>,
    /// Tests that failed, with what they said.
    pub failed: Vec<(String, String)>,
    /// What broke before a test could say anything: a file that does not compile, a fixture that throws.
    pub errors: Vec<(String, String)>,
    /// Tests that were not run by their own wish.
    pub skipped: Vec<String>,
    /// Why there are no results at all, if so.
    pub could_not_run: Option<String>,
}

impl Results {
    /// Whether at least one test passed and nothing else happened.
    pub fn green(&self) -> bool {
        self.could_not_run.is_none() && !self.passed.is_empty() && self.failed.is_empty() && self.errors.is_empty()
    }

    fn none(why: impl Into<String>) -> Self {
        Self { could_not_run: Some(why.into()), ..Self::default() }
    }
}

/// Most bytes of a message that are kept.
const MESSAGE: usize = 4000;
/// Most bytes of a file of results that are read.
const REPORT: u64 = 64 << 20;

/// A run of a suite: what to start, and how to read what comes out.
struct Plan {
    command: Command,
    readable: Vec<PathBuf>,
    read: Box<dyn Fn(&Outcome) -> Results>,
}

impl Suite {
    /// The suites that a worktree has, by the files in its root: `pyproject.toml` and the like.
    pub fn detect(worktree: &Path) -> Vec<Self> {
        detect::detect(worktree)
    }

    /// A command of the configuration, judged by its exit code.
    pub fn given<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self { kind: Kind::Given, folder: PathBuf::new(), argv: argv.into_iter().map(Into::into).collect() }
    }

    /// Runs the suite, or only the tests named (as [`Results`] names them), within `limits`.
    ///
    /// Gives what the tests said and how the run ended; an error only if the sandbox itself failed.
    pub fn run(
        &self,
        sandbox: &Sandbox,
        worktree: &Path,
        only: Option<&[String]>,
        limits: Limits,
    ) -> Result<(Results, Option<Outcome>), Error> {
        let outbox = tempfile::tempdir().map_err(Error::io("could not make a folder for results"))?;
        let dir = worktree.join(&self.folder);
        let dir = fs::canonicalize(&dir).map_err(Error::io(format!("could not open {}", dir.display())))?;
        let cache = sandbox.cache.clone().unwrap_or_else(|| outbox.path().join("cache"));
        fs::create_dir_all(&cache).map_err(Error::io(format!("could not make {}", cache.display())))?;
        let plan = match self.plan(&dir, outbox.path(), &cache, only.filter(|only| !only.is_empty())) {
            Ok(plan) => plan,
            Err(why) => return Ok((Results::none(why), None)),
        };
        self.carry_out(plan, sandbox, worktree, outbox.path(), limits)
    }

    /// Runs a plan of this suite, which may write to the worktree, the outbox and the cache.
    fn carry_out(
        &self,
        plan: Plan,
        sandbox: &Sandbox,
        worktree: &Path,
        outbox: &Path,
        limits: Limits,
    ) -> Result<(Results, Option<Outcome>), Error> {
        let real =
            |path: &Path| fs::canonicalize(path).map_err(Error::io(format!("could not open {}", path.display())));
        let (worktree, dir) = (real(worktree)?, real(&worktree.join(&self.folder))?);
        if !dir.starts_with(&worktree) {
            return Err(Error::refused(self.folder.display(), "it leads out of the worktree"));
        }
        let mut sandbox = sandbox.clone();
        sandbox.readable.extend(plan.readable);
        let mut command = plan.command;
        command.limits = limits;
        command.writable.extend([outbox.to_owned(), worktree]);
        command.writable.extend(sandbox.cache.clone());
        let outcome = sandbox.run(&command)?;
        let results = judged((plan.read)(&outcome), &outcome);
        Ok((results, Some(outcome)))
    }

    fn plan(&self, dir: &Path, outbox: &Path, cache: &Path, only: Option<&[String]>) -> Result<Plan, String> {
        match self.kind {
            Kind::Pytest => python::pytest(dir, outbox, only),
            Kind::Unittest => python::unittest(dir, outbox, only),
            Kind::Go => golang::plan(dir, cache, only),
            Kind::Cargo => cargo::plan(dir, cache, only),
            Kind::Node => node::node(dir, outbox, &self.argv, only),
            Kind::Npm => node::npm(dir, cache, only),
            Kind::Maven => maven::plan(dir, cache, only),
            Kind::Make => by_exit_code(dir, vec!["make".into(), "test".into()], "make test", only),
            Kind::Given => {
                let name = self.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
                let mut plan = by_exit_code(dir, self.argv.clone(), &name, only)?;
                python::resolve(&mut plan);
                cargo::resolve(dir, cache, &mut plan)?;
                Ok(plan)
            }
        }
    }
}

/// A command that says only whether it went well. It has no tests by name.
fn by_exit_code(dir: &Path, argv: Vec<OsString>, name: &str, only: Option<&[String]>) -> Result<Plan, String> {
    if only.is_some_and(|only| only.iter().any(|test| test != name)) {
        return Err(format!("'{name}' has no tests that could be run by name"));
    }
    let name = name.to_owned();
    let read = move |outcome: &Outcome| {
        let mut results = Results::default();
        if outcome.success() {
            results.passed.push(name.clone());
        } else if outcome.not_started.is_none() {
            results.failed.push((name.clone(), said(outcome)));
        }
        results
    };
    Ok(Plan { command: Command::new(dir, argv), readable: toolchain::in_path(), read: Box::new(read) })
}

/// Brings results and the end of the run together: what was cut off is no success.
fn judged(mut results: Results, outcome: &Outcome) -> Results {
    if let Some(why) = &outcome.not_started {
        return Results::none(why.clone());
    }
    if let Some(limit) = outcome.limit {
        results.errors.push(("the run".into(), format!("ended by its limit of {}: {}", name(limit), said(outcome))));
        return results;
    }
    let nothing = results.passed.is_empty() && results.failed.is_empty() && results.errors.is_empty();
    if nothing && results.skipped.is_empty() && results.could_not_run.is_none() {
        results.could_not_run = Some(format!("no test reported anything ({}): {}", ended(outcome), said(outcome)));
    } else if !outcome.success()
        && results.failed.is_empty()
        && results.errors.is_empty()
        && results.could_not_run.is_none()
    {
        results.errors.push(("the run".into(), format!("no test failed, but {}: {}", ended(outcome), said(outcome))));
    }
    results
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::Wall => "time",
        Limit::Cpu => "processor time",
        Limit::Memory => "memory",
        Limit::Processes => "processes",
        Limit::File => "the size of a file",
        Limit::Disk => "disk",
        Limit::Output => "output",
    }
}

fn ended(outcome: &Outcome) -> String {
    match (outcome.exit, outcome.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no end".into(),
    }
}

/// The last of what a run said, on both streams.
fn said(outcome: &Outcome) -> String {
    let text = format!("{}\n{}", outcome.stdout.text().trim(), outcome.stderr.text().trim());
    last(text.trim())
}

/// The last part of a long text, from the start of a character on.
fn last(text: &str) -> String {
    let mut from = text.len().saturating_sub(MESSAGE);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

/// The first part of a long text.
fn first(text: &str) -> String {
    let mut to = text.len().min(MESSAGE);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    text[..to].to_owned()
}

/// A file of results that the run wrote: a plain file, not a link and not a pipe, of a bounded size.
fn report(path: &Path) -> Option<Vec<u8>> {
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > REPORT {
        return None;
    }
    let mut content = Vec::new();
    file.take(REPORT).read_to_end(&mut content).ok()?;
    Some(content)
}
