//! The graph of nodes that a checked configuration describes.

mod render;

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::signal::{Signal, Signals};

pub use self::render::Format;
use crate::node::{Configured, Exporter, NodeError, Processor, Receiver, Scope};

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

/// Which threads run a node, in the order in which data passes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Receivers and what runs with them, before the exchange.
    Front,
    /// One copy a shard, between exchange and gather.
    Shards,
    /// The one global thread, behind the gather.
    Global,
    /// The exporters' tasks.
    Exporters,
}

impl Stage {
    /// The word used in drawings and in `status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Shards => "shards",
            Self::Global => "global",
            Self::Exporters => "exporters",
        }
    }

    const fn of(scope: Scope) -> Self {
        match scope {
            Scope::Stateless => Self::Front,
            Scope::Trace => Self::Shards,
            Scope::Global => Self::Global,
        }
    }
}

/// Signals that exist only because a receiver made them: no processor turns something else into them.
const RECEIVED: Signals = Signals::of(&[Signal::Spans, Signal::Logs, Signal::Metrics]);

/// What a processor sends on when `input` reaches it: what it does not accept passes by, the rest is what it says that
/// it emits. An observer's received signals (spans, logs, metrics) only come out when they went in.
pub fn passed_on(accepts: Signals, emits: Signals, input: Signals) -> Signals {
    let absent = accepts.common(RECEIVED).without(input);
    input.without(accepts).and(emits.without(absent))
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

    /// Builds a graph from nodes and links between them (pairs of indices into `nodes`): puts the nodes into
    /// topological order (receivers, processors, exporters where that leaves a choice) and finds the signals of each
    /// edge. A link on which nothing flows that somebody wants becomes no edge.
    pub fn connect(nodes: Vec<GraphNode>, links: &[(usize, usize)]) -> Result<Self, NodeError> {
        let order = topological(&nodes, links)?;
        let mut place = vec![0; nodes.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        let mut slots: Vec<Option<GraphNode>> = nodes.into_iter().map(Some).collect();
        let nodes: Vec<GraphNode> = order.iter().filter_map(|&old| slots[old].take()).collect();
        let mut links: Vec<(usize, usize)> = links.iter().map(|&(from, to)| (place[from], place[to])).collect();
        links.sort_unstable();
        links.dedup();
        let edges = flows(&nodes, &links);
        Ok(Self { nodes, edges })
    }

    /// Index of a node by its name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Where each node runs: a processor runs no earlier than what stands before it, because data never goes back.
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Front; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            stages[index] = match node.part {
                Part::Receiver(_) => Stage::Front,
                Part::Exporter(_) => Stage::Exporters,
                Part::Processor(_) => {
                    let before = self.incoming(index).map(|edge| stages[edge.from]).max();
                    before.unwrap_or(Stage::Front).max(Stage::of(node.scope))
                }
            };
        }
        stages
    }

    /// Whether the inputs replay time instead of receiving live.
    pub fn virtual_clock(&self) -> bool {
        self.nodes.iter().any(|node| matches!(&node.part, Part::Receiver(config) if config.virtual_clock()))
    }

    /// Draws the graph.
    pub fn render(&self, format: Format) -> String {
        render::draw(self, format)
    }
}

fn rank(part: &Part) -> u8 {
    match part {
        Part::Receiver(_) => 0,
        Part::Processor(_) => 1,
        Part::Exporter(_) => 2,
    }
}

/// Kahn's algorithm; among the nodes that are ready, receivers go first, exporters last, else the given order holds.
fn topological(nodes: &[GraphNode], links: &[(usize, usize)]) -> Result<Vec<usize>, NodeError> {
    let mut waiting = vec![0usize; nodes.len()];
    let mut after = vec![Vec::new(); nodes.len()];
    for &(from, to) in links {
        waiting[to] += 1;
        after[from].push(to);
    }
    let ready_at = |index: usize| (rank(&nodes[index].part), index);
    let mut ready: BTreeSet<(u8, usize)> = (0..nodes.len()).filter(|&i| waiting[i] == 0).map(ready_at).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some((_, index)) = ready.pop_first() {
        order.push(index);
        for &next in &after[index] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.insert(ready_at(next));
            }
        }
    }
    if order.len() < nodes.len() {
        let names: Vec<&str> = (0..nodes.len()).filter(|&i| waiting[i] > 0).map(|i| nodes[i].name.as_str()).collect();
        return Err(NodeError::config(
            format!("these nodes feed each other in a circle: {}", names.join(", ")),
            "take one of them out of the circle",
        ));
    }
    Ok(order)
}

/// One pass forward (what is sent) and one backward (what is wanted); an edge carries what is both.
fn flows(nodes: &[GraphNode], links: &[(usize, usize)]) -> Vec<GraphEdge> {
    let accepts: Vec<Signals> = nodes.iter().map(|node| node.part.accepts()).collect();
    let mut input = vec![Signals::NONE; nodes.len()];
    let mut sent = vec![Signals::NONE; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        sent[index] = match node.part {
            Part::Receiver(_) => node.part.emits(),
            Part::Processor(_) => passed_on(accepts[index], node.part.emits(), input[index]),
            Part::Exporter(_) => Signals::NONE,
        };
        for &(_, to) in links.iter().filter(|&&(from, _)| from == index) {
            input[to] = input[to].and(sent[index]);
        }
    }
    let mut wanted = accepts;
    for index in (0..nodes.len()).rev() {
        for &(from, to) in links.iter().filter(|&&(from, _)| from == index) {
            wanted[from] = wanted[from].and(wanted[to]);
        }
    }
    links
        .iter()
        .map(|&(from, to)| GraphEdge { from, to, signals: sent[from].common(wanted[to]) })
        .filter(|edge| !edge.signals.is_empty())
        .collect()
}
