//! A commit's files on disk, laid down by us, and the changes made to them.
//!
//! git reads them into a private index with private objects, both beside and not in the tree, so the tree holds nothing
//! of git's that a test could change. Which files count is what was laid down or written through here: what a test run
//! leaves behind is in no hash and in no difference.

mod checkout;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

pub use checkout::{Checkout, CheckoutLimits, Skipped};

use super::diff::{Diff, FileChange, Status, diff};
use super::{Git, Kind, Mirror, Root};
use crate::error::Error;
use crate::tree_path::TreePath;

/// A checked-out commit with changes on it.
#[derive(Debug)]
pub struct Worktree {
    root: Root,
    git: Git,
    /// The tree that was checked out, as it is in the index: entries that git itself refuses are missing.
    base: String,
    commit: String,
    /// Paths that are on disk by our doing, and count.
    kept: BTreeSet<TreePath>,
    /// Largest file that is written.
    largest: u64,
    /// The index and the objects; removed with this.
    _state: tempfile::TempDir,
}

/// What a patch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The tree afterwards.
    pub tree: String,
    /// The files it changed.
    pub files: Vec<FileChange>,
}

impl Worktree {
    /// Lays down a commit in `dir`, which must be empty or not there. What is left out is in [`Checkout::skipped`].
    pub fn checkout(mirror: &Mirror, commit: &str, dir: &Path) -> Result<Checkout, Error> {
        Self::checkout_within(mirror, commit, dir, CheckoutLimits::default())
    }

    /// As [`Worktree::checkout`], with limits of the caller's.
    pub fn checkout_within(
        mirror: &Mirror,
        commit: &str,
        dir: &Path,
        limits: CheckoutLimits,
    ) -> Result<Checkout, Error> {
        checkout::checkout(mirror, commit, dir, limits)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The commit that was checked out.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The tree that was checked out.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The folder's files, for reading.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The content of a file, at most `max` bytes.
    pub fn read(&self, path: &TreePath, max: u64) -> Result<Vec<u8>, Error> {
        self.root.read(path, max)
    }

    /// Writes a file, new or in place of another; whether it may be executed stays as it was.
    pub fn write(&mut self, path: &TreePath, content: &[u8]) -> Result<(), Error> {
        let executable = self.root.executable(path).unwrap_or(false);
        self.write_mode(path, content, executable)
    }

    /// Writes a file and says whether it may be executed.
    pub fn write_mode(&mut self, path: &TreePath, content: &[u8], executable: bool) -> Result<(), Error> {
        if content.len() as u64 > self.largest {
            return Err(Error::TooLarge { what: format!("'{path}'"), limit: self.largest });
        }
        self.root.write(path, content, executable, false)?;
        self.kept.insert(path.clone());
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &TreePath) -> Result<(), Error> {
        self.root.remove(path)?;
        self.kept.insert(path.clone());
        Ok(())
    }

    /// The tree that the files make now, by its hash. With nothing changed it is that of the commit, unless the commit
    /// holds entries that git refuses in an index (such as `.git/config`).
    pub fn tree_hash(&self) -> Result<String, Error> {
        let mut input = Vec::new();
        for path in &self.kept {
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        self.git.feed(&["update-index", "--add", "--remove", "-z", "--stdin"], input)?;
        self.git.word(&["write-tree", "--missing-ok"], Vec::new())
    }

    /// What leads from a tree or commit to the files as they are.
    pub fn diff(&self, from: &str) -> Result<Diff, Error> {
        diff(&self.git, from, &self.tree_hash()?)
    }

    /// Applies a patch, wholly or not at all as far as git can tell; then writes the files.
    pub fn apply(&mut self, patch: &[u8]) -> Result<Applied, Error> {
        self.patch(patch, false)
    }

    /// Takes a patch back.
    pub fn revert(&mut self, patch: &[u8]) -> Result<Applied, Error> {
        self.patch(patch, true)
    }

    /// Whether a patch could be applied to the files as they are; if not, why.
    pub fn check(&self, patch: &[u8]) -> Result<(), Error> {
        self.tree_hash()?;
        self.git.feed(&["apply", "--cached", "--check", "--whitespace=nowarn", "-"], patch.to_vec()).map(drop)
    }

    /// git changes the index alone; the files are written by us, through the one door that checks every path.
    fn patch(&mut self, patch: &[u8], reverse: bool) -> Result<Applied, Error> {
        let before = self.tree_hash()?;
        let mut args = vec!["apply", "--cached", "--whitespace=nowarn"];
        if reverse {
            args.push("-R");
        }
        args.push("-");
        self.git.feed(&args, patch.to_vec())?;
        let settled = self.settle(&before);
        if settled.is_err() {
            // The index goes back to where it was, so that a refused patch leaves no trace in a later hash.
            self.git.run(&["read-tree", &before])?;
        }
        settled
    }

    fn settle(&mut self, before: &str) -> Result<Applied, Error> {
        let tree = self.git.word(&["write-tree", "--missing-ok"], Vec::new())?;
        let files = diff(&self.git, before, &tree)?.files;
        for file in &files {
            for path in [&file.old_path, &file.path] {
                if let Some(why) = path.refusal() {
                    return Err(Error::refused(path, why));
                }
            }
            if !matches!(Kind::of_mode(&file.mode), Kind::File | Kind::Executable) && file.status != Status::Deleted {
                return Err(Error::refused(
                    &file.path,
                    "a patch may not make or change a symbolic link or a submodule",
                ));
            }
        }
        // All contents are read before the first file is written, so what cannot be had is known in time.
        let mut contents = Vec::new();
        for file in files.iter().filter(|file| file.status != Status::Deleted) {
            contents.push((file, self.staged(&file.path)?));
        }
        for file in
            files.iter().filter(|file| matches!(file.status, Status::Deleted | Status::Renamed | Status::TypeChanged))
        {
            self.remove(&file.old_path)?;
        }
        for (file, content) in contents {
            self.write_mode(&file.path, &content, Kind::of_mode(&file.mode) == Kind::Executable)?;
        }
        Ok(Applied { tree, files })
    }

    /// The content of a file in the index.
    fn staged(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        use std::os::unix::ffi::OsStringExt;
        let mut name = b":0:".to_vec();
        name.extend_from_slice(path.as_bytes());
        self.git.run(&[OsString::from("cat-file"), OsString::from("blob"), OsString::from_vec(name)])
    }
}
