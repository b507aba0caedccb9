//! Honey values, planted wherever others write: none of them leaves, and none is kept.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::shop::{BANK, Shop, about, ask};
use crate::stub::{Stub, edits};
use crate::support::{command, json_of, text};

/// A value that has no shape; it is denied by name.
const DENIED: &str = "moonlit-harbour-1893";

/// Values with a shape, each planted in another place. Put together here, so that this file holds none.
struct Honey {
    telemetry: String,
    unknown_field: String,
    code: String,
    configuration: String,
    message: String,
    dead: String,
}

impl Honey {
    fn new() -> Self {
        let key = |letters: &str| format!("AKIA{letters}");
        Self {
            telemetry: key("TELEMETRY2345672"),
            unknown_field: key("FIELDFIELD234567"),
            code: key("CODECODECODE2345"),
            configuration: key("CONFIGURATION234"),
            message: key("MESSAGEMESSAGE23"),
            dead: key("DEADLETTERDEAD23"),
        }
    }

    fn all(&self) -> [&str; 7] {
        let Self { telemetry, unknown_field, code, configuration, message, dead } = self;
        [telemetry, unknown_field, code, configuration, message, dead, DENIED]
    }

    /// Which of them stand in some bytes.
    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let holds = |value: &&str| bytes.windows(value.len()).any(|window| window == value.as_bytes());
        self.all().into_iter().filter(holds).collect()
    }
}

/// Every file below a folder with its bytes; the mirrors of repositories are the repositories.
fn files(dir: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "mirrors") {
                files(&path, into);
            }
        } else {
            match fs::read(&path) {
                Ok(bytes) => into.push((path.display().to_string(), bytes)),
                // The database's log goes when the last connection closes.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", path.display()),
            }
        }
    }
}

/// A service with secrets in its code, its settings, its history and in what its tests say.
fn planted(dir: &Path, honey: &Honey) -> (Shop, [String; 2]) {
    let shop = Shop::new(dir);
    let code = fs::read_to_string(shop.dir().join(BANK)).expect("there");
    let code = code.replace(
        "    config = settings(\"config.json\")\n",
        &format!("    config = settings(\"config.json\")\n    # {DENIED}\n    token = \"{}\"\n", honey.code),
    );
    shop.write(BANK, code);
    let says = format!(
        "from payments import bank\n\n\ndef test_limit():\n    assert bank.settings(\"config.json\")[\"max_retries\"] != 1, \"{} {DENIED}\"\n",
        honey.code
    );
    shop.write("tests/test_limit.py", says);
    shop.commit("First version");
    shop.raise_retries();
    // The suspect's own code changes as well, so that the revert with its title is a candidate.
    let code = fs::read_to_string(shop.dir().join(BANK)).expect("there");
    shop.write(BANK, code.replace("does not answer", "does not answer at all"));
    let retries = shop.commit(&format!("More retries with {} for {DENIED}", honey.message));
    // From now on a key stands beside the setting: a difference there would show it.
    let beside =
        format!("{{\n  \"max_retries\": 9,\n  \"key\": \"{}\",\n  \"backoff_ms\": 1\n}}\n", honey.configuration);
    shop.write("payments/config.json", beside);
    let key = shop.commit("A key");
    (shop, [retries, key])
}

