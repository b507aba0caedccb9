//! The command line: arguments, output and exit codes. It reads and ends as that of `backtrail` does.

mod args;
mod check;
mod model;
mod out;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

pub(crate) use args::{
    Abort, Approve, Cli, Command, DataDir, Demo, Dlq, DlqCommand, Doctor, Eval, Format, LogFormat, PolicyCommand,
    Reject, Report, Run, Show, Status, Submit, Verify,
};
pub(crate) use backtrail_exit::{Exit, Failure};
pub(crate) use check::{ChangeKind, Check};
pub(crate) use model::{Dialect, ModelArgs};
pub(crate) use out::Out;

use crate::commands;

/// Parses, runs, reports.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. When even the terminal is gone nobody can be told.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    log(cli.log_format);
    let mut out = Out::stdout();
    let ended = commands::run(cli.command, &mut out).and_then(|exit| {
        out.finish()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

/// Starts logging to stderr; stdout is for data. `RUST_LOG` says what is logged.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
