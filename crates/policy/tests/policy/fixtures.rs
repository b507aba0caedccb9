//! Every shipped rule has fixtures, and the policy says what they expect.

use std::collections::BTreeSet;

use backtrail_policy::{Error, Input, Policy, SHIPPED, SHIPPED_RULES, Stage, test_dir};

use crate::{base, fixture_dir};

#[test]
fn the_shipped_policy_says_what_every_fixture_expects() {
    let report = test_dir(&Policy::shipped(), &fixture_dir()).expect("the fixtures are read");
    let failed: Vec<String> = report.failed().map(backtrail_policy::Case::told).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_shipped_rule_has_an_allowed_and_a_denied_fixture() {
    let report = test_dir(&Policy::shipped(), &fixture_dir()).expect("the fixtures are read");
    assert_eq!(report.uncovered(SHIPPED_RULES), []);
    let folders: BTreeSet<&str> = report.cases.iter().map(|case| case.rule.as_str()).collect();
    assert_eq!(folders, SHIPPED_RULES.iter().copied().collect(), "a folder of fixtures for each rule, and no other");
}

/// The list in Rust and the rules in Rego name the same.
#[test]
fn the_list_of_shipped_rules_is_what_the_files_say() {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for (_, text) in SHIPPED {
        for part in text.split("\"rule\": ").skip(1) {
            if let Some(rule) = part.strip_prefix('"').and_then(|part| part.split('"').next()) {
                named.insert(rule.to_owned());
            }
        }
    }
    // One rule names itself after the kind of file.
    named.extend(["migration", "dependency", "contract", "ci"].map(|kind| format!("type.{kind}")));
    assert_eq!(named, SHIPPED_RULES.iter().map(|rule| (*rule).to_owned()).collect());
}

#[test]
fn the_base_is_a_typed_input_and_both_are_decided_alike() {
    let input: Input = serde_json::from_value(base()).expect("the base is an input");
    assert_eq!(serde_json::to_value(&input).expect("an input is JSON"), base());
    let policy = Policy::shipped();
    assert_eq!(policy.decide(&input), policy.decide(&base()));
    assert!(policy.decide(&input).allow);
    let early = Input { stage: Stage::BeforeTests, tests: None, revert_proof: None, ..input };
    assert!(policy.decide(&early).allow, "{:?}", policy.decide(&early));
    let late = Input { stage: Stage::AfterTests, ..early };
    assert!(!policy.decide(&late).allow);
}

#[test]
fn fixtures_that_mean_nothing_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let policy = Policy::shipped();
    assert!(test_dir(&policy, dir.path()).expect_err("empty").to_string().contains("no fixture"));
    let rule = dir.path().join("size.lines");
    std::fs::create_dir(&rule).expect("a folder");
    for (name, text) in [
        ("allowed.json", r#"{"denied": ["size.lines"]}"#),
        ("other.json", "{}"),
        ("denied-typo.json", r#"{"marge": {}}"#),
        ("denied-nowhere.json", r#"{"set": {"/nowhere/at/all": 1}}"#),
    ] {
        std::fs::write(rule.join(name), text).expect("a file");
    }
    let error = test_dir(&policy, dir.path()).expect_err("four bad fixtures");
    assert_eq!(error.problems().len(), 4, "{error}");
    assert!(matches!(error, Error::Rejected(_)));
}

#[test]
fn a_fixture_that_expects_another_rule_fails() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule = dir.path().join("size.lines");
    std::fs::create_dir(&rule).expect("a folder");
    for (name, text) in [
        ("denied.json", r#"{"set": {"/limits/max_lines": 1}}"#),
        ("denied-other.json", r#"{"set": {"/limits/max_files": 1}}"#),
        ("denied-two.json", r#"{"set": {"/limits/max_files": 1, "/limits/max_lines": 1}}"#),
        ("denied-not.json", "{}"),
        ("allowed-not.json", r#"{"set": {"/limits/max_lines": 1}}"#),
    ] {
        std::fs::write(rule.join(name), text).expect("a file");
    }
    let report = test_dir(&Policy::shipped(), dir.path()).expect("fixtures are read");
    let failed: Vec<_> = report.failed().map(|case| case.path.file_stem().expect("a name").to_owned()).collect();
    assert_eq!(failed, ["allowed-not", "denied-not", "denied-other", "denied-two"]);
}
