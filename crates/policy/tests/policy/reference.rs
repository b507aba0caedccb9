//! The reference engine answers every fixture as this program does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use backtrail_policy::{Denial, Policy, SHIPPED, test_dir};
use serde_json::{Map, Value};

use crate::fixture_dir;
use crate::opa::opa;

fn run(opa: &Path, arguments: &[&str], dir: &Path, input: &str) -> String {
    let mut child = Command::new(opa)
        .args(arguments)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("opa starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("opa ends");
    // A check reads no input, and may be over before it is written.
    let _ = writer.join().expect("the writer ends");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

fn shipped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in SHIPPED {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

#[test]
fn the_reference_engine_decides_every_fixture_alike() {
    let Some(opa) = opa() else { return };
    let report = test_dir(&Policy::shipped(), &fixture_dir()).expect("the fixtures are read");
    assert!(report.cases.len() > 100);
    let mut cases = Map::new();
    for case in &report.cases {
        cases.insert(case.path.display().to_string(), case.input.clone());
    }
    let input = Value::Object(Map::from_iter([("cases".to_owned(), Value::Object(cases))])).to_string();
    // One process for all: a process for each would take most of the time.
    let query = "{name: denials | some name, one in input.cases; denials := data.backtrail.patch.deny with input as one}";
    let arguments = ["eval", "--strict-builtin-errors", "--stdin-input", "--format", "raw", query, "--data"];
    let answer = run(&opa, &arguments, shipped().path(), &input);
    let answer: BTreeMap<String, BTreeSet<Denial>> = serde_json::from_str(&answer).expect("opa answers in our form");
    assert_eq!(answer.len(), report.cases.len());
    for case in &report.cases {
        let ours: BTreeSet<Denial> = case.decision.denials.iter().cloned().collect();
        assert_eq!(answer[&case.path.display().to_string()], ours, "{}", case.path.display());
    }
}

#[test]
fn the_reference_engine_finds_nothing_wrong_with_the_shipped_rules() {
    let Some(opa) = opa() else { return };
    let dir = shipped();
    run(&opa, &["check", "--strict"], dir.path(), "");
    assert_eq!(run(&opa, &["fmt", "--list"], dir.path(), ""), "", "files that opa would format otherwise");
}
