//! The reference engine answers every fixture as this program does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use backtrail_policy::{Case, Denial, Policy, SHIPPED, test_dir};
use backtrail_testkit::go::OPA;
use serde_json::{Map, Value};

use crate::fixture_dir;

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

fn folder(wanted: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in SHIPPED.iter().filter(|(name, _)| wanted(name)) {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

type Answers = BTreeMap<String, BTreeSet<Denial>>;

/// Denials of many inputs from one process: a process for each would take most of the time.
fn ask(opa: &Path, dir: &Path, cases: Map<String, Value>) -> Answers {
    let input = Value::Object(Map::from_iter([("cases".to_owned(), Value::Object(cases))])).to_string();
    let query =
        "{name: denials | some name, one in input.cases; denials := data.backtrail.patch.deny with input as one}";
    let arguments = ["eval", "--strict-builtin-errors", "--stdin-input", "--format", "raw", query, "--data"];
    serde_json::from_str(&run(opa, &arguments, dir, &input)).expect("opa answers in our form")
}

#[test]
fn the_reference_engine_decides_every_fixture_alike() {
    let Some(opa) = OPA.path().or_skip() else { return };
    let report = test_dir(&Policy::shipped(), &fixture_dir()).expect("the fixtures are read");
    assert!(report.cases.len() > 100);
    let name = |case: &Case| case.path.display().to_string();
    let cases: Map<String, Value> = report.cases.iter().map(|case| (name(case), case.input.clone())).collect();
    let first = ask(&opa, folder(|name| name == "complete.rego").path(), cases.clone());
    assert_eq!(first.len(), cases.len());
    let complete = cases.into_iter().filter(|(name, _)| first[name].is_empty()).collect();
    let then = ask(&opa, folder(|_| true).path(), complete);
    assert!(then.len() > 100 && then.len() < first.len());
    for case in &report.cases {
        let ours: BTreeSet<Denial> = case.decision.denials.iter().cloned().collect();
        let theirs = then.get(&name(case)).unwrap_or(&first[&name(case)]);
        assert_eq!(*theirs, ours, "{}", case.path.display());
    }
}

#[test]
fn the_reference_engine_finds_nothing_wrong_with_the_shipped_rules() {
    let Some(opa) = OPA.path().or_skip() else { return };
    let dir = folder(|_| true);
    run(&opa, &["check", "--strict"], dir.path(), "");
    assert_eq!(run(&opa, &["fmt", "--list"], dir.path(), ""), "", "files that opa would format otherwise");
}
