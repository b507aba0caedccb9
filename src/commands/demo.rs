//! `backtrail demo`: a recorded real incident through the default pipeline, and what came out.
//!
//! The recording travels inside the binary, so the command works from any folder.

mod patch;

use std::path::{Path, PathBuf};

use anyhow::Context;
use backtrail_pipeline::config::Config;
use backtrail_pipeline::engine::NodeStatus;
use serde::Deserialize;

use super::incident::{self, Replayed};
use super::load;
use crate::cli::{Demo, Exit, Failure, Out, Progress};
use crate::render::text::{grouped, hanging};
use crate::render::time::length;
use crate::render::{Paint, WIDTH, suspects};

const PIPELINE: &str = include_str!("../../pipeline.yaml");
const TRACES: &[u8] = include_bytes!("../../demo/incident/traces.otlp.jsonl.zst");
const TRUTH: &str = include_str!("../../demo/incident/truth.json");
const LICENSE: &[u8] = include_bytes!("../../demo/incident/LICENSE");

/// Runs the command.
pub(crate) fn run(args: &Demo, out: &mut Out) -> Result<Exit, Failure> {
    if args.patch {
        return patch::run(&args.data_dir, out);
    }
    let label: Label = serde_json::from_str(TRUTH).context("the label of the demo")?;
    let recording = args.data_dir.join("incident");
    forget(&args.data_dir, &recording).with_context(|| format!("cannot clear {}", args.data_dir.display()))?;
    unpack(&recording).with_context(|| format!("cannot write the recording to {}", recording.display()))?;
    if !args.json {
        out.text(&opening(&label, out.paint()))?;
        out.finish()?;
    }
    let progress = Progress::spinner("loading");
    let replayed = incident::replay(configuration(&args.data_dir, &recording)?, &progress)?;
    drop(progress);
    for error in &replayed.report.errors {
        tracing::error!(error, "ended with an error");
    }
    let Some(found) = replayed.verdicts.last() else {
        return Err(
            Failure::from(anyhow::anyhow!("the pipeline gave no verdict")).hint("this is a bug: please report it")
        );
    };
    if args.json {
        out.json(found.as_ref())?;
    } else {
        out.text(&replayed.face(found, out.paint()))?;
        out.text(&label.compared(found, out.paint()))?;
        out.text(&closing(args, &recording, &replayed, out.paint()))?;
    }
    Ok(if replayed.report.errors.is_empty() { Exit::Ok } else { Exit::Problem })
}

/// The default pipeline with its receiver replaced by the recording.
fn configuration(data_dir: &Path, recording: &Path) -> Result<Config, Failure> {
    let plain = load::text("pipeline.yaml", PIPELINE, &[])?;
    let mut set = incident::replace_receivers(&plain, recording, "max");
    // The recording has two quiet minutes before the fault; live traffic has more past to learn from.
    set.push(("processors.anomaly_trigger.shift.warm_up".to_owned(), "1m".into()));
    set.push(("service.data_dir".to_owned(), serde_json::json!(data_dir)));
    load::text("pipeline.yaml", PIPELINE, &set)
}

/// Removes the tables of an earlier demo. The recording that lies beside them shows that the folder is one.
fn forget(data_dir: &Path, recording: &Path) -> std::io::Result<()> {
    let windows = data_dir.join("windows");
    let mine = std::fs::read(recording.join("truth.json")).is_ok_and(|truth| truth == TRUTH.as_bytes());
    if mine && windows.exists() { std::fs::remove_dir_all(windows) } else { Ok(()) }
}

fn unpack(folder: &Path) -> std::io::Result<()> {
    super::publish(&folder.join("traces.otlp.jsonl.zst"), TRACES)?;
    super::publish(&folder.join("truth.json"), TRUTH.as_bytes())?;
    super::publish(&folder.join("LICENSE"), LICENSE)
}

/// What the people who injected the fault wrote down. The pipeline is told nothing of it.
#[derive(Deserialize)]
struct Label {
    system: String,
    fault_type: String,
    root_cause: Cause,
}

