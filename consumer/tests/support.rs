//! What several of the tests need: the binary, events, a queue.

use std::path::Path;
use std::process::{Command, Output};

use backtrail_spool::{Options, Writer};
use serde_json::{Value, json};

/// A command of the binary, run in `dir`.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backtrail-consumer"));
    command.args(args).current_dir(dir);
    command
}

/// Runs it to its end.
pub(crate) fn consumer(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("it runs")
}

/// Runs it, expects success, and gives its JSON.
pub(crate) fn json_of(dir: &Path, args: &[&str]) -> Value {
    let output = consumer(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A patch request.
pub(crate) fn request(incident: &str, revision: u64, mapped: bool) -> Value {
    let mut request: Value =
        serde_json::from_str(include_str!("../../exporters/tests/data/patch_request.json")).expect("a request");
    request["id"] = json!(format!("{incident}-{revision}"));
    request["suspect_ref"]["incident_key"] = json!(incident);
    request["suspect_ref"]["revision"] = json!(revision);
    if mapped {
        request["suspect_ref"]["entity"]["commit"] = json!("0123abc");
        request["code_context"]["functions"] = json!(["charge"]);
    }
    request
}

/// The same as an event.
pub(crate) fn event(request: &Value) -> Vec<u8> {
    let event = json!({ "specversion": "1.0", "id": request["id"], "source": "/test",
        "type": "dev.backtrail.patch.requested.v1", "data": request });
    serde_json::to_vec(&event).expect("serializes")
}

/// Appends to the queue of `dir`.
pub(crate) fn queue(dir: &Path, records: &[Vec<u8>]) {
    let mut writer = Writer::open(dir.join("backtrail-data/patch_queue"), Options::default()).expect("opens");
    for record in records {
        writer.append(record).expect("appended");
    }
    writer.sync().expect("synced");
}

/// Says whose the service of [`request`] is.
pub(crate) fn own(dir: &Path) {
    std::fs::write(dir.join("ownership.yaml"), "services: { payment: { team: shop, repository: shop.git } }")
        .expect("writable");
}

/// Takes what is there and works until nothing is due. Leases end at once, so that a restart need not wait.
pub(crate) const ONCE: [&str; 7] = ["run", "--once", "--json", "--max-age", "any", "--lease", "0s"];

/// The same, but no further than triage: for what does not need a repository.
pub(crate) const TRIAGE: [&str; 8] = ["run", "--once", "--json", "--max-age", "any", "--lease", "0s", "--only-triage"];

const BANK: &str = "class Bank:
    def charge(self, cents):
        for attempt in range(self.config['max_retries'] + 1):
            try:
                return self.send(cents)
            except OSError:
                pass
        raise OSError
";

/// A small real repository whose calls are repeated too often, with tests that `make` runs. Gives the commit.
pub(crate) fn repository(dir: &Path) -> String {
    let history = dir.join("history/01-first");
    std::fs::create_dir_all(history.join("files/config")).expect("created");
    let write = |path: &str, text: &str| std::fs::write(history.join(path), text).expect("written");
    write("COMMIT", "Author: Ana S <ana@example.org>\nDate: 2026-05-04T10:00:00+00:00\n\nFirst\n");
    write("files/bank.py", BANK);
    write("files/config/pay.yaml", "bank:\n  max_retries: 3   # a lot\n");
    write("files/Makefile", "test:\n\t@grep -q max_retries config/pay.yaml\n");
    let into = dir.join("shop.git");
    let commits = backtrail_consumer::history::make(&dir.join("history"), &into).expect("a repository");
    let path = into.display();
    let owners = format!("services: {{ payment: {{ team: '@shop/pay', repository: '{path}' }} }}");
    std::fs::write(dir.join("ownership.yaml"), owners).expect("writable");
    commits[0].1.clone()
}

/// A request about the repository, in a storm of retries at 72 % utilization.
pub(crate) fn storm(incident: &str, revision: u64, commit: &str) -> Value {
    let mut request = request(incident, revision, true);
    let entity = &mut request["suspect_ref"]["entity"];
    (entity["commit"], entity["file"], entity["function"]) = (json!(commit), json!("bank.py"), json!("Bank.charge"));
    request["code_context"]["functions"] = json!(["Bank.charge"]);
    request["telemetry_summary"]["load"] = json!([{ "from": "payment", "to": "bank", "seconds": 60.0, "requests": 720,
        "calls": 2880, "errors": 2100, "served": 1000, "p95_ms": 300.0, "served_p95_ms": 900.0, "quiet_p95_ms": 120.0 }]);
    request
}