#[test]
fn planted_values_reach_no_model_no_journal_no_log_and_no_bundle() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path();
    let honey = Honey::new();
    let (shop, [retries, key]) = planted(&dir.join("shop"), &honey);
    shop.own(dir);
    let planted = fs::read(shop.dir().join(BANK)).expect("there");
    assert_eq!(honey.found(&planted), [&honey.code, DENIED], "what is planted is found where it is");
    let mut request = about("i", &retries, &format!("help with {} and {DENIED}", honey.telemetry));
    request["telemetry_summary"]["log_motifs"] = json!([{ "level": "ERROR", "file": BANK, "count": 3,
        "message": format!("pool exhausted: {} failed for {DENIED}", honey.telemetry) }]);
    request["a_later_version"] = json!({ "says": [honey.unknown_field, DENIED] });
    let mut future = request.clone();
    (future["schema_version"], future["id"]) = (json!("2.0"), json!("j-1"));
    let mut beside = request.clone();
    (beside["id"], beside["suspect_ref"]["incident_key"]) = (json!("k-1"), json!("k"));
    beside["suspect_ref"]["entity"]["commit"] = json!(key);
    ask(dir, &[request, beside, future]);
    crate::support::queue(dir, &[format!("no event: {} {DENIED}", honey.dead).into_bytes()]);
    fs::write(dir.join("denied"), format!("{DENIED}\n")).expect("writable");
    // The model hands a value back that it never saw, which nobody but a hostile one would.
    let stub = Stub::start(vec![("help with", edits(&[(BANK, "import os\n", &format!("import os  # {DENIED}\n"))]))]);
    let url = stub.url();
    let run = ["run", "--once", "--json", "--max-age", "any", "--deny-values", "denied"];
    let model = ["--llm-url", &url, "--llm-model", "stub-1", "--llm-timeout", "20s"];
    let run: Vec<&str> = run.into_iter().chain(model).collect();
    let output = command(dir, &run).env("RUST_LOG", "trace").output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("TRACE"), "the log is as loud as it can be");

    let asked = stub.received();
    assert_eq!(asked.len(), 2);
    for asked in &asked {
        assert!(text(asked).contains("[secret:aws_access_key]") && text(asked).contains("def charge"));
        assert_eq!(honey.found(asked), [""; 0], "sent to the model");
    }
    assert_eq!(honey.found(&output.stderr), [""; 0], "in the log");
    assert_eq!(honey.found(&output.stdout), [""; 0], "in the output");
    let mut kept = Vec::new();
    files(&dir.join("backtrail-data/consumer"), &mut kept);
    assert!(kept.iter().any(|(path, _)| path.contains("bundles")), "there is a bundle");
    for (path, bytes) in &kept {
        assert_eq!(honey.found(bytes), [""; 0], "in {path}");
    }
    what_is_left_is_of_use(dir, &honey);
}

/// Values were replaced, and nothing else was lost.
fn what_is_left_is_of_use(dir: &Path, honey: &Honey) {
    let status = json_of(dir, &["status", "--json"]);
    let shown = |incident: &str| {
        let rows = status["remediations"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["incident"] == incident).expect(incident);
        json_of(dir, &["show", row["id"].as_str().expect("an id"), "--json"])
    };
    // A difference beside a secret is none to be kept.
    let beside = shown("k");
    assert_eq!(beside["remediation"]["state"], "no_safe_patch", "{beside:#}");
    assert!(beside["journal"].to_string().contains("its difference would show a secret: aws_access_key"), "{beside:#}");
    let shown = shown("i");
    assert_eq!(honey.found(shown.to_string().as_bytes()), [""; 0]);
    let all = shown["journal"].to_string();
    for part in [
        // The subject of a commit.
        "More retries with [secret:aws_access_key] for [secret:denied]",
        // What a test says is kept without its values.
        "tests/test_limit.py::test_limit",
        "it holds a denied",
    ] {
        assert!(all.contains(part), "{part} is missing in {:#}", shown["journal"]);
    }
    let bundle: Value = {
        let path = shown["bundle"].as_str().expect("a path");
        serde_json::from_slice(&fs::read(dir.join(path)).expect("there")).expect("JSON")
    };
    let request = bundle["request"].as_str().expect("the event");
    assert!(request.contains("pool exhausted: [secret:aws_access_key] failed for [secret:denied]"), "{request}");
    let verified = crate::support::consumer(dir, &["verify", shown["bundle"].as_str().expect("a path")]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    let letters = json_of(dir, &["dlq", "list", "--json"]);
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(2), "{letters}");
}
