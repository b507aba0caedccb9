//! What differs between two graphs, and whether it can be put into force without a restart.

use std::sync::Arc;

use super::plan::{Place, Plan};
use super::running::place_of;
use super::shard::Changes;
use crate::graph::{Graph, Part};

/// Why a changed configuration was not put into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The graph is shutting down.
    #[error("the pipeline is shutting down")]
    NotRunning,
    /// More changed than the settings of processors.
    #[error("{0} changed: this needs a restart; the old configuration stays in force")]
    NeedsRestart(String),
}

/// Changed processors by the place where they run.
#[derive(Debug)]
pub(crate) struct GraphChanges {
    pub(crate) front: Changes,
    pub(crate) shard: Changes,
    pub(crate) global: Changes,
}

impl std::fmt::Debug for dyn crate::node::Configured<dyn crate::node::Processor> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.json().fmt(f)
    }
}

/// Compares a running graph with a new one.
pub(crate) fn changes(old: &Graph, new: &Graph) -> Result<GraphChanges, ReloadError> {
    let names = |graph: &Graph| graph.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    if names(old) != names(new) || old.edges != new.edges {
        return Err(ReloadError::NeedsRestart("the set of nodes or their edges".to_owned()));
    }
    let plan = Plan::new(new);
    let (mut front, mut shard, mut global) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (before, after)) in old.nodes.iter().zip(&new.nodes).enumerate() {
        let reads_files = matches!(&after.part, Part::Processor(config) if config.reads_files());
        if before.part.json() == after.part.json() && !reads_files {
            continue;
        }
        let watches = matches!(&before.part, Part::Processor(config) if config.watches());
        if watches || matches!(&after.part, Part::Processor(config) if config.watches()) {
            return Err(ReloadError::NeedsRestart(after.name.clone()));
        }
        let Part::Processor(config) = &after.part else {
            return Err(ReloadError::NeedsRestart(after.name.clone()));
        };
        match place_of(&plan, index) {
            Some((Place::Front, at)) => front.push((at, Arc::clone(config))),
            Some((Place::Shard, at)) => shard.push((at, Arc::clone(config))),
            Some((Place::Global, at)) => global.push((at, Arc::clone(config))),
            _ => return Err(ReloadError::NeedsRestart(after.name.clone())),
        }
    }
    Ok(GraphChanges { front: Arc::new(front), shard: Arc::new(shard), global: Arc::new(global) })
}
