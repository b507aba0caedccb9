//! What can go wrong with a spool, by what the caller can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// An error of the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spool holds as much as it may; consume and delete, or raise the limit. Nothing was written.
    #[error("the spool {} is full: {used} of {limit} bytes are used and a record needs {needed}", dir.display())]
    Full {
        /// The directory.
        dir: PathBuf,
        /// Bytes in its segments.
        used: u64,
        /// `max_total_bytes`.
        limit: u64,
        /// Bytes that the record needs.
        needed: u64,
    },
    /// A damaged record, segment or cursor.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Another writer has the directory.
    #[error("the spool {} is in use by another writer", .0.display())]
    Locked(PathBuf),
    /// A record past 4 GiB.
    #[error("a record of {0} bytes is too large for the spool")]
    TooLarge(usize),
    /// An earlier write failed and could not be taken back; open the spool again.
    #[error("the spool {} failed earlier and must be opened again", .0.display())]
    Broken(PathBuf),
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

/// What is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DamageKind {
    /// The header of a segment: nothing in it can be read.
    SegmentHeader,
    /// The header of a record: what follows it in the segment cannot be read.
    RecordHeader,
    /// The payload of a record.
    Payload,
    /// A record is intact but not the one that must stand here.
    Sequence,
    /// A closed segment ends in the middle of a record.
    Truncated,
    /// Records between two segments are missing.
    Missing,
    /// A cursor file.
    Cursor,
}

/// Damage, by name: which file, where, and how it was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file: the start of the damaged header or payload.
    pub offset: u64,
    /// What is damaged.
    pub kind: DamageKind,
    /// The stored checksum; for [`DamageKind::Sequence`] and [`DamageKind::Missing`] the expected sequence; for
    /// [`DamageKind::Truncated`] the bytes that should follow.
    pub expected: u64,
    /// What was found instead.
    pub actual: u64,
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, kind, expected, actual } = self;
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        match kind {
            DamageKind::SegmentHeader => write!(f, "damaged segment header in {file}"),
            DamageKind::RecordHeader => write!(f, "damaged record header in {file}"),
            DamageKind::Payload => write!(f, "damaged payload in {file}"),
            DamageKind::Cursor => write!(f, "damaged cursor {file}"),
            DamageKind::Sequence | DamageKind::Missing => {
                return write!(
                    f,
                    "missing records in {file} at offset {offset}: expected sequence {expected}, found {actual}"
                );
            }
            DamageKind::Truncated => {
                return write!(
                    f,
                    "truncated segment {file} at offset {offset}: expected {expected} bytes, found {actual}"
                );
            }
        }?;
        write!(f, " at offset {offset}: expected checksum {expected:08x}, actual {actual:08x}")
    }
}

pub(crate) trait Context<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
