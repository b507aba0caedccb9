//! Users' rules add to the shipped ones, whatever they contain.

use std::path::Path;

use backtrail_policy::{Decision, Error, Policy};

use crate::base;

const HEAD: &str = "package backtrail.patch\n\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

#[track_caller]
fn load(files: &[(&str, &str)]) -> Policy {
    match Policy::load(folder(files).path()) {
        Ok(policy) => policy,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn refused(files: &[(&str, &str)]) -> Error {
    Policy::load(folder(files).path()).err().expect("these files are refused")
}

fn rules(decision: &Decision) -> Vec<&str> {
    decision.denials.iter().map(|denial| denial.rule.as_str()).collect()
}

fn mine(body: &str) -> String {
    format!(
        "{HEAD}deny contains {{\"rule\": \"shop.mine\", \"msg\": \"no\", \"path\": \"request\"}} if {{\n\t{body}\n}}\n"
    )
}

#[test]
fn a_users_rule_adds_a_denial_and_reads_the_fields_by_their_names() {
    for body in [
        "input.diff.line_count > 41",
        "some file in input.diff.files\n\tendswith(file.path, \"bank.py\")",
        "input.diff.files[_].path == \"services/payments/bank.py\"",
        "input.tests.added_count < 3",
        "not \"retry.reason\" in input.observability.span_attrs_added",
        "input.golden.assertions_added < 2",
        "input.request.confidence < data.least",
    ] {
        let policy = load(&[("mine.rego", &mine(body)), ("data.json", r#"{"least": 0.95}"#)]);
        assert_eq!(rules(&policy.decide(&base())), ["shop.mine"], "{body}");
    }
    let policy = load(&[("mine.rego", &mine("input.diff.line_count > 42"))]);
    assert!(policy.decide(&base()).allow);
}

/// A fragment as it is written by people who know other languages: each mistake is named, with its place.
#[test]
fn a_fragment_that_is_no_rego_is_refused_with_each_reason() {
    let text = "package backtrail.patch\n\nallow {\n  input.diff.line_count < 80\n  input.diff.files[_].path matches \"^services/payments/\"\n  input.tests.added_count > 0\n}\n";
    let error = refused(&[("seed.rego", text)]);
    let told = error.to_string();
    let places: Vec<(usize, usize)> = error.problems().iter().map(|problem| (problem.line, problem.column)).collect();
    assert!(places.contains(&(5, 3)) && places.contains(&(5, 28)), "{told}");
    for part in
        ["'matches'", "regex.match(", "SOME file", "every file in input.diff.files", "allow is never asked", "Rego v1"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_mistake_is_told_with_file_line_and_column() {
    let error = refused(&[("mine.rego", &mine("input.diff.line_count >"))]);
    let problem = &error.problems()[0];
    assert_eq!((problem.file.as_str(), error.problems().len()), ("mine.rego", 1), "{error}");
    assert!(problem.line >= 4 && problem.column >= 1, "{error}");
    assert!(refused(&[("mine.rego", &mine("no_such_function(1)"))]).to_string().contains("no_such_function"));
    let error = refused(&[("data.json", "{\n  \"disabled\": [}\n")]);
    assert_eq!(error.problems()[0].line, 2);
}

#[test]
fn rules_that_would_never_be_asked_are_refused() {
    for text in [
        "package mine\n\ndeny contains 1 if true\n".to_owned(),
        format!("{HEAD}allow := true\n"),
        format!("{HEAD}default allow := false\n"),
        "package backtrail.patch.mine\n\ndeny contains 1 if true\n".to_owned(),
    ] {
        assert!(refused(&[("mine.rego", &text)]).to_string().contains("never asked"), "{text}");
    }
    let error = refused(&[("size.rego", &mine("true"))]);
    assert!(error.to_string().contains("my_size.rego"), "{error}");
    assert!(refused(&[("readme.txt", "")]).to_string().contains("no .rego file"));
    assert!(matches!(Policy::load(Path::new("/nonexistent/policies")), Err(Error::Unavailable { .. })));
}

#[test]
fn a_policy_library_in_its_own_package_is_taken() {
    let library = "package backtrail.patch.lib\n\nlong if input.diff.line_count > 41\n";
    let imported = mine("lib.long").replace(HEAD, "package backtrail.patch\n\nimport data.backtrail.patch.lib\n\n");
    for text in [mine("data.backtrail.patch.lib.long"), imported] {
        let policy = load(&[("lib.rego", library), ("mine.rego", &text)]);
        assert_eq!(rules(&policy.decide(&base())), ["shop.mine"]);
    }
}

#[test]
fn what_answers_differently_each_time_is_refused() {
    for body in ["time.now_ns() > 0", "rand.intn(\"x\", 3) == 1", "http.send({}).status_code == 200"] {
        assert!(refused(&[("mine.rego", &mine(body))]).to_string().contains("answers differently"), "{body}");
    }
}

#[test]
fn a_rule_is_switched_off_by_name_only_and_every_decision_says_so() {
    let mut input = base();
    input["limits"]["max_lines"] = 1.into();
    input["limits"]["max_files"] = 1.into();
    let policy = load(&[("data.json", r#"{"disabled": ["size.lines"]}"#)]);
    let decision = policy.decide(&input);
    assert_eq!(rules(&decision), ["size.files"]);
    assert_eq!(decision.disabled, ["size.lines"]);
    assert_eq!(rules(&Policy::shipped().decide(&input)), ["size.files", "size.lines"]);
    for (disabled, told) in [
        (r#"["complete"]"#, "can not be switched off"),
        (r#"["consistent"]"#, "can not be switched off"),
        (r#"["engine"]"#, "no shipped rule"),
        (r#"["size.line"]"#, "size."),
        (r#""size.lines""#, "not a list"),
        ("[1]", "no text"),
    ] {
        let error = refused(&[("data.json", &format!("{{\"disabled\": {disabled}}}"))]).to_string();
        assert!(error.contains(told), "{error}");
    }
    assert!(refused(&[("data.json", r#"{"backtrail": {"patch": {"deny": []}}}"#)]).to_string().contains("own package"));
}

#[test]
fn a_users_rule_with_the_name_of_a_disabled_one_still_denies() {
    let text = mine("input.diff.line_count > 10").replace("shop.mine", "size.lines");
    let policy = load(&[("mine.rego", &text), ("data.json", r#"{"disabled": ["size.lines"]}"#)]);
    assert_eq!(rules(&policy.decide(&base())), ["size.lines"]);
}

/// Files share one package: a user's body for a shipped function must not weaken the shipped rules.
#[test]
fn a_users_body_for_a_shipped_rule_is_refused() {
    for rule in [
        "inside(path) if path != \"\"",
        "is_revert if true",
        "before_tests if true",
        "fits(value, form) if value != form",
        "fields := {}",
        "default is_code := false",
    ] {
        let error = refused(&[("mine.rego", &format!("{HEAD}{rule}\n\n{}", mine("true").replace(HEAD, "")))]);
        assert!(error.to_string().contains("is a name of the shipped rules"), "{rule}: {error}");
        assert_eq!(error.problems()[0].line, 3, "{error}");
    }
}

/// What the shipped rules say stands, whatever a user's rules compute.
#[test]
fn a_users_rule_takes_no_denial_away() {
    let mut input = base();
    input["diff"]["files"][0]["path"] = "services/orders/bank.py".into();
    input["tests"]["changed_or_removed"] = serde_json::json!(["test_charge"]);
    let policy = load(&[("mine.rego", &format!("{HEAD}deny contains entry if {{\n\tsome entry in []\n}}\n"))]);
    assert_eq!(rules(&policy.decide(&input)), ["scope.path", "tests.changed"]);
    input.as_object_mut().expect("a map").remove("limits");
    assert_eq!(rules(&policy.decide(&input)), ["complete", "complete", "complete"]);
}

#[test]
fn whatever_goes_wrong_in_a_users_rule_is_a_denial() {
    for (body, what) in [
        // Two values for one function: a conflict when it is asked.
        (
            format!(
                "{HEAD}f(x) := 1 if x > 0\n\nf(x) := 2 if x > 0\n\n{}",
                mine("f(input.diff.line_count) == 3").replace(HEAD, "")
            ),
            "conflict",
        ),
        // A builtin that fails.
        (mine("to_number(input.diff.digest) == 1"), "builtin"),
        // An entry of another form, seen only with this input.
        (format!("{HEAD}deny contains \"too long\" if input.diff.line_count > 41\n"), "form"),
        (
            format!(
                "{HEAD}deny contains {{\"rule\": \"x\", \"msg\": input.diff.line_count, \"path\": \"\"}} if true\n"
            ),
            "form",
        ),
    ] {
        let decision = load(&[("mine.rego", &body)]).decide(&base());
        assert!(!decision.allow, "{what}");
        assert_eq!(rules(&decision), ["engine"], "{what}: {decision:?}");
    }
}

#[test]
fn a_rule_that_takes_too_long_is_a_denial() {
    let endless = mine(
        "input.diff.line_count > 0\n\tcount([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == input.diff.line_count; a == b]) > 0",
    );
    let decision = load(&[("mine.rego", &endless)]).decide(&base());
    assert_eq!(rules(&decision), ["engine"], "{decision:?}");
    assert!(decision.denials[0].msg.contains("time"), "{decision:?}");
}

/// The engine would run out of stack, which nothing can catch: such files must not get as far.
#[test]
fn rules_that_call_themselves_are_refused() {
    let call = |body: &str| mine(body).replace(HEAD, "");
    for text in [
        format!("{HEAD}f(x) := f(x + 1) if x > 0\n\n{}", call("f(input.diff.line_count) == 3")),
        format!("{HEAD}p if q\n\nq if p\n\n{}", call("p")),
        mine("count(deny) > 3"),
        mine("count(data.backtrail.patch.deny) > 3"),
        mine("count(data.backtrail.patch[\"deny\"]) > 3"),
        mine("some name in [\"deny\"]\n\tcount(data.backtrail.patch[name]) > 3"),
        mine("data[\"backtrail\"].patch.deny"),
        mine("x := data\n\tx.backtrail.patch.deny"),
        format!("package backtrail.patch\n\nimport data.backtrail.patch as p\n\n{}", call("count(p.deny) > 3")),
        format!("package backtrail.patch\n\nimport data.backtrail as p\n\n{}", call("count(p.patch.deny) > 3")),
        format!("package backtrail.patch\n\nimport data.backtrail.patch.deny as d\n\n{}", call("count(d) > 3")),
        format!("{HEAD}a.b if data.backtrail.patch.a.b\n\n{}", call("a.b")),
        format!("{HEAD}a[\"b\"] if a[\"b\"]\n\n{}", call("a.b")),
    ] {
        let error = refused(&[("mine.rego", &text)]).to_string();
        assert!(error.contains("itself"), "{text}\n{error}");
    }
    for library in [
        "package backtrail.patch.lib\n\nimport data.backtrail.patch\n\nlong if patch.deny\n",
        "package backtrail.patch.lib\n\nlong if data.backtrail.patch.lib[\"long\"]\n",
        "package backtrail.patch.lib\n\nlong if data.backtrail.patch.lib[input.request.id]\n",
        "package backtrail.patch.lib\n\nimport data.backtrail.patch.lib as me\n\nlong if me[input.request.id]\n",
        "package backtrail.patch.lib\n\nimport data.backtrail.patch.lib as me\n\nlong if me.long\n",
        "package backtrail.patch.lib\n\nimport data.backtrail.patch.lib.long as me\n\nlong if me\n",
    ] {
        let error =
            refused(&[("lib.rego", library), ("mine.rego", &mine("data.backtrail.patch.lib.long"))]).to_string();
        assert!(error.contains("itself"), "{library}\n{error}");
    }
}

#[test]
fn text_that_is_nested_too_deep_is_refused() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{\"a\": ", "}")] {
        let text = mine(&format!("x := {}1{}", open.repeat(400), close.repeat(400)));
        assert!(refused(&[("mine.rego", &text)]).to_string().contains("brackets inside each other"));
        load(&[("mine.rego", &mine(&format!("x := {}1{}\n\tx == 2", open.repeat(11), close.repeat(11))))]);
    }
}

#[test]
fn digests_change_with_every_source_and_with_nothing_else() {
    let shipped = Policy::shipped();
    assert_eq!(shipped.digest(), Policy::shipped().digest());
    let one = load(&[("mine.rego", &mine("true"))]);
    let two = load(&[("mine.rego", &mine("true  "))]);
    let data = load(&[("mine.rego", &mine("true")), ("data.json", "{}")]);
    let renamed = load(&[("yours.rego", &mine("true"))]);
    let mut digests = vec![shipped.digest(), one.digest(), two.digest(), data.digest(), renamed.digest()];
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 5);
    assert_eq!(one.digest(), load(&[("mine.rego", &mine("true"))]).digest());
    let mut input = base();
    let before = shipped.decide(&input).input_digest;
    input["request"]["id"] = "req-2".into();
    assert_ne!(before, shipped.decide(&input).input_digest);
}
