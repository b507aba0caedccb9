//! The first process of a sandbox, as a program of its own: what the tests of this crate start.

use std::process::ExitCode;

fn main() -> ExitCode {
    backtrail_sandbox::init::main()
}
