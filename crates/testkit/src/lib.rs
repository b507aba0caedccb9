//! What the tests and benches of backtrail share: generated traffic, a harness around the real binary, OTLP clients,
//! an incident with a known culprit, and scenarios: topologies of any size with a fault of any class. A dev-dependency only.

pub mod client;
pub mod corpus;
pub mod go;
pub mod incident;
pub mod process;
pub mod python;
pub mod scenarios;
