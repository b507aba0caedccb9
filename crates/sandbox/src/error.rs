//! What can go wrong, named by what the caller can do about it.

use std::io;
use std::time::Duration;

/// Failures of this crate. What hostile content does inside a run is no failure: that is in the outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// git said no.
    #[error("git {command}: {message}")]
    Git {
        /// The subcommand.
        command: String,
        /// What it wrote to its error stream, shortened.
        message: String,
    },
    /// Something took longer than it may.
    #[error("{what} did not end within {after:?}")]
    Timeout {
        /// What was run.
        what: String,
        /// The limit.
        after: Duration,
    },
    /// Something is larger than it may be.
    #[error("{what} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in the unit of what is counted.
        limit: u64,
    },
    /// A path, a word or a change that is not allowed to be.
    #[error("'{path}' is refused: {why}")]
    Refused {
        /// The path or word, made printable.
        path: String,
        /// Why.
        why: String,
    },
    /// What was asked for is not there.
    #[error("{0} was not found")]
    Missing(String),
    /// A file or process of ours failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The first process of the sandbox did not come up.
    #[error("the sandbox did not start: {0}")]
    Init(String),
    /// The caller demands an isolation that this machine does not give.
    #[error("not isolated as demanded: {0}")]
    NotIsolated(String),
    /// A setting that cannot be.
    #[error("{0}")]
    Config(String),
}

impl Error {
    /// For `map_err`: an I/O failure with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: a failed system call with what was being done.
    pub(crate) fn os(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.into();
        move |errno| Self::Io { what, source: errno.into() }
    }

    /// A refusal of a path.
    pub(crate) fn refused(path: impl std::fmt::Display, why: impl Into<String>) -> Self {
        Self::Refused { path: format!("{path}"), why: why.into() }
    }
}
