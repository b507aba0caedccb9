//! `backtrail eval`: replays labelled incidents through the real pipeline and says how often the culprit was found.
//!
//! The window is the label's, so what is measured is the ranking; with `--detect` the pipeline has to notice the incident
//! by itself, and those of a stream one by one. Ranks are pessimistic: the truth loses every tie. The
//! floor is plain trace-level Ochiai over "the service is in the trace", from the same spectra.

mod again;
mod alert;
mod case;
mod null;
mod refit;
mod score;
mod summary;

use std::path::Path;

use serde_json::{Value, json};

use super::incident::{self, BUILT_IN, Replayed};
use super::load::{self, Override};
use crate::cli::{Eval, Exit, Failure, Out, Progress};
use crate::render::time::length;

use case::Case;
use score::Judged;

/// All quiet time that a case has (and as much as a verdict may look back).
const BASELINE: &str = "24h";

/// The built-in pipeline's processors; without a signal, those that read nothing else are left out.
const PROCESSORS: [&str; 8] = [
    "route_normalization",
    "trace_assembly",
    "edge_aggregation",
    "ochiai",
    "log_motifs",
    "metric_shifts",
    "anomaly_trigger",
    "verdict",
];

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
    let count = cases.len();
    // In-memory pipelines write nothing; the folder is for exporters that --set may have brought in.
    let scratch = tempfile::tempdir()?;
    let progress = Progress::steps(cases.len() as u64);
    let (mut rounds, mut failed): (Vec<Vec<Judged>>, usize) = (Vec::new(), 0);
    let mut quiet = Vec::new();
    for cases in cases.chunk_by(|a, b| args.detect && a.dir == b.dir) {
        progress.say(cases[0].id.clone());
        let results = match args.null {
            Some(windows) => {
                judge_quiet(&cases[0], args, usize::from(windows), scratch.path(), &progress).map(|judged| {
                    quiet.extend(judged);
                    Vec::new()
                })
            }
            None => judge(cases, args, scratch.path(), &progress),
        };
        match results {
            Ok(results) => {
                rounds.resize_with(results.len().max(rounds.len()), Vec::new);
                for (round, results) in rounds.iter_mut().zip(results) {
                    round.extend(results);
                }
            }
            Err(failure) => {
                failed += cases.len();
                tracing::error!(
                    case = cases[0].id,
                    error = format!("{:#}", failure.error),
                    "the case could not be replayed"
                );
            }
        }
        for _ in cases {
            progress.step();
        }
    }
    let took = progress.elapsed();
    drop(progress);
    let judged = rounds.first().map_or(&[][..], Vec::as_slice);
    if args.null.is_some() {
        print_null(&null::summarize(&quiet), args, out)?;
    } else {
        print(judged, args, out)?;
    }
    if args.ablate && !args.json {
        for line in again::table(&rounds, args, out.paint()) {
            out.line(&line)?;
        }
    }
    if !args.json {
        out.line(&format!("\ncases: {count}; could not be replayed: {failed}; took {}", length(took)))?;
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Problem })
}

fn print_null(rows: &[null::Row], args: &Eval, out: &mut Out) -> Result<(), Failure> {
    if args.json {
        out.json(&json!({ "null": rows }))?;
        return Ok(());
    }
    for line in null::table(rows, out.paint()) {
        out.line(&line)?;
    }
    Ok(())
}

/// The quiet time before the fault, judged as if something had been wrong in it.
fn judge_quiet(
    case: &Case,
    args: &Eval,
    windows: usize,
    scratch: &Path,
    progress: &Progress,
) -> Result<Vec<null::Judged>, Failure> {
    let replayed = replay(case, args, scratch, progress)?;
    Ok(null::windows(case, &replayed, windows))
}

