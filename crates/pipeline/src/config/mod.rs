//! Configuration: YAML with positions to a checked graph.
//!
//! [`load`] reads a file: text to a tree in which every key knows its place (`yaml`), references filled in (`expand`),
//! each component parsed by its kind (`components`, `explain`), pipelines resolved (`pipelines`), and the nodes wired
//! and judged by the signals that reach them (`flow`). Each step reports all that it finds and goes on with the rest,
//! so that one call names every mistake of a file.

mod components;
mod digest;
mod expand;
mod explain;
mod flow;
mod pipelines;
pub mod reference;
pub mod render;
mod report;
pub mod schema;
mod section;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::expand::Sources;
use self::report::Report;
use self::tree::{Entry, Node, Pos, Step, Tree};
use crate::graph::Graph;
use crate::node::Components;
use crate::service::Service;

/// A configuration without problems.
#[derive(Clone)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// The `service:` section.
    pub service: Service,
    /// Nodes and edges.
    pub graph: Graph,
    /// SHA-256 over the effective configuration (defaults filled in, secrets left out; `service.shards`, `service.admin`
    /// and paths left out, because they change no result), 16 hex digits.
    pub digest: String,
    /// What is allowed and yet worth a word, such as a component that no pipeline uses. Sorted by position.
    pub warnings: Vec<Problem>,
}

/// Something wrong in a configuration, with its place.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Problem {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

/// Reads a configuration file. `set` replaces values by path before anything is parsed, such as
/// `("service.data_dir", "/tmp/x")`; its mistakes are reported under the file name `--set PATH`.
pub fn load(path: &Path, components: &Components, set: &[(String, Value)]) -> Result<Config, Vec<Problem>> {
    let name = path.display().to_string();
    let text = read(path).map_err(|reason| {
        vec![Problem {
            file: name.clone(),
            line: 1,
            column: 1,
            message: format!("the configuration cannot be read: {reason}"),
            hint: "check the path, or copy pipeline.yaml, or one of examples/".to_owned(),
        }]
    })?;
    load_str(&name, &text, components, set)
}

/// Reads a configuration from text; `file_name` is what problems call it, and its folder is where relative
/// `${file:...}` references start.
pub fn load_str(
    file_name: &str,
    text: &str,
    components: &Components,
    set: &[(String, Value)],
) -> Result<Config, Vec<Problem>> {
    load_with_env(file_name, text, components, set, &|name| std::env::var(name).ok())
}

/// Reads `path=value` of a command line for [`load`]: the value is YAML's idea of the text (`4` is a number, `true` a
/// truth, `[a, b]` a list).
pub fn parse_set(text: &str) -> Result<(String, Value), String> {
    let (path, value) = text
        .split_once('=')
        .filter(|(path, _)| !path.trim().is_empty())
        .ok_or_else(|| format!("'{text}' is no setting; write path=value, such as service.shards=4"))?;
    let value = if value.trim_start().starts_with(['[', '{', '"', '\'']) {
        let mut report = Report::new("value", &[]);
        let node = yaml::parse(value, &mut report);
        match (node, report.problems.first()) {
            (Some(node), None) => node.json(),
            (_, problem) => {
                let reason = problem.map_or("no value", |problem| problem.message.as_str());
                return Err(format!("the value of '{}' cannot be read: {reason}", path.trim()));
            }
        }
    } else {
        yaml::resolve(value.trim())
    };
    Ok((path.trim().to_owned(), value))
}

/// [`load_str`] with another environment.
pub(crate) fn load_with_env(
    file_name: &str,
    text: &str,
    components: &Components,
    set: &[(String, Value)],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let mut report = Report::new(file_name, set);
    let loaded = build(file_name, text, components, set, env, &mut report);
    let Report { problems, mut warnings, .. } = report;
    match loaded {
        Some(mut config) if problems.is_empty() => {
            warnings = Report::sorted(warnings);
            for Problem { file, line, column, message, hint } in &warnings {
                tracing::warn!(%file, line, column, %hint, "{message}");
            }
            config.warnings = warnings;
            Ok(config)
        }
        _ => Err(Report::sorted(problems)),
    }
}

fn build(
    file_name: &str,
    text: &str,
    components: &Components,
    set: &[(String, Value)],
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_>,
) -> Option<Config> {
    let mut root = yaml::parse(text, report)?;
    let folder = Path::new(file_name).parent().map(Path::to_path_buf).unwrap_or_default();
    expand::expand(&mut root, &Sources { env, folder }, text, report);
    for (index, (path, value)) in set.iter().enumerate() {
        overlay(&mut root, path, value, Pos { source: index + 1, line: 1, column: 1 }, report);
    }
    section::top_level(&mut root, report)?;
    let definitions = components::read(&root, components, report);
    let written = root.entry("service").map(|entry| &entry.node);
    let (mut service, tree) = section::service(&root, report);
    let pipelines = pipelines::read(&service, written, &tree, &definitions, report)?;
    let graph = flow::wire(&pipelines, &definitions, components, report)?;
    if !report.problems.is_empty() {
        return None;
    }
    section::lower_memory_limit(&mut service, &definitions);
    let digest = digest::digest(&service, &graph);
    Some(Config { file: PathBuf::from(file_name), service, graph, digest, warnings: Vec::new() })
}

/// Puts a value over what the file says (or does not say) at `path`.
fn overlay(root: &mut Node, path: &str, value: &Value, at: Pos, report: &mut Report<'_>) {
    let steps = root.steps(path);
    let mut node = root;
    for step in &steps {
        if node.is_null() {
            *node = Node::new(at, Tree::Map(Vec::new()));
        }
        node = match (&mut node.value, step) {
            (Tree::Map(entries), Step::Key(key)) => {
                let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
                    entries.push(Entry { key: key.clone(), at, node: Node::null(at) });
                    entries.len() - 1
                });
                &mut entries[index].node
            }
            (Tree::List(items), Step::Index(index)) if *index < items.len() => &mut items[*index],
            _ => {
                report.problem(
                    at,
                    format!("'{path}' leads into a value"),
                    "write keys with dots, such as receivers.otlp.endpoint",
                );
                return;
            }
        };
    }
    *node = Node::from_json(at, value);
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;

    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| io_reason(&error))?;
    // One byte more than allowed shows that it is too large.
    file.take(yaml::MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| io_reason(&error))?;
    Ok(text)
}

/// An I/O error in our words, without the system's error number.
fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
