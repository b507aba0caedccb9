//! backtrail: OTLP in, a ranked and explained suspect out.
//!
//! This package is the command line. The work is done by the crates that it wires together; what it adds is the table of
//! components ([`COMPONENTS`]), one file a command, and the terminal face of a verdict.

mod cli;
mod commands;
mod render;

use std::process::ExitCode;

use backtrail_pipeline::Components;

/// Every component that a configuration may name.
pub const COMPONENTS: Components = Components {
    receivers: backtrail_receivers::RECEIVERS,
    processors: backtrail_processors::PROCESSORS,
    exporters: backtrail_exporters::EXPORTERS,
};

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> ExitCode {
    cli::main()
}
