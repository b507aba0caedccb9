//! Python and Node environments for tests with real SDKs and readers: made from the package registries, pinned, cached
//! in the user's cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// What a test should do when its real part cannot be had: fail in CI, print `skipped: <reason>` elsewhere.
pub enum Real<T> {
    /// It is here.
    Here(T),
    /// It cannot be had.
    Missing(String),
}

impl<T> Real<T> {
    /// The part, or `None` after printing why the test is skipped.
    ///
    /// # Panics
    /// In CI (`CI` is set), where a missing part is a failure.
    pub fn or_skip(self) -> Option<T> {
        match self {
            Self::Here(part) => Some(part),
            Self::Missing(reason) => {
                assert!(std::env::var_os("CI").is_none(), "a real part is missing in CI: {reason}");
                let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {reason}\n").as_bytes());
                None
            }
        }
    }
}

/// The interpreter of a virtual environment with the packages of `requirements` (a `requirements.txt`).
pub fn venv(requirements: &Path) -> Real<PathBuf> {
    let dir = match cached("venv", requirements) {
        Ok(dir) => dir,
        Err(error) => return Real::Missing(error),
    };
    let python = dir.join("bin/python");
    let made = make(&dir, |dir| {
        run(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(dir.join("bin/python")).args(pip).arg(requirements))
    });
    made.map_or_else(Real::Missing, |()| Real::Here(python))
}

/// Whether the machine's own Python has pytest, by which the consumer runs the tests of repositories.
pub fn pytest() -> Real<()> {
    let asked = run(Command::new("python3").args(["-c", "import pytest"]));
    asked.map_or_else(|error| Real::Missing(format!("pytest: {error}")), Real::Here)
}

/// A folder with `node_modules` as `package.json` and its lock file say.
pub fn node_modules(package: &Path) -> Real<PathBuf> {
    let dir = match cached("node", package) {
        Ok(dir) => dir,
        Err(error) => return Real::Missing(error),
    };
    let made = make(&dir, |dir| {
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        std::fs::copy(package, dir.join("package.json")).map_err(|error| error.to_string())?;
        run(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(dir))
    });
    made.map_or_else(Real::Missing, |()| Real::Here(dir))
}

/// `<user's cache>/backtrail/<kind>-<digest of the file>`.
fn cached(kind: &str, file: &Path) -> Result<PathBuf, String> {
    let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let digest: String = Sha256::digest(content).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(home).join(".cache"), PathBuf::from);
    Ok(cache.join("backtrail").join(format!("{kind}-{digest}")))
}

/// Makes a folder once: a stamp says that it is complete, so a run that was killed half-way is made again. Tests of one
/// process wait for each other.
fn make(dir: &Path, build: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().map_err(|_| "another environment failed")?;
    let stamp = dir.join(".complete");
    if stamp.exists() {
        return Ok(());
    }
    // What is there is half made, or nothing.
    let _ = std::fs::remove_dir_all(dir);
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
    }
    build(dir)?;
    std::fs::write(stamp, "").map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
