//! One file a command.

mod abort;
mod approve;
mod check;
mod demo;
mod dlq;
mod doctor;
mod eval;
mod model;
mod policy;
mod report;
mod run;
mod show;
mod status;
mod submit;
mod verify;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use backtrail_model::time::UnixNano;
use clap::CommandFactory;

use crate::cli::{Cli, Command, DataDir, Exit, Failure, Out};
use crate::store::{Row, Store};

/// Runs a command.
pub(crate) fn run(command: Command, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(&args, out),
        Command::Submit(args) => submit::run(&args, out),
        Command::Status(args) => status::run(&args, out),
        Command::Show(args) => show::run(&args, out),
        Command::Report(args) => report::run(&args, out),
        Command::Approve(args) => approve::approve(&args, out),
        Command::Reject(args) => approve::reject(&args, out),
        Command::Policy { command } => policy::run(&command, out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Demo(args) => demo::run(&args, out),
        Command::Check(args) => check::run(&args, out),
        Command::Eval(args) => eval::run(&args, out),
        Command::Keygen { file } => approve::keygen(&file, out),
        Command::Abort(args) => abort::run(&args, out),
        Command::Dlq(args) => dlq::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "backtrail-consumer", &mut script);
            out.bytes(&script)?;
            Ok(Exit::Ok)
        }
        Command::Version { json } => {
            let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
            if json {
                out.json(&serde_json::json!({ "name": name, "version": version }))?;
            } else {
                out.line(&format!("{name} {version}"))?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// The wall clock. Everything below the commands is told the time.
#[expect(clippy::disallowed_methods, reason = "the one place where the consumer asks for the time")]
fn now() -> UnixNano {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixNano(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// What a run left; a problem when nothing ever ran there.
fn existing(data: &DataDir) -> Result<Store, Failure> {
    if let Some(store) = Store::open_existing(&data.data_dir)? {
        return Ok(store);
    }
    let nothing = format!("there is no consumer's data in {}", data.data_dir.display());
    let hint = "start one with 'backtrail-consumer run', or name the folder with --data-dir";
    Err(Failure::from(anyhow::Error::msg(nothing)).hint(hint))
}

/// The one remediation whose id begins so.
fn one(store: &Store, id: &str) -> Result<Row, Failure> {
    let mut found = store.find(id)?;
    let hint = "'backtrail-consumer status' lists them";
    match (found.pop(), found.len()) {
        (Some(row), 0) if !id.is_empty() => Ok(row),
        (Some(_), _) => Err(Failure::usage(format!("more than one remediation begins with '{id}'"), hint)),
        (None, _) => Err(Failure::usage(format!("there is no remediation '{id}'"), hint)),
    }
}

/// Reads a file, but not more than `most` bytes and one: whoever gets that many knows that it is too long.
fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}
