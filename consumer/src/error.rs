//! What can go wrong, by what the caller can do about it.

use std::path::{Path, PathBuf};

/// An error of the consumer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else holds the work by now: drop it. Nothing was written.
    #[error("the lease on {event} is stale: fence {held} was given out, {current} is current")]
    Stale {
        /// The event.
        event: String,
        /// The fence that was presented.
        held: u64,
        /// The fence in force.
        current: u64,
    },
    /// The journal is not what was written.
    #[error("the journal of {remediation} was changed at entry {entry}: {what}")]
    Tampered {
        /// Whose journal.
        remediation: String,
        /// The first entry that is wrong, counted from 0.
        entry: u64,
        /// How it was noticed.
        what: String,
    },
    /// A step that the state machine does not have: a defect of the consumer.
    #[error("{0} is no step that can follow")]
    IllegalStep(String),
    /// There are as many dead letters as may be; nothing more is taken in until some are dealt with.
    #[error("the {0} dead letters that are kept at most are there; look at them ('dlq list'), replay or drop some")]
    DeadLettersFull(u64),
    /// The event cannot be used, now or later.
    #[error(transparent)]
    Refused(#[from] crate::event::Refusal),
    /// `ownership.yaml` cannot be read or understood; triage waits until it can.
    #[error("{}: {what}", path.display())]
    Ownership {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// `approvers.yaml` cannot be read or understood.
    #[error("{}: {what}", path.display())]
    Approvers {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key file cannot be used.
    #[error("{}: {what}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Something is larger than what is kept beside a journal.
    #[error("an artifact of {found} bytes is too large; {most} are kept")]
    ArtifactTooLarge {
        /// Its bytes.
        found: usize,
        /// What is kept at most.
        most: usize,
    },
    /// The database was written by a newer version.
    #[error("the database has version {found}, this program knows {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The one that is known here.
        known: i64,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The queue failed.
    #[error(transparent)]
    Spool(#[from] backtrail_spool::Error),
    /// The repository or the sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] backtrail_sandbox::Error),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] backtrail_policy::Error),
    /// The file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as "write".
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

pub(crate) trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
