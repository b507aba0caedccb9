//! The command line: arguments, output, logs and exit codes.

mod args;
mod logs;
mod out;
mod progress;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub(crate) use args::{
    Cli, Command, Components, Demo, Eval, Feedback, Graph, GraphFormat, Investigate, Replay, Run, Schema, Span, Status,
    Validate,
};
pub(crate) use backtrail_exit::{Exit, Failure};
pub(crate) use out::Out;
pub(crate) use progress::Progress;

use crate::commands;

/// Parses, runs, reports.
pub(crate) fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. When even the terminal is gone nobody can be told.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    logs::start(cli.log_format);
    let mut out = Out::stdout(cli.color);
    let ended = commands::run(cli.command, &mut out).and_then(|exit| {
        out.finish()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
