//! Labelled incidents on disk: a folder with telemetry and `truth.json`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use backtrail_localize::NETWORK;
use backtrail_model::paths::Event;
use backtrail_model::time::UnixNano;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cli::{Failure, Span};

/// Folders below a dataset that are searched.
const DEPTH: usize = 3;

/// A labelled incident.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its id.
    pub(super) id: String,
    /// Where its telemetry lies.
    pub(super) dir: PathBuf,
    /// The system that failed.
    pub(super) system: String,
    /// network, resource, code, change ...
    pub(super) class: String,
    /// When it failed.
    pub(super) window: Span,
    /// What was to blame.
    pub(super) truth: Truth,
    /// Whether it is one of several faults of a stream.
    pub(super) in_stream: bool,
}

/// The label. Several names are several simultaneous causes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Truth {
    /// Services.
    pub(super) services: Vec<String>,
    /// Edges, as `caller -> callee`.
    pub(super) edges: Vec<String>,
    /// Functions.
    pub(super) functions: Vec<String>,
    /// What inside of the service: a resource, or a stretch of its code; as [`Inner::name`].
    pub(super) inner: Vec<String>,
}

/// How inner causes are named, so that a label and a suspect can be compared.
pub(super) fn inner_name(service: &str, what: &str) -> String {
    format!("{service}: {what}")
}

#[derive(Deserialize)]
struct File {
    case_id: String,
    #[serde(default)]
    system: String,
    #[serde(default)]
    fault_class: String,
    #[serde(deserialize_with = "nanos")]
    window_unix_nano: [u64; 2],
    root_cause: RootCause,
}

/// The label of hours with several faults, each labelled as a case is.
#[derive(Deserialize)]
struct Stream {
    case_id: String,
    #[serde(default)]
    system: String,
    faults: Vec<File>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RootCause {
    service: Option<String>,
    services: Vec<String>,
    edge: Option<Edge>,
    edges: Vec<Edge>,
    function: Option<String>,
    functions: Vec<String>,
    code_region: Option<Vec<End>>,
}

/// An end of a labelled stretch of code: a line, or only a message.
#[derive(Deserialize, Default)]
#[serde(default)]
struct End {
    namespace: Option<String>,
    line: Option<u32>,
    message: String,
}

impl End {
    /// As backtrail names the event: a code location, or the beginning of a visit.
    fn name(&self) -> Option<String> {
        if self.message.ends_with(" start") {
            return Some(Event::BEGIN.to_owned());
        }
        Some(format!("{}#{}", self.namespace.as_ref()?, self.line?))
    }
}

#[derive(Deserialize)]
struct Edge {
    #[serde(alias = "from")]
    caller: String,
    #[serde(alias = "to")]
    callee: String,
}

/// The label's inner cause, where it names one that telemetry can show: a single service's network or processor, or a
/// stretch of code between two log statements with a place.
fn inner(class: &str, cause: &RootCause) -> Vec<String> {
    let Some(service) = cause.service.as_ref().filter(|_| cause.services.len() <= 1) else { return Vec::new() };
    let what = match class {
        "network" => Some(NETWORK.to_owned()),
        "resource" => Some("cpu".to_owned()),
        _ => cause.code_region.as_deref().and_then(|region| match region {
            [before, after] if region.iter().any(|end| end.line.is_some()) => {
                Some(format!("{} -> {}", before.name()?, after.name()?))
            }
            _ => None,
        }),
    };
    what.map(|what| inner_name(service, &what)).into_iter().collect()
}

impl From<RootCause> for Truth {
    fn from(cause: RootCause) -> Self {
        let edge = |edge: Edge| format!("{} -> {}", edge.caller, edge.callee);
        Self {
            services: together(cause.service, cause.services),
            edges: together(cause.edge, cause.edges).into_iter().map(edge).collect(),
            functions: together(cause.function, cause.functions),
            inner: Vec::new(),
        }
    }
}

fn together<T>(one: Option<T>, many: Vec<T>) -> Vec<T> {
    if many.is_empty() { one.into_iter().collect() } else { many }
}

/// Nanoseconds are strings in JSON (a double cannot hold them), but plain numbers are understood.
fn nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 2], D::Error> {
    let values = <[Value; 2]>::deserialize(deserializer)?;
    let read = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    match (read(&values[0]), read(&values[1])) {
        (Some(start), Some(end)) if start < end => Ok([start, end]),
        _ => Err(serde::de::Error::custom("the window must be two times, the first one earlier")),
    }
}

