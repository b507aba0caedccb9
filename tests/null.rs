//! Where nothing is wrong, no verdict should be sure of anything, but for what chance does: quiet windows, windows drawn at random, and whole
//! incidents whose traces were shuffled in time, so that the label means nothing.

use std::path::Path;
use std::process::Command;

use backtrail_testkit::scenarios::{Class, Scenario};
use serde_json::Value;

use crate::support::{binary, root};

fn eval(dirs: &[&Path], args: &[&str]) -> Value {
    let output = Command::new(binary()).args(["eval", "--json"]).args(args).args(dirs).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// Sums of a column over the rows of `eval --null`.
fn sum(report: &Value, column: &str) -> u64 {
    let rows = report["null"].as_array().expect("a list");
    rows.iter().map(|row| row[column].as_u64().unwrap_or_else(|| panic!("no {column} in {row}"))).sum()
}

#[test]
fn quiet_and_drawn_windows_of_generated_systems_give_no_confident_verdict() {
    let dir = tempfile::tempdir().expect("a folder");
    // Twenty systems: every class has its own deploys and flags in the quiet time.
    for (class, seed) in Class::ALL.into_iter().flat_map(|class| [(class, 1), (class, 2)]) {
        Scenario { class, services: 20, seed }.generate().write(dir.path()).expect("writable");
    }
    let report = eval(&[dir.path()], &["--null", "10"]);
    assert!(sum(&report, "windows") >= 300, "{report}");
    // A gate is a bound on chance, not its end: medium may happen once in twenty, high never.
    let (high, medium) = (sum(&report, "high"), sum(&report, "medium"));
    assert!(high == 0 && 20 * medium <= sum(&report, "windows"), "{report}");
}

#[test]
fn an_incident_that_is_shuffled_in_time_is_sure_at_most_once_in_thirty() {
    let dir = tempfile::tempdir().expect("a folder");
    for (n, (class, seed)) in Class::ALL.into_iter().flat_map(|class| [(class, 1), (class, 2), (class, 3)]).enumerate()
    {
        let recording = Scenario { class, services: 20, seed }.generate();
        recording.shuffled(n as u64).write(dir.path()).expect("writable");
    }
    let report = eval(&[dir.path()], &[]);
    let cases = report["cases"].as_array().expect("a list");
    let of_level = |level: &str| cases.iter().filter(|case| case["confidence"] == level).collect::<Vec<_>>();
    let (high, medium) = (of_level("high"), of_level("medium"));
    // One of thirty: a pool whose full scrapes happen to fall into the window. Part M's gate takes scrapes for normal, and
    // a series that is empty most of the time is not (docs/concepts/localization.md, "Where it still fails").
    assert!(cases.len() == 30 && high.len() + medium.len() <= 1, "{high:#?} {medium:#?}");
}

#[test]
fn a_case_judged_alone_has_the_verdict_that_it_has_among_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let classes = [Class::Latency, Class::Error, Class::Resource];
    let written =
        classes.map(|class| Scenario { class, services: 20, seed: 9 }.generate().write(dir.path()).expect("writable"));
    let together = eval(&[dir.path()], &[]);
    let together = together["cases"].as_array().expect("a list");
    assert_eq!(together.len(), classes.len());
    for case in written {
        let alone = eval(&[&case], &[]);
        assert!(together.contains(&alone["cases"][0]), "{}", alone["cases"][0]);
    }
}

#[test]
fn slices_drawn_from_real_recordings_are_sure_no_more_often_than_chance() {
    let recordings = root().join("../shared/rca/nezha");
    let Ok(entries) = std::fs::read_dir(&recordings) else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: the labelled faults are not here\n");
        return;
    };
    let mut cases: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    let cases: Vec<&Path> = cases.iter().step_by(4).map(|case| &**case).collect();
    let report = eval(&cases, &["--null", "8"]);
    // Slices that are drawn at random are like the rest, whatever the rest holds: at least four stretches of it are
    // judged, so one in five may be the greatest by chance. Stretches that were not drawn may hold faults of their own.
    for row in report["null"].as_array().expect("a list").iter().filter(|row| row["kind"] == "shuffled") {
        let count = |column: &str| row[column].as_u64().expect("a number");
        assert!(count("windows") >= 30 && 5 * (count("medium") + count("high")) <= count("windows"), "{row}");
    }
}
