//! The graph of nodes that a checked configuration describes.

use std::sync::Arc;

use backtrail_model::signal::Signals;

use crate::node::{Configured, Exporter, Processor, Receiver, Scope};

/// A checked configuration as nodes and edges.
#[derive(Clone, Default)]
pub struct Graph {
    /// Nodes in topological order: receivers first, exporters last.
    pub nodes: Vec<GraphNode>,
    /// Edges; `from` and `to` index [`Graph::nodes`].
    pub edges: Vec<GraphEdge>,
}

/// One node of the graph.
#[derive(Clone)]
pub struct GraphNode {
    /// Its path in the configuration: `receivers.otlp`, `processors.ochiai`, `exporters.parquet/windows`. A processor
    /// that stands in several pipelines is a node in each: `processors.ochiai@localize`.
    pub name: String,
    /// The component's id as written: `parquet/windows`.
    pub id: String,
    /// The pipeline it stands in (processors only; receivers and exporters are shared).
    pub pipeline: Option<String>,
    /// Where it may run.
    pub scope: Scope,
    /// What it is.
    pub part: Part,
}

/// The parsed component of a node.
#[derive(Clone)]
pub enum Part {
    /// A receiver.
    Receiver(Arc<dyn Configured<dyn Receiver>>),
    /// A processor.
    Processor(Arc<dyn Configured<dyn Processor>>),
    /// An exporter.
    Exporter(Arc<dyn Configured<dyn Exporter>>),
}

/// An edge with the signals that flow along it: what the source sends and something behind the target wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GraphEdge {
    /// Index of the source.
    pub from: usize,
    /// Index of the target.
    pub to: usize,
    /// Signals on it, never empty.
    pub signals: Signals,
}

impl Part {
    /// Signals it takes (none for a receiver).
    pub fn accepts(&self) -> Signals {
        match self {
            Self::Receiver(_) => Signals::NONE,
            Self::Processor(config) => config.accepts(),
            Self::Exporter(config) => config.accepts(),
        }
    }

    /// Signals it sends on (none for an exporter).
    pub fn emits(&self) -> Signals {
        match self {
            Self::Receiver(config) => config.emits(),
            Self::Processor(config) => config.emits(),
            Self::Exporter(_) => Signals::NONE,
        }
    }

    /// Its config with defaults filled in.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Receiver(config) => config.json(),
            Self::Processor(config) => config.json(),
            Self::Exporter(config) => config.json(),
        }
    }
}

impl Graph {
    /// Edges that leave a node.
    pub fn outgoing(&self, node: usize) -> impl Iterator<Item = &GraphEdge> {
        self.edges.iter().filter(move |edge| edge.from == node)
    }

    /// Edges that enter a node.
    pub fn incoming(&self, node: usize) -> impl Iterator<Item = &GraphEdge> {
        self.edges.iter().filter(move |edge| edge.to == node)
    }
}
