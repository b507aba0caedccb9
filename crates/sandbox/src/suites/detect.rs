//! Which suites a worktree has, by its files. Nothing of the repository is run to find out.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Kind, Suite, python};

/// Most entries that are looked at for a test file of Python.
const MOST: usize = 20_000;

pub(super) fn detect(root: &Path) -> Vec<Suite> {
    let suite = |kind| Suite { kind, folder: PathBuf::new(), argv: Vec::new() };
    let has = |name: &str| fs::symlink_metadata(root.join(name)).is_ok_and(|meta| meta.is_file());
    let mut suites = Vec::new();
    if has_python_tests(root) {
        suites.push(suite(if python::has_pytest() { Kind::Pytest } else { Kind::Unittest }));
    }
    if has("go.mod") {
        suites.push(suite(Kind::Go));
    }
    if has("Cargo.toml") {
        suites.push(suite(Kind::Cargo));
    }
    if has("package.json") {
        suites.extend(npm(&text(&root.join("package.json"))));
    }
    if has("pom.xml") {
        suites.push(suite(Kind::Maven));
    }
    let makefile = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|name| has(name));
    let target = |line: &str| {
        line.strip_prefix("test")
            .is_some_and(|rest| rest.trim_start().starts_with(':') && !rest.trim_start().starts_with(":="))
    };
    // The fallback: most Makefiles call one of the above.
    if suites.is_empty() && makefile.is_some_and(|name| text(&root.join(name)).lines().any(target)) {
        suites.push(suite(Kind::Make));
    }
    suites
}

/// `node --test` by itself tells test by test; any other script is run as it is.
fn npm(package: &str) -> Option<Suite> {
    let package: serde_json::Value = serde_json::from_str(package).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?.trim();
    if script.contains("no test specified") {
        return None;
    }
    let plain = |word: &&str| !word.is_empty() && !word.contains(|c: char| "|&;<>$`(){}[]*?!~'\"\\".contains(c));
    let words: Vec<&str> = script.split_ascii_whitespace().collect();
    let files = match words.split_first() {
        Some((&"node", rest)) if rest.first() == Some(&"--test") => Some(&rest[1..]),
        _ => None,
    };
    let argv = files.filter(|files| files.iter().all(|word| plain(word) && !word.starts_with('-')));
    let (kind, argv) = match argv {
        Some(files) => (Kind::Node, files.iter().map(OsString::from).collect()),
        None => (Kind::Npm, Vec::new()),
    };
    Some(Suite { kind, folder: PathBuf::new(), argv })
}

/// A file of a name that pytest and unittest look for, not below hidden folders or those of packages.
fn has_python_tests(root: &Path) -> bool {
    let mut open = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST {
                return false;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir()
                && !name.starts_with('.')
                && !matches!(name.as_str(), "node_modules" | "target" | "venv" | "vendor")
            {
                open.push(entry.path());
            }
            let stem = name.strip_suffix(".py");
            if kind.is_file() && stem.is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test")) {
                return true;
            }
        }
    }
    false
}

fn text(path: &Path) -> String {
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4 << 20).read_to_end(&mut content));
    read.map(|_| String::from_utf8_lossy(&content).into_owned()).unwrap_or_default()
}
