//! `backtrail graph`: the graph of a configuration with the signals on every edge.

use std::path::PathBuf;

use backtrail_pipeline::graph::{self, Format};

use super::load;
use crate::cli::{Exit, Failure, Graph, GraphFormat, Out};

/// Runs the command.
pub(crate) fn run(args: &Graph, out: &mut Out) -> Result<Exit, Failure> {
    let path = args.file.clone().or_else(|| args.config.clone()).unwrap_or_else(|| PathBuf::from("pipeline.yaml"));
    let config = load::file(&path, &args.set.set)?;
    if args.json {
        out.json(&document(&config.graph))?;
        return Ok(Exit::Ok);
    }
    let format = match args.format {
        GraphFormat::Text => Format::Text,
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Dot => Format::Dot,
    };
    out.line(config.graph.render(format).trim_end())?;
    Ok(Exit::Ok)
}

fn document(graph: &graph::Graph) -> serde_json::Value {
    let stages = graph.stages();
    let nodes = graph.nodes.iter().zip(stages).map(|(node, stage)| {
        let (name, id, pipeline) = (&node.name, &node.id, &node.pipeline);
        serde_json::json!({ "node": name, "id": id, "pipeline": pipeline, "stage": stage.name() })
    });
    let edges = graph.edges.iter().map(|edge| {
        let (from, to) = (&graph.nodes[edge.from].name, &graph.nodes[edge.to].name);
        let signals: Vec<&str> = edge.signals.iter().map(backtrail_model::signal::Signal::name).collect();
        serde_json::json!({ "from": from, "to": to, "signals": signals })
    });
    serde_json::json!({ "nodes": nodes.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>() })
}
