use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::count_data_points;

/// A point that was read, in words.
type Read = (String, String, String, Shape, f64, Option<f64>);

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) };
    let pair =
        |&(key, text): &(&str, &str)| KeyValue { key: key.to_owned(), value: Some(value(text)), ..KeyValue::default() };
    pairs.iter().map(pair).collect()
}

fn number(value: f64, labels: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: 2_000,
        start_time_unix_nano: 1_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        attributes: attributes(labels),
        ..NumberDataPoint::default()
    }
}

fn gauge(points: Vec<NumberDataPoint>) -> metric::Data {
    metric::Data::Gauge(Gauge { data_points: points })
}

fn sum(points: Vec<NumberDataPoint>, temporality: i32, monotonic: bool) -> metric::Data {
    metric::Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: monotonic })
}

fn request(resource: &[(&str, &str)], metrics: Vec<(&str, &str, metric::Data)>) -> Vec<u8> {
    let metrics = metrics.into_iter().map(|(name, unit, data)| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    });
    let scope_metrics = vec![ScopeMetrics { metrics: metrics.collect(), ..ScopeMetrics::default() }];
    let resource = Some(Resource { attributes: attributes(resource), ..Resource::default() });
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn all(bytes: &[u8]) -> (Vec<Read>, Skipped) {
    let mut points = Vec::new();
    let skipped = read(bytes, &mut Names::default(), |point| {
        let entity = format!("{} {} {}", point.entity.service, point.entity.instance, point.entity.node);
        points.push((
            entity,
            point.entity.part.to_string(),
            point.name.to_owned(),
            point.shape,
            point.value,
            point.sum,
        ));
    });
    (points, skipped.expect("framed"))
}

const POD: [(&str, &str); 4] = [
    ("service.name", "cart"),
    ("k8s.pod.name", "cart-1"),
    ("service.instance.id", "127.0.0.1:80"),
    ("k8s.node.name", "n1"),
];

#[test]
fn gauges_and_counters_are_read_with_who_was_measured() {
    let bytes = request(
        &POD,
        vec![
            ("k8s.pod.cpu.usage", "{cpu}", gauge(vec![number(0.5, &[])])),
            ("weather", "Cel", gauge(vec![number(21.0, &[])])),
            (
                "process.cpu.time",
                "s",
                sum(vec![number(7.0, &[("cpu.mode", "user")]), number(9.0, &[("cpu.mode", "idle")])], 2, true),
            ),
            (
                "db.client.connections.usage",
                "{connection}",
                sum(
                    vec![number(3.0, &[("state", "used"), ("pool.name", "main")]), number(5.0, &[("state", "idle")])],
                    2,
                    false,
                ),
            ),
            ("jvm.thread.count", "{thread}", sum(vec![number(1.0, &[])], 1, false)),
            ("http_requests_total", "", gauge(vec![number(30.0, &[])])),
        ],
    );
    let (points, skipped) = all(&bytes);
    let who = "cart cart-1 n1".to_owned();
    let expected = [
        ("", "k8s.pod.cpu.usage", Shape::Level, 0.5),
        // Nobody knows its name, but it is a gauge.
        ("", "weather", Shape::Level, 21.0),
        ("", "process.cpu.time", Shape::Cumulative, 7.0),
        ("main", "db.client.connections.usage", Shape::Level, 3.0),
        ("", "http_requests_total", Shape::Cumulative, 30.0),
    ];
    let expected: Vec<Read> =
        expected.map(|(part, name, shape, value)| (who.clone(), part.into(), name.into(), shape, value, None)).into();
    assert_eq!(points, expected);
    assert_eq!(skipped, Skipped { not_counted: 2, delta_level: 1, ..Skipped::default() });
}

#[test]
fn distributions_of_all_kinds_give_count_and_sum_in_seconds() {
    let histogram = HistogramDataPoint {
        time_unix_nano: 2,
        count: 4,
        sum: Some(80.0),
        bucket_counts: vec![4],
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: 2,
        count: 3,
        sum: Some(9.0),
        scale: 4,
        attributes: attributes(&[("error.type", "timeout")]),
        ..ExponentialHistogramDataPoint::default()
    };
    let summary = SummaryDataPoint { time_unix_nano: 2, count: 2, sum: 1.5, ..SummaryDataPoint::default() };
    let bytes = request(
        &POD,
        vec![
            (
                "http.server.duration",
                "ms",
                metric::Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 }),
            ),
            (
                "http.client.request.duration",
                "s",
                metric::Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: vec![exponential],
                    aggregation_temporality: 2,
                }),
            ),
            ("http_request_duration_seconds", "", metric::Data::Summary(Summary { data_points: vec![summary] })),
        ],
    );
    let read: Vec<_> = all(&bytes).0.into_iter().map(|point| (point.3, point.4, point.5)).collect();
    assert_eq!(
        read,
        [(Shape::Delta, 4.0, Some(0.08)), (Shape::Cumulative, 3.0, Some(9.0)), (Shape::Cumulative, 2.0, Some(1.5))]
    );
}

