//! `backtrail eval`: replays labelled incidents through the real pipeline and says how often the culprit was found.
//!
//! The window is the label's, so what is measured is the ranking. Ranks are pessimistic: the truth loses every tie. The
//! floor is plain trace-level Ochiai over "the service is in the trace", from the same spectra.

mod alert;
mod case;
mod score;
mod summary;

use std::path::Path;

use serde_json::{Value, json};

use super::incident::{self, BUILT_IN};
use super::load::{self, Override};
use crate::cli::{Eval, Exit, Failure, Out, Progress};
use crate::render::time::length;

use case::Case;
use score::Judged;

/// All quiet time that a case has (and as much as a verdict may look back).
const BASELINE: &str = "24h";

/// Runs the command.
pub(crate) fn run(args: &Eval, out: &mut Out) -> Result<Exit, Failure> {
    let mut cases = Vec::new();
    for dir in &args.dirs {
        cases.extend(case::find(dir)?);
    }
    if cases.is_empty() {
        let dirs: Vec<String> = args.dirs.iter().map(|dir| dir.display().to_string()).collect();
        let message = format!("no truth.json in or below {}", dirs.join(", "));
        return Err(Failure::usage(message, "a case is a folder with truth.json and traces.otlp.jsonl[.gz|.zst]"));
    }
    // In-memory pipelines write nothing; the folder is for exporters that --set may have brought in.
    let scratch = tempfile::tempdir()?;
    let progress = Progress::steps(cases.len() as u64);
    let (mut judged, mut failed) = (Vec::new(), 0);
    for case in cases {
        progress.say(case.id.clone());
        match judge(&case, args, scratch.path(), &progress) {
            Ok(result) => judged.push(result),
            Err(failure) => {
                failed += 1;
                tracing::error!(
                    case = case.id,
                    error = format!("{:#}", failure.error),
                    "the case could not be replayed"
                );
            }
        }
        progress.step();
    }
    let took = progress.elapsed();
    drop(progress);
    print(&judged, args, out)?;
    if !args.json {
        out.line(&format!(
            "\ncases: {}; could not be replayed: {failed}; took {}",
            judged.len() + failed,
            length(took)
        ))?;
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Problem })
}

fn judge(case: &Case, args: &Eval, scratch: &Path, progress: &Progress) -> Result<Judged, Failure> {
    let mut set = overrides(case, args.shards, scratch);
    set.extend(alert::overrides(&case.dir)?);
    set.extend_from_slice(&args.set.set);
    let config = load::text("built-in pipeline", BUILT_IN, &set)?;
    let replayed = incident::replay(config, progress)?;
    if let Some(error) = replayed.report.errors.first() {
        return Err(Failure::from(anyhow::Error::msg(error.clone())));
    }
    Ok(score::judge(case, &replayed))
}

fn overrides(case: &Case, shards: usize, scratch: &Path) -> Vec<Override> {
    let set = |key: &str, value: Value| (key.to_owned(), value);
    vec![
        set("receivers.replay.path", json!(case.dir)),
        set("processors.anomaly_trigger.window", incident::window_value(case.window)),
        set("processors.verdict.baseline", json!(BASELINE)),
        set("processors.verdict.every_revision", json!(false)),
        set("processors.verdict.max_suspects", json!(1000)),
        set("service.slice_origin", json!(case.window.start.0)),
        set("service.shards", json!(shards)),
        set("service.data_dir", json!(scratch)),
    ]
}

fn print(judged: &[Judged], args: &Eval, out: &mut Out) -> Result<(), Failure> {
    let summary = summary::summarize(judged);
    if args.json {
        let cases: Vec<Value> = judged.iter().map(Judged::document).collect();
        out.json(&json!({ "cases": cases, "summary": summary }))?;
        return Ok(());
    }
    if args.cases || args.floor {
        for line in summary::case_lines(judged, args.floor, out.paint()) {
            out.line(&line)?;
        }
        out.line("")?;
    }
    for line in summary::table(&summary, out.paint()) {
        out.line(&line)?;
    }
    Ok(())
}
