//! A verdict's inputs are kept, and `replay --verdict` makes the same document of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backtrail_testkit::incident::{CULPRIT, Shape, requests, spans, write_jsonl};
use serde_json::Value;

use crate::support::{binary, pipeline};

const SHAPE: Shape = Shape { seed: 3, start: 1_760_000_010_000_000_000, quiet: 150, faulty: 90, rate: 6 };

/// Runs the incident with these settings of `capsules`, and answers where they lie.
fn run(dir: &Path, capsules: &str) -> PathBuf {
    write_jsonl(&dir.join("traces.otlp.jsonl"), &requests(&spans(&SHAPE), 200)).expect("writable");
    let (start, end) = SHAPE.window();
    let config = pipeline("replay: { path: traces.otlp.jsonl }", "decision_wait: 20s")
        .replace("anomaly_trigger: {}", &format!("anomaly_trigger: {{ window: {{ start: {start}, end: {end} }} }}"))
        .replace("verdict: {}", &format!("verdict: {{ capsules: {{ {capsules} }} }}"))
        .replace("admin: { endpoint: 127.0.0.1:0 }", "admin: { endpoint: '' }");
    std::fs::write(dir.join("pipeline.yaml"), config).expect("writable");
    let output = Command::new(binary()).arg("run").current_dir(dir).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir.join("data/capsules")
}

fn capsules(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn replay(id: &str, dir: &Path, more: &[&str]) -> Output {
    Command::new(binary()).args(["replay", "--verdict", id]).arg(dir).args(more).output().expect("it runs")
}

fn id_of(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_verdict_is_made_again_of_its_capsule_byte_by_byte_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = run(folder.path(), "enabled: true");
    let files = capsules(&dir);
    // One for each slice of the window.
    assert_eq!(files.len(), 6, "{files:?}");
    for file in &files {
        // That the document is the one that was made is what replay itself checks.
        let output = replay(&id_of(file), &dir, &["--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let verdict: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(verdict["id"], id_of(file).as_str());
        assert_eq!(verdict["suspects"][0]["entity"]["service"], CULPRIT);
        let reproduce = verdict["reproduce"].as_str().expect("text");
        assert!(reproduce.starts_with(&format!("backtrail replay --verdict {} ", id_of(file))), "{reproduce}");
    }
    let face = replay(&id_of(&files[0]), &dir, &[]);
    assert!(String::from_utf8_lossy(&face.stdout).contains("the same document, byte by byte"));

    let whole = std::fs::read(&files[0]).expect("readable");
    for (at, words) in
        [(0, "is no capsule"), (9, "its version is"), (11, "is damaged"), (whole.len() / 2, "is damaged")]
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&files[0], &bytes).expect("writable");
        let output = replay(&id_of(&files[0]), &dir, &[]);
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "byte {at}: {output:?}");
        assert!(says.contains(words) && says.contains(&id_of(&files[0])), "byte {at}: {says}");
    }
    std::fs::write(&files[0], &whole[..whole.len() - 1]).expect("writable");
    let output = replay(&id_of(&files[0]), &dir, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is damaged"));
}

#[test]
fn capsules_are_off_by_default_and_the_oldest_are_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(capsules(&run(folder.path(), "enabled: false")).is_empty());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = run(folder.path(), "enabled: true, max_count: 2");
    let files = capsules(&dir);
    assert_eq!(files.len(), 2, "{files:?}");
    // The last revision is there.
    let documents = files.iter().map(|file| replay(&id_of(file), &dir, &["--json"]).stdout);
    let documents: Vec<Value> = documents.map(|text| serde_json::from_slice(&text).expect("a document")).collect();
    assert!(documents.iter().any(|document| document["status"] == "resolved"), "{documents:?}");

    let unknown = replay("nobody", &dir, &[]);
    let says = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && says.contains("no capsule of verdict 'nobody'"), "{says}");
    assert!(says.contains("there are 2") && files.iter().any(|file| says.contains(&id_of(file))), "{says}");
}

#[test]
fn capsules_stay_within_their_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = run(folder.path(), "enabled: true");
    let sizes: Vec<u64> =
        capsules(&dir).iter().map(|file| std::fs::metadata(file).expect("it is there").len()).collect();
    let most = sizes.iter().max().expect("capsules") * 5 / 2;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = run(folder.path(), &format!("enabled: true, max_bytes: {most}"));
    let sum: u64 = capsules(&dir).iter().map(|file| std::fs::metadata(file).expect("it is there").len()).sum();
    assert!(0 < sum && sum <= most, "{sum} bytes of {most}");
}
