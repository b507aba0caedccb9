//! Laying down a commit: every entry is checked, written by us, or skipped and reported.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use super::Worktree;
use crate::error::Error;
use crate::git::{Entry, Git, Kind, Mirror, Root};
use crate::tree_path::TreePath;

/// How much is laid down.
#[derive(Debug, Clone, Copy)]
pub struct CheckoutLimits {
    /// Largest file, in bytes; larger ones are skipped and reported.
    pub file: u64,
    /// All files together, in bytes; more is an error.
    pub total: u64,
}

impl Default for CheckoutLimits {
    fn default() -> Self {
        Self { file: 64 << 20, total: 2 << 30 }
    }
}

/// An entry that was not laid down.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// Where it would have been.
    pub path: TreePath,
    /// Why it is not.
    pub why: String,
}

/// A commit on disk.
#[derive(Debug)]
pub struct Checkout {
    /// Its files.
    pub worktree: Worktree,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

pub(super) fn checkout(mirror: &Mirror, commit: &str, dir: &Path, limits: CheckoutLimits) -> Result<Checkout, Error> {
    let entries = mirror.tree(commit)?;
    let mut skipped = Vec::new();
    let mut indexed = Vec::new();
    let mut wanted = Vec::new();
    let mut total = 0_u64;
    for entry in &entries {
        if let Some(why) = entry.path.refusal() {
            skipped.push(Skipped { path: entry.path.clone(), why: why.to_owned() });
            continue;
        }
        indexed.push(entry);
        let why = match entry.kind {
            Kind::Submodule => "a submodule".to_owned(),
            Kind::Other => format!("an entry of mode {}", entry.mode),
            _ if entry.size > limits.file => {
                format!("{} bytes, over the limit of {} for a file", entry.size, limits.file)
            }
            _ => {
                total = total.saturating_add(entry.size);
                wanted.push(entry);
                continue;
            }
        };
        skipped.push(Skipped { path: entry.path.clone(), why });
    }
    if total > limits.total {
        return Err(Error::TooLarge { what: format!("the files of {commit} together"), limit: limits.total });
    }
    let root = empty(dir)?;
    let (git, state) = private(mirror, &root)?;
    let base = index(&git, &indexed)?;
    let kept = lay_down(&mirror.git, &root, &wanted, &mut skipped)?;
    let worktree = Worktree { root, git, base, commit: commit.to_owned(), kept, largest: limits.file, _state: state };
    Ok(Checkout { worktree, skipped })
}

fn empty(dir: &Path) -> Result<Root, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(Error::io(format!("could not make {}", dir.display())))?;
    let mut there = fs::read_dir(dir).map_err(Error::io(format!("could not read {}", dir.display())))?;
    if there.next().is_some() {
        return Err(Error::Config(format!("{} is not empty", dir.display())));
    }
    Root::open(dir)
}

/// git on a private index and private objects; the mirror's own stay as they are.
fn private(mirror: &Mirror, root: &Root) -> Result<(Git, tempfile::TempDir), Error> {
    let scratch = mirror.scratch();
    fs::create_dir_all(&scratch).map_err(Error::io("could not make a scratch folder"))?;
    let state = tempfile::tempdir_in(&scratch).map_err(Error::io("could not make a scratch folder"))?;
    let objects = state.path().join("objects");
    fs::create_dir(&objects).map_err(Error::io("could not make a scratch folder"))?;
    let git = mirror.git.clone();
    let git = git
        .env("GIT_WORK_TREE", root.path())
        .env("GIT_INDEX_FILE", state.path().join("index"))
        .env("GIT_OBJECT_DIRECTORY", &objects)
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", mirror.git.dir().join("objects"));
    Ok((git, state))
}

/// Puts the entries into the index as the commit has them, so that what is skipped on disk still counts.
fn index(git: &Git, entries: &[&Entry]) -> Result<String, Error> {
    let mut input = Vec::new();
    for entry in entries {
        if entry.kind == Kind::Other {
            // Reported where the entries were sorted.
            continue;
        }
        input.extend_from_slice(format!("{} {}\t", entry.mode, entry.id).as_bytes());
        input.extend_from_slice(entry.path.as_bytes());
        input.push(0);
    }
    git.feed(&["update-index", "-z", "--index-info"], input)?;
    git.word(&["write-tree", "--missing-ok"], Vec::new())
}

/// Streams the contents out of the mirror, one after the other, and writes each.
fn lay_down(
    git: &Git,
    root: &Root,
    entries: &[&Entry],
    skipped: &mut Vec<Skipped>,
) -> Result<BTreeSet<TreePath>, Error> {
    let mut command = git.command();
    command
        .args(["cat-file", "--batch", "--buffer"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(Error::io("could not start git cat-file"))?;
    let mut stdin = child.stdin.take().expect("piped above");
    let asked: String = entries.iter().map(|entry| format!("{}\n", entry.id)).collect();
    let feeder = thread::spawn(move || drop(stdin.write_all(asked.as_bytes())));
    let mut contents = BufReader::new(child.stdout.take().expect("piped above"));
    let mut kept = BTreeSet::new();
    let mut result = Ok(());
    for entry in entries {
        result = content(&mut contents, entry).and_then(|content| match write(root, entry, &content) {
            Ok(()) => {
                kept.insert(entry.path.clone());
                Ok(())
            }
            Err(Error::Refused { why, .. }) => {
                skipped.push(Skipped { path: entry.path.clone(), why });
                Ok(())
            }
            Err(error) => Err(error),
        });
        if result.is_err() {
            break;
        }
    }
    // Ends it in every case: after an error it would wait for us to read on.
    drop(child.kill());
    drop(child.wait());
    drop(feeder.join());
    result.map(|()| kept)
}

fn write(root: &Root, entry: &Entry, content: &[u8]) -> Result<(), Error> {
    match entry.kind {
        Kind::Symlink => root.link(&entry.path, content, true),
        kind => root.write(&entry.path, content, kind == Kind::Executable, true),
    }
}

/// `id SP type SP size LF content LF`.
fn content(from: &mut impl BufRead, entry: &Entry) -> Result<Vec<u8>, Error> {
    let what = || format!("could not read the content of '{}' from git", entry.path);
    let mut head = Vec::new();
    from.by_ref().take(256).read_until(b'\n', &mut head).map_err(Error::io(what()))?;
    let expected = format!("{} blob {}\n", entry.id, entry.size);
    if head != expected.as_bytes() {
        let message = format!("'{}' cannot be read: {}", entry.path, String::from_utf8_lossy(&head).trim());
        return Err(Error::Git { command: "cat-file".into(), message });
    }
    let mut content = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX) + 1];
    from.read_exact(&mut content).map_err(Error::io(what()))?;
    content.pop();
    Ok(content)
}
