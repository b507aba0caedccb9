//! The top level of the file and its `service:` section.

use std::net::SocketAddr;

use serde_json::json;

use super::components::{Definitions, Section};
use super::explain::Reading;
use super::report::{Report, choices, nearest};
use super::tree::{Node, Pos, Step, Tree};
use crate::graph::Part;
use crate::service::Service;
use crate::units::ByteSize;

const TOP_LEVEL: [&str; 5] = ["receivers", "processors", "exporters", "service", "tests"];

/// Keys of otelcol files that have no place here, and what to do instead.
const ELSEWHERE: [(&str, &str); 2] = [
    ("extensions", "remove it: health, status and metrics are built in and listen on service.admin.endpoint"),
    (
        "connectors",
        "remove it: a pipeline takes another pipeline's output when it names that pipeline under 'receivers'",
    ),
];

const SERVICE_ELSEWHERE: &[(&str, &str)] = &[
    ("extensions", "remove it: health, status and metrics are built in and listen on service.admin.endpoint"),
    ("telemetry", "remove it: own metrics are on service.admin.endpoint, and the log level is set on the command line"),
];

const MAX_SHARDS: usize = 256;

/// Checks the keys of the file itself; `None` when it is no map. A misspelt section is read under the name that it most
/// likely means, so that one typo does not make everything in it undefined.
pub(super) fn top_level(root: &mut Node, report: &mut Report<'_>) -> Option<()> {
    let Tree::Map(entries) = &mut root.value else {
        report.problem(root.at, "the file is no map of sections", "begin with 'receivers:'");
        return None;
    };
    let present: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for entry in entries {
        if TOP_LEVEL.contains(&entry.key.as_str()) {
            continue;
        }
        let hint = match ELSEWHERE.iter().find(|(key, _)| *key == entry.key) {
            Some((_, hint)) => (*hint).to_owned(),
            None => choices(&entry.key, "valid sections", &TOP_LEVEL),
        };
        report.problem(entry.at, format!("unknown section '{}'", entry.key), hint);
        let missing = TOP_LEVEL.into_iter().filter(|key| !present.iter().any(|known| known == key));
        if let Some(meant) = nearest(&entry.key, missing) {
            meant.clone_into(&mut entry.key);
        }
    }
    Some(())
}

/// Parses `service:`; also gives its tree without what is wrong in it, and with the place of the section.
pub(super) fn service(root: &Node, report: &mut Report<'_>) -> (Service, Node) {
    let Some(entry) = root.entry("service") else {
        report.problem(Pos::START, "section 'service' is missing", "add 'service:' with 'pipelines:' below it");
        return (Service::default(), Node::null(Pos::START));
    };
    let mut tree = if entry.node.is_null() { Node::new(entry.at, Tree::Map(Vec::new())) } else { entry.node.clone() };
    tree.at = entry.at;
    let mut defaults = json!(Service::default());
    defaults["pipelines"] = json!({});
    let mut reading = Reading::new(tree, "service".to_owned(), entry.at, &defaults);
    reading.known_elsewhere = SERVICE_ELSEWHERE;
    let (service, _) = reading.parse(serde_path_to_error::deserialize::<_, Service>, report);
    let Some(service) = service else { return (Service::default(), Node::null(entry.at)) };
    for (path, message, hint) in findings(&service) {
        let steps: Vec<Step> = path.split('.').map(|key| Step::Key(key.to_owned())).collect();
        report.problem(reading.tree.follow(&steps).1.at, message, hint);
    }
    (service, reading.tree)
}

/// Values that parse and yet cannot work: path, message, hint.
fn findings(service: &Service) -> Vec<(&'static str, String, &'static str)> {
    let mut found = Vec::new();
    if service.shards > MAX_SHARDS {
        let message = format!("'shards' of service cannot be {}", service.shards);
        found.push(("shards", message, "write a whole number from 0 to 256; 0 means one for each core"));
    }
    if service.slice.0.is_zero() {
        found.push(("slice", "'slice' of service cannot be 0s".to_owned(), "such as slice: 15s"));
    }
    if service.memory_limit < ByteSize(1 << 20) {
        let message = format!("'memory_limit' of service cannot be {}", service.memory_limit);
        found.push(("memory_limit", message, "write 1MiB or more, such as 512MiB"));
    }
    if !(1..=1 << 24).contains(&service.max_symbols) {
        let message = format!("'max_symbols' of service cannot be {}", service.max_symbols);
        found.push(("max_symbols", message, "write a whole number from 1 to 16777216"));
    }
    let day = std::time::Duration::from_hours(24);
    if service.checkpoint.keep.0.is_zero() || service.checkpoint.keep.0 > day {
        let message = format!("'checkpoint.keep' of service cannot be {}", service.checkpoint.keep);
        found.push((
            "checkpoint.keep",
            message,
            "write up to 24h; verdict and anomaly_trigger look back 75m by default",
        ));
    }
    if service.checkpoint.max_bytes < ByteSize(1 << 20) {
        let message = format!("'checkpoint.max_bytes' of service cannot be {}", service.checkpoint.max_bytes);
        found.push(("checkpoint.max_bytes", message, "write 1MiB or more, or checkpoint: { enabled: false }"));
    }
    if service.data_dir.trim().is_empty() {
        found.push(("data_dir", "'data_dir' of service is empty".to_owned(), "such as data_dir: ./backtrail-data"));
    }
    let endpoint = &service.admin.endpoint;
    if !endpoint.is_empty() && !is_host_and_port(endpoint) {
        let message = format!("'admin.endpoint' of service cannot be '{endpoint}'");
        found.push(("admin.endpoint", message, "write host:port, such as 127.0.0.1:8888; empty turns it off"));
    }
    found
}

/// Whether text is `host:port`; names are not resolved here.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if port.parse::<u16>().is_err() || host.is_empty() || (host.contains(':') && !bracketed) {
        return false;
    }
    if bracketed {
        text.parse::<SocketAddr>().is_ok()
    } else {
        host.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c))
    }
}

/// A component such as `memory_limiter` may ask for less than `service.memory_limit`, never for more.
pub(super) fn lower_memory_limit(service: &mut Service, definitions: &Definitions) {
    for ((section, id), defined) in &definitions.by_id {
        if !service.pipelines.values().any(|pipeline| match section {
            Section::Receivers => pipeline.receivers.contains(id),
            Section::Processors => pipeline.processors.contains(id),
            Section::Exporters => pipeline.exporters.contains(id),
        }) {
            continue;
        }
        let limit = match &defined.part {
            Some(Part::Receiver(config)) => config.memory_limit(),
            Some(Part::Processor(config)) => config.memory_limit(),
            Some(Part::Exporter(config)) => config.memory_limit(),
            None => None,
        };
        if let Some(limit) = limit {
            service.memory_limit = service.memory_limit.min(ByteSize(limit));
        }
    }
}
