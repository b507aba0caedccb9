//! Where files lie: `<base>/v1/<table>/date=YYYY-MM-DD/hour=HH/<instance>-<first slice>-<n>.parquet`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use backtrail_model::time::{Slice, UnixNano};

use crate::SCHEMA_VERSION;
use crate::error::{Context, StoreError};

const HOUR: u64 = 3_600_000_000_000;

/// One hour of a table: the unit that readers prune by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Partition {
    /// Hours since the Unix epoch.
    hour: u64,
}

/// The partition of a time.
pub const fn partition_of(time: UnixNano) -> Partition {
    Partition { hour: time.0 / HOUR }
}

impl Partition {
    /// When it begins.
    pub const fn start(self) -> UnixNano {
        UnixNano(self.hour * HOUR)
    }

    /// `date=YYYY-MM-DD/hour=HH`.
    pub fn path(self) -> PathBuf {
        let text = self.start().to_string();
        PathBuf::from(format!("date={}", &text[..10])).join(format!("hour={}", &text[11..13]))
    }
}

/// The directory of a table.
pub fn table_dir(base: &Path, table: &str) -> PathBuf {
    base.join(SCHEMA_VERSION).join(table)
}

/// Name of the `n`-th file that begins with `first`.
pub fn file_name(instance: &str, first: Slice, n: u32) -> String {
    format!("{instance}-{}-{n}.parquet", first.0)
}

/// Where a writer keeps its unfinished files: its own directory, so that nobody else's are touched.
pub fn staging_dir(base: &Path, instance: &str, writer: &str) -> PathBuf {
    let writer: String = writer.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    base.join("_tmp").join(instance).join(writer)
}

/// Removes what a kill left in a staging directory; says how many files.
pub fn remove_leftovers(staging: &Path) -> Result<u64, StoreError> {
    let entries = match fs::read_dir(staging) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(StoreError::Io { action: "list", path: staging.to_owned(), source }),
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry.during("list", staging)?.path();
        fs::remove_file(&path).during("remove", &path)?;
        removed += 1;
    }
    Ok(removed)
}

/// Creates a directory and makes it durable: with every new directory above it.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        create_dir(above)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created.during("create", dir)?,
    }
    sync_dir(above.unwrap_or(Path::new(".")))
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    fs::File::open(dir).and_then(|file| file.sync_all()).during("sync", dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_partition_by_date_and_hour() {
        let partition = partition_of(UnixNano(1_661_140_434_123_456_789));
        assert_eq!(partition.path(), Path::new("date=2022-08-22/hour=03"));
        assert_eq!(file_name("local", Slice(7), 2), "local-7-2.parquet");
    }
}
