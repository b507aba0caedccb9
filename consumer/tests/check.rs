//! `check`: a patch of anybody gets every reason in one answer; and a policy that says something else than it means is
//! not taken.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::shop::{BANK, Shop};
use crate::support::{consumer, text};

/// A constant pause of zero that is called jitter, and a test of it that passes on the old code.
const SLEEPS: &str = r"import time


def test_retries_have_jitter():
    started = time.monotonic()
    time.sleep(0)
    assert time.monotonic() - started < 60
";

/// A hunk that removes lines and adds them again.
const NO_OP: &str = "\
diff --git a/payments/flags.py b/payments/flags.py
--- a/payments/flags.py
+++ b/payments/flags.py
@@ -4,2 +4,2 @@
-def is_on(name):
-    return name in ON
+def is_on(name):
+    return name in ON
";

fn check(dir: &Path, shop: &Shop, commit: &str, patch: &str, more: &[&str]) -> (Option<i32>, Value) {
    fs::write(dir.join("the.patch"), patch).expect("writable");
    let repository = shop.dir().display().to_string();
    let args =
        ["check", "the.patch", "--repository", &repository, "--commit", commit, "--service", "payment", "--json"];
    let output = consumer(dir, &args.iter().chain(more).copied().collect::<Vec<_>>());
    let answer = serde_json::from_slice(&output.stdout);
    (output.status.code(), answer.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr))))
}

fn says(answer: &Value, rule: &str, part: &str) -> bool {
    let reasons = answer["reasons"].as_array().expect("a list");
    reasons.iter().any(|one| one["rule"] == rule && one["why"].as_str().is_some_and(|why| why.contains(part)))
}

#[test]
fn a_patch_with_many_faults_gets_all_reasons_at_once() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let (shop, commit) = Shop::with_its_fault(&place.path().join("shop"));
    let code = fs::read_to_string(shop.dir().join(BANK)).expect("there");
    shop.write(BANK, code.replace("pause(config[\"backoff_ms\"] / 1000)", "pause(jitter(backoff_base))"));
    shop.write("tests/test_jitter.py", SLEEPS);
    let patch = format!("{}{NO_OP}", shop.patch());
    let (code, answer) = check(place.path(), &shop, &commit, &patch, &[]);
    assert_eq!((code, &answer["allowed"]), (Some(1), &json!(false)));
    for (rule, part) in [
        ("size.noop", "1 hunks remove lines and add the same again"),
        ("security.undefined_names", "payments/bank.py:22 uses jitter, which nothing defines"),
        ("security.undefined_names", "payments/bank.py:22 uses backoff_base, which nothing defines"),
        ("tests.failing_before", "0 of 1 added tests fail on the old code"),
        ("tests.newly_failing", "tests/test_bank.py::test_it_asks_again passed before and fails now"),
        ("type.flag", "must be behind a flag"),
        ("observability.span_attrs", "sets no span attribute"),
    ] {
        assert!(says(&answer, rule, part), "{rule}: {part} is missing in {:#}", answer["reasons"]);
    }
    let hints = answer["hints"].as_array().expect("a list");
    for rule in ["test-zero-delay", "diff-noop"] {
        assert!(hints.iter().any(|hint| hint["rule"] == rule), "{rule} is missing in {hints:#?}");
    }
    assert_eq!(answer["tests"]["before"], json!({ "passed": 2, "failed": 0 }), "the tests ran all the same");
    assert_eq!(answer["tests"]["repeats"], 5);

    let printed = consumer(place.path(), &{
        let repository = shop.dir().to_str().expect("text");
        ["check", "the.patch", "--repository", repository, "--commit", &commit, "--service", "payment", "--tests-off"]
    });
    let printed_text = text(&printed.stdout);
    assert!(printed_text.contains("policy size.noop: ") && printed_text.ends_with("refused\n"), "{printed_text}");
    assert!(!printed_text.contains("failing_before"), "no tests, no word about them: {printed_text}");
}

