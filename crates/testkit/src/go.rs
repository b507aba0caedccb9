//! Programs that tests hold ours against, built from the Go module proxy, pinned, cached in the user's cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::Real;

/// A program and the module that it is built from.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name, such as `opa`.
    pub name: &'static str,
    /// The package of its `main`.
    pub package: &'static str,
    /// Version of the module.
    pub version: &'static str,
}

/// The reference engine of Rego.
pub const OPA: Tool = Tool { name: "opa", package: "github.com/open-policy-agent/opa", version: "1.22.2" };

/// Verifies signed statements.
pub const COSIGN: Tool = Tool { name: "cosign", package: "github.com/sigstore/cosign/v3/cmd/cosign", version: "3.1.3" };

impl Tool {
    /// Where it is: named by `BACKTRAIL_<NAME>`, found in `PATH`, found in the cache, or built by Go, which takes minutes.
    pub fn path(self) -> Real<PathBuf> {
        self.find().map_or_else(Real::Missing, Real::Here)
    }

    fn find(self) -> Result<PathBuf, String> {
        let Self { name, package, version } = self;
        let variable = format!("BACKTRAIL_{}", name.to_uppercase());
        if let Some(path) = std::env::var_os(&variable) {
            let path = PathBuf::from(path);
            return if works(&path) { Ok(path) } else { Err(format!("{variable}: {} does not run", path.display())) };
        }
        if works(Path::new(name)) {
            return Ok(PathBuf::from(name));
        }
        let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
        let cache =
            std::env::var_os("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(home).join(".cache"), PathBuf::from);
        let dir = cache.join("backtrail").join(format!("{name}-{version}"));
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        // Two test runs at once build it once.
        let lock = std::fs::File::create(dir.join(".lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let path = dir.join(name);
        if works(&path) {
            return Ok(path);
        }
        let built = Command::new("go").args(["install", &format!("{package}@v{version}")]).env("GOBIN", &dir).output();
        let built = built.map_err(|error| format!("no {name}, and no go to build it: {error}"))?;
        if works(&path) { Ok(path) } else { Err(String::from_utf8_lossy(&built.stderr).trim().to_owned()) }
    }
}

fn works(path: &Path) -> bool {
    Command::new(path).arg("version").output().is_ok_and(|output| output.status.success())
}
