//! Evidence, judged by others: an independent implementation of DSSE opens what we signed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backtrail_testkit::go::COSIGN;
use backtrail_testkit::python;
use serde_json::Value;

use crate::support::{ONCE, consumer, event, json_of, own, queue, repository, request, storm, text};

/// The bundle of a request that ended in triage.
fn bundle(dir: &Path) -> PathBuf {
    own(dir);
    queue(dir, &[event(&request("i", 3, false))]);
    json_of(dir, &ONCE);
    let status = json_of(dir, &["status", "--json"]);
    let id = status["remediations"][0]["id"].as_str().expect("an id");
    let shown = json_of(dir, &["show", id, "--json"]);
    dir.join(shown["bundle"].as_str().expect("a bundle"))
}

/// The bundle of a request whose patch was proved; a person then rejected it.
fn proved(dir: &Path) -> PathBuf {
    let commit = repository(dir);
    queue(dir, &[event(&storm("p", 1, &commit))]);
    json_of(dir, &ONCE);
    let id = json_of(dir, &["status", "--json"])["remediations"][0]["id"].as_str().expect("an id").to_owned();
    json_of(dir, &["reject", &id, "--json"]);
    json_of(dir, &ONCE);
    let shown = json_of(dir, &["show", &id, "--json"]);
    dir.join(shown["bundle"].as_str().expect("a bundle"))
}

#[test]
fn an_independent_verifier_opens_the_envelope_and_finds_one_changed_byte() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let Some(python) = python::venv(&here.join("requirements.txt")).or_skip() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let bundle = bundle(dir.path());
    let key = dir.path().join("backtrail-data/consumer/signing.pub");
    let verify = |bundle: &Path| -> Output {
        let args = [here.join("verify_bundle.py"), bundle.to_owned(), key.clone()];
        Command::new(&python).args(args).output().expect("it runs")
    };
    let output = verify(&bundle);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let decision: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(decision["state"], "no_safe_patch");
    assert_eq!(decision["incident"], "i");

    let good = std::fs::read_to_string(&bundle).expect("readable");
    let payload = good.find("\"payload\": \"").expect("a payload") + 40;
    let mut changed = good.into_bytes();
    changed[payload] = if changed[payload] == b'A' { b'B' } else { b'A' };
    let forged = dir.path().join("forged.json");
    std::fs::write(&forged, &changed).expect("writable");
    assert_eq!(verify(&forged).status.code(), Some(1));
}

#[test]
fn an_independent_verifier_opens_a_patch_with_its_test_result() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let Some(python) = python::venv(&here.join("requirements.txt")).or_skip() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (bundle, key) = (proved(dir.path()), dir.path().join("backtrail-data/consumer/signing.pub"));
    let args = [here.join("verify_bundle.py"), bundle, key];
    let output = Command::new(&python).args(args).output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let decision: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(decision["state"], "rejected");
}

#[test]
fn verify_works_offline_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let bundle = bundle(dir.path());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let name = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let key = name(&dir.path().join("backtrail-data/consumer/signing.pub"));
    let verified = json_of(elsewhere.path(), &["verify", &name(&bundle), "--key", &key, "--json"]);
    assert_eq!(
        (verified["decision"]["state"].as_str(), verified["key_was_given"].as_bool()),
        (Some("no_safe_patch"), Some(true))
    );

    let text_of = |path: &Path| std::fs::read_to_string(path).expect("readable");
    let changed = elsewhere.path().join("changed.json");
    std::fs::write(&changed, text_of(&bundle).replacen("POST /checkout", "POST /chequout", 1)).expect("writable");
    let output = consumer(elsewhere.path(), &["verify", &name(&changed)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the request was changed"), "{}", text(&output.stderr));

    // Another consumer's key.
    let other = tempfile::tempdir().expect("a directory");
    json_of(other.path(), &ONCE);
    let foreign = name(&other.path().join("backtrail-data/consumer/signing.pub"));
    let output = consumer(elsewhere.path(), &["verify", &name(&bundle), "--key", &foreign]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("it is signed by key"), "{}", text(&output.stderr));
}

#[test]
fn cosign_verifies_what_a_bundle_holds_and_refuses_it_changed() {
    let Some(cosign) = COSIGN.path().or_skip() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let bundle = proved(dir.path());
    let files = dir.path().join("files");
    let out = files.to_str().expect("UTF-8");
    json_of(dir.path(), &["verify", bundle.to_str().expect("UTF-8"), "--extract", out, "--json"]);
    let verify = |statement: &str, kind: &str, blob: &str| {
        let output = Command::new(&cosign)
            .args(["verify-blob-attestation", "--insecure-ignore-tlog=true", "--key", "signing.pub"])
            .args(["--bundle", statement, "--type", kind, blob])
            .current_dir(&files)
            .output()
            .expect("it runs");
        (output.status.success(), text(&output.stderr))
    };
    let decision = "https://backtrail.dev/decision/v1";
    let test_result = "https://in-toto.io/attestation/test-result/v0.1";
    let mut patches = 0;
    for candidate in std::fs::read_dir(&files).expect("readable").map(|entry| entry.expect("an entry").path()) {
        if !candidate.is_dir() {
            continue;
        }
        patches += 1;
        let name = candidate.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let (patch, result) = (format!("{name}/patch.diff"), format!("{name}/test_result.sigstore.json"));
        let (good, why) = verify(&result, test_result, &patch);
        assert!(good, "{result}: {why}");
        let (good, why) = verify("decision.sigstore.json", decision, &patch);
        assert!(good, "{patch}: {why}");
        let (good, why) = verify("decision.sigstore.json", test_result, &patch);
        assert!(!good, "another type of statement: {why}");
        let mut changed = std::fs::read(files.join(&patch)).expect("readable");
        changed.push(b'\n');
        std::fs::write(files.join(&patch), changed).expect("writable");
        for statement in [result.as_str(), "decision.sigstore.json"] {
            let kind = if statement == result { test_result } else { decision };
            let (good, why) = verify(statement, kind, &patch);
            assert!(!good, "{statement} of a changed patch: {why}");
        }
    }
    assert!(patches > 0, "no patch was proved");
    for part in ["request.json", "journal.jsonl"] {
        let (good, why) = verify("decision.sigstore.json", decision, part);
        assert!(good, "{part}: {why}");
    }
}
