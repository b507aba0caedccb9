//! Localization as arithmetic: closed slices of integer counts in, a ranked and explained suspect out. No I/O, no clock.
//!
//! In reading order: [`ochiai`] (the seed formula), [`stats`], [`visits`] and [`critical_path`] (one trace),
//! [`spectrum`] and [`blocks`] (slices), the parts of the score [`latency`] (L), [`errors`] (E, with [`causal`] pruning
//! and [`edge_blame`]), [`resource`] (M) and [`structure`] (C), then [`judge`] and the documents ([`document`]).
//! Beside traces: [`symptoms`] of logs and metrics, [`sparse`] (services by them), [`external`] causes, [`changes`]
//! ([`words`] and [`diff`] read them), and [`refine`], which adds them to a judgement. [`rank`] serves `eval`.
//!
//! What judging never does: it never depends on the order or partition of its input, never compares with a constant
//! that was fitted to labels (every gate is `2 ln(tests)`), and never breaks a tie by name.

mod best;
mod blame;
pub mod blocks;
mod calibrate;
pub mod causal;
pub mod changes;
pub mod critical_path;
pub mod diff;
pub mod document;
pub mod edge_blame;
pub mod errors;
mod explain;
pub mod external;
mod findings;
mod inner;
pub mod judge;
pub mod latency;
pub mod load;
pub mod motifs;
mod nobody;
pub mod ochiai;
pub mod peers;
pub mod rank;
pub mod refine;
pub mod resource;
pub mod saturation;
pub mod signs;
pub mod silent;
pub mod sparse;
pub mod spectrum;
pub mod stats;
pub mod structure;
pub mod symptoms;
mod table;
mod versions;
pub mod visits;
mod within;
pub mod words;

pub use blame::Scores;
pub use calibrate::Quiet;
pub use judge::{Judgement, Kind, Options, Parts, Slices, judge, judge_with};
pub use within::NETWORK;
