//! The processors of backtrail, one file or folder each, named as the key in `pipeline.yaml`.

pub mod anomaly_trigger;
pub mod batch;
pub mod edge_aggregation;
#[cfg(test)]
mod encoded;
mod hash;
pub mod log_motifs;
pub mod memory_limiter;
pub mod metric_shifts;
pub mod ochiai;
mod remembered;
pub mod route_normalization;
pub mod service_discovery;
mod slices;
pub mod tail_sampling;
#[cfg(test)]
mod testing;
pub mod trace_assembly;
mod trace_copy;
pub mod verdict;

use backtrail_pipeline::{Kind, Processor, node};

/// All processors, in alphabetical order.
pub const PROCESSORS: &[Kind<dyn Processor>] = &[
    node::processor::<anomaly_trigger::Config>(),
    node::processor::<batch::Config>(),
    node::processor::<edge_aggregation::Config>(),
    node::processor::<log_motifs::Config>(),
    node::processor::<memory_limiter::Config>(),
    node::processor::<metric_shifts::Config>(),
    node::processor::<ochiai::Config>(),
    node::processor::<route_normalization::Config>(),
    node::processor::<service_discovery::Config>(),
    node::processor::<tail_sampling::Config>(),
    node::processor::<trace_assembly::Config>(),
    node::processor::<verdict::Config>(),
];
