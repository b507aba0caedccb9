//! What a running graph says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::context::Listening;
use crate::stats::NodeStats;

/// Counters of one node, all copies added up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NodeStatus {
    /// The node: `receivers.otlp`, `processors.ochiai` ...
    pub node: String,
    /// Items that were given to it.
    pub accepted: u64,
    /// Items of these that left as they should.
    pub sent: u64,
    /// Items dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Items inside now.
    pub held: u64,
    /// Items it made itself (slices, incidents, verdicts).
    pub derived: u64,
    /// Things worth knowing that are no drops.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, u64>,
}

impl NodeStatus {
    /// Whether accepted = sent + dropped + held.
    pub fn is_conserved(&self) -> bool {
        self.accepted == self.sent + self.dropped.values().sum::<u64>() + self.held
    }
}

/// A snapshot of a running (or finished) graph.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Status {
    /// starting, running, draining or stopped.
    pub state: String,
    /// Bound addresses.
    pub listening: Vec<Listening>,
    /// One row a node.
    pub nodes: Vec<NodeStatus>,
}

/// The copies of every node, by name in graph order.
#[derive(Default)]
pub(crate) struct StatsBoard {
    rows: Vec<(String, Vec<Arc<NodeStats>>)>,
}

impl StatsBoard {
    /// Makes a node's row, so that rows stand in the order of the graph.
    pub(crate) fn reserve(&mut self, node: &str) {
        self.rows.push((node.to_owned(), Vec::new()));
    }

    /// Adds a copy of a node.
    pub(crate) fn add(&mut self, node: &str, stats: Arc<NodeStats>) {
        match self.rows.iter_mut().find(|(name, _)| name == node) {
            Some((_, copies)) => copies.push(stats),
            None => self.rows.push((node.to_owned(), vec![stats])),
        }
    }

    /// Sums over the copies.
    pub(crate) fn snapshot(&self) -> Vec<NodeStatus> {
        self.rows.iter().map(|(node, copies)| sum(node, copies)).collect()
    }
}

fn sum(node: &str, copies: &[Arc<NodeStats>]) -> NodeStatus {
    let mut row = NodeStatus { node: node.to_owned(), ..NodeStatus::default() };
    for stats in copies {
        row.accepted += stats.accepted.load(Ordering::Relaxed);
        row.sent += stats.sent.load(Ordering::Relaxed);
        row.held += stats.held.load(Ordering::Relaxed);
        row.derived += stats.derived.load(Ordering::Relaxed);
        for (reason, count) in stats.dropped() {
            *row.dropped.entry(reason.to_owned()).or_default() += count;
        }
        for (what, count) in stats.notes() {
            *row.notes.entry(what.to_owned()).or_default() += count;
        }
    }
    row
}