fn replay(case: &Case, args: &Eval, scratch: &Path, progress: &Progress) -> Result<Replayed, Failure> {
    let mut set = overrides(case, args, scratch);
    set.extend(alert::overrides(&case.dir)?);
    set.extend_from_slice(&args.set.set);
    let config = load::text("built-in pipeline", BUILT_IN, &set)?;
    let replayed = incident::replay(config, progress)?;
    if let Some(error) = replayed.report.errors.first() {
        return Err(Failure::from(anyhow::Error::msg(error.clone())));
    }
    Ok(replayed)
}

/// Replays a case, or all faults of a stream at once, and judges it in as many rounds as are wanted.
fn judge(cases: &[Case], args: &Eval, scratch: &Path, progress: &Progress) -> Result<Vec<Vec<Judged>>, Failure> {
    let mut cases = cases.to_vec();
    if let Some(first) = args.first {
        for case in &mut cases {
            case.window.end = case.window.end.min(case.window.start.plus(first));
        }
    }
    let replayed = replay(&cases[0], args, scratch, progress)?;
    let floors: Vec<_> = cases.iter().map(|case| score::floor_scores(case, &replayed)).collect();
    let of_each = || cases.iter().zip(&floors);
    let mut rounds = Vec::new();
    if args.cuts.is_empty() {
        let found = if args.detect { score::detected(&cases, &replayed) } else { vec![score::given(&replayed)] };
        rounds.push(of_each().zip(found).map(|((case, floor), found)| score::judge(case, &found, floor)).collect());
    }
    for options in again::variants(args) {
        rounds.push(of_each().map(|(case, floor)| again::judge(case, &replayed, &options, floor)).collect());
    }
    Ok(rounds)
}

fn overrides(case: &Case, args: &Eval, scratch: &Path) -> Vec<Override> {
    let set = |key: &str, value: Value| (key.to_owned(), value);
    let mut all = vec![
        set("receivers.replay.path", json!(case.dir)),
        set("receivers.replay.signals", json!(args.signals)),
        set("processors.verdict.baseline", json!(BASELINE)),
        set("processors.verdict.every_revision", json!(args.detect)),
        set("processors.verdict.max_suspects", json!(1000)),
        set("service.shards", json!(args.shards)),
        set("service.data_dir", json!(scratch)),
    ];
    let unused = |node: &str| match node {
        "log_motifs" => !args.signals.iter().any(|signal| signal == "logs"),
        "metric_shifts" => !args.signals.iter().any(|signal| signal == "metrics"),
        _ => false,
    };
    let used: Vec<&str> = PROCESSORS.iter().copied().filter(|node| !unused(node)).collect();
    all.push(set("service.pipelines.localize.processors", json!(used)));
    if case.in_stream {
        // A day of other faults is no baseline: a stream is judged as it would have been live.
        all.retain(|(key, _)| key != "processors.verdict.baseline");
    }
    if !args.detect {
        all.push(set("processors.anomaly_trigger.window", incident::window_value(case.window)));
        all.push(set("service.slice_origin", json!(case.window.start.0)));
    }
    all
}

fn print(judged: &[Judged], args: &Eval, out: &mut Out) -> Result<(), Failure> {
    let summary = summary::summarize(judged);
    let refit = if args.refit { Some(refit::report(judged, args.feedback.as_deref())?) } else { None };
    if args.json {
        let cases: Vec<Value> = judged.iter().map(Judged::document).collect();
        let mut document = json!({ "cases": cases, "summary": summary });
        if let Some(refit) = refit {
            document["refit"] = json!(refit);
        }
        out.json(&document)?;
        return Ok(());
    }
    if args.cases || args.floor {
        for line in summary::case_lines(judged, args.floor, out.paint()) {
            out.line(&line)?;
        }
        out.line("")?;
    }
    let refit = refit.map_or_else(Vec::new, |refit| refit.lines(out.paint()));
    for line in summary::table(&summary, out.paint()).into_iter().chain(refit) {
        out.line(&line)?;
    }
    Ok(())
}
