//! The difference of two trees: the text, and what it does to each file.

use super::{Git, Mirror, object_name};
use crate::error::Error;
use crate::tree_path::TreePath;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content or mode changed.
    Modified,
    /// It has another path now.
    Renamed,
    /// It was a file and is a link, or the like.
    TypeChanged,
}

/// One file of a difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileChange {
    /// What happened.
    pub status: Status,
    /// The path before; the same as `path` unless renamed.
    pub old_path: TreePath,
    /// The path after.
    pub path: TreePath,
    /// Mode before, `000000` if it was not there.
    pub old_mode: String,
    /// Mode after, `000000` if it is gone.
    pub mode: String,
    /// Lines added; 0 for binary content.
    pub added: u64,
    /// Lines removed; 0 for binary content.
    pub removed: u64,
    /// Whether git takes its content for binary.
    pub binary: bool,
}

/// A difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// As `git apply` takes it. Bytes, because content may be in any encoding; names are quoted.
    pub patch: Vec<u8>,
    /// The files, in the order of their paths.
    pub files: Vec<FileChange>,
}

impl Mirror {
    /// What leads from one commit to the other.
    pub fn diff(&self, from: &str, to: &str) -> Result<Diff, Error> {
        diff(&self.git, from, to)
    }
}

/// What leads from one tree or commit to the other, renames found.
pub(super) fn diff(git: &Git, from: &str, to: &str) -> Result<Diff, Error> {
    let (from, to) = (object_name(from)?, object_name(to)?);
    let run = |format: &[&str]| {
        let mut args = vec!["diff-tree", "-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index"];
        args.extend_from_slice(format);
        args.extend_from_slice(&["--end-of-options", from, to]);
        git.run(&args)
    };
    let patch = run(&["-p", "--binary"])?;
    let files = changes(&run(&["--raw", "-z"])?, &run(&["--numstat", "-z"])?)?;
    Ok(Diff { patch, files })
}

fn unreadable() -> Error {
    Error::Git { command: "diff-tree".into(), message: "output that cannot be read".into() }
}

/// Joins `:oldmode newmode old new status NUL path [NUL path]` with `added TAB removed TAB path` (for a rename
/// `added TAB removed TAB NUL old NUL new`); both list the same files in the same order.
fn changes(raw: &[u8], numstat: &[u8]) -> Result<Vec<FileChange>, Error> {
    let mut raw = raw.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let mut stats = numstat.split(|byte| *byte == 0);
    let mut files = Vec::new();
    while let Some(head) = raw.next() {
        let head = std::str::from_utf8(head).map_err(|_| unreadable())?;
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let [old_mode, mode, _, _, letter] = words[..] else { return Err(unreadable()) };
        let status = match letter.as_bytes().first() {
            Some(b'A' | b'C') => Status::Added,
            Some(b'D') => Status::Deleted,
            Some(b'M') => Status::Modified,
            Some(b'R') => Status::Renamed,
            Some(b'T') => Status::TypeChanged,
            _ => return Err(unreadable()),
        };
        let old_path = TreePath::raw(raw.next().ok_or_else(unreadable)?);
        let renamed = status == Status::Renamed;
        let path = if renamed { TreePath::raw(raw.next().ok_or_else(unreadable)?) } else { old_path.clone() };
        let stat = stats.next().ok_or_else(unreadable)?;
        if renamed {
            stats.nth(1).ok_or_else(unreadable)?;
        }
        let mut counts = stat.split(|byte| *byte == b'\t').map(|count| std::str::from_utf8(count).unwrap_or_default());
        let (added, removed) = (counts.next().unwrap_or_default(), counts.next().unwrap_or_default());
        files.push(FileChange {
            status,
            old_path,
            path,
            old_mode: old_mode.to_owned(),
            mode: mode.to_owned(),
            added: added.parse().unwrap_or(0),
            removed: removed.parse().unwrap_or(0),
            binary: added == "-",
        });
    }
    Ok(files)
}
