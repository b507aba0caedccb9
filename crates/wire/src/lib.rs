//! OTLP on the wire: received bytes become records ([`walk`]), OTLP/JSON becomes protobuf ([`json`]), kept spans become
//! a request again ([`export`]), the metrics that matter are read point by point ([`metrics`]), and a raw span can be
//! read in full where everything in it matters ([`attributes`]).

pub mod attributes;
pub mod check;
mod error;
pub mod export;
pub mod json;
pub mod metrics;
mod proto;
mod schema;
pub mod walk;

pub use check::{count_data_points, valid_utf8};
pub use error::{Fault, WireError};
pub use walk::{Bounds, WalkSpec, Walked, WalkedLogs, Walker};
