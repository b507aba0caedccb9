//! The crash matrix: `kill -9` at every point (before and after every commit, behind every acknowledgement, between an
//! intent and its effect and between the effect and its outcome), each followed by a restart that is killed as well at
//! every point it reaches. Whatever happened, the same is left; no effect happened twice or without its intent.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use backtrail_consumer::evidence::Bundle;
use backtrail_consumer::journal::{Chain, digest};
use backtrail_consumer::step::{Effect, Step};
use backtrail_consumer::store::Store;

use crate::support::{ONCE, TRIAGE, command, consumer, event, own, queue, repository, request, storm, text};

/// More points than any scenario has: a loop that gets here is stuck.
const MANY: u64 = 200;

/// Runs a command that is killed at point `at`; `false` if it ended before.
fn killed(dir: &Path, args: &[&str], at: u64) -> bool {
    let output = command(dir, args).env("BACKTRAIL_CRASH_AT", at.to_string()).output().expect("it runs");
    if output.status.signal() == Some(9) {
        return true;
    }
    assert!(output.status.success() || is_once(args), "{}", text(&output.stderr));
    false
}

/// Commands that say no the second time.
fn is_once(args: &[&str]) -> bool {
    matches!(args[0], "abort" | "approve")
}

fn chains(dir: &Path) -> Vec<Chain> {
    let Some(store) = Store::open_existing(&dir.join("backtrail-data/consumer")).expect("opens") else {
        return Vec::new();
    };
    let rows = store.remediations(100).expect("readable");
    rows.iter().map(|row| store.chain(&row.id).expect("an intact journal")).collect()
}

/// Bundles on disk: inode by name.
fn bundles(dir: &Path) -> BTreeMap<String, u64> {
    let files = std::fs::read_dir(dir.join("backtrail-data/consumer/bundles")).into_iter().flatten().flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
        .map(|file| (file.file_name().to_string_lossy().into_owned(), file.metadata().expect("there").ino()))
        .collect()
}

/// No effect without its intent: every bundle is what some journal intended.
fn assert_intended(dir: &Path) {
    let chains = chains(dir);
    for name in bundles(dir).keys() {
        let bytes = std::fs::read(dir.join("backtrail-data/consumer/bundles").join(name)).expect("readable");
        let wanted = Effect::Seal { file: name.clone(), digest: digest(&bytes) };
        let intended = |step: &Step| matches!(step, Step::Intended { effect } if *effect == wanted);
        assert!(chains.iter().any(|chain| chain.entries.iter().any(|entry| intended(&entry.step))), "{name}");
        Bundle::verify(&bytes, None).expect("valid");
    }
}

/// What is left, without what differs from run to run (times, digests that contain them, who saw the effect).
fn left(dir: &Path) -> Vec<String> {
    let mut left: Vec<String> = chains(dir)
        .iter()
        .map(|chain| {
            let steps: Vec<_> = chain.entries.iter().map(|entry| entry.step.name()).collect();
            let (request, state) = (&chain.remediation.request, chain.remediation.state.name());
            format!("{} {}: {state} by {steps:?}", request.incident, request.revision)
        })
        .collect();
    let store = Store::open(&dir.join("backtrail-data/consumer")).expect("opens");
    left.extend(store.dead_letters().expect("readable").iter().map(|letter| format!("dead: {}", letter.reason)));
    let inbox = store.inbox(backtrail_model::UnixNano(0)).expect("counts");
    left.push(format!("waiting {}, done {}, dead {}", inbox.waiting, inbox.done, inbox.dead));
    left.push(format!("bundles {}", bundles(dir).len()));
    left.sort();
    left
}

