//! `backtrail demo`: placeholder until the pipeline runs.

use crate::cli::{Demo, Exit, Failure, Out};

/// Runs the command.
pub(crate) fn run(_args: &Demo, _out: &mut Out) -> Result<Exit, Failure> {
    Err(Failure::usage("not yet", ""))
}
