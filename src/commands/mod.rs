//! One file a command.

mod admin;
mod ask;
mod components;
mod demo;
mod eval;
mod feedback;
mod graph;
mod incident;
mod investigate;
mod load;
mod replay;
mod run;
mod schema;
mod status;
mod validate;

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use crate::cli::{Cli, Command, Exit, Failure, Out};

/// Runs a command.
pub(crate) fn run(command: Command, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(&args, out),
        Command::Demo(args) => demo::run(&args, out),
        Command::Replay(args) => replay::run(&args, out),
        Command::Eval(args) => eval::run(&args, out),
        Command::Feedback(args) => feedback::run(&args, out),
        Command::Investigate(args) => investigate::run(&args, out),
        Command::Validate(args) => validate::run(&args, out),
        Command::Graph(args) => graph::run(&args, out),
        Command::Components(args) => components::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
        Command::Status(args) => status::run(&args, out),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "backtrail", &mut script);
            out.text(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Ok)
        }
        Command::Version(args) => {
            let version = env!("CARGO_PKG_VERSION");
            if args.json {
                out.json(&serde_json::json!({ "name": "backtrail", "version": version }))?;
            } else {
                out.line(&format!("backtrail {version}"))?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// The threads that receivers, exporters and the admin listener run on.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Writes a file so that a reader sees all of it or none.
fn publish(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let unfinished: PathBuf = path.with_file_name(name);
    std::fs::write(&unfinished, content)?;
    std::fs::rename(&unfinished, path)
}
