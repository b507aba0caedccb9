//! What the listener shows: the graph's status in the words of the collector world.

use std::collections::BTreeMap;

use backtrail_model::alert::Alert;
use backtrail_model::change::Change;
use backtrail_model::feedback::Feedback;
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::boards::{NoAnswer, Question};
use backtrail_pipeline::engine::{NodeStatus, Status};
use serde::Serialize;

/// Where the listener reads. The graph may not run yet, or no longer.
pub trait Source: Send + Sync + 'static {
    /// Counters and state now.
    fn status(&self) -> Status;
    /// Whether the graph takes data: false while it starts and while it drains.
    fn ready(&self) -> bool;
    /// Names of the nodes of each pipeline, as they stand in the status.
    fn pipelines(&self) -> &BTreeMap<String, Vec<String>>;
    /// Puts changes on the graph's board; `false` while there is no graph.
    fn post_changes(&self, changes: Vec<Change>) -> bool;
    /// Puts alerts on the graph's board; `false` while there is no graph.
    fn post_alerts(&self, alerts: Vec<Alert>) -> bool;
    /// Writes down who was to blame (`None`: only that the verdict is wrong is known), and answers what was written;
    /// `None` while there is no graph.
    fn feedback(&self, verdict_id: &str, culprit: Option<&str>) -> Option<std::io::Result<Feedback>>;
    /// A verdict without an incident; `None` while there is no graph. It may take a second.
    fn investigate(&self, question: &Question) -> Option<Result<Verdict, NoAnswer>>;
}

/// The answer of `/status`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct View {
    /// starting, running, draining or stopped.
    pub state: String,
    /// The same in otelcol's words: `StatusStarting`, `StatusOK`, `StatusRecoverableError`, `StatusStopping` or
    /// `StatusStopped`.
    pub status: &'static str,
    /// Whether the graph takes data.
    pub healthy: bool,
    /// Bound addresses.
    pub listening: Vec<backtrail_pipeline::context::Listening>,
    /// One row a node.
    pub nodes: Vec<NodeStatus>,
}

impl View {
    /// The view of a source, of one pipeline if `pipeline` names it; `None` when there is no such pipeline.
    pub fn of(source: &dyn Source, pipeline: Option<&str>) -> Option<Self> {
        let mut status = source.status();
        if let Some(name) = pipeline {
            let wanted = source.pipelines().get(name)?;
            status.nodes.retain(|row| wanted.contains(&row.node));
            status.listening.retain(|at| wanted.contains(&at.node));
        }
        let ready = source.ready();
        Some(Self {
            status: word(&status.state, ready),
            healthy: ready,
            state: status.state,
            listening: status.listening,
            nodes: status.nodes,
        })
    }
}

/// The state in otelcol's words.
fn word(state: &str, ready: bool) -> &'static str {
    match state {
        "starting" => "StatusStarting",
        "running" if ready => "StatusOK",
        "running" => "StatusRecoverableError",
        "draining" => "StatusStopping",
        _ => "StatusStopped",
    }
}
