//! Prometheus text exposition of a status.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use backtrail_pipeline::engine::{NodeStatus, Status};

/// Content type of the exposition.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Facts about the process itself, read from `/proc`; zero where that does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// User and system CPU time, milliseconds.
    pub cpu_millis: u64,
    /// Threads.
    pub threads: u64,
}

impl Process {
    /// This process now.
    pub fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            resident_bytes: field(&status, "VmRSS:") * 1024,
            cpu_millis: cpu(&stat),
            threads: field(&status, "Threads:"),
        }
    }
}

/// The number behind a key of `/proc/self/status`.
fn field(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// `utime + stime` of `/proc/self/stat`. The kernel reports them in clock ticks, which are 10 ms for user space on every
/// Linux. The command name may hold blanks, so fields are counted behind its closing bracket.
fn cpu(stat: &str) -> u64 {
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0 };
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks * 10
}

/// The exposition of a status.
pub fn render(status: &Status, ready: bool, process: Process) -> String {
    let mut text = String::with_capacity(4096);
    family(&mut text, "backtrail_accepted_items_total", "counter", "Items given to a node.");
    each(&mut text, &status.nodes, "backtrail_accepted_items_total", |row| row.accepted);
    family(&mut text, "backtrail_sent_items_total", "counter", "Items that left a node as they should.");
    each(&mut text, &status.nodes, "backtrail_sent_items_total", |row| row.sent);
    family(&mut text, "backtrail_dropped_items_total", "counter", "Items dropped by a node, by reason.");
    labelled(&mut text, &status.nodes, "backtrail_dropped_items_total", "reason", |row| &row.dropped);
    family(&mut text, "backtrail_held_items", "gauge", "Items inside a node now.");
    each(&mut text, &status.nodes, "backtrail_held_items", |row| row.held);
    family(&mut text, "backtrail_derived_items_total", "counter", "Slices and documents that a node made itself.");
    each(&mut text, &status.nodes, "backtrail_derived_items_total", |row| row.derived);
    family(&mut text, "backtrail_notes_total", "counter", "Things worth knowing that are no drops.");
    labelled(&mut text, &status.nodes, "backtrail_notes_total", "what", |row| &row.notes);
    family(&mut text, "backtrail_ready", "gauge", "1 while the graph takes data.");
    line(&mut text, "backtrail_ready", "", u64::from(ready));
    family(&mut text, "backtrail_build_info", "gauge", "The running version.");
    line(&mut text, "backtrail_build_info", concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    family(&mut text, "process_resident_memory_bytes", "gauge", "Resident memory.");
    line(&mut text, "process_resident_memory_bytes", "", process.resident_bytes);
    family(&mut text, "process_cpu_seconds_total", "counter", "User and system CPU time.");
    let (seconds, millis) = (process.cpu_millis / 1000, process.cpu_millis % 1000);
    let _ = writeln!(text, "process_cpu_seconds_total {seconds}.{millis:03}");
    family(&mut text, "process_threads", "gauge", "Threads.");
    line(&mut text, "process_threads", "", process.threads);
    text
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(text, "{name}{labels} {value}");
}

fn each(text: &mut String, rows: &[NodeStatus], name: &str, value: impl Fn(&NodeStatus) -> u64) {
    for row in rows {
        line(text, name, &format!("{{node=\"{}\"}}", escape(&row.node)), value(row));
    }
}

fn labelled(
    text: &mut String,
    rows: &[NodeStatus],
    name: &str,
    label: &str,
    values: impl Fn(&NodeStatus) -> &BTreeMap<String, u64>,
) {
    for row in rows {
        for (key, count) in values(row) {
            let labels = format!("{{node=\"{}\",{label}=\"{}\"}}", escape(&row.node), escape(key));
            line(text, name, &labels, *count);
        }
    }
}

/// Escapes a label value as the format asks.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_labels_and_odd_names_are_escaped() {
        let mut row = NodeStatus { node: "receivers.\"x\"".to_owned(), accepted: 7, sent: 5, ..NodeStatus::default() };
        row.dropped.insert("too_large".to_owned(), 2);
        let status = Status { state: "running".to_owned(), listening: Vec::new(), nodes: vec![row] };
        let text = render(&status, true, Process { cpu_millis: 1030, ..Process::default() });
        assert!(text.contains("backtrail_accepted_items_total{node=\"receivers.\\\"x\\\"\"} 7\n"), "{text}");
        assert!(text.contains("backtrail_dropped_items_total{node=\"receivers.\\\"x\\\"\",reason=\"too_large\"} 2\n"));
        assert!(text.contains("process_cpu_seconds_total 1.030\n"));
        assert!(text.lines().all(|line| line.starts_with('#') || line.rsplit_once(' ').is_some()));
    }

    #[test]
    fn cpu_time_is_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu(stat), 3000);
        assert_eq!(field("VmRSS:\t  1024 kB\nThreads:\t7\n", "Threads:"), 7);
    }
}
