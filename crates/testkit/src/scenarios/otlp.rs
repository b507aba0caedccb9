//! The recording as OTLP, as SDKs and the Collector's pod receivers send it: spans and logs by second, metrics by scrape.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};

use super::pods::Scrape;
use super::topology::Operation;
use super::traffic::{self, Kind};
use super::{Recording, SECOND};

/// A version and the pod that runs it.
type Release = (usize, bool);

impl Recording {
    /// Requests of spans, one a second of event time, spans in order of their end.
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        let request = |spans: &[traffic::Span]| {
            let mut by_release: BTreeMap<Release, Vec<Span>> = BTreeMap::new();
            for span in spans {
                by_release.entry(self.release(span.service, span.start)).or_default().push(self.span(span));
            }
            let resource_spans = by_release.into_iter().map(|(release, spans)| ResourceSpans {
                resource: Some(self.resource(release)),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            });
            ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
        };
        self.spans.chunk_by(|a, b| a.end / SECOND == b.end / SECOND).map(request).collect()
    }

    /// Requests of log records, one a second.
    pub fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        let request = |logs: &[traffic::Log]| {
            let mut by_release: BTreeMap<Release, Vec<LogRecord>> = BTreeMap::new();
            for log in logs {
                by_release.entry(self.release(log.service, log.time)).or_default().push(self.log(log));
            }
            let resource_logs = by_release.into_iter().map(|(release, log_records)| ResourceLogs {
                resource: Some(self.resource(release)),
                scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            });
            ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
        };
        self.logs.chunk_by(|a, b| a.time / SECOND == b.time / SECOND).map(request).collect()
    }

    /// Requests of metrics, one a scrape.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        let request = |scrapes: &[Scrape]| {
            let of_pod = |scrape: &Scrape| ResourceMetrics {
                resource: Some(self.resource(self.release(scrape.service, scrape.time))),
                scope_metrics: vec![ScopeMetrics { metrics: metrics(scrape), ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            };
            ExportMetricsServiceRequest { resource_metrics: scrapes.iter().map(of_pod).collect() }
        };
        self.metrics.chunk_by(|a, b| a.time == b.time).map(request).collect()
    }

    fn release(&self, service: usize, time: u64) -> Release {
        (service, self.plan.deployed.contains(&service) && time >= self.window[0])
    }

    fn resource(&self, (service, new): Release) -> Resource {
        let service = &self.topology.services[service];
        let (version, pod) = if new { ("2.1.0", "84bd77c5f6-q2wlx") } else { ("2.0.3", "6d5f7c9b8d-x7k2p") };
        let pod = format!("{}-{pod}", service.name);
        let attributes = vec![
            text("service.name", &*service.name),
            text("service.namespace", "scenarios"),
            text("service.version", version),
            text("service.instance.id", &*pod),
            text("k8s.pod.name", &*pod),
            text("k8s.node.name", &*service.node),
        ];
        Resource { attributes, ..Resource::default() }
    }

    fn span(&self, span: &traffic::Span) -> Span {
        let operation = &self.topology.operations[span.operation];
        let (name, mut attributes) = self.name(span, operation);
        if let Some(on) = span.variant {
            attributes.push(text("feature_flag.key", format!("{}-next", operation.file)));
            attributes.push(text("feature_flag.result.variant", if on { "on" } else { "off" }));
        }
        if span.resend > 0 {
            attributes.push(number("http.request.resend_count", i64::from(span.resend)));
        }
        let thrown = span.error.filter(|error| error.chars().all(char::is_alphabetic) && *error != "timeout");
        if let Some(error) = thrown.or(span.error.filter(|_| span.kind == Kind::Client)) {
            attributes.push(text("error.type", error));
        }
        let parent_span_id = if span.parent == 0 { vec![] } else { span.parent.to_be_bytes().to_vec() };
        Span {
            trace_id: span.trace.to_be_bytes().to_vec(),
            span_id: span.id.to_be_bytes().to_vec(),
            parent_span_id,
            trace_state: if self.sampled { "ot=th:8".to_owned() } else { String::new() },
            name,
            kind: kind(span.kind) as i32,
            start_time_unix_nano: span.start,
            end_time_unix_nano: span.end,
            attributes,
            events: thrown.map(|error| exception(span, operation, error)).into_iter().collect(),
            status: span.error.map(|error| Status { message: error.to_owned(), code: 2 }),
            ..Span::default()
        }
    }

    fn name(&self, span: &traffic::Span, operation: &Operation) -> (String, Vec<KeyValue>) {
        let callee = &self.topology.services[operation.service];
        if let Some(table) = &span.table {
            let attributes = vec![
                text("db.system.name", "postgresql"),
                text("db.operation.name", "SELECT"),
                text("db.collection.name", &**table),
            ];
            return (format!("SELECT {table}"), attributes);
        }
        match span.kind {
            Kind::Internal => {
                let function = operation.function.clone().unwrap_or_default();
                let attributes = vec![text("code.function.name", &*function), text("code.file.path", &*operation.file)];
                (function, attributes)
            }
            Kind::Producer | Kind::Consumer => {
                let verb = if span.kind == Kind::Producer { "send" } else { "process" };
                let topic = format!("{}-events", callee.name);
                let attributes = vec![
                    text("messaging.system", "kafka"),
                    text("messaging.operation.type", verb),
                    text("messaging.destination.name", &*topic),
                ];
                (format!("{verb} {topic}"), attributes)
            }
            Kind::Server | Kind::Client if callee.rpc => {
                let (service, method) = operation.name.split_once('/').unwrap_or_default();
                let attributes =
                    vec![text("rpc.system", "grpc"), text("rpc.service", service), text("rpc.method", method)];
                (operation.name.clone(), attributes)
            }
            Kind::Server | Kind::Client => {
                let (method, route) = operation.name.split_once(' ').unwrap_or_default();
                let status = if span.error.is_some() { 500 } else { 200 };
                let mut attributes = vec![text("http.request.method", method)];
                if span.error != Some("timeout") {
                    attributes.push(number("http.response.status_code", status));
                }
                if span.kind == Kind::Server {
                    attributes.push(text("http.route", route));
                    return (operation.name.clone(), attributes);
                }
                attributes.push(text("server.address", &*callee.name));
                attributes.push(text("url.full", format!("http://{}{route}", callee.name)));
                (method.to_owned(), attributes)
            }
        }
    }

    fn log(&self, log: &traffic::Log) -> LogRecord {
        let operation = &self.topology.operations[log.operation];
        let (severity_text, severity_number) = if log.error { ("ERROR", 17) } else { ("INFO", 9) };
        let body = match (log.error, log.line) {
            (true, 1) => format!("{} failed: unexpected state", operation.name),
            (true, _) => format!("{} failed: upstream request failed", operation.name),
            (false, line) => format!("{}: passed step {line} in {} us", operation.name, log.time % 1_000),
        };
        LogRecord {
            time_unix_nano: log.time,
            observed_time_unix_nano: log.time,
            severity_number,
            severity_text: severity_text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            attributes: vec![text("code.file.path", &*operation.file), number("code.line.number", i64::from(log.line))],
            trace_id: log.trace.to_be_bytes().to_vec(),
            span_id: log.span.to_be_bytes().to_vec(),
            ..LogRecord::default()
        }
    }
}

