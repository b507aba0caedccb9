//! backtrail-localize
mod blame;
pub mod blocks;
pub mod causal;
pub mod critical_path;
pub mod edge_blame;
pub mod errors;
mod explain;
mod findings;
mod inner;
pub mod judge;
pub mod latency;
pub mod ochiai;
pub mod rank;
pub mod spectrum;
pub mod stats;
pub mod structure;
pub mod visits;

pub use blame::Scores;
pub use judge::{Judgement, Options, judge};