/// Kills `args` at each point in turn, restarts with `again`, kills the restart at each of its points in turn (the first
/// `seconds` of them), and lets the third run end.
fn matrix(prepare: impl Fn(&Path), args: &[&str], again: &[&str], seconds: u64) -> Seen {
    let straight = tempfile::tempdir().expect("a directory");
    prepare(straight.path());
    assert!(!killed(straight.path(), args, MANY));
    consumer(straight.path(), again);
    let wanted = left(straight.path());
    let mut seen = Seen::default();
    for first in 1..MANY {
        for second in 1..MANY {
            let dir = tempfile::tempdir().expect("a directory");
            let dir = dir.path();
            prepare(dir);
            if !killed(dir, args, first) {
                assert!(second == 1, "a point that comes and goes");
                return seen;
            }
            assert_intended(dir);
            let before = bundles(dir);
            seen.note(dir);
            let more = killed(dir, again, second);
            assert_intended(dir);
            let between = bundles(dir);
            let last = consumer(dir, args);
            assert!(last.status.success() || is_once(args), "{}", text(&last.stderr));
            consumer(dir, again);
            assert_eq!(left(dir), wanted, "killed at {first}, then at {second}");
            let after = bundles(dir);
            for (name, inode) in before.iter().chain(&between) {
                assert_eq!(after.get(name), Some(inode), "{name} was written twice: killed at {first}, then {second}");
            }
            seen.runs += 1;
            if !more || second == seconds {
                break;
            }
        }
    }
    panic!("more than {MANY} points");
}

/// That the matrix went where it should.
#[derive(Default, Debug)]
struct Seen {
    runs: u64,
    /// Killed between an intent and its effect.
    intended: bool,
    /// Killed between the effect and its outcome.
    effected: bool,
}

impl Seen {
    fn note(&mut self, dir: &Path) {
        let there = bundles(dir);
        for chain in chains(dir) {
            let Some(Effect::Seal { file, .. }) = &chain.remediation.open else { continue };
            if there.contains_key(file) {
                self.effected = true;
            } else {
                self.intended = true;
            }
        }
    }
}

#[test]
fn a_kill_anywhere_between_the_queue_and_the_evidence_leaves_the_same() {
    let prepare = |dir: &Path| {
        own(dir);
        queue(dir, &[event(&request("i", 3, false)), b"{ no event".to_vec()]);
    };
    let seen = matrix(prepare, &TRIAGE, &TRIAGE, MANY);
    assert!(seen.runs > 50 && seen.intended && seen.effected, "{seen:?}");
}

#[test]
fn a_kill_while_a_newer_revision_supersedes_leaves_the_same() {
    let prepare = |dir: &Path| {
        own(dir);
        queue(dir, &[event(&request("j", 1, true))]);
        assert!(consumer(dir, &TRIAGE).status.success());
        queue(dir, &[event(&request("j", 2, true))]);
    };
    let seen = matrix(prepare, &TRIAGE, &TRIAGE, MANY);
    assert!(seen.runs > 50 && seen.intended && seen.effected, "{seen:?}");
}

#[test]
fn a_kill_while_the_operator_aborts_leaves_the_same() {
    let prepare = |dir: &Path| {
        own(dir);
        queue(dir, &[event(&request("j", 1, true))]);
        assert!(consumer(dir, &TRIAGE).status.success());
    };
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path());
    let id = chains(dir.path())[0].entries[0].remediation.clone();
    // The id follows from the event, so it is the same in every folder.
    let seen = matrix(prepare, &["abort", &id], &TRIAGE, MANY);
    assert!(seen.runs > 2, "{seen:?}");
}

/// From the queue to proof: the restart goes on where the journal ends, and what is proved is proved once.
#[test]
fn a_kill_between_request_and_proof_leaves_the_same() {
    let prepare = |dir: &Path| {
        let commit = repository(dir);
        queue(dir, &[event(&storm("p", 1, &commit))]);
    };
    // Two kills at the restart are enough here: each run makes a repository and tests a patch.
    let seen = matrix(prepare, &ONCE, &ONCE, 2);
    assert!(seen.runs > 40, "{seen:?}");
}

#[test]
fn a_kill_while_an_owner_approves_leaves_one_approval_and_one_bundle() {
    let prepare = |dir: &Path| {
        let commit = repository(dir);
        queue(dir, &[event(&storm("p", 1, &commit))]);
        assert!(consumer(dir, &ONCE).status.success());
        let key = consumer(dir, &["keygen", "olga.key"]);
        let key = text(&key.stdout).replace('\n', "\n      ");
        let known = format!("approvers:\n  olga:\n    teams: ['@shop/pay']\n    key: |\n      {}\n", key.trim_end());
        std::fs::write(dir.join("approvers.yaml"), known).expect("writable");
    };
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path());
    let id = chains(dir.path())[0].entries[0].remediation.clone();
    let seen = matrix(prepare, &["approve", &id, "--as", "olga", "--key", "olga.key"], &ONCE, 3);
    assert!(seen.runs > 2, "{seen:?}");
}
