//! Where results leave backtrail: one module a component, named as its key in `pipeline.yaml`.

use backtrail_pipeline::node::{Exporter, Kind, exporter};

mod cloud_event;
pub mod debug;
pub mod parquet;
pub mod patch_queue;
pub mod schemas;

/// All exporters, in alphabetical order.
pub const EXPORTERS: &[Kind<dyn Exporter>] =
    &[exporter::<debug::Config>(), exporter::<parquet::Config>(), exporter::<patch_queue::Config>()];

/// Runs work that keeps a core busy for long without starving the tasks that share the thread.
fn heavy<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
