//! Taking one commit back on top of another, without a working tree.
//!
//! A revert of X on O is the three-way merge of O with the parent of X, with X as their base. `git merge-tree` finds
//! bases by history, so three commits are made whose history says just that. They hang in the mirror, reached by
//! nothing.

use super::diff::diff;
use super::{Kind, Mirror, Status, object_name};
use crate::error::Error;
use crate::tree_path::TreePath;

/// One file to write or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which file.
    pub path: TreePath,
    /// What it was; `None` if it was not there.
    pub before: Option<Vec<u8>>,
    /// What it becomes; `None` if it goes.
    pub after: Option<Vec<u8>>,
    /// Whether it may be executed afterwards.
    pub executable: bool,
}

/// What a revert comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revert {
    /// It can be done.
    Clean {
        /// The tree that results.
        tree: String,
        /// The files that change against the commit it is done on; none if it is already taken back.
        edits: Vec<Edit>,
    },
    /// Later changes stand in its way.
    Conflict {
        /// In these files.
        paths: Vec<TreePath>,
    },
}

/// Largest file that a revert gives the content of.
const LARGEST: u64 = 16 << 20;

impl Mirror {
    /// The result of taking `commit` back on top of `onto`. A merge is taken back against its first parent.
    pub fn revert_tree(&self, commit: &str, onto: &str) -> Result<Revert, Error> {
        let tree = |name: &str| {
            self.git.word(&["rev-parse", "--verify", "--end-of-options", &format!("{name}^{{tree}}")], Vec::new())
        };
        let (commit_tree, onto_tree) = (tree(object_name(commit)?)?, tree(object_name(onto)?)?);
        let parent = self.parents(commit)?.into_iter().next();
        let parent_tree = match parent {
            Some(parent) => tree(&parent)?,
            None => self.git.word(&["mktree"], Vec::new())?,
        };
        let base = self.stand_in(&commit_tree, None)?;
        let ours = self.stand_in(&onto_tree, Some(&base))?;
        let theirs = self.stand_in(&parent_tree, Some(&base))?;
        let args =
            ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", "--end-of-options", &ours, &theirs];
        let (code, out, message) = self.git.try_run(&args, Vec::new())?;
        let mut fields = out.split(|byte| *byte == 0).filter(|field| !field.is_empty());
        let merged = fields.next().map(|name| String::from_utf8_lossy(name).trim().to_owned()).unwrap_or_default();
        match code {
            0 => Ok(Revert::Clean { edits: self.edits(onto, &merged)?, tree: merged }),
            1 => {
                let mut paths: Vec<_> = fields.map(TreePath::raw).collect();
                paths.dedup();
                Ok(Revert::Conflict { paths })
            }
            _ => Err(Error::Git {
                command: "merge-tree".into(),
                message: format!("{message} (git 2.38 or newer is needed)"),
            }),
        }
    }

    /// A commit with a tree and a parent and nothing else that would matter.
    fn stand_in(&self, tree: &str, parent: Option<&str>) -> Result<String, Error> {
        let mut git = self.git.clone();
        for role in ["AUTHOR", "COMMITTER"] {
            git = git.env(&format!("GIT_{role}_NAME"), "backtrail");
            git = git.env(&format!("GIT_{role}_EMAIL"), "backtrail@localhost");
            git = git.env(&format!("GIT_{role}_DATE"), "1970-01-02T00:00:00+0000");
        }
        let mut args = vec!["commit-tree", "-m", "stand-in", object_name(tree)?];
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
        }
        git.word(&args, Vec::new())
    }

    fn edits(&self, from: &str, to: &str) -> Result<Vec<Edit>, Error> {
        let mut edits = Vec::new();
        for file in diff(&self.git, from, to)?.files {
            for mode in [&file.old_mode, &file.mode] {
                if mode != "000000" && !matches!(Kind::of_mode(mode), Kind::File | Kind::Executable) {
                    return Err(Error::refused(&file.path, "the revert changes a link or a submodule"));
                }
            }
            let before = || self.read_tree(from, &file.old_path);
            let after = || self.read_tree(to, &file.path);
            let executable = Kind::of_mode(&file.mode) == Kind::Executable;
            let edit = |path: &TreePath, before, after| Edit { path: path.clone(), before, after, executable };
            match file.status {
                Status::Added => edits.push(edit(&file.path, None, Some(after()?))),
                Status::Deleted => edits.push(edit(&file.path, Some(before()?), None)),
                Status::Renamed => {
                    edits.push(edit(&file.old_path, Some(before()?), None));
                    edits.push(edit(&file.path, None, Some(after()?)));
                }
                Status::Modified | Status::TypeChanged => edits.push(edit(&file.path, Some(before()?), Some(after()?))),
            }
        }
        Ok(edits)
    }

    fn read_tree(&self, tree: &str, path: &TreePath) -> Result<Vec<u8>, Error> {
        self.read(tree, path, LARGEST)
    }
}
