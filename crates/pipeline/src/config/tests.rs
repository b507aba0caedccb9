//! Tests of the loader over fake components.

mod fakes;
mod files;
mod problems;
mod wiring;

use serde_json::Value;

use self::fakes::COMPONENTS;
use super::{Config, Problem, load_with_env};

/// A pipeline with everything in it, and nothing wrong.
const GOOD: &str = "\
receivers:
  otlp:
    endpoint: 127.0.0.1:4317
    max_body: 4MiB
processors:
  redaction: { keys: [password] }
  trace_assembly:
  tail_sampling:
    policies:
      - { name: errors, keep: errors }
      - name: slow
        keep: { latency: { threshold: 2s } }
        share: 5%
  ochiai:
    window: 10m
  anomaly_trigger:
  verdict:
exporters:
  parquet/spans:   { tables: [spans], path: ./spans }
  parquet/windows: { tables: [windows], path: ./windows }
  patch_queue:
service:
  shards: 2
  pipelines:
    ingest:   { receivers: [otlp], processors: [redaction, trace_assembly] }
    keep:     { receivers: [ingest], processors: [tail_sampling], exporters: [parquet/spans] }
    localize:
      receivers: [ingest]
      processors: [ochiai, anomaly_trigger, verdict]
      exporters: [parquet/windows, patch_queue]
";

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("4317".to_owned()),
        "WORD" => Some("word".to_owned()),
        "DIGITS" => Some("12345".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn load(text: &str) -> Result<Config, Vec<Problem>> {
    load_set(text, &[])
}

fn load_set(text: &str, set: &[(String, Value)]) -> Result<Config, Vec<Problem>> {
    load_with_env("p.yaml", text, &COMPONENTS, set, &env)
}

/// Problems as lines: `line:column message / hint`.
fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(line).collect(),
    }
}

fn line(problem: &Problem) -> String {
    let Problem { line, column, message, hint, .. } = problem;
    format!("{line}:{column} {message} / {hint}")
}

/// The good file with one piece replaced.
fn good_with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// The problems of the good file with one piece replaced.
fn after(old: &str, new: &str) -> Vec<String> {
    problems(&good_with(old, new))
}
