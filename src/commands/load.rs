//! Loading a configuration for a command, with overrides, and telling all that is wrong with it.

use std::io::{IsTerminal, Write};
use std::path::Path;

use backtrail_pipeline::config::render::{render, texts};
use backtrail_pipeline::config::{self, Config, Problem};
use backtrail_pipeline::engine::StartError;
use backtrail_pipeline::node::NodeError;
use serde_json::Value;

use crate::COMPONENTS;
use crate::cli::{Exit, Failure};

/// An override: dotted path and value.
pub(crate) type Override = (String, Value);

/// The configuration of a file; its problems go to stderr.
pub(crate) fn file(path: &Path, set: &[Override]) -> Result<Config, Failure> {
    config::load(path, &COMPONENTS, set).map_err(|problems| refuse(&path.display().to_string(), &problems))
}

/// The configuration of a text that the binary carries, named `name` in messages.
pub(crate) fn text(name: &str, yaml: &str, set: &[Override]) -> Result<Config, Failure> {
    config::load_str(name, yaml, &COMPONENTS, set).map_err(|problems| refuse(name, &problems))
}

fn refuse(name: &str, problems: &[Problem]) -> Failure {
    let mut err = std::io::stderr().lock();
    let colour = err.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // When stderr is gone nobody can be told; the exit code still says it.
    let _ = err.write_all(render(problems, &texts(problems), colour).as_bytes());
    let count = problems.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    Failure::config(format!("{count} {noun} in {name}; nothing was started"))
}

/// A graph that could not start: a wrong configuration has its own exit code and its own hint.
pub(crate) fn not_started(error: StartError) -> Failure {
    let node = error.node;
    match error.source {
        NodeError::Config { message, hint } => Failure::config(format!("{node}: {message}")).hint(hint),
        source => Failure { exit: Exit::Problem, error: anyhow::Error::new(source).context(node), hint: String::new() },
    }
}
