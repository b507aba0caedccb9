//! What the tests and benches of backtrail share: generated traffic, a harness around the real binary, OTLP clients and
//! an incident with a known culprit. A dev-dependency only.

pub mod client;
pub mod corpus;
pub mod incident;
pub mod process;
pub mod python;
