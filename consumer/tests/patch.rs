//! From a request to a signed patch, by the binary alone: a real repository, its real tests, an owner's key.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{ONCE, consumer, event, json_of, queue, repository, storm, text};

/// A remediation that waits for its approval; gives its id.
fn proved(dir: &Path) -> String {
    let commit = repository(dir);
    queue(dir, &[event(&storm("p", 1, &commit))]);
    json_of(dir, &ONCE);
    let status = json_of(dir, &["status", "--json"]);
    let row = &status["remediations"][0];
    assert_eq!(row["state"], "verified", "{}", shown(dir, row["id"].as_str().expect("an id")));
    row["id"].as_str().expect("an id").to_owned()
}

fn shown(dir: &Path, id: &str) -> Value {
    json_of(dir, &["show", id, "--json"])
}

/// Makes a key and lets it count for somebody.
fn approver(dir: &Path, name: &str, team: &str) {
    let output = consumer(dir, &["keygen", &format!("{name}.key")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let known = std::fs::read_to_string(dir.join("approvers.yaml")).unwrap_or_else(|_| "approvers:\n".into());
    let key = text(&output.stdout).replace('\n', "\n      ");
    let more = format!("  {name}:\n    teams: ['{team}']\n    key: |\n      {}\n", key.trim_end());
    std::fs::write(dir.join("approvers.yaml"), known + &more).expect("writable");
}

#[test]
fn a_storm_becomes_a_computed_setting_that_is_proved_approved_and_signed() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let id = proved(dir);
    let before = shown(dir, &id);
    let candidate = &before["remediation"]["candidates"][0];
    assert_eq!((&candidate["stage"], &candidate["candidate"]["id"]), (&json!("verified"), &json!("retry_count-0")));
    let proposal = &candidate["candidate"]["proposal"];
    assert_eq!(proposal["title"], "Set bank.max_retries to 0 for calls to bank");
    let computed = proposal["computation"].as_array().expect("lines").last().and_then(Value::as_str);
    assert_eq!(computed, Some("allowed retries = floor(1/u - 1) = floor(1/0.72 - 1) = 0"));
    assert_eq!(candidate["proof"]["after"]["passed"], 1, "the repository's own test ran");
    let left_out = &before["journal"][3]["step"]["left_out"];
    assert!(left_out.as_array().expect("reasons").iter().any(|one| one["recipe"] == "revert"), "{left_out}");

    approver(dir, "olga", "@shop/pay");
    let approve = ["approve", &id, "--as", "olga", "--key", "olga.key", "--json"];
    assert_eq!(json_of(dir, &approve)["state"], "attested");
    json_of(dir, &ONCE);
    let after = shown(dir, &id);
    let bundle = after["bundle"].as_str().expect("a bundle").to_owned();
    let key = "backtrail-data/consumer/signing.pub";
    let verified = json_of(dir, &["verify", &bundle, "--key", key, "--json"]);
    assert_eq!(verified["decision"]["state"], "attested");
    let kept: Value = serde_json::from_slice(&std::fs::read(dir.join(&bundle)).expect("there")).expect("JSON");
    let patch = kept["artifacts"][0]["body"].as_str().expect("a diff");
    assert!(patch.contains("-  max_retries: 3   # a lot\n+  max_retries: 0   # a lot\n"), "{patch}");

    // Each part of the bundle is under the signature.
    let good = std::fs::read_to_string(dir.join(&bundle)).expect("text");
    for (from, to) in [("max_retries: 0", "max_retries: 9"), ("\"passed\\\": 1", "\"passed\\\": 2"), ("olga", "eve1")] {
        assert!(good.contains(from), "{from}");
        std::fs::write(dir.join("forged.json"), good.replacen(from, to, 1)).expect("writable");
        let forged = consumer(dir, &["verify", "forged.json", "--key", key]);
        assert_eq!(forged.status.code(), Some(1), "{from}");
    }
}

#[test]
fn only_an_owner_s_approval_of_this_very_diff_opens_the_gate() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let id = proved(dir);
    approver(dir, "olga", "@shop/pay");
    approver(dir, "carl", "@shop/cart");
    let refused = |args: &[&str], says: &str| {
        let output = consumer(dir, args);
        assert!(!output.status.success() && text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
        assert_eq!(shown(dir, &id)["remediation"]["state"], "verified");
    };
    refused(&["approve", &id, "--as", "carl", "--key", "carl.key"], "does not own it");
    refused(&["approve", &id, "--as", "olga", "--key", "carl.key"], "signature is not olga's");
    refused(&["approve", &id, "--as", "eve", "--key", "olga.key"], "not among the approvers");
    refused(
        &["approve", &id, "--candidate", "revert-9", "--as", "olga", "--key", "olga.key"],
        "no such verified candidate",
    );
    refused(&["approve", &id], "who approves?");
    let signed = consumer(dir, &["approve", &id, "--as", "olga", "--key", "olga.key", "--sign-only"]);
    assert!(signed.status.success());
    std::fs::write(dir.join("signed.json"), &signed.stdout).expect("writable");

    // The same signature does not count elsewhere: replayed on another remediation it is void.
    let other = tempfile::tempdir().expect("a directory");
    let foreign = proved(other.path());
    std::fs::copy(dir.join("approvers.yaml"), other.path().join("approvers.yaml")).expect("copied");
    let commit = repository_head(other.path());
    queue(other.path(), &[event(&storm("q", 1, &commit))]);
    json_of(other.path(), &ONCE);
    let status = json_of(other.path(), &["status", "--json"]);
    let rows = status["remediations"].as_array().expect("rows");
    let second = rows.iter().filter_map(|row| row["id"].as_str()).find(|one| *one != foreign).expect("another");
    let signed = dir.join("signed.json");
    let replayed = consumer(other.path(), &["approve", second, "--envelope", signed.to_str().expect("UTF-8")]);
    assert!(text(&replayed.stderr).contains("it is for remediation"), "{}", text(&replayed.stderr));

    assert_eq!(json_of(dir, &["approve", &id, "--envelope", "signed.json", "--json"])["by"], "olga");
    let again = consumer(dir, &["approve", &id, "--envelope", "signed.json"]);
    assert!(text(&again.stderr).contains("is attested"), "{}", text(&again.stderr));
}

fn repository_head(dir: &Path) -> String {
    let output =
        std::process::Command::new("git").args(["rev-parse", "HEAD"]).current_dir(dir.join("shop.git")).output();
    text(&output.expect("git runs").stdout).trim().to_owned()
}

#[test]
fn what_fits_no_recipe_or_is_not_in_the_repository_ends_with_each_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let commit = repository(dir);
    let mut calm = storm("calm", 1, &commit);
    calm["telemetry_summary"]["load"] = json!([]);
    let mut gone = storm("gone", 1, "0123abc");
    gone["suspect_ref"]["entity"]["commit"] = json!("0123abc0123abc");
    let mut lost = storm("lost", 1, &commit);
    lost["suspect_ref"]["entity"]["file"] = json!("other.py");
    lost["suspect_ref"]["entity"]["function"] = json!("");
    lost["code_context"]["functions"] = json!(["nothing_of_the_kind"]);
    queue(dir, &[event(&calm), event(&gone), event(&lost)]);
    json_of(dir, &ONCE);
    let status = json_of(dir, &["status", "--json"]);
    let mut reasons: Vec<String> = Vec::new();
    for row in status["remediations"].as_array().expect("rows") {
        assert_eq!(row["state"], "no_safe_patch", "{row}");
        let shown = shown(dir, row["id"].as_str().expect("an id"));
        reasons.push(shown["remediation"]["reason"].as_str().expect("a reason").to_owned());
    }
    for says in
        ["no recipe fits: revert: ", "the repository does not have 0123abc", "are not in the repository at that commit"]
    {
        assert!(reasons.iter().any(|reason| reason.contains(says)), "{says}: {reasons:#?}");
    }
}

#[test]
fn a_rejection_ends_it_with_its_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let id = proved(dir);
    assert_eq!(json_of(dir, &["reject", &id, "--as", "olga", "--why", "we scale out", "--json"])["state"], "rejected");
    json_of(dir, &ONCE);
    let shown = shown(dir, &id);
    assert_eq!(shown["remediation"]["reason"], "olga rejected it: we scale out");
    assert!(shown["bundle"].is_string());
}