#[derive(Deserialize)]
struct Cause {
    service: String,
}

impl Label {
    /// The verdict beside the label.
    fn compared(&self, found: &backtrail_model::verdict::Verdict, paint: Paint) -> String {
        let fault = self.fault_type.replace('_', " ");
        let first = found.of_kind("service").next().map(|suspect| suspects::name(&suspect.entity)).unwrap_or_default();
        let right = first.split(' ').next() == Some(&self.root_cause.service);
        let text = format!("{fault} in {}, injected by the people who recorded this", self.root_cause.service);
        let mark = if right { paint.good("[right]") } else { paint.bad("[wrong]") };
        format!("\n{}\n  {text}  {mark}\n", paint.bold("THE LABEL"))
    }
}

fn opening(label: &Label, paint: Paint) -> String {
    let system = label.system.replace('-', " ");
    let text = format!(
        "A recorded incident of the {system} shop (Nezha data set, MIT) goes through pipeline.yaml: OTLP lines to routes, \
         traces, edges, spectra, an incident, a verdict, Parquet windows and a patch request. It is told neither \
         when nor where the fault was."
    );
    format!("{}\n\n", paint.dim(&hanging("", &text, WIDTH)))
}

/// What was counted, where things lie, and what to do next.
fn closing(args: &Demo, recording: &Path, replayed: &Replayed, paint: Paint) -> String {
    let rows = &replayed.report.status.nodes;
    let spans: u64 = rows.iter().filter(|row| row.node.starts_with("receivers.")).map(|row| row.sent).sum();
    let mut text = format!("\n{}\n", paint.bold("WHAT WAS WRITTEN"));
    let windows = args.data_dir.join("windows");
    for (table, files, bytes) in tables(&windows) {
        let noun = if files == 1 { "file " } else { "files" };
        let path = windows.join("v1").join(&table);
        text.push_str(&format!("  {table:<10} {files} {noun} {:>9} bytes   {}\n", grouped(bytes), path.display()));
    }
    if let Some(request) = replayed.requests.last() {
        let (suspect, flag) = (&request.suspect_ref.entity, &request.constraints.patch_must_be_guarded_by_flag);
        let what = format!("asks for a change of {}, guarded by the flag {flag}", suspects::name(suspect));
        text.push_str(&format!("  request    {}\n", args.data_dir.join("patch_queue").display()));
        text.push_str(&format!("{}\n", hanging("             ", &what, WIDTH)));
    }
    let program = program();
    text.push_str(&format!("\n{}\n", paint.bold("NEXT")));
    let again = format!("{program} replay {}", recording.display());
    text.push_str(&format!("  the same again, from the recording:\n    {again}\n"));
    text.push_str(&format!("  how often it is right:\n    {program} eval {}\n", recording.display()));
    text.push_str(&format!("  your own traffic (OTLP to 127.0.0.1:4317 or :4318):\n    {program} run\n"));
    let (took, spans) = (length(replayed.took), grouped(spans));
    let account = if rows.iter().all(NodeStatus::is_conserved) {
        "at every node accepted = sent + dropped + held"
    } else {
        "some node lost count (accepted is not sent + dropped + held): please report it"
    };
    text.push_str(&paint.dim(&format!("\n{spans} spans in {took}; {account}\n")));
    text
}

/// The tables below a windows folder: name, files, bytes.
fn tables(windows: &Path) -> Vec<(String, u64, u64)> {
    let mut tables: Vec<(String, u64, u64)> = Vec::new();
    for folder in listed(&windows.join("v1")) {
        let (mut files, mut bytes) = (0, 0);
        let mut open = vec![folder.clone()];
        while let Some(next) = open.pop() {
            if next.is_dir() {
                open.extend(listed(&next));
            } else if next.extension().is_some_and(|extension| extension == "parquet") {
                files += 1;
                bytes += next.metadata().map(|meta| meta.len()).unwrap_or_default();
            }
        }
        if files > 0 {
            tables.push((folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), files, bytes));
        }
    }
    tables
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// How this program was called, so that what is printed can be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "backtrail".to_owned())
}
