//! Configuration: YAML with positions to a checked graph.

use std::path::PathBuf;

use crate::graph::Graph;
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
    /// SHA-256 over the effective configuration (defaults filled in, secrets left out, `service.shards` and paths left
    /// out, because they change no result), 16 hex digits.
    pub digest: String,
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
