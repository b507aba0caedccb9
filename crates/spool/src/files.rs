//! The directory: names of segments, atomic creation, fsync of directories.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// Extension of a segment.
pub(crate) const SEGMENT: &str = "seg";
/// Extension of a quarantined segment.
pub(crate) const DAMAGED: &str = "damaged";

/// A segment by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

/// Path of the segment that begins with `first`.
pub(crate) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.{SEGMENT}"))
}

/// Files named `<number>.<extension>`, in order. A missing directory holds none.
pub(crate) fn list(dir: &Path, extension: &str) -> Result<Vec<SegmentFile>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { action: "list", path: dir.to_owned(), source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.during("list", dir)?;
        let path = entry.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(first), true) = (number, path.extension().is_some_and(|e| e == extension)) {
            match entry.metadata() {
                Ok(metadata) => found.push(SegmentFile { first, len: metadata.len(), path }),
                // Deleted by the consumer since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { action: "inspect", path, source }),
            }
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Removes what a kill left of an atomic creation.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).during("list", dir)? {
        let path = entry.during("list", dir)?.path();
        if path.extension().is_some_and(|e| e == "tmp") {
            fs::remove_file(&path).during("remove", &path)?;
        }
    }
    Ok(())
}

/// Makes creations, renames and removals in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|file| file.sync_all()).during("sync", dir)
}

/// Writes a whole file so that it is there entirely or not at all, also after a loss of power: temporary file, fsync,
/// rename, fsync of the directory.
pub fn write_atomically(path: &Path, bytes: &[u8], fsync: bool) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = dir.join(name);
    let mut file = File::create(&temporary).during("create", &temporary)?;
    file.write_all(bytes).during("write", &temporary)?;
    if fsync {
        file.sync_all().during("sync", &temporary)?;
    }
    fs::rename(&temporary, path).during("rename", &temporary)?;
    if fsync { sync_dir(dir) } else { Ok(()) }
}
