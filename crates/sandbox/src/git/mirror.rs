//! A bare mirror of one repository in a cache: what every question about its history is asked of.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Git, is_object_name};
use crate::child::Bounds;
use crate::error::Error;
use crate::tree_path::TreePath;

/// Limits of a mirror and of what is read from it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest time a clone or fetch may take.
    pub fetch_time: Duration,
    /// Longest time any other call of git may take.
    pub time: Duration,
    /// Most bytes that one call of git may print.
    pub output: u64,
    /// Most files a commit may have.
    pub files: u64,
    /// Names of environment variables that a fetch may see, such as `SSH_AUTH_SOCK`; none by default.
    pub pass_env: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fetch_time: Duration::from_mins(10),
            time: Duration::from_mins(1),
            output: 256 << 20,
            files: 500_000,
            pass_env: Vec::new(),
        }
    }
}

/// Our bare copy of a repository: its branches and what they reach, no configuration, no hooks.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(super) git: Git,
    pub(super) options: Options,
    origin: String,
    /// The one protocol that this origin is fetched by.
    protocol: &'static str,
    cache: PathBuf,
    key: String,
}

impl Mirror {
    /// The mirror of `repository`, a path or a `https://`, `http://`, `ssh://`, `git://` or `file://` address (or
    /// `host:path`), in `cache`. Made when missing, under a lock that a second process waits for.
    pub fn of(repository: &str, cache: &Path) -> Result<Self, Error> {
        Self::with(repository, cache, Options::default())
    }

    /// As [`Mirror::of`], with limits of the caller's.
    pub fn with(repository: &str, cache: &Path, options: Options) -> Result<Self, Error> {
        let (origin, protocol) = origin(repository)?;
        let key =
            Sha256::digest(origin.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        let home = cache.join("empty-home");
        fs::create_dir_all(&home).map_err(Error::io(format!("could not make the cache {}", cache.display())))?;
        drop(fs::set_permissions(cache, Permissions::from_mode(0o700)));
        let cache = fs::canonicalize(cache).map_err(Error::io("could not open the cache"))?;
        let bounds = Bounds { time: options.time, output: options.output };
        let git = Git::new(&cache.join(format!("{key}.git")), &cache.join("empty-home"), bounds);
        let mirror = Self { git, options, origin, protocol, cache, key };
        let _lock = mirror.lock()?;
        if !mirror.git.dir().is_dir() {
            mirror.make()?;
        }
        Ok(mirror)
    }

    /// Where the mirror came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The full name of the commit that `name` (a full or abbreviated hash, a branch, or a tag's commit that a branch
    /// reaches) stands for. The origin is asked only when the mirror does not know it.
    pub fn resolve(&self, name: &str) -> Result<String, Error> {
        let known = name.len() <= 256
            && !name.starts_with('-')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-+@".contains(&byte))
            && !name.contains("..")
            && !name.contains("@{");
        if !known {
            return Err(Error::refused(name.escape_debug(), "not a commit hash or the name of a branch"));
        }
        if let Some(commit) = self.known(name)? {
            return Ok(commit);
        }
        {
            let _lock = self.lock()?;
            self.fetch(&self.git)?;
        }
        let found = self.known(name)?;
        found.ok_or_else(|| Error::Missing(format!("commit '{name}' in {}", self.origin)))
    }

    /// Asks the origin for new commits.
    pub fn update(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.fetch(&self.git)
    }

    /// Branches and their commits.
    pub fn branches(&self) -> Result<Vec<(String, String)>, Error> {
        let text = self.git.run(&["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"])?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect())
    }

    /// The parents of a commit, first parent first; none for a root.
    pub fn parents(&self, commit: &str) -> Result<Vec<String>, Error> {
        let commit = super::object_name(commit)?;
        let line = self.git.word(&["rev-list", "--parents", "-n", "1", "--end-of-options", commit], Vec::new())?;
        Ok(line.split_whitespace().skip(1).map(str::to_owned).collect())
    }

    /// The content of a file at a commit, at most `max` bytes.
    pub fn read(&self, commit: &str, path: &TreePath, max: u64) -> Result<Vec<u8>, Error> {
        let entry = self.entry(commit, path)?;
        if entry.size > max {
            return Err(Error::TooLarge { what: format!("'{path}'"), limit: max });
        }
        self.blob(&entry.id, max)
    }

