//! Repositories kept as folders: a history in plain files, so that it can be read and reviewed, made into a real
//! repository when it is needed. Demo and cases for `eval` are kept so.
//!
//! ```text
//! history/01-first-version/COMMIT         Author: Ana Silva <ana@example.org>
//!                                         Date: 2026-05-04T10:00:00+00:00
//!
//!                                         First version
//! history/01-first-version/files/...      what the commit adds or replaces
//! history/02-retry-more/DELETED           paths that it removes, one a line
//! ```
//!
//! Author and committer are the same and both dates are `Date`, so the hashes are the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::ownership::is_clean_path;

/// Makes the repository of a history in `into`, which must not be there. Gives each commit's number, as the folder's name
/// begins, and hash.
pub fn make(history: &Path, into: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(history)
        .with_context(|| format!("cannot read {}", history.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    ensure!(!folders.is_empty(), "{} holds no commits", history.display());
    fs::create_dir(into).with_context(|| format!("cannot create {}", into.display()))?;
    git(into, &["init", "-q", "-b", "main"], &[])?;
    folders.iter().map(|folder| commit(folder, into)).collect()
}

fn commit(folder: &Path, repository: &Path) -> anyhow::Result<(String, String)> {
    let file = folder.join("COMMIT");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let (head, message) = text.split_once("\n\n").with_context(|| format!("{} has no message", file.display()))?;
    let field = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.with_context(|| format!("{} has no line '{name}: ...'", file.display()))
    };
    let (author, date) = (field("Author")?, field("Date")?);
    let (name, mail) = author.split_once(" <").with_context(|| format!("{}: '{author}'", file.display()))?;
    if let Ok(deleted) = fs::read_to_string(folder.join("DELETED")) {
        for path in deleted.lines().filter(|path| !path.is_empty()) {
            ensure!(is_clean_path(path), "{}: '{path}' leads out of the repository", folder.display());
            fs::remove_file(repository.join(path)).with_context(|| format!("{path} is not there to be removed"))?;
        }
    }
    if folder.join("files").is_dir() {
        copy(&folder.join("files"), repository)?;
    }
    git(repository, &["add", "-A"], &[])?;
    let who = [
        ("GIT_AUTHOR_NAME", name),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_AUTHOR_EMAIL", mail.trim_end_matches('>')),
        ("GIT_COMMITTER_EMAIL", mail.trim_end_matches('>')),
        ("GIT_AUTHOR_DATE", date),
        ("GIT_COMMITTER_DATE", date),
    ];
    git(repository, &["commit", "-q", "-m", message.trim_end()], &who)?;
    let hash = git(repository, &["rev-parse", "HEAD"], &[])?;
    let number = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = number.split('-').next().unwrap_or_default().to_owned();
    Ok((number, hash))
}

/// Copies what is in `from` over what is in `to`. Links are not followed: there are none in a history.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&path, &target)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).with_context(|| format!("cannot write {}", target.display()))?;
        } else {
            bail!("{} is neither a file nor a folder", path.display());
        }
    }
    Ok(())
}

fn git(repository: &Path, args: &[&str], who: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.args(["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]);
    command.args(args).current_dir(repository).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.envs(who.iter().copied()).output().context("git does not start; is it installed?")?;
    ensure!(output.status.success(), "git {}: {}", args[0], String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &Path, name: &str, message: &str, files: &[(&str, &str)], deleted: &str) {
        let folder = dir.join("history").join(name);
        fs::create_dir_all(folder.join("files/src")).expect("created");
        let commit = format!("Author: Ana S <ana@example.org>\nDate: 2026-05-04T10:00:00+00:00\n\n{message}\n");
        fs::write(folder.join("COMMIT"), commit).expect("written");
        for (path, text) in files {
            fs::write(folder.join("files").join(path), text).expect("written");
        }
        if !deleted.is_empty() {
            fs::write(folder.join("DELETED"), deleted).expect("written");
        }
    }

    #[test]
    fn a_history_becomes_the_same_repository_everywhere() {
        let dir = tempfile::tempdir().expect("a directory");
        folder(dir.path(), "01-first", "First", &[("src/a.py", "a = 1\n"), ("b", "b\n")], "");
        folder(dir.path(), "02-second", "Second\n\nWith a body.", &[("src/a.py", "a = 2\n")], "b\n");
        let made = |name: &str| make(&dir.path().join("history"), &dir.path().join(name)).expect("made");
        let commits = made("one");
        assert_eq!(commits, made("two"));
        assert_eq!(commits.iter().map(|(number, _)| number.as_str()).collect::<Vec<_>>(), ["01", "02"]);
        assert_eq!(fs::read_to_string(dir.path().join("one/src/a.py")).expect("there"), "a = 2\n");
        assert!(!dir.path().join("one/b").exists());
        let log = git(&dir.path().join("one"), &["log", "--format=%an %cI %s"], &[]).expect("a log");
        assert_eq!(log.lines().next(), Some("Ana S 2026-05-04T10:00:00+00:00 Second"));
        assert!(make(&dir.path().join("history"), &dir.path().join("one")).is_err(), "it is there already");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        folder(dir.path(), "01-first", "First", &[("b", "b\n")], "../x\n");
        let error = make(&dir.path().join("history"), &dir.path().join("one")).expect_err("refused");
        assert!(error.to_string().contains("leads out"), "{error}");
    }
}
