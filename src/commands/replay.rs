//! `backtrail replay`: recorded telemetry in, the verdict out; or the inputs of a verdict in, and the same verdict out.

mod capsule;

use std::path::Path;

use super::incident::{self, BUILT_IN, Replayed};
use super::load::{self, Override};
use crate::cli::{Exit, Failure, Out, Progress, Replay};
use crate::render::text::grouped;
use crate::render::time::length;
use backtrail_pipeline::config::Config;

/// Runs the command.
pub(crate) fn run(args: &Replay, out: &mut Out) -> Result<Exit, Failure> {
    if let Some(id) = &args.verdict {
        return capsule::replay(id, args, out);
    }
    let path = args.path.as_deref().unwrap_or_else(|| Path::new("."));
    if !path.exists() {
        let message = format!("there is no {}", path.display());
        return Err(Failure::usage(message, "name a folder with traces.otlp.jsonl[.gz|.zst], or such a file"));
    }
    let progress = Progress::spinner("loading");
    let replayed = incident::replay(configuration(args, path)?, &progress)?;
    drop(progress);
    if args.json {
        for verdict in &replayed.verdicts {
            out.json(verdict.as_ref())?;
        }
    } else {
        show(&replayed, args.verdict_only, out)?;
    }
    for error in &replayed.report.errors {
        tracing::error!(error, "ended with an error");
    }
    Ok(if replayed.report.errors.is_empty() { Exit::Ok } else { Exit::Problem })
}

fn configuration(args: &Replay, path: &Path) -> Result<Config, Failure> {
    let load = |set: &[Override]| match &args.config {
        Some(path) => load::file(path, set),
        None => load::text("built-in pipeline", BUILT_IN, set),
    };
    // The first load says which pipelines and triggers there are.
    let plain = load(&[])?;
    let mut set = incident::replace_receivers(&plain, path, &args.speed);
    if let Some(window) = args.window {
        set.extend(incident::judge_window(&plain, window));
    }
    set.extend_from_slice(&args.set.set);
    load(&set)
}

fn show(replayed: &Replayed, verdict_only: bool, out: &mut Out) -> Result<(), Failure> {
    for verdict in &replayed.verdicts {
        out.text(&replayed.face(verdict, out.paint()))?;
        out.line("")?;
    }
    if replayed.verdicts.is_empty() {
        out.line("no incident: nothing in this recording is out of the ordinary")?;
        out.line("hint: --window START..END judges a window that you know to be bad")?;
    }
    if !verdict_only {
        let spans: u64 = sent(replayed, "receivers.");
        let seconds = replayed.took.as_secs_f64().max(1e-9);
        let rate = grouped((spans as f64 / seconds) as u64);
        let took = length(replayed.took);
        let incidents = replayed.verdicts.len();
        out.line(&format!("replayed {} spans in {took} ({rate} spans/s); incidents: {incidents}", grouped(spans)))?;
    }
    Ok(())
}

/// Items that the nodes whose names begin so have sent.
fn sent(replayed: &Replayed, part: &str) -> u64 {
    let rows = replayed.report.status.nodes.iter();
    rows.filter(|row| row.node.starts_with(part)).map(|row| row.sent).sum()
}
