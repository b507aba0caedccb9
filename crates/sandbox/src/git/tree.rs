//! What a commit holds.

use super::{Mirror, object_name};
use crate::error::Error;
use crate::tree_path::TreePath;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// A plain file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its content is where it leads.
    Symlink,
    /// A commit of another repository.
    Submodule,
    /// A mode that git does not know.
    Other,
}

/// One entry of a tree. The path is as the repository has it: it may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: TreePath,
    /// Its mode, as git writes it: `100644`.
    pub mode: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of its content; 0 for a submodule.
    pub size: u64,
    /// The object's name.
    pub id: String,
}

impl Kind {
    /// What a mode stands for.
    pub fn of_mode(mode: &str) -> Self {
        match mode {
            "100644" | "100664" => Self::File,
            "100755" => Self::Executable,
            "120000" => Self::Symlink,
            "160000" => Self::Submodule,
            _ => Self::Other,
        }
    }
}

impl Mirror {
    /// All entries of a commit, folders unfolded, in git's order.
    pub fn tree(&self, commit: &str) -> Result<Vec<Entry>, Error> {
        let out =
            self.git.run(&["ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", object_name(commit)?])?;
        let mut entries = Vec::new();
        for record in out.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
            if entries.len() as u64 >= self.options.files {
                let what = format!("the number of files of {commit}");
                return Err(Error::TooLarge { what, limit: self.options.files });
            }
            entries.push(entry(record)?);
        }
        Ok(entries)
    }

    pub(super) fn entry(&self, commit: &str, path: &TreePath) -> Result<Entry, Error> {
        use std::os::unix::ffi::OsStrExt;
        let args = ["ls-tree", "-z", "-l", "--full-tree", "--end-of-options", object_name(commit)?];
        let mut args = args.map(std::ffi::OsString::from).to_vec();
        args.push(std::ffi::OsStr::from_bytes(path.as_bytes()).to_owned());
        let out = self.git.run(&args)?;
        let mut found = out.split(|byte| *byte == 0).filter(|record| !record.is_empty()).map(entry);
        let missing = || Error::Missing(format!("file '{path}' in commit {commit}"));
        let found = found.find_map(|entry| entry.ok().filter(|entry| entry.path == *path)).ok_or_else(missing)?;
        if matches!(found.kind, Kind::Other | Kind::Submodule) { Err(missing()) } else { Ok(found) }
    }
}

/// `mode type id size TAB path`; the size is padded, and `-` for a submodule.
fn entry(record: &[u8]) -> Result<Entry, Error> {
    let bad = || Error::Git { command: "ls-tree".into(), message: "an entry that cannot be read".into() };
    let tab = record.iter().position(|byte| *byte == b'\t').ok_or_else(bad)?;
    let head = std::str::from_utf8(&record[..tab]).map_err(|_| bad())?;
    let mut words = head.split_ascii_whitespace();
    let (Some(mode), Some(_), Some(id), Some(size)) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(bad());
    };
    Ok(Entry {
        path: TreePath::raw(&record[tab + 1..]),
        mode: mode.to_owned(),
        kind: Kind::of_mode(mode),
        size: size.parse().unwrap_or(0),
        id: id.to_owned(),
    })
}
