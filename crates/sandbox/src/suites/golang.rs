//! `go test -json`: one event a line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Plan, Results, last, toolchain};
use crate::sandbox::{Command, Outcome};

pub(super) fn plan(dir: &Path, cache: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let go = toolchain::program("go")?;
    let told = toolchain::ask(&go, &["env", "GOROOT", "GOMODCACHE"])?;
    let [root, modules] = &told[..] else { return Err("go does not say where it is".into()) };
    let mut argv: Vec<OsString> = vec!["go".into(), "test".into(), "-json".into(), "-count=1".into()];
    match only {
        None => argv.push("./...".into()),
        Some(only) => argv.extend(chosen(only)?.into_iter().map(OsString::from)),
    }
    let command = Command::new(dir, argv)
        .env("PATH", toolchain::path_with(&Path::new(root).join("bin")))
        .env("GOMODCACHE", modules)
        .env("GOPATH", cache.join("go"))
        .env("GOCACHE", cache.join("go-build"))
        .env("GOPROXY", "off")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOTOOLCHAIN", "local")
        .env("GOTELEMETRY", "off");
    let mut readable: Vec<PathBuf> =
        [root, modules].into_iter().map(PathBuf::from).filter(|path| path.is_dir()).collect();
    readable.extend(toolchain::in_path());
    Ok(Plan { command, readable, read: Box::new(|outcome: &Outcome| results(&outcome.stdout.text())) })
}

/// `-run` and the packages for tests named `package.Test`; a package's name may hold dots, a test's may not.
fn chosen(only: &[String]) -> Result<Vec<String>, String> {
    let (mut packages, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for name in only {
        let dot = split(name).ok_or_else(|| format!("'{name}' is no name of a test"))?;
        packages.insert(name[..dot].to_owned());
        // A part of a test is run with the whole test: its own pattern would match parts of others.
        let test = name[dot + 1..].split('/').next().unwrap_or_default();
        if !test.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(format!("'{name}' is no name of a test"));
        }
        tests.insert(test.to_owned());
    }
    if packages.iter().any(|package| package.starts_with('-')) {
        return Err("a package must not begin with '-'".into());
    }
    let run = format!("-run=^({})$", tests.into_iter().collect::<Vec<_>>().join("|"));
    Ok(std::iter::once(run).chain(packages).collect())
}

/// The dot before the test: the first one that is followed by a function's name of one of Go's kinds.
fn split(name: &str) -> Option<usize> {
    let kinds = ["Test", "Example", "Fuzz", "Benchmark"];
    name.match_indices('.').map(|(at, _)| at).find(|at| kinds.iter().any(|kind| name[at + 1..].starts_with(kind)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    import_path: String,
    /// The build whose failure failed a package.
    #[serde(default)]
    failed_build: String,
    #[serde(default)]
    test: Option<String>,
    #[serde(default)]
    output: String,
}

fn results(text: &str) -> Results {
    let mut results = Results::default();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let mut failed_packages = Vec::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Event>(line) else { continue };
        let name = match &event.test {
            Some(test) => format!("{}.{test}", event.package),
            None if event.package.is_empty() => event.import_path.clone(),
            None => event.package.clone(),
        };
        match (event.action.as_str(), event.test.is_some()) {
            ("output" | "build-output", _) => said.entry(name).or_default().push_str(&event.output),
            ("pass", true) => results.passed.push(name),
            ("skip", true) => results.skipped.push(name),
            ("fail", true) => {
                let message = last(said.get(&name).map_or("", |text| text.trim()));
                results.failed.push((name, message));
            }
            ("fail", false) => failed_packages.push((name, event.failed_build)),
            _ => {}
        }
    }
    // A package that fails without a failing test did not compile, or ended in the middle.
    for (package, build) in failed_packages {
        let prefix = format!("{package}.");
        if !results.failed.iter().any(|(name, _)| name.starts_with(&prefix)) {
            let words: String = [&build, &package].into_iter().filter_map(|name| said.get(name).cloned()).collect();
            let message = last(words.trim());
            results.errors.push((package, message));
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_chosen_by_package_and_function() {
        let only = ["example.org/a.b/c.TestX/part.1".to_owned(), "example.org/a.b/c.TestY".to_owned()];
        assert_eq!(chosen(&only).expect("names"), ["-run=^(TestX|TestY)$", "example.org/a.b/c"]);
        assert!(chosen(&["-exec=id.TestX".to_owned()]).is_err());
        assert!(chosen(&["a.Test|x".to_owned()]).is_err());
        assert!(chosen(&["nothing".to_owned()]).is_err());
    }
}
