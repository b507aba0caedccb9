//! The structure of the repository: dependency arrows point one way, generated pages are fresh, and no path of a
//! development machine is in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::{binary, root};

/// What each package may depend on (ARCHITECTURE.md draws it).
const ARROWS: [(&str, &[&str]); 18] = [
    (
        "backtrail",
        &["exit", "model", "wire", "localize", "pipeline", "console", "receivers", "processors", "exporters"],
    ),
    ("backtrail-receivers", &["model", "pipeline", "wire"]),
    ("backtrail-processors", &["model", "pipeline", "wire", "localize"]),
    ("backtrail-exporters", &["model", "pipeline", "wire", "store", "spool"]),
    ("backtrail-console", &["model", "pipeline"]),
    ("backtrail-consumer", &["exit", "model", "spool", "code", "policy", "sandbox", "redact", "llm"]),
    ("backtrail-pipeline", &["model"]),
    ("backtrail-localize", &["model"]),
    ("backtrail-wire", &["model"]),
    ("backtrail-store", &["model"]),
    ("backtrail-spool", &["model"]),
    ("backtrail-model", &[]),
    ("backtrail-exit", &[]),
    ("backtrail-code", &[]),
    ("backtrail-policy", &[]),
    ("backtrail-sandbox", &[]),
    ("backtrail-redact", &[]),
    ("backtrail-llm", &["model", "code", "redact"]),
];

#[test]
fn dependencies_point_one_way() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut seen = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        let arrows: BTreeSet<String> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .filter_map(|dependency| dependency["name"].as_str()?.strip_prefix("backtrail-").map(str::to_owned))
            .collect();
        seen.insert(name, arrows);
    }
    for (name, allowed) in ARROWS {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let arrows = seen.remove(name).unwrap_or_else(|| panic!("package {name} is gone: mend ARROWS"));
        let wrong: Vec<_> = arrows.difference(&allowed).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
    // The test kit stands outside: everybody's tests may use it, nobody's code.
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), ["backtrail-testkit"], "a package without a row in ARROWS");
}

#[test]
fn generated_pages_are_fresh() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(binary()).args(["schema", "--docs"]).arg(dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (fresh, committed) = (tree(dir.path()), tree(&root().join("docs/reference")));
    assert!(fresh.len() > 10, "{:?}", fresh.keys());
    for (name, text) in &fresh {
        assert_eq!(committed.get(name), Some(text), "docs/reference/{name} is stale: run `make docs`");
    }
    assert_eq!(fresh.len(), committed.len(), "docs/reference holds a page that nothing generates");
}

fn tree(dir: &std::path::Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below the folder").display().to_string();
                found.insert(name, std::fs::read_to_string(&path).expect("a text file"));
            }
        }
    }
    found
}
