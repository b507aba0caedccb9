//! What all signals cost against traces alone: the same spans through the chain of `path`, once without the order of
//! events, logs and metrics, and once with all three, `anomaly_trigger` and `verdict` behind both.
//!
//! The mix: one log record for every two spans, from 240 statements, each within its span; 200 pods (10 a service, so
//! about 140 spans a second each), of which each is scraped every 15 s for 22 data points: processor, memory and their
//! limits, six of its runtime, and twelve histograms of request durations.

use backtrail_model::time::{Tick, UnixNano};
use backtrail_testkit::corpus::Corpus;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use serde_json::json;

use crate::chain::Chain;
use crate::measure::{Scale, Stopwatch, corpus, least, print};
use crate::path::{LATENESS, LENGTH, PASSES, SECOND, START, TICK, processors, requests, with_paths};

/// Spans for each log record.
const SPANS_A_RECORD: usize = 2;
/// Statements of a service.
const STATEMENTS: usize = 12;
/// Pods of a service.
const PODS: usize = 10;
/// Time between two scrapes of a pod.
const SCRAPE: u64 = 15 * SECOND;
/// Routes with a histogram of durations.
const ROUTES: usize = 12;
/// Levels that a pod reports.
const LEVELS: [&str; 10] = [
    "k8s.pod.cpu.usage",
    "k8s.pod.cpu_limit_utilization",
    "k8s.pod.memory.usage",
    "k8s.pod.memory_limit_utilization",
    "jvm.memory.used",
    "jvm.memory.committed",
    "jvm.thread.count",
    "jvm.class.count",
    "db.client.connection.count",
    "jvm.cpu.recent_utilization",
];

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let runs = scale.of(1, 3) as u64;
    let passes = scale.of(1, PASSES as usize) as u64;
    let spans = (corpus.spans * passes as usize) as f64;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let traces = least(runs, |run| {
        let processors = judged(processors(), &[]);
        chain(&corpus, passes, Chain::new(&processors, Some(&folder.path().join(format!("traces-{run}")))), false).nanos
    });
    let mut sent = Sent::default();
    let all = least(runs, |run| {
        let processors = judged(with_paths(), &["log_motifs", "metric_shifts"]);
        let chain = Chain::new(&processors, Some(&folder.path().join(format!("all-{run}"))));
        sent = self::chain(&corpus, passes, chain, true);
        sent.nanos
    });
    print(&format!(
        "signals: traces alone {:.0} ns a span; with the order of events, {} log records and {} data points of metrics \
         {:.0} ns a span; {:.2} times as much",
        traces / spans,
        sent.records,
        sent.points,
        all / spans,
        all / traces,
    ));
}

/// A chain with further observers before its sampler, and the judges.
fn judged(
    mut chain: Vec<(&'static str, serde_json::Value)>,
    further: &[&'static str],
) -> Vec<(&'static str, serde_json::Value)> {
    let sampler = chain.pop();
    let further = further.iter().chain(&["anomaly_trigger", "verdict"]);
    chain.extend(further.map(|&name| (name, json!({}))));
    chain.extend(sampler);
    chain
}

#[derive(Default)]
struct Sent {
    nanos: f64,
    records: u64,
    points: u64,
}

/// Sends the passes through a chain: spans, and with `all` their log records and the scrapes that fall due. What is sent
/// is made while no clock runs.
fn chain(corpus: &Corpus, passes: u64, mut chain: Chain, all: bool) -> Sent {
    let step = LENGTH / (passes as usize * corpus.requests.len()).max(1) as u64;
    let (mut watch, mut arrival, mut sent) = (Stopwatch::default(), START, Sent::default());
    let resources = resources(corpus);
    for request in requests(corpus, passes) {
        // Made in both cases, so that the caches are as cold in both.
        let (logs, made) = logs(&request);
        let records = if all { made } else { 0 };
        let before = arrival;
        arrival += step;
        let mut scrapes = Vec::new();
        if all && arrival / SCRAPE != before / SCRAPE {
            scrapes = resources.iter().flat_map(|of| (0..PODS).map(|pod| scrape(of, pod, arrival))).collect();
        }
        watch.time(|| {
            let now = UnixNano(arrival);
            chain.request(request, now);
            if records > 0 {
                chain.logs(logs, now);
            }
            for (request, points) in scrapes {
                sent.points += points;
                chain.metrics(request, points, now);
            }
            if arrival / TICK != before / TICK {
                chain.tick(Tick { arrival: now, watermark: UnixNano(arrival - LATENESS) });
            }
        });
        sent.records += records;
    }
    watch.time(|| chain.finish());
    sent.nanos = watch.nanos();
    sent
}

fn decoded(request: &[u8]) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(request).expect("the corpus is valid").resource_spans
}

/// One resource a service.
fn resources(corpus: &Corpus) -> Vec<Resource> {
    let mut found: Vec<Resource> = Vec::new();
    for request in &corpus.requests {
        let resources = decoded(&request.pass(1)).into_iter().filter_map(|spans| spans.resource);
        for resource in resources {
            if !found.contains(&resource) {
                found.push(resource);
            }
        }
    }
    found
}

fn text(value: String) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value)) }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

