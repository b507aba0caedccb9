//! Replaying recorded telemetry through a pipeline and keeping what comes out: shared by `replay`, `demo` and `eval`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backtrail_localize::Slices;
use backtrail_model::data::{Batch, Data};
use backtrail_model::edges::EdgeSlice;
use backtrail_model::log_motifs::LogMotifSlice;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::config::Config;
use backtrail_pipeline::engine::{self, Handle, Report, Running};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::load::{self, Override};
use super::runtime;
use crate::cli::{Failure, Progress, Span};
use crate::render::text::grouped;
use crate::render::{Paint, hops, verdict};

/// The pipeline of `replay` and `eval`: everything up to the verdict, nothing on disk.
pub(crate) const BUILT_IN: &str = include_str!("built_in.yaml");

/// What a replay gave.
pub(crate) struct Replayed {
    /// The last revision of each incident, in the order in which the incidents opened.
    pub(crate) verdicts: Vec<Arc<Verdict>>,
    /// Patch requests.
    pub(crate) requests: Vec<Arc<PatchRequest>>,
    /// Slices of spectra.
    pub(crate) spectra: Vec<Arc<SpectraSlice>>,
    /// Slices of edges.
    pub(crate) edges: Vec<Arc<EdgeSlice>>,
    /// Slices of metrics.
    pub(crate) metrics: Vec<Arc<MetricSlice>>,
    /// Slices of log motifs.
    pub(crate) logs: Vec<Arc<LogMotifSlice>>,
    /// When each incident was announced: the watermark of its first revision, by key.
    pub(crate) announced: BTreeMap<String, UnixNano>,
    /// The grid of the slices.
    pub(crate) grid: SliceGrid,
    /// How it ended.
    pub(crate) report: Report,
    /// How long it took.
    pub(crate) took: Duration,
}

#[derive(Default)]
struct Seen {
    order: Vec<String>,
    verdicts: BTreeMap<String, Arc<Verdict>>,
    requests: Vec<Arc<PatchRequest>>,
    spectra: Vec<Arc<SpectraSlice>>,
    edges: Vec<Arc<EdgeSlice>>,
    metrics: Vec<Arc<MetricSlice>>,
    logs: Vec<Arc<LogMotifSlice>>,
    announced: BTreeMap<String, UnixNano>,
}

/// Slices that are remembered: some 40 hours of the default length. A longer replay forgets the oldest.
const MOST_SLICES: usize = 10_000;

/// Adds to a bounded memory.
fn remember<T>(slices: &mut Vec<Arc<T>>, slice: &Arc<T>) {
    if slices.len() >= MOST_SLICES {
        slices.drain(..MOST_SLICES / 10);
    }
    slices.push(Arc::clone(slice));
}

impl Seen {
    fn see(&mut self, batch: &Batch) {
        match &batch.data {
            Data::Verdict(verdict) => {
                if !self.verdicts.contains_key(&verdict.incident_key) {
                    self.order.push(verdict.incident_key.clone());
                    self.announced.insert(verdict.incident_key.clone(), verdict.window.watermark_unix_nano);
                }
                self.verdicts.insert(verdict.incident_key.clone(), Arc::clone(verdict));
            }
            Data::PatchRequest(request) => self.requests.push(Arc::clone(request)),
            Data::Spectra(slice) => remember(&mut self.spectra, slice),
            Data::Edges(slice) => remember(&mut self.edges, slice),
            Data::MetricWindows(slice) => remember(&mut self.metrics, slice),
            Data::LogMotifs(slice) => remember(&mut self.logs, slice),
            _ => {}
        }
    }
}

impl Replayed {
    /// What was counted in the slices that are `wanted`.
    pub(crate) fn slices(&self, wanted: impl Fn(Slice) -> bool) -> Slices<'_> {
        Slices {
            spectra: self.spectra.iter().filter(|part| wanted(part.slice)).map(|part| &**part).collect(),
            edges: self.edges.iter().filter(|part| wanted(part.slice)).map(|part| &**part).collect(),
            metrics: self.metrics.iter().filter(|part| wanted(part.slice)).map(|part| &**part).collect(),
            logs: self.logs.iter().filter(|part| wanted(part.slice)).map(|part| &**part).collect(),
        }
    }

    /// The terminal face of one of its verdicts, with the whole service graph of the window.
    pub(crate) fn face(&self, verdict: &Verdict, paint: Paint) -> String {
        verdict::face(verdict, &hops::of_window(verdict, &self.edges, self.grid), paint)
    }
}

/// Runs a pipeline whose inputs end.
pub(crate) fn replay(config: Config, progress: &Progress) -> Result<Replayed, Failure> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let eyes = Arc::clone(&seen);
    let tap = Box::new(move |batch: &Batch| eyes.lock().see(batch));
    let from = progress.elapsed();
    let (grid, report) = runtime()?.block_on(async {
        let running = engine::start(config, Some(tap)).await.map_err(load::not_started)?;
        let grid = running.shared().grid;
        Ok::<_, Failure>((grid, watch(running, progress).await))
    })?;
    let mut seen = std::mem::take(&mut *seen.lock());
    let verdicts = seen.order.iter().filter_map(|key| seen.verdicts.remove(key)).collect();
    let took = progress.elapsed().saturating_sub(from);
    let Seen { requests, spectra, edges, metrics, logs, announced, .. } = seen;
    Ok(Replayed { verdicts, requests, spectra, edges, metrics, logs, announced, grid, report, took })
}

/// Waits for the end and shows how far it is. Ctrl-C stops it in order.
async fn watch(running: Running, progress: &Progress) -> Report {
    let handle = running.handle();
    let ended = running.wait();
    tokio::pin!(ended);
    let mut timer = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            report = &mut ended => return report,
            _ = timer.tick() => progress.say(how_far(&handle)),
            _ = tokio::signal::ctrl_c() => handle.stop(),
        }
    }
}

fn how_far(handle: &Handle) -> String {
    let status = handle.status();
    let sum =
        |part: &str| -> u64 { status.nodes.iter().filter(|row| row.node.starts_with(part)).map(|row| row.sent).sum() };
    format!("{} spans", grouped(sum("receivers.")))
}

/// Overrides that replace all receivers of a configuration by a replay of `path`.
pub(crate) fn replace_receivers(config: &Config, path: &Path, speed: &str) -> Vec<Override> {
    let mut set = vec![("receivers".to_owned(), json!({ "replay": { "path": path, "speed": speed } }))];
    let pipelines = &config.service.pipelines;
    for (name, pipeline) in pipelines {
        let (chains, inputs): (Vec<_>, Vec<_>) = pipeline.receivers.iter().partition(|id| pipelines.contains_key(*id));
        let mut receivers: Vec<Value> = chains.into_iter().map(|id| json!(id)).collect();
        if !inputs.is_empty() {
            receivers.push(json!("replay"));
        }
        set.push((format!("service.pipelines.{name}.receivers"), Value::Array(receivers)));
    }
    set
}

/// Overrides that make every `anomaly_trigger` judge one given window, with slices that begin where it begins.
pub(crate) fn judge_window(config: &Config, window: Span) -> Vec<Override> {
    let mut set = vec![("service.slice_origin".to_owned(), json!(window.start.0))];
    let triggers = config.graph.nodes.iter().filter(|node| node.id.split('/').next() == Some("anomaly_trigger"));
    for trigger in triggers {
        set.push((format!("processors.{}.window", trigger.id), window_value(window)));
    }
    set
}

/// The window in the configuration of `anomaly_trigger`.
pub(crate) fn window_value(window: Span) -> Value {
    json!({ "start": window.start.0, "end": window.end.0 })
}
