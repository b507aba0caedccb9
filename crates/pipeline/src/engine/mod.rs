//! The engine: runs a checked graph on real threads.
//!
//! Receivers and exporters run on the tokio runtime, stateless processors in front of the exchange in the receiver's own
//! task, `Trace` processors on shard threads, `Global` processors on one thread behind the gather.

mod boards;
mod checkpoint;
mod exporters;
mod front;
mod gather;
mod plan;
mod reload;
mod running;
mod shard;
mod stage;
#[cfg(test)]
mod tests;

pub use boards::{NodeStatus, Status};
pub use reload::ReloadError;
pub use running::{Handle, Report, Running, StartError, Tap, start};
