//! Runs a program that is not trusted: in namespaces of its own, within limits, and with a plain statement of what
//! could not be isolated.
//!
//! There is no `unsafe` here, so nothing is done between `fork` and `exec`. Instead the caller's own binary is started
//! again as the sandbox's first process ([`crate::init::main`]), which sets everything up and then starts the program.

mod disk;
mod processes;
pub(crate) mod spec;
mod supervise;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use processes::{kill_descendants, usage};

use crate::captured::Captured;
use crate::error::Error;

/// How the caller's binary comes to [`crate::init::main`]: a program and its first arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init(pub(crate) Vec<OsString>);

impl Init {
    /// `program arguments...`, to which one more argument is added.
    pub fn new<A: Into<OsString>>(program: impl Into<OsString>, arguments: impl IntoIterator<Item = A>) -> Self {
        Self(std::iter::once(program.into()).chain(arguments.into_iter().map(Into::into)).collect())
    }
}

/// One thing that is isolated, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// A user namespace: no right over anything of the machine, and no further user namespaces.
    User,
    /// The user is not root and holds no capability.
    Credentials,
    /// Programs with set-uid give nothing.
    NoNewPrivileges,
    /// Mounts of its own.
    Mount,
    /// Everything but the writable folders is read-only.
    ReadOnly,
    /// Home folders and secrets are covered.
    Hidden,
    /// `/tmp` and the like are its own, and vanish.
    Temporary,
    /// Only harmless devices.
    Devices,
    /// Processes of its own, all of which end with the run.
    Pid,
    /// `/proc` shows only those.
    Proc,
    /// No network.
    Network,
    /// `127.0.0.1` works, inside.
    Loopback,
    /// Shared memory and message queues of its own.
    Ipc,
    /// A host name of its own.
    Uts,
}

/// What is isolated, and what is not and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What is.
    pub isolated: Vec<Aspect>,
    /// What is not, with the reason.
    pub not_isolated: Vec<(Aspect, String)>,
}

impl Isolation {
    /// Whether an aspect is isolated.
    pub fn has(&self, aspect: Aspect) -> bool {
        self.isolated.contains(&aspect)
    }

    /// Notes the result of one step.
    pub(crate) fn note<E: ToString>(&mut self, aspect: Aspect, result: Result<(), E>) -> bool {
        match result {
            Ok(()) => self.isolated.push(aspect),
            Err(why) => self.not_isolated.push((aspect, why.to_string())),
        }
        self.has(aspect)
    }
}

/// Limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Real time.
    pub wall: Duration,
    /// Processor time of all processes together.
    pub cpu: Duration,
    /// Memory of all processes together, in bytes; shared pages count once. The private `/tmp` may hold as much again.
    pub memory: u64,
    /// Processes and threads at one time.
    pub processes: u64,
    /// Largest file, in bytes.
    pub file: u64,
    /// Growth of the writable folders with what has no name any more, in bytes; the private `/tmp` holds no more either.
    pub disk: u64,
    /// Growth of the writable folders, in files.
    pub files: u64,
    /// Bytes written to both output streams.
    pub output: u64,
    /// Bytes kept of the beginning, and as many of the end, of each stream.
    pub keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(10),
            cpu: Duration::from_mins(20),
            memory: 4 << 30,
            processes: 1024,
            file: 1 << 30,
            disk: 4 << 30,
            files: 200_000,
            output: 64 << 20,
            keep: 1 << 20,
        }
    }
}

/// A limit that ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Real time.
    Wall,
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Processes and threads.
    Processes,
    /// Size of one file.
    File,
    /// Bytes or files on disk.
    Disk,
    /// Bytes of output.
    Output,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. The program is looked up in the `PATH` it gets.
    pub argv: Vec<OsString>,
    /// The folder that it runs in and may write to.
    pub dir: PathBuf,
    /// Its environment, on top of `PATH`, `HOME`, `TMPDIR`, `LANG` and `USER`; nothing else is passed on.
    pub env: Vec<(OsString, OsString)>,
    /// Further folders that it may write to.
    pub writable: Vec<PathBuf>,
    /// Limits.
    pub limits: Limits,
}

impl Command {
    /// A program with the usual limits.
    pub fn new<A: Into<OsString>>(dir: &Path, argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            dir: dir.to_owned(),
            env: Vec::new(),
            writable: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code, if it exited by itself.
    pub exit: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The limit that ended it, if one did.
    pub limit: Option<Limit>,
    /// Why the program could not even be started.
    pub not_started: Option<String>,
    /// Its standard output.
    pub stdout: Captured,
    /// Its error stream.
    pub stderr: Captured,
    /// Real time it took.
    pub wall: Duration,
    /// Most memory seen at once, in bytes.
    pub memory: u64,
    /// What was isolated and what was not.
    pub isolation: Isolation,
}

impl Outcome {
    /// Whether it exited with 0 and within its limits.
    pub fn success(&self) -> bool {
        self.exit == Some(0) && self.limit.is_none()
    }
}

/// Where programs are run: what they see, as whom they run and what must be isolated.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(crate) init: Init,
    /// Folders and files to cover, on top of `$HOME`, `/root` and `/home`: the data folder of the caller, keys.
    pub hidden: Vec<PathBuf>,
    /// What stays visible, read-only, although a folder above it is covered: toolchains, package caches.
    pub readable: Vec<PathBuf>,
    /// User and group to run as when started by root; the writable folders are given to them. The kernel's own
    /// "nobody" by default, which most machines know by name.
    pub user: (u32, u32),
    /// Where suites keep what they build from one run to the next; thrown away with the run if `None`. Each repository
    /// needs a folder of its own: what one writes there it finds again.
    pub cache: Option<PathBuf>,
    /// A run is refused when one of these cannot be isolated.
    pub require: Vec<Aspect>,
}

impl Sandbox {
    /// A sandbox whose first process is `init`.
    pub fn new(init: Init) -> Self {
        Self { init, hidden: Vec::new(), readable: Vec::new(), user: (65534, 65534), cache: None, require: Vec::new() }
    }

    /// What this machine lets us isolate, found by doing it.
    pub fn probe(init: Init) -> Result<Isolation, Error> {
        let dir = tempfile::tempdir().map_err(Error::io("could not make a folder to probe in"))?;
        let command = Command::new(dir.path(), std::iter::empty::<OsString>());
        Ok(supervise::run(&Self::new(init), &command)?.isolation)
    }

    /// Runs a program to its end, or to a limit. Nothing it started is left when this returns.
    pub fn run(&self, command: &Command) -> Result<Outcome, Error> {
        if command.argv.is_empty() {
            return Err(Error::Config("a command needs a program".into()));
        }
        supervise::run(self, command)
    }
}
