//! Counts the calls between services, slice by slice: the weighted edges of the service graph.
//!
//! Every call is counted once, with how it ended, how long it took at either end, whether it repeated an earlier one and
//! how much of its trace's critical path it held. What is not instrumented becomes a node by the name that the caller
//! gives it, and a message broker's destination is a node of its own. The traces themselves pass unchanged; those that
//! are flagged `EVIDENCE` or `LATE` are not counted (again).
//!
//! ```yaml
//! processors:
//!   edge_aggregation:
//!     max_edges: 10000
//!     virtual_nodes: true
//!     critical_path: true
//! ```
//!
//! A slice is sent when the watermark passes its end. Up to `max_edges` the number of shards changes nothing in it; past
//! that, which edges fall into the overflow bucket depends on the order of arrival, and `demand` says how many there
//! would have been.

mod calls;
mod counts;

use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::symbols::Symbols;
use backtrail_model::time::Tick;
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::calls::CallReader;
use self::counts::OpenEdges;
use crate::slices::OpenSlices;

/// Counts the calls between services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most edges a slice tells apart on one shard; further ones are counted together in an overflow bucket.
    pub max_edges: usize,
    /// Whether a call to something that is not instrumented becomes an edge to a node named by the caller's attributes.
    pub virtual_nodes: bool,
    /// Whether to find out how much of its trace's critical path each call held.
    pub critical_path: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_edges: 10_000, virtual_nodes: true, critical_path: true }
    }
}

impl Component for Config {
    const NAME: &'static str = "edge_aggregation";
    const SUMMARY: &'static str = "counts the calls between services in slices of time";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Traces])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Traces, Signal::Edges])
    }

    fn check(&self) -> Vec<Finding> {
        if (1..=1_000_000).contains(&self.max_edges) {
            return Vec::new();
        }
        vec![Finding::new("max_edges", format!("max_edges is {}", self.max_edges), "write a number from 1 to 1000000")]
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(EdgeAggregation {
            config: self.clone(),
            symbols: Arc::clone(cx.symbols()),
            reader: CallReader::default(),
            slices: OpenSlices::new(cx.grid()),
        }))
    }
}

/// One shard's copy of the node.
struct EdgeAggregation {
    config: Config,
    symbols: Arc<Symbols>,
    reader: CallReader,
    slices: OpenSlices<OpenEdges>,
}

impl Processor for EdgeAggregation {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Traces(traces) = &batch.data {
            for head in &traces.traces {
                let Some((_, edges)) = self.slices.of_trace(head, out) else { continue };
                for call in self.reader.read(traces, head, &self.config) {
                    edges.count(call, self.config.max_edges, &self.symbols);
                }
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        for (slice, edges) in self.slices.close(now) {
            let edges = edges.resolve(slice, &self.symbols);
            out.note("edges_past_max", edges.demand.saturating_sub(self.config.max_edges as u64));
            out.derive(Data::Edges(Arc::new(edges)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
