//! What can go wrong in the store.

use std::path::{Path, PathBuf};

/// An error of the store, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system failed (disk full, no permission): try again later.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as "write".
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Writing Parquet failed; with a full disk this is where it shows.
    #[error("cannot write {}: {source}", path.display())]
    Parquet {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: parquet::errors::ParquetError,
    },
    /// A builder does not fit its table.
    #[error("bug: {0}")]
    Bug(String),
}

pub(crate) trait Context<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}