    pub(super) fn blob(&self, id: &str, max: u64) -> Result<Vec<u8>, Error> {
        let mut git = self.git.clone();
        git.bounds.output = max.max(1);
        git.run(&["cat-file", "blob", super::object_name(id)?])
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.cache.join("scratch")
    }

    fn known(&self, name: &str) -> Result<Option<String>, Error> {
        for name in [name.to_owned(), format!("refs/heads/{name}")] {
            let name = format!("{name}^{{commit}}");
            let (code, out, _) =
                self.git.try_run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name], Vec::new())?;
            let out = String::from_utf8_lossy(&out).trim().to_owned();
            if code == 0 && is_object_name(&out) {
                return Ok(Some(out));
            }
        }
        Ok(None)
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.cache.join(format!("{}.lock", self.key));
        let file = File::create(&path).map_err(Error::io(format!("could not open {}", path.display())))?;
        file.lock().map_err(Error::io(format!("could not lock {}", path.display())))?;
        Ok(file)
    }

    /// Clones beside and renames, so that a kill in between leaves no half mirror.
    fn make(&self) -> Result<(), Error> {
        let partial = self.cache.join(format!("{}.partial", self.key));
        drop(fs::remove_dir_all(&partial));
        let bounds = Bounds { time: self.options.time, output: self.options.output };
        let git = Git::new(&partial, self.git.home(), bounds);
        git.run(&["init", "--quiet", "--bare", "--initial-branch=main"])?;
        self.fetch(&git)?;
        // The only attributes that count: they outrank every .gitattributes in a tree, and switch all conversion off.
        let info = partial.join("info");
        fs::create_dir_all(&info).map_err(Error::io("could not make the mirror"))?;
        let attributes = "* -text !eol -filter -ident !working-tree-encoding !diff !merge\n";
        fs::write(info.join("attributes"), attributes).map_err(Error::io("could not make the mirror"))?;
        fs::rename(&partial, self.git.dir()).map_err(Error::io("could not put the mirror in place"))
    }

    fn fetch(&self, git: &Git) -> Result<(), Error> {
        let mut git =
            git.clone().within(self.options.fetch_time).setting(format!("protocol.{}.allow=always", self.protocol));
        for name in &self.options.pass_env {
            if let Some(value) = std::env::var_os(name) {
                git = git.env(name, value);
            }
        }
        let args = [
            "fetch",
            "--quiet",
            "--force",
            "--prune",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--end-of-options",
            &self.origin,
            "+refs/heads/*:refs/heads/*",
        ];
        git.run(&args).map(drop)
    }
}

/// What git is told to fetch from, and the one protocol that may be used for it.
fn origin(repository: &str) -> Result<(String, &'static str), Error> {
    let refuse = |why: &str| Err(Error::refused(repository.escape_debug(), why));
    if repository.is_empty() || repository.starts_with('-') || repository.chars().any(char::is_control) {
        return refuse("not the address of a repository");
    }
    for (prefix, protocol) in
        [("https://", "https"), ("http://", "http"), ("ssh://", "ssh"), ("git://", "git"), ("file://", "file")]
    {
        if let Some(rest) = repository.strip_prefix(prefix) {
            return if rest.starts_with('-') {
                refuse("a host must not begin with '-'")
            } else {
                Ok((repository.to_owned(), protocol))
            };
        }
    }
    if repository.contains("::") || repository.contains("://") {
        return refuse("this protocol is not allowed: use https, ssh, git, file or a path");
    }
    if let Ok(path) = fs::canonicalize(repository) {
        let path = path.to_str().map(str::to_owned);
        return path.map_or_else(|| refuse("its path is not UTF-8"), |path| Ok((path, "file")));
    }
    match repository.split_once(':') {
        Some((host, _)) if !host.contains('/') && !host.is_empty() => Ok((repository.to_owned(), "ssh")),
        _ => Err(Error::Missing(format!("repository '{}'", repository.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_protocols_are_fetched_and_only_by_themselves() {
        assert_eq!(origin("https://example.org/x.git").expect("fine").1, "https");
        assert_eq!(origin("git@example.org:x.git").expect("fine").1, "ssh");
        for bad in [
            "ext::sh -c id",
            "-uupload",
            "--upload-pack=id",
            "fd::3",
            "rsync://x/y",
            "ssh://-oProxyCommand=id/x",
            "a\nb",
            "",
        ] {
            assert!(matches!(origin(bad), Err(Error::Refused { .. })), "{bad:?}");
        }
        assert!(matches!(origin("/no/such/place"), Err(Error::Missing(_))));
    }
}