/// The cases in a folder, in order of their path: the folder itself, or what lies below it.
pub(super) fn find(dir: &Path) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    search(dir, DEPTH, &mut cases).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(cases)
}

fn search(dir: &Path, depth: usize, cases: &mut Vec<Case>) -> anyhow::Result<()> {
    let label = dir.join("truth.json");
    if label.exists() {
        cases.extend(read(dir, &label).with_context(|| format!("{} is no label", label.display()))?);
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries.iter().filter(|entry| depth > 0 && entry.is_dir()) {
        search(entry, depth - 1, cases)?;
    }
    Ok(())
}

/// The case of a label, or the faults of a stream in order of time.
fn read(dir: &Path, label: &Path) -> anyhow::Result<Vec<Case>> {
    let label: Value = serde_json::from_str(&std::fs::read_to_string(label)?)?;
    if label.get("faults").is_none() {
        return Ok(vec![case(dir, serde_json::from_value(label)?)]);
    }
    let stream: Stream = serde_json::from_value(label)?;
    anyhow::ensure!(!stream.faults.is_empty(), "a stream without faults has nothing to find");
    let of_stream = |(number, file): (usize, File)| {
        let id = format!("{}#{number} {}", stream.case_id, file.fault_class);
        Case { id, system: stream.system.clone(), in_stream: true, ..case(dir, file) }
    };
    let mut cases: Vec<Case> = (1..).zip(stream.faults).map(of_stream).collect();
    cases.sort_by_key(|case| case.window.start);
    Ok(cases)
}

fn case(dir: &Path, file: File) -> Case {
    let [start, end] = file.window_unix_nano;
    let inner = inner(&file.fault_class, &file.root_cause);
    Case {
        id: file.case_id,
        dir: dir.to_owned(),
        system: file.system,
        class: file.fault_class,
        window: Span { start: UnixNano(start), end: UnixNano(end) },
        truth: Truth { inner, ..file.root_cause.into() },
        in_stream: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_below_a_dataset_and_read() {
        let root = tempfile::tempdir().expect("a folder");
        let dir = root.path().join("set/case-1");
        std::fs::create_dir_all(&dir).expect("a folder");
        let truth = r#"{"case_id": "case-1", "system": "shop", "fault_class": "network", "inject_time": "x",
            "window_unix_nano": ["1661146026000000000", 1661146206000000000],
            "root_cause": {"services": ["a", "b"], "service": "a", "edge": {"from": "x", "to": "a"}, "pod": "p"}}"#;
        std::fs::write(dir.join("truth.json"), truth).expect("written");
        let cases = find(root.path()).expect("found");
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].truth.services, ["a", "b"]);
        assert_eq!(cases[0].truth.edges, ["x -> a"]);
        assert_eq!(cases[0].window.end.0 - cases[0].window.start.0, 180_000_000_000);
    }

    #[test]
    fn the_faults_of_a_stream_are_cases_in_order_of_time() {
        let root = tempfile::tempdir().expect("a folder");
        let fault = |start: u64, service: &str| {
            serde_json::json!({"case_id": "x", "fault_class": "code", "window_unix_nano": [start, start + 5],
                "root_cause": {"service": service}})
        };
        let label = serde_json::json!({"case_id": "day", "system": "shop", "faults": [fault(30, "b"), fault(10, "a")]});
        std::fs::write(root.path().join("truth.json"), label.to_string()).expect("written");
        let cases = find(root.path()).expect("found");
        let seen: Vec<_> = cases.iter().map(|case| (case.id.as_str(), case.truth.services[0].as_str())).collect();
        assert_eq!(seen, [("day#2 code", "a"), ("day#1 code", "b")]);
        assert!(cases.iter().all(|case| case.in_stream && case.system == "shop"));
    }
}