#[test]
fn what_a_scraper_took_from_pods_is_about_the_pods() {
    let labels = |container: &'static str| {
        [("pod", "cart-579f59597d-wc2lz"), ("node", "n2"), ("container", container), ("id", "/kubepods")]
    };
    let points = ["cart", "", "POD"].map(|container| number(5.0, &labels(container)));
    let machine = number(50.0, &[("id", "/")]);
    let data = sum(points.into_iter().chain([machine]).collect(), 2, true);
    let bytes = request(&[("service.name", "cadvisor")], vec![("container_cpu_usage_seconds_total", "", data)]);
    let (points, skipped) = all(&bytes);
    let read: Vec<_> = points.iter().map(|point| (point.0.as_str(), point.1.as_str())).collect();
    assert_eq!(read, [("cart cart-579f59597d-wc2lz n2", "cart")]);
    assert_eq!(skipped.not_counted, 3);
}

#[test]
fn points_that_say_nothing_are_counted_and_lose_nothing_else() {
    let stale = NumberDataPoint { flags: 1, ..number(0.0, &[]) };
    let no_time = NumberDataPoint { time_unix_nano: 0, ..number(1.0, &[]) };
    let points = vec![stale, number(f64::NAN, &[]), no_time, number(1.0, &[])];
    let unknown = sum(vec![number(1.0, &[])], 0, true);
    let bytes = request(&POD, vec![("k8s.pod.cpu.usage", "", gauge(points)), ("k8s.pod.cpu.time", "s", unknown)]);
    let (points, skipped) = all(&bytes);
    assert_eq!(points.len(), 1);
    let expected = Skipped { no_value: 1, not_finite: 1, missing_time: 1, no_temporality: 1, ..Skipped::default() };
    assert_eq!(skipped, expected);
}

#[test]
fn the_resource_may_come_after_its_metrics_and_broken_bytes_are_an_error() {
    let bytes = request(&POD, vec![("k8s.pod.cpu.usage", "", gauge(vec![number(0.5, &[])]))]);
    let message = ExportMetricsServiceRequest::decode(&bytes[..]).expect("valid").resource_metrics.remove(0);
    let scopes = ResourceMetrics { resource: None, ..message.clone() }.encode_to_vec();
    let resource = ResourceMetrics { scope_metrics: Vec::new(), ..message }.encode_to_vec();
    let mut turned = Vec::new();
    crate::proto::put_field(&mut turned, 1, &[scopes, resource].concat());
    assert_eq!(all(&turned), all(&bytes));
    for cut in 1..bytes.len() {
        assert!(read(&bytes[..cut], &mut Names::default(), |_| {}).is_err(), "{cut}");
    }
}

proptest! {
    #[test]
    fn what_the_receiver_lets_through_is_read_to_its_end(at in 0..400_usize, byte in any::<u8>(), cut in 0..400_usize) {
        let labels = [("cpu.mode", "user"), ("container", "app")];
        let mut bytes = request(
            &POD,
            vec![
                ("process.cpu.time", "s", sum(vec![number(7.0, &labels)], 2, true)),
                ("http_requests_total", "", gauge(vec![number(30.0, &labels)])),
            ],
        );
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % 3 * (cut % bytes.len()) / 2);
        let mut points = 0;
        let read = read(&bytes, &mut Names::default(), |_| points += 1);
        if let Ok(counted) = count_data_points(&bytes) {
            prop_assert!(read.is_ok() && points <= counted);
        }
    }
}

/// The service and instance of a point without attributes of its own.
fn measured(resource: &[(&str, &str)]) -> String {
    let (points, _) = all(&request(resource, vec![("k8s.pod.cpu.usage", "{cpu}", gauge(vec![number(0.5, &[])]))]));
    points[0].0.clone()
}

#[test]
fn a_resource_without_a_service_is_named_after_its_workload() {
    for (resource, expected) in [
        // As the receivers kubeletstats and k8s_cluster send it.
        (&[("k8s.pod.name", "cart-579f59597d-wc2lz"), ("k8s.namespace.name", "shop")][..], "cart"),
        (&[("k8s.pod.name", "x"), ("k8s.deployment.name", "cart")], "cart"),
        (&[("k8s.statefulset.name", "ledger"), ("k8s.pod.name", "ledger-0")], "ledger"),
        (&[("k8s.daemonset.name", "agent")], "agent"),
        (&[("k8s.cronjob.name", "backup"), ("k8s.job.name", "backup-28412340")], "backup"),
        (&[("k8s.job.name", "backup-28412340")], "backup"),
        (&[("k8s.container.name", "server"), ("k8s.pod.name", "cart-579f59597d-wc2lz")], "cart"),
        (&[("k8s.container.name", "server")], "server"),
        (&[("service.name", "shop"), ("k8s.deployment.name", "cart"), ("k8s.pod.name", "cart-1")], "shop"),
        (&[("service.name", ""), ("k8s.pod.name", "cart-1")], "cart"),
        (&[("k8s.node.name", "n1")], "unknown_service"),
    ] {
        assert_eq!(measured(resource).split(' ').next(), Some(expected), "{resource:?}");
    }
}

#[test]
fn pods_of_one_scrape_are_suspects_of_their_own() {
    let pods = ["cart-579f59597d-wc2lz", "web-6d4b75cb6d-hx8kp"];
    let who = pods.map(|pod| measured(&[("k8s.pod.name", pod), ("k8s.node.name", "n1")]));
    assert_eq!(who, ["cart cart-579f59597d-wc2lz n1", "web web-6d4b75cb6d-hx8kp n1"]);
}
