//! The reference engine of Rego, found or built once and kept in the user's cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "1.22.2";

/// `opa`: named by `BACKTRAIL_OPA`, found in `PATH`, found in the cache, or built by Go. In CI it must be had; elsewhere
/// the reason is printed and the test is skipped.
pub(crate) fn opa() -> Option<PathBuf> {
    match find() {
        Ok(path) => Some(path),
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "the reference engine is missing in CI: {reason}");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {reason}\n").as_bytes());
            None
        }
    }
}

fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("BACKTRAIL_OPA") {
        let path = PathBuf::from(path);
        return if works(&path) { Ok(path) } else { Err(format!("BACKTRAIL_OPA: {} does not run", path.display())) };
    }
    if works(Path::new("opa")) {
        return Ok(PathBuf::from("opa"));
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(home).join(".cache"), PathBuf::from);
    let dir = cache.join("backtrail").join(format!("opa-{VERSION}"));
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    // Two test runs at once build it once.
    let lock = std::fs::File::create(dir.join(".lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let path = dir.join("opa");
    if works(&path) {
        return Ok(path);
    }
    let package = format!("github.com/open-policy-agent/opa@v{VERSION}");
    let built = Command::new("go").args(["install", &package]).env("GOBIN", &dir).output();
    let built = built.map_err(|error| format!("no opa, and no go to build it: {error}"))?;
    if works(&path) { Ok(path) } else { Err(String::from_utf8_lossy(&built.stderr).trim().to_owned()) }
}

fn works(path: &Path) -> bool {
    Command::new(path).arg("version").output().is_ok_and(|output| output.status.success())
}