fn metrics(scrape: &Scrape) -> Vec<Metric> {
    let point = |value: f64, attributes: Vec<KeyValue>| NumberDataPoint {
        time_unix_nano: scrape.time,
        value: Some(number_data_point::Value::AsDouble(value)),
        attributes,
        ..NumberDataPoint::default()
    };
    let metric = |name: &str, unit: &str, data: Data| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    let gauge = |&(name, unit, value): &(&str, &str, f64)| {
        metric(name, unit, Data::Gauge(Gauge { data_points: vec![point(value, vec![])] }))
    };
    let mut metrics: Vec<Metric> = scrape.gauges.iter().map(gauge).collect();
    if let Some([used, most, pending]) = scrape.pool {
        let name = || text("db.client.connection.pool.name", "main");
        let state = text("db.client.connection.state", "used");
        for (of, unit, value, attributes) in [
            ("db.client.connection.count", "{connection}", used, vec![name(), state]),
            ("db.client.connection.max", "{connection}", most, vec![name()]),
            ("db.client.connection.pending_requests", "{request}", pending, vec![name()]),
        ] {
            let sum = Sum {
                data_points: vec![point(value, attributes)],
                aggregation_temporality: AggregationTemporality::Cumulative as i32,
                is_monotonic: false,
            };
            metrics.push(metric(of, unit, Data::Sum(sum)));
        }
    }
    metrics
}

fn exception(span: &traffic::Span, operation: &Operation, error: &str) -> span::Event {
    let function = operation.function.as_deref().unwrap_or("handle");
    let stack = format!("{error}: in {function}\n    at {function} ({}:41)", operation.file);
    span::Event {
        time_unix_nano: span.end,
        name: "exception".to_owned(),
        attributes: vec![text("exception.type", error), text("exception.stacktrace", stack)],
        ..span::Event::default()
    }
}

const fn kind(kind: Kind) -> span::SpanKind {
    match kind {
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
        Kind::Internal => span::SpanKind::Internal,
        Kind::Producer => span::SpanKind::Producer,
        Kind::Consumer => span::SpanKind::Consumer,
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
