//! Where the machine's own tools lie: they are outside of what a run may write, and some lie in a home that is covered.
//!
//! Tools are asked in the root folder, so that no file of a repository says which version they are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Bounds};

/// The folders of `PATH`, each real, without those that do not exist: for [`crate::Sandbox::readable`]. Suites
/// add them, and what their tools need besides, by themselves.
pub fn in_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real: BTreeSet<PathBuf> =
        std::env::split_paths(&path).filter_map(|folder| std::fs::canonicalize(folder).ok()).collect();
    real.into_iter().filter(|folder| folder != Path::new("/")).collect()
}

/// The first program of this name in `PATH`.
pub(super) fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let found =
        std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(runs);
    found.ok_or_else(|| format!("{name} was not found in PATH"))
}

/// What a tool answers, in lines.
pub(super) fn ask(program: &Path, args: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new(program);
    command.args(args).current_dir("/");
    let bounds = Bounds { time: Duration::from_mins(1), output: 1 << 20 };
    let what = program.display().to_string();
    let ended = child::run(command, &what, Vec::new(), bounds).map_err(|error| error.to_string())?;
    if !ended.status.success() {
        return Err(format!("{what}: {}", ended.stderr.text().trim()));
    }
    Ok(ended.stdout.text().lines().map(str::to_owned).collect())
}

/// `PATH` with a folder before it.
pub(super) fn path_with(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path.clone())
}
