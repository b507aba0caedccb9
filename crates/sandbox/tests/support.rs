//! Repositories made by the real git, with fixed names and dates.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backtrail_sandbox::git::{Checkout, Mirror, Worktree};
use backtrail_sandbox::{Init, Limits, Outcome, Sandbox};

/// A repository with a working tree, and a place beside it.
pub(crate) struct Origin {
    place: tempfile::TempDir,
}

impl Origin {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary folder");
        let origin = Self { place };
        fs::create_dir(origin.dir()).expect("a folder");
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("origin")
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.feed(args, b"")
    }

    /// Runs git, which must succeed, and gives its output trimmed.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> String {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(self.dir());
        command.env("HOME", self.place.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.org");
            command.env(format!("GIT_{role}_DATE"), "2026-05-04T10:00:00+00:00");
        }
        command.args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "core.protectNTFS=false",
            "-c",
            "core.protectHFS=false",
        ]);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("git starts");
        child.stdin.take().expect("piped").write_all(input).expect("git reads");
        let out = child.wait_with_output().expect("git ends");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    pub(crate) fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.dir().join(OsStr::from_bytes(path.as_ref()));
        fs::create_dir_all(path.parent().expect("below the repository")).expect("folders");
        fs::write(path, content).expect("a file");
    }

    /// Commits everything there is and gives the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all", "--force", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits a tree given as `mode id path` with paths that `git add` would refuse; gives the commit.
    pub(crate) fn commit_tree(&self, tree: &str) -> String {
        let commit = self.git(&["commit-tree", "-m", "crafted", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit
    }

    pub(crate) fn blob(&self, content: &[u8]) -> String {
        self.feed(&["hash-object", "-w", "--stdin"], content)
    }

    /// A tree object of exactly these entries, however wrong.
    pub(crate) fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name.as_bytes());
            raw.push(0);
            raw.extend(id.as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).expect("hexadecimal");
                u8::from_str_radix(pair, 16).expect("hexadecimal")
            }));
        }
        self.feed(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &raw)
    }

    pub(crate) fn mirror(&self) -> Mirror {
        Mirror::of(self.dir().to_str().expect("UTF-8"), &self.place.path().join("cache")).expect("a mirror")
    }

    /// Checks a commit out into a folder beside.
    pub(crate) fn checkout(&self, commit: &str, name: &str) -> Checkout {
        let mirror = self.mirror();
        let commit = mirror.resolve(commit).expect("the commit is there");
        Worktree::checkout(&mirror, &commit, &self.place.path().join(name)).expect("a checkout")
    }
}

/// Every path below a folder with what it is: the test's picture of "nothing was touched".
pub(crate) fn picture(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let meta = fs::symlink_metadata(&entry).expect("there");
            let what = if meta.is_symlink() {
                format!("link {}", fs::read_link(&entry).expect("a link").display())
            } else if meta.is_dir() {
                open.push(entry.clone());
                "folder".to_owned()
            } else {
                format!("file {:?}", fs::read(&entry).expect("readable"))
            };
            found.push((entry, what));
        }
    }
    found.sort();
    found
}

/// A sandbox with this crate's own first process.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(init())
}

pub(crate) fn init() -> Init {
    Init::new(env!("CARGO_BIN_EXE_backtrail-sandbox-init"), [""; 0])
}

/// A Python that is there for everyone: the machine's own, or the first in `PATH` made readable.
pub(crate) fn python() -> (PathBuf, Vec<PathBuf>) {
    let found = Command::new("python3")
        .args(["-I", "-c", "import sys; print(sys.executable); print(sys.base_prefix)"])
        .current_dir("/")
        .output()
        .expect("these tests need python3");
    let text = String::from_utf8(found.stdout).expect("UTF-8");
    let mut lines = text.lines().map(PathBuf::from);
    (lines.next().expect("a path"), lines.collect())
}

/// Runs a Python text in a folder of its own with these limits.
pub(crate) fn run_python(text: &str, limits: Limits) -> (Outcome, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (python, readable) = python();
    let mut sandbox = sandbox();
    sandbox.readable = readable;
    let mut command = backtrail_sandbox::Command::new(dir.path(), [python.into_os_string(), "-c".into(), text.into()]);
    command.limits = limits;
    (sandbox.run(&command).expect("the sandbox works"), dir)
}
