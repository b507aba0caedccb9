//! git on repositories that are not trusted, through its command line.
//!
//! The environment is cleared and no configuration but ours is read, so nothing that a repository brings is ever run:
//! hooks, filters, drivers and helpers all need a line of configuration, and an origin's configuration is never read,
//! because only a bare mirror made by us is. Files are laid down by [`Worktree`], never by git.

mod diff;
mod history;
mod mirror;
mod place;
mod revert;
mod tree;
mod worktree;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use diff::{Diff, FileChange, Status};
pub use history::{BlameLine, Change};
pub use mirror::{Mirror, Options};
pub use place::Root;
pub use revert::{Edit, Revert};
pub use tree::{Entry, Kind};
pub use worktree::{Applied, Checkout, CheckoutLimits, Skipped, Worktree};

use crate::child::{self, Bounds};
use crate::error::Error;

/// Configuration that overrides whatever else there may be.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.fileMode=true",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=true",
    "core.pager=cat",
    "core.commitGraph=false",
    "credential.helper=",
    "protocol.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
    "log.mailmap=false",
    "i18n.logOutputEncoding=UTF-8",
    "advice.detachedHead=false",
    "init.templateDir=",
    "safe.bareRepository=explicit",
];

/// How git is called on one repository.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    /// The bare repository.
    dir: PathBuf,
    /// An empty folder, for `HOME`.
    home: PathBuf,
    /// Further settings, such as the one protocol that a fetch may use.
    settings: Vec<String>,
    /// Further environment: a private index, private objects, and what the caller lets through.
    env: Vec<(OsString, OsString)>,
    bounds: Bounds,
}

impl Git {
    pub(crate) fn new(dir: &Path, home: &Path, bounds: Bounds) -> Self {
        Self { dir: dir.to_owned(), home: home.to_owned(), settings: Vec::new(), env: Vec::new(), bounds }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.bounds.time = time;
        self
    }

    pub(crate) fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.env_clear().current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_DIR", &self.dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.arg("--no-pager");
        command
    }

    /// Runs and gives the exit code with both streams; only a signal, a timeout or too much output is an error.
    pub(crate) fn try_run<A: AsRef<OsStr>>(&self, args: &[A], input: Vec<u8>) -> Result<(i32, Vec<u8>, String), Error> {
        let mut command = self.command();
        command.args(args);
        let what = args.iter().map(AsRef::as_ref).find(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
        let what = format!("git {}", what.unwrap_or_default().to_string_lossy());
        let ended = child::run(command, &what, input, self.bounds)?;
        let message = ended.stderr.text();
        let Some(code) = ended.status.code() else {
            return Err(Error::Git { command: what[4..].to_owned(), message: format!("{} {message}", ended.status) });
        };
        let stdout = ended.stdout.whole();
        let stdout = stdout
            .ok_or_else(|| Error::TooLarge { what: format!("the output of {what}"), limit: self.bounds.output })?;
        Ok((code, stdout, message))
    }

    /// Runs and gives the standard output; an exit code other than 0 is an error.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Vec<u8>, Error> {
        self.feed(args, Vec::new())
    }

    /// As [`Git::run`], with something on the standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, args: &[A], input: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (code, stdout, message) = self.try_run(args, input)?;
        if code == 0 {
            return Ok(stdout);
        }
        let command = args.first().map(|arg| arg.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
        let message = message.trim().chars().take(2000).collect::<String>();
        Err(Error::Git { command, message: if message.is_empty() { format!("exit code {code}") } else { message } })
    }

    /// As [`Git::run`], for one word of output.
    pub(crate) fn word<A: AsRef<OsStr>>(&self, args: &[A], input: Vec<u8>) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.feed(args, input)?).trim().to_owned())
    }
}

/// A full object name, which is the only thing that is handed to git as a revision after [`Mirror::resolve`].
pub(crate) fn is_object_name(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Refuses anything but a full object name.
pub(crate) fn object_name(word: &str) -> Result<&str, Error> {
    if is_object_name(word) {
        return Ok(word);
    }
    Err(Error::refused(word.escape_debug(), "not a full object name; resolve it first"))
}
