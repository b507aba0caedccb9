//! Drawings of a graph: text for people, mermaid for documents, dot for Graphviz.

use std::fmt::Write as _;

use super::{Graph, GraphNode, Part, Stage};

/// How [`Graph::render`] draws.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// Arrows that people read in a terminal.
    #[default]
    Text,
    /// A mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "mermaid" => Ok(Self::Mermaid),
            "dot" => Ok(Self::Dot),
            _ => Err(format!("'{text}' is no format; write text, mermaid or dot")),
        }
    }
}

const STAGES: [(Stage, &str); 4] = [
    (Stage::Front, "front: tasks beside the receivers"),
    (Stage::Shards, "shards: one copy a shard, all spans of a trace in one"),
    (Stage::Global, "global: one thread, slices in order"),
    (Stage::Exporters, "exporters: one task each"),
];

pub(super) fn draw(graph: &Graph, format: Format) -> String {
    match format {
        Format::Text => text(graph),
        Format::Mermaid => mermaid(graph),
        Format::Dot => dot(graph),
    }
}

/// Node names hold ids and pipelines only, but a quote would end a label.
fn label(node: &GraphNode) -> String {
    node.name.replace('"', "'")
}

fn of_stage(stages: &[Stage], stage: Stage) -> impl Iterator<Item = usize> + '_ {
    stages.iter().enumerate().filter(move |&(_, &at)| at == stage).map(|(index, _)| index)
}

fn text(graph: &Graph) -> String {
    let stages = graph.stages();
    let mut out = String::new();
    for (stage, title) in STAGES {
        let mut members = of_stage(&stages, stage).peekable();
        if members.peek().is_none() {
            continue;
        }
        let _ = writeln!(out, "{}{title}", if out.is_empty() { "" } else { "\n" });
        for index in members {
            let node = &graph.nodes[index];
            match &node.pipeline {
                Some(pipeline) => _ = writeln!(out, "  {}  (pipeline {pipeline})", node.name),
                None => _ = writeln!(out, "  {}", node.name),
            }
            let signals: Vec<String> = graph.outgoing(index).map(|edge| edge.signals.to_string()).collect();
            let width = signals.iter().map(String::len).max().unwrap_or(0);
            for (edge, signals) in graph.outgoing(index).zip(&signals) {
                let line = "-".repeat(width - signals.len());
                let _ = writeln!(out, "    --[ {signals} ]{line}--> {}", graph.nodes[edge.to].name);
            }
        }
    }
    out
}

fn mermaid(graph: &Graph) -> String {
    let stages = graph.stages();
    let mut out = String::from("flowchart LR\n");
    for (stage, title) in STAGES {
        let members: Vec<usize> = of_stage(&stages, stage).collect();
        if members.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  subgraph {}[\"{title}\"]", stage.name());
        for index in members {
            let node = &graph.nodes[index];
            let (open, close) = match node.part {
                Part::Receiver(_) => ("([", "])"),
                Part::Processor(_) => ("[", "]"),
                Part::Exporter(_) => ("[(", ")]"),
            };
            let _ = writeln!(out, "    n{index}{open}\"{}\"{close}", label(node));
        }
        out.push_str("  end\n");
    }
    for edge in &graph.edges {
        let _ = writeln!(out, "  n{} -->|\"{}\"| n{}", edge.from, edge.signals, edge.to);
    }
    out
}

fn dot(graph: &Graph) -> String {
    let stages = graph.stages();
    let mut out = String::from("digraph backtrail {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for (stage, title) in STAGES {
        let members: Vec<usize> = of_stage(&stages, stage).collect();
        if members.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  subgraph cluster_{} {{\n    label=\"{title}\";", stage.name());
        for index in members {
            let node = &graph.nodes[index];
            let shape = match node.part {
                Part::Receiver(_) => "oval",
                Part::Processor(_) => "box",
                Part::Exporter(_) => "cylinder",
            };
            let _ = writeln!(out, "    n{index} [label=\"{}\", shape={shape}];", label(node));
        }
        out.push_str("  }\n");
    }
    for edge in &graph.edges {
        let _ = writeln!(out, "  n{} -> n{} [label=\"{}\"];", edge.from, edge.to, edge.signals);
    }
    out.push_str("}\n");
    out
}
