//! The processors of backtrail, one file or folder each, named as the key in `pipeline.yaml`.

pub mod edge_aggregation;
mod hash;
mod slices;
#[cfg(test)]
mod testing;

use backtrail_pipeline::{Kind, Processor, node};

/// All processors, in alphabetical order.
pub const PROCESSORS: &[Kind<dyn Processor>] = &[node::processor::<edge_aggregation::Config>()];
