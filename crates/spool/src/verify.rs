//! Looking at every byte of a spool, and taking damaged segments out of the way.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Damage, Error};
use crate::files::{self, DAMAGED, SEGMENT};
use crate::reader::{Position, Reader};

/// What [`verify`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Segments that were read.
    pub segments: u64,
    /// Intact records.
    pub records: u64,
    /// Damage, in order.
    pub damage: Vec<Damage>,
    /// An incomplete record at the very end: what a kill leaves; the writer truncates it.
    pub torn: Option<Position>,
}

/// Reads every byte of the spool. Changes nothing; a missing directory is an empty spool.
pub fn verify(dir: &Path) -> Result<Report, Error> {
    let mut report = Report { segments: files::list(dir, SEGMENT)?.len() as u64, ..Report::default() };
    let mut reader = Reader::open(dir);
    loop {
        match reader.read() {
            Ok(Some(_)) => report.records += 1,
            Ok(None) => break,
            Err(Error::Damaged(damage)) => report.damage.push(damage),
            Err(error) => return Err(error),
        }
    }
    report.torn = reader.torn().cloned();
    Ok(report)
}

/// Renames the damaged segment to `*.damaged`, where nothing reads it but everything is kept. Its intact records go
/// with it: read them first if they matter. Returns the new path.
pub fn quarantine(damage: &Damage) -> Result<PathBuf, Error> {
    let to = damage.file.with_extension(DAMAGED);
    fs::rename(&damage.file, &to).during("rename", &damage.file)?;
    files::sync_dir(to.parent().unwrap_or(Path::new(".")))?;
    tracing::warn!(%damage, quarantined = %to.display(), "segment quarantined");
    Ok(to)
}
