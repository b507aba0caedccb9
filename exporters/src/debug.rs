//! `debug`: shows what flows, for looking at a pipeline. otelcol's component of that name, with its settings.
//!
//! ```yaml
//! exporters:
//!   debug: { verbosity: normal, signals: [incidents, verdicts] }
//! ```
//!
//! Without `signals` it asks for all that reaches its pipeline, also for what nobody else wants there: behind a global
//! node that is every trace, through one thread.

use std::fmt::Write as _;
use std::io::Write as _;

use async_trait::async_trait;
use backtrail_model::data::{Batch, Data};
use backtrail_model::log::{LogBatch, LogRecord, severity_name};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::span::{SpanFlags, SpanRecord};
use backtrail_model::symbols::SymbolKind;
use backtrail_model::{TraceId, UnixNano};
use backtrail_pipeline::{Component, Context, Exporter, Finding, NodeError, Scope};
use backtrail_wire::attributes::{LogView, SpanView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// A line a batch.
    #[default]
    Basic,
    /// A line an item.
    Normal,
    /// Everything.
    Detailed,
}

/// Settings of `debug`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is shown; everything when it is empty.
    pub signals: Vec<Signal>,
    /// How much is shown: `basic`, `normal` or `detailed`.
    pub verbosity: Verbosity,
    /// Batches that are shown each second before sampling begins.
    pub sampling_initial: u64,
    /// After these, every n-th batch of the second is shown.
    pub sampling_thereafter: u64,
    /// Whether it is written as log lines; otherwise it goes to stderr as it is.
    pub use_internal_logger: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signals: Vec::new(),
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
        }
    }
}

impl Component for Config {
    const NAME: &'static str = "debug";
    const ALIASES: &'static [&'static str] = &["logging"];
    const SUMMARY: &'static str = "Shows what flows, on stderr.";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Exporter;

    fn accepts(&self) -> Signals {
        if self.signals.is_empty() { Signals::of(&Signal::ALL) } else { self.signals.iter().copied().collect() }
    }

    fn emits(&self) -> Signals {
        Signals::NONE
    }

    fn check(&self) -> Vec<Finding> {
        if self.sampling_thereafter > 0 {
            return Vec::new();
        }
        vec![Finding::new("sampling_thereafter", "every 0th batch is none", "write 1 for every batch")]
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Exporter>, NodeError> {
        Ok(Box::new(Debug { cx: cx.clone(), config: self.clone(), second: 0, seen: 0 }))
    }
}

struct Debug {
    cx: Context,
    config: Config,
    /// The second that `seen` counts in.
    second: u64,
    seen: u64,
}

impl Debug {
    fn is_shown(&mut self, now: UnixNano) -> bool {
        let second = now.0 / 1_000_000_000;
        if second != self.second {
            (self.second, self.seen) = (second, 0);
        }
        self.seen += 1;
        let Config { sampling_initial, sampling_thereafter, .. } = self.config;
        self.seen <= sampling_initial || (self.seen - sampling_initial).is_multiple_of(sampling_thereafter.max(1))
    }

