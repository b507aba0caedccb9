//! A small service in a real repository: its last commit set `max_retries` from 1 to 9.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{event, queue, request, text};

/// The suspect's file.
pub(crate) const BANK: &str = "payments/bank.py";

const CODE: &str = r#"import json
import os
import time

from payments import flags, telemetry

HERE = os.path.dirname(__file__)


def settings(name):
    with open(os.path.join(HERE, name)) as file:
        return json.load(file)


def charge(send, pause=time.sleep):
    """Asks the bank until it answers."""
    config = settings("config.json")
    for attempt in range(config["max_retries"] + 1):
        telemetry.attempts.add(1)
        if send(attempt):
            return attempt + 1
        pause(config["backoff_ms"] / 1000)
    raise RuntimeError("the bank does not answer")


def refund(send):
    return send(0)
"#;

const TELEMETRY: &str = r#"class Counter:
    def __init__(self):
        self.value = 0

    def add(self, count):
        self.value += count


class Span:
    def __init__(self):
        self.attributes = {}

    def set_attribute(self, name, value):
        self.attributes[name] = value


attempts = Counter()
backoffs = Counter()
span = Span()
"#;

const FLAGS: &str = "ON = set()\n\n\ndef is_on(name):\n    return name in ON\n";

const TESTS: &str = r#"from payments import bank


def test_the_first_answer_is_enough():
    assert bank.charge(lambda attempt: True) == 1


def test_it_asks_again():
    assert bank.charge(lambda attempt: attempt == 1, lambda seconds: None) == 2
"#;

/// A repository in the making.
pub(crate) struct Shop {
    dir: PathBuf,
}

impl Shop {
    /// The files of the first commit, not committed yet.
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("writable");
        let shop = Self { dir: dir.to_owned() };
        shop.git(&["init", "-q", "-b", "main"]);
        shop.write("payments/__init__.py", "");
        shop.write(BANK, CODE);
        shop.write("payments/telemetry.py", TELEMETRY);
        shop.write("payments/flags.py", FLAGS);
        shop.write("payments/config.json", "{\n  \"max_retries\": 1,\n  \"backoff_ms\": 1\n}\n");
        shop.write("tests/__init__.py", "");
        shop.write("tests/test_bank.py", TESTS);
        shop
    }

    /// A repository with both commits, and the hash of the second.
    pub(crate) fn with_its_fault(dir: &Path) -> (Self, String) {
        let shop = Self::new(dir);
        shop.commit("First version");
        shop.raise_retries();
        let commit = shop.commit("Ask the bank more often");
        (shop, commit)
    }

    pub(crate) fn raise_retries(&self) {
        self.write("payments/config.json", "{\n  \"max_retries\": 9,\n  \"backoff_ms\": 1\n}\n");
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().expect("in the repository")).expect("writable");
        fs::write(path, content).expect("writable");
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What the working copy changes, as a patch; the working copy is as before afterwards.
    pub(crate) fn patch(&self) -> String {
        self.git(&["add", "-A"]);
        let patch = self.git(&["diff", "--cached"]);
        self.git(&["reset", "-q", "--hard"]);
        patch + "\n"
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Ann Author", "-c", "user.email=ann@corp.example", "-c", "commit.gpgsign=false"]);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", &self.dir);
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            git.env(name, "2026-05-04T10:00:00+00:00");
        }
        let output = git.args(args).current_dir(&self.dir).output().expect("git is there");
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// Says in `dir` that the service is in this repository.
    pub(crate) fn own(&self, dir: &Path) {
        let owner = json!({ "team": "shop", "repository": self.dir });
        let ownership = json!({ "services": { "payment": owner } });
        fs::write(dir.join("ownership.yaml"), ownership.to_string()).expect("writable");
    }
}

/// A request about `charge` at a commit, which is also the recent change. `says` is asked for, so that a stub can tell
/// one question from another.
pub(crate) fn about(incident: &str, commit: &str, says: &str) -> Value {
    let mut request = request(incident, 1, true);
    request["suspect_ref"]["entity"]["commit"] = json!(commit);
    request["suspect_ref"]["entity"]["file"] = json!(BANK);
    request["recent_changes"] = json!([{ "file": "payments/config.json", "lines": "1-4", "sha": commit,
        "author": "Ann Author <ann@corp.example>", "ts": "2026-05-04T10:00:00Z" }]);
    request["telemetry_summary"]["divergent_span"] = json!({ "service": "payment", "operation": "charge", "error": "timeout after too many retries", "retries": 9.0 });
    // Each request becomes ten calls, and the bank serves a hundred: one retry is what it can bear.
    request["telemetry_summary"]["load"] = json!([{ "from": "payment", "to": "bank", "seconds": 60.0, "requests": 45,
        "calls": 450, "errors": 350, "served": 100, "p95_ms": 300.0, "served_p95_ms": 400.0, "quiet_p95_ms": 60.0 }]);
    request["ask"] = json!([says]);
    request
}

pub(crate) fn ask(dir: &Path, requests: &[Value]) {
    queue(dir, &requests.iter().map(event).collect::<Vec<_>>());
}
