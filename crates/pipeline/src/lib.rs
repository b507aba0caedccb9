//! The pipeline of backtrail: configuration, graph, node contract and engine. It knows no component by name.

pub mod boards;
pub mod config;
pub mod context;
pub mod emit;
pub mod engine;
pub mod graph;
pub mod names;
pub mod node;
pub mod service;
pub mod stats;
pub mod units;

pub use context::Context;
pub use emit::Emit;
pub use node::{
    Component, Components, Configured, Exporter, Finding, Implied, Kind, NodeError, Processor, Receiver, Reconfigured,
    Scope, Watcher, exporter, processor, receiver,
};
pub use units::{ByteSize, Duration, Ratio, Secret};
