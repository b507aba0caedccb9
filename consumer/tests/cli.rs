//! The command line: what it prints and how it exits.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{TRIAGE, command, consumer, event, json_of, own, queue, request, text};

#[test]
fn from_the_queue_to_decisions() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    own(dir);
    queue(dir, &[event(&request("i", 3, false)), event(&request("j", 1, true)), b"\xff\xfe".to_vec()]);
    let done = json_of(dir, &TRIAGE);
    assert_eq!(done["taken_in"], 3);
    let status = json_of(dir, &["status", "--json"]);
    assert_eq!(status["states"], json!({ "no_safe_patch": 1, "triaged": 1 }));
    assert_eq!((&status["dead_letters"], &status["tampered"]), (&json!(1), &json!([])));
    assert_eq!(json_of(dir, &TRIAGE)["steps"], 0, "nothing is left to do");

    let rows = status["remediations"].as_array().expect("rows");
    let triaged = rows.iter().find(|row| row["state"] == "triaged").expect("there")["id"].as_str().expect("an id");
    let shown = json_of(dir, &["show", &triaged[..8], "--json"]);
    assert_eq!(shown["remediation"]["mapping"]["repository"], "shop.git");
    assert!(shown["public_key"].as_str().is_some_and(|key| key.contains("BEGIN PUBLIC KEY")));

    assert_eq!(json_of(dir, &["abort", triaged, "--why", "not now", "--json"])["state"], "cancelled");
    let again = consumer(dir, &["abort", triaged]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("has ended already: cancelled"), "{}", text(&again.stderr));
    json_of(dir, &TRIAGE);
    let shown = json_of(dir, &["show", triaged, "--json"]);
    assert_eq!(shown["remediation"]["reason"], "the operator aborted it: not now");
    let steps: Vec<_> = shown["journal"].as_array().expect("a list").iter().map(|e| &e["step"]["is"]).collect();
    assert_eq!(steps, ["received", "triaged", "cancelled", "intended", "happened"]);
}

#[test]
fn dead_letters_are_listed_shown_replayed_and_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let mut future = request("i", 3, true);
    future["schema_version"] = json!("2.0");
    queue(dir, &[event(&future), b"\xff\xfe".to_vec()]);
    json_of(dir, &TRIAGE);
    let list = json_of(dir, &["dlq", "list", "--json"]);
    let letters = list["dead_letters"].as_array().expect("a list");
    let find = |reason: &str| letters.iter().find(|letter| letter["reason"] == reason).expect(reason)["id"].as_str();
    let (bad, future_id) = (find("malformed").expect("an id"), find("unknown_version").expect("an id"));
    assert_eq!(consumer(dir, &["dlq", "show", bad]).stdout, b"\xff\xfe", "the bytes as they came");
    assert_eq!(consumer(dir, &["dlq", "show", future_id]).stdout, event(&future));
    let refused = consumer(dir, &["dlq", "replay", bad]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("malformed event"), "{}", text(&refused.stderr));
    assert_eq!(json_of(dir, &["dlq", "drop", bad, "--json"])["dropped"], true);
    assert_eq!(consumer(dir, &["dlq", "drop", bad]).status.code(), Some(2), "there is none any more");
    // The same bytes come again: nothing of the past is in the way.
    queue(dir, &[b"\xff\xfe".to_vec()]);
    json_of(dir, &TRIAGE);
    assert_eq!(json_of(dir, &["dlq", "list", "--json"])["dead_letters"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_submitted_by_hand_is_checked_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let file = dir.join("request.json");
    let submit = |content: &[u8]| {
        std::fs::write(&file, content).expect("writable");
        consumer(dir, &["submit", "request.json", "--json"])
    };
    let bare = serde_json::to_vec(&request("i", 3, false)).expect("serializes");
    for new in [true, false] {
        let reply: Value = serde_json::from_slice(&submit(&bare).stdout).expect("JSON");
        assert_eq!(reply, json!({ "event": "i-3", "new": new }));
    }
    for wrong in [&b"{}"[..], b"\xff", "[".repeat(1 << 16).as_bytes(), &vec![b' '; (1 << 20) + 5]] {
        let output = submit(wrong);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with("error: request.json: "), "{}", text(&output.stderr));
    }
    json_of(dir, &TRIAGE);
    let status = json_of(dir, &["status", "--json"]);
    assert_eq!((&status["states"]["no_safe_patch"], &status["dead_letters"]), (&json!(1), &json!(0)));
}

#[test]
fn errors_name_the_remedy_and_exit_as_the_collector_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let nothing = consumer(dir, &["status"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("hint: start one with"), "{}", text(&nothing.stderr));
    assert_eq!(consumer(dir, &["show"]).status.code(), Some(2));
    json_of(dir, &TRIAGE);
    assert_eq!(consumer(dir, &["show", "nobody"]).status.code(), Some(2));
    std::fs::write(dir.join("ownership.yaml"), "services: { pay: { repositry: x } }").expect("writable");
    let config = consumer(dir, &TRIAGE);
    assert_eq!(config.status.code(), Some(78));
    assert!(text(&config.stderr).contains("ownership.yaml: "), "{}", text(&config.stderr));
}

#[test]
fn a_running_consumer_takes_what_comes_and_ends_on_sigterm() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let child = command(dir, &["run", "--json", "--max-age", "any"]).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    queue(dir, &[event(&request("i", 3, false))]);
    let mut decided = false;
    for _ in 0..300 {
        let output = consumer(dir, &["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        decided = status["inbox"]["done"] == 1;
        if decided {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(decided, "nothing was decided within half a minute");
    let term = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(term.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(done["taken_in"], 1);
}