/// The log records of every second span of a request, and how many.
fn logs(request: &[u8]) -> (Bytes, u64) {
    let mut records = 0;
    let resource_logs = decoded(request).into_iter().map(|of_resource| {
        let spans = of_resource.scope_spans.iter().flat_map(|scope| &scope.spans).step_by(SPANS_A_RECORD);
        let log_records: Vec<LogRecord> = spans
            .map(|span| {
                let statement = usize::from(span.span_id[0]) % STATEMENTS;
                let order = u16::from_be_bytes([span.span_id[1], span.span_id[2]]);
                LogRecord {
                    time_unix_nano: span.start_time_unix_nano + 1000,
                    severity_number: 9,
                    severity_text: "INFO".to_owned(),
                    body: Some(text(format!("step {} of order {order} done in {} ms", WORDS[statement], order % 90))),
                    attributes: vec![
                        attribute("code.namespace", format!("com.example.service.Handler{statement}")),
                        attribute("thread.name", format!("http-nio-8080-exec-{}", order % 64)),
                    ],
                    trace_id: span.trace_id.clone(),
                    span_id: span.span_id.clone(),
                    ..LogRecord::default()
                }
            })
            .collect();
        records += log_records.len() as u64;
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        ResourceLogs { resource: of_resource.resource, scope_logs, ..ResourceLogs::default() }
    });
    let request = ExportLogsServiceRequest { resource_logs: resource_logs.collect() };
    (request.encode_to_vec().into(), records)
}

/// What tells the statements of a service apart.
const WORDS: [&str; STATEMENTS] = [
    "validate",
    "reserve",
    "price",
    "discount",
    "authorize",
    "capture",
    "pack",
    "ship",
    "notify",
    "audit",
    "refund",
    "close",
];

/// One scrape of one pod, and its data points.
fn scrape(resource: &Resource, pod: usize, time: u64) -> (Bytes, u64) {
    let mut resource = resource.clone();
    for attribute in &mut resource.attributes {
        if matches!(attribute.key.as_str(), "service.instance.id" | "k8s.pod.name") {
            attribute.value = Some(text(format!("pod-{pod}")));
        }
    }
    let level = |(n, name): (usize, &&str)| {
        let value = Some(number_data_point::Value::AsDouble(0.1 + (n + pod) as f64 / 64.0));
        let point = NumberDataPoint { time_unix_nano: time, value, ..NumberDataPoint::default() };
        Metric {
            name: (*name).to_owned(),
            data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
            ..Metric::default()
        }
    };
    let mut metrics: Vec<Metric> = LEVELS.iter().enumerate().map(level).collect();
    let requests = (time - START) / SECOND * 14;
    let data_points = (0..ROUTES).map(|route| HistogramDataPoint {
        attributes: vec![
            attribute("http.route", format!("/api/v1/resource{route}/{{id}}")),
            attribute("http.request.method", "GET".to_owned()),
        ],
        start_time_unix_nano: START - SECOND,
        time_unix_nano: time,
        count: requests,
        sum: Some(requests as f64 * 0.04),
        bucket_counts: (0..15).map(|bucket| if bucket == 4 { requests } else { 0 }).collect(),
        explicit_bounds: vec![0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
        ..HistogramDataPoint::default()
    });
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let histogram = Histogram { data_points: data_points.collect(), aggregation_temporality };
    metrics.push(Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(metric::Data::Histogram(histogram)),
        ..Metric::default()
    });
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics };
    (request.encode_to_vec().into(), (LEVELS.len() + ROUTES) as u64)
}
