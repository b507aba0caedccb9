//! The `backtrail-consumer` binary: everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    backtrail_consumer::main()
}
