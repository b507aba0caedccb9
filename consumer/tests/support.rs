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