    fn show(&self, data: &Data) {
        let text = text(data, self.config.verbosity, &self.cx);
        if self.config.use_internal_logger {
            tracing::info!(node = self.cx.node(), "{text}");
        } else {
            // Without stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

#[async_trait]
impl Exporter for Debug {
    async fn export(&mut self, batch: &Batch) -> Result<(), NodeError> {
        if self.is_shown(self.cx.now()) {
            self.show(&batch.data);
        }
        self.cx.stats().send(batch.data.items());
        Ok(())
    }
}

/// What is shown of a batch.
fn text(data: &Data, verbosity: Verbosity, cx: &Context) -> String {
    let mut out = format!("{}: {} items", data.signal(), data.items());
    if verbosity == Verbosity::Basic {
        return out;
    }
    let detailed = verbosity == Verbosity::Detailed;
    match data {
        Data::Spans(batch, selected) => {
            let all = 0..batch.records.len();
            let selected: Vec<usize> =
                selected.as_ref().map_or(all.collect(), |s| s.iter().map(|&i| i as usize).collect());
            for index in selected {
                let record = &batch.records[index];
                span(&mut out, batch.trace_ids[index], record, detailed.then(|| batch.raw(record)), cx);
            }
        }
        Data::Traces(batch) => {
            for trace in &batch.traces {
                let _ = write!(out, "\ntrace {} {} spans, kept by '{}'", trace.trace_id, trace.len, trace.reason);
                for record in batch.spans(trace) {
                    span(&mut out, trace.trace_id, record, detailed.then(|| batch.raw(record)), cx);
                }
            }
        }
        Data::Logs(batch, selected) => {
            let all = 0..batch.records.len();
            let selected: Vec<usize> =
                selected.as_ref().map_or(all.collect(), |s| s.iter().map(|&i| i as usize).collect());
            for index in selected {
                log(&mut out, batch, &batch.records[index], detailed, cx);
            }
        }
        Data::Metrics(_) => {}
        Data::Edges(slice) => {
            for (key, counts) in &slice.edges {
                let (calls, errors) = (counts.calls as f64 / 256.0, counts.errors as f64 / 256.0);
                let _ = write!(out, "\n  {} -> {} {} ", key.caller, key.callee, key.route);
                let _ = write!(out, "({}) calls={calls} errors={errors}", key.kind.name());
            }
        }
        Data::Spectra(slice) => {
            let (groups, signatures) = (slice.groups.len(), slice.signatures.len());
            let _ = write!(out, "\n  slice {} groups={groups} signatures={signatures}", slice.slice.0);
        }
        Data::LogMotifs(slice) => {
            for (key, counts) in &slice.motifs {
                let _ = write!(out, "\n  {} {} {}", severity_name(key.severity), key.service, key.template);
                let _ = write!(out, " count={}", counts.count);
            }
        }
        Data::MetricWindows(slice) => {
            for (key, scrapes) in &slice.series {
                let last = scrapes.last().map_or(0.0, |scrape| scrape.value());
                let _ = write!(out, "\n  {} {} {} ", key.service, key.instance, key.measure.name());
                let _ = write!(out, "({}) {last} {}", key.name, key.measure.unit());
            }
        }
        Data::Incident(incident) => document(&mut out, incident, detailed),
        Data::Verdict(verdict) => document(&mut out, verdict, detailed),
        Data::PatchRequest(request) => document(&mut out, request, detailed),
    }
    out
}

fn document(out: &mut String, document: &impl Serialize, detailed: bool) {
    let json = if detailed { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) };
    let _ = write!(out, "\n{}", json.unwrap_or_default());
}

fn span(out: &mut String, trace_id: TraceId, record: &SpanRecord, raw: Option<&[u8]>, cx: &Context) {
    let name = |kind, symbol| cx.symbols().resolve(kind, symbol);
    let error = if record.flags.has(SpanFlags::ERROR) { " error" } else { "" };
    let _ = write!(
        out,
        "\n  {trace_id} {} {} {} {} {:?}{error}",
        record.span_id,
        name(SymbolKind::Service, record.service),
        name(SymbolKind::Operation, record.operation),
        record.kind.name(),
        std::time::Duration::from_nanos(record.duration)
    );
    let Some(Ok(view)) = raw.map(SpanView::parse) else { return };
    let _ = write!(out, "\n    start {} parent {}", record.start, record.parent_id);
    for (key, value) in view.attributes() {
        let _ = write!(out, "\n    {key}: {value}");
    }
    for event in view.events() {
        let _ = write!(out, "\n    event {} {}", UnixNano(event.time()), event.name());
        for (key, value) in event.attributes() {
            let _ = write!(out, "\n      {key}: {value}");
        }
    }
}

fn log(out: &mut String, batch: &LogBatch, record: &LogRecord, detailed: bool, cx: &Context) {
    let name = |kind, symbol| cx.symbols().resolve(kind, symbol);
    let _ = write!(
        out,
        "\n  {} {} {} {}",
        record.time,
        severity_name(record.severity),
        name(SymbolKind::Service, record.service),
        name(SymbolKind::Template, record.template)
    );
    if !detailed {
        return;
    }
    let _ = write!(out, "\n    trace {} span {}", record.trace_id, record.span_id);
    let Ok(view) = LogView::parse(batch.raw(record)) else { return };
    let _ = write!(out, "\n    body: {}", view.body());
    for (key, value) in view.attributes() {
        let _ = write!(out, "\n    {key}: {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::parquet::test_data::traces;

    #[tokio::test]
    async fn takes_everything_and_samples_what_it_shows() {
        let cx = Context::for_test("exporters.debug");
        let config: Config =
            serde_json::from_str(r#"{"sampling_initial": 2, "sampling_thereafter": 5}"#).expect("settings");
        let mut debug = Debug { cx: cx.clone(), config, second: 0, seen: 0 };
        let shown = (0..12).filter(|_| debug.is_shown(UnixNano(5))).count();
        assert_eq!(shown, 4);
        assert!(debug.is_shown(UnixNano(1_000_000_001)));
        let batch = traces(&cx, 0..3, 2);
        debug.export(&batch).await.expect("taken");
        assert_eq!(cx.stats().sent.load(Ordering::Relaxed), batch.data.items());
    }

    #[test]
    fn asks_for_the_listed_signals_alone() {
        let config: Config = serde_json::from_str(r#"{"signals": ["verdicts", "edges"]}"#).expect("settings");
        assert_eq!(config.accepts(), Signals::of(&[Signal::Edges, Signal::Verdicts]));
        assert_eq!(Config::default().accepts(), Signals::of(&Signal::ALL));
    }

    #[test]
    fn detail_grows_with_verbosity() {
        let cx = Context::for_test("exporters.debug");
        let data = traces(&cx, 0..1, 2).data;
        let [basic, normal, detailed] =
            [Verbosity::Basic, Verbosity::Normal, Verbosity::Detailed].map(|verbosity| text(&data, verbosity, &cx));
        assert_eq!(basic, "traces: 2 items");
        assert!(normal.contains("checkout") && !normal.contains("http.route"), "{normal}");
        assert!(detailed.contains("http.route: /cart"), "{detailed}");
    }

    #[test]
    fn log_records_show_what_the_walk_read_of_them() {
        let cx = Context::for_test("exporters.debug");
        let text = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},
            "scopeLogs":[{"scope":{"name":"Charge"},"logRecords":[{"severityNumber":17,"body":{"stringValue":"card 7 failed"},
            "attributes":[{"key":"user","value":{"stringValue":"ada"}}]},{}]}]}]}"#;
        let bytes = backtrail_wire::json::logs(text).expect("valid");
        let mut walker = backtrail_wire::Walker::new(std::sync::Arc::default(), std::sync::Arc::clone(cx.symbols()));
        let batch = walker.logs(bytes.into(), &backtrail_wire::Bounds::none()).expect("well-framed").batch;
        let data = Data::Logs(std::sync::Arc::new(batch), Some(std::sync::Arc::from([0])));
        let normal = super::text(&data, Verbosity::Normal, &cx);
        assert!(
            normal.starts_with("logs: 1 items") && normal.ends_with("ERROR pay ERROR Charge card <*> failed"),
            "{normal}"
        );
        let detailed = super::text(&data, Verbosity::Detailed, &cx);
        assert!(detailed.contains("body: card 7 failed") && detailed.contains("user: ada"), "{detailed}");
    }
}
