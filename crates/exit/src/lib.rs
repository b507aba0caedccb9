//! How a command of either binary ends: exit codes 0 ok, 1 a problem was found, 2 usage, 78 configuration.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// An exit code with a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// All is well.
    Ok,
    /// A problem was found, or something went wrong on the way.
    Problem,
    /// The command line makes no sense. (clap exits with the same code.)
    Usage,
    /// The configuration has problems (`EX_CONFIG` of sysexits).
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Problem => 1,
            Exit::Usage => 2,
            Exit::Config => 78,
        })
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error with its causes.
    pub error: anyhow::Error,
    /// How to mend it; empty when nothing better than the message is known.
    pub hint: String,
}

impl Failure {
    /// A wrong command line.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, error: anyhow::Error::msg(message.into()), hint: hint.into() }
    }

    /// A configuration with problems that were printed already, or are in the message.
    pub fn config(message: impl Into<String>) -> Self {
        Self { exit: Exit::Config, error: anyhow::Error::msg(message.into()), hint: String::new() }
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Prints it to stderr and gives its code.
    pub fn report(&self) -> ExitCode {
        if is_closed_pipe(&self.error) {
            // `backtrail status | head` is no error: the reader has seen enough.
            return Exit::Ok.into();
        }
        let mut err = std::io::stderr().lock();
        // When stderr is gone nobody can be told.
        let _ = writeln!(err, "error: {:#}", self.error);
        if !self.hint.is_empty() {
            let _ = writeln!(err, "hint: {}", self.hint);
        }
        self.exit.into()
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Problem, error: error.into(), hint: String::new() }
    }
}