#[test]
fn a_setting_passes_and_what_does_not_apply_or_holds_a_secret_does_not() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let (shop, commit) = Shop::with_its_fault(&place.path().join("shop"));
    shop.write("payments/config.json", "{\n  \"max_retries\": 2,\n  \"backoff_ms\": 1\n}\n");
    let patch = shop.patch();
    let (code, answer) = check(place.path(), &shop, &commit, &patch, &["--kind", "config"]);
    assert_eq!((code, &answer["reasons"]), (Some(0), &json!([])), "{answer:#}");
    assert_eq!((&answer["files"], &answer["lines"]), (&json!(["payments/config.json"]), &json!(2)));

    let (code, answer) = check(place.path(), &shop, &commit, &patch, &["--kind", "config", "--prefix", "orders"]);
    assert_eq!(code, Some(1));
    assert!(says(&answer, "scope.path", "payments/config.json is outside of orders"), "{answer:#}");

    let (code, answer) = check(place.path(), &shop, &commit, &patch.replace("\"max_retries\": 9", "\"x\": 9"), &[]);
    assert_eq!((code, &answer["reasons"][0]["by"]), (Some(1), &json!("apply")), "{answer:#}");

    let key = format!("AKIA{}", "ABCDEFGH23456723");
    shop.write(
        "payments/config.json",
        format!("{{\n  \"max_retries\": 2,\n  \"backoff_ms\": 1, \"k\": \"{key}\"\n}}\n"),
    );
    let (code, answer) = check(place.path(), &shop, &commit, &shop.patch(), &["--kind", "config", "--tests-off"]);
    assert_eq!(code, Some(1));
    assert!(says(&answer, "security.secrets", "holds a secret (aws_access_key)"), "{answer:#}");
    assert!(!answer.to_string().contains(&key));
}

/// As the examples of the seed have it: `matches` is no operator of Rego, and `files[_]` means that SOME file is inside.
const FRAGMENT: &str = r#"package backtrail.patch

deny contains {"rule": "user.scope", "msg": "outside", "path": "diff.files"} if {
	not in_scope
}

in_scope if {
	input.diff.files[_].path matches "^services/payments/"
}
"#;

#[test]
fn a_policy_that_says_something_else_than_it_means_is_named_before_it_is_used() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path();
    fs::create_dir(dir.join("policy")).expect("writable");
    fs::write(dir.join("policy/scope.rego"), FRAGMENT).expect("writable");
    let output = consumer(dir, &["policy", "show", "--policy", "policy"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(said.contains("scope.rego") && said.contains("matches"), "{said}");
    let output = consumer(dir, &["doctor", "policy", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for rule in ["rego-matches", "rego-some-for-all"] {
        let findings = found["findings"].as_array().expect("a list");
        let finding = findings.iter().find(|finding| finding["rule"] == rule);
        assert!(finding.is_some_and(|finding| finding["line"] == 8), "{rule} is missing in {found:#}");
    }
    // What a run would do with it: it does not begin.
    let output = consumer(dir, &["run", "--once", "--policy", "policy"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stdout));
}

const API: &str = "openapi: 3.0.3
info: { title: pay, version: '1' }
paths:
  /pay:
    get:
      responses:
        '200': { description: paid, content: { application/json: { schema: { type: object, properties: { id: { type: string } } } } } }
";

#[test]
fn a_contract_may_grow_and_what_it_loses_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let (shop, _) = Shop::with_its_fault(&place.path().join("shop"));
    shop.write("payments/openapi.yaml", API);
    let commit = shop.commit("Say what can be asked");
    let (id, kind) = ("id: { type: string }", ["--kind", "config", "--tests-off"]);
    shop.write("payments/openapi.yaml", API.replace(id, "id: { type: string }, at: { type: string }"));
    let (code, answer) = check(place.path(), &shop, &commit, &shop.patch(), &kind);
    assert_eq!((code, &answer["reasons"]), (Some(0), &json!([])), "{answer:#}");
    shop.write("payments/openapi.yaml", API.replace(id, "at: { type: string }"));
    let (code, answer) = check(place.path(), &shop, &commit, &shop.patch(), &kind);
    assert_eq!(code, Some(1));
    assert!(says(&answer, "type.contract", "GET /pay answer 200: 'id' is gone"), "{answer:#}");
}
