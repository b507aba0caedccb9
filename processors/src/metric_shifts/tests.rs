use backtrail_model::data::RawBatch;
use backtrail_model::metrics::{Measure, SeriesKey};
use proptest::prelude::*;

use super::*;
use crate::testing::{Chain, documented, node};

const SECOND: u64 = 1_000_000;

/// A metric's points in OTLP/JSON: gauge, counter (cumulative or delta), histogram.
#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
    Delta,
    Histogram,
}

/// One point: seconds since the epoch, its value (the count of a histogram), its labels.
type Point = (u64, f64, &'static [(&'static str, &'static str)]);

/// A request of service `cart`, pod `cart-1` on node `n1`. Counters start at 1 s, delta intervals are 15 s; the sum of a
/// histogram is half a second for each observation.
fn request(name: &str, kind: Kind, points: &[Point]) -> Data {
    let labels = |labels: &[(&str, &str)]| -> Vec<serde_json::Value> {
        labels.iter().map(|(key, value)| serde_json::json!({"key": key, "value": {"stringValue": value}})).collect()
    };
    let nano = |seconds: u64| (seconds * 1_000_000_000).to_string();
    let point = |&(time, value, pairs): &Point| match kind {
        Kind::Histogram => serde_json::json!({"timeUnixNano": nano(time), "startTimeUnixNano": nano(1),
            "count": value as u64, "sum": value / 2.0, "attributes": labels(pairs)}),
        Kind::Delta => serde_json::json!({"timeUnixNano": nano(time), "startTimeUnixNano": nano(time - 15),
            "asDouble": value, "attributes": labels(pairs)}),
        _ => serde_json::json!({"timeUnixNano": nano(time), "startTimeUnixNano": nano(1),
            "asDouble": value, "attributes": labels(pairs)}),
    };
    let points: Vec<_> = points.iter().map(point).collect();
    let mut metric = serde_json::json!({"name": name});
    match kind {
        Kind::Gauge => metric["gauge"] = serde_json::json!({"dataPoints": points}),
        Kind::Counter | Kind::Delta => {
            let temporality = if matches!(kind, Kind::Delta) { 1 } else { 2 };
            metric["sum"] =
                serde_json::json!({"dataPoints": points, "aggregationTemporality": temporality, "isMonotonic": true});
        }
        Kind::Histogram => {
            metric["histogram"] = serde_json::json!({"dataPoints": points, "aggregationTemporality": 2});
        }
    }
    let resource = labels(&[("service.name", "cart"), ("k8s.pod.name", "cart-1"), ("k8s.node.name", "n1")]);
    let json = serde_json::json!({"resourceMetrics": [
        {"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": [metric]}]}
    ]});
    let buf = backtrail_wire::json::metrics(json.to_string().as_bytes()).expect("OTLP/JSON");
    Data::Metrics(RawBatch { buf: buf.into(), items: points.len() as u64, permit: None })
}

fn slices(data: Vec<Data>) -> Vec<MetricSlice> {
    let slices = data.into_iter().filter_map(|data| match data {
        Data::MetricWindows(slice) => Some(Arc::unwrap_or_clone(slice)),
        _ => None,
    });
    slices.collect()
}

fn chain(config: &Config) -> Chain {
    Chain(vec![node(&Context::for_test("metric_shifts"), config)])
}

/// Sends the requests as they arrive at their last point's time and closes everything.
fn close(requests: Vec<Data>) -> Vec<MetricSlice> {
    let mut chain = chain(&Config::default());
    for request in requests {
        chain.send_at(request, 1000 * SECOND);
    }
    slices(chain.finish())
}

/// The scrapes of a measure as (seconds, value), over all slices.
fn scrapes(slices: &[MetricSlice], measure: Measure) -> Vec<(u64, f64)> {
    let of = |(key, scrapes): (&SeriesKey, &Vec<backtrail_model::metrics::Scrape>)| {
        let wanted = if key.measure == measure { scrapes.clone() } else { Vec::new() };
        wanted.into_iter().map(|scrape| (scrape.time.0 / 1_000_000_000, scrape.value()))
    };
    slices.iter().flat_map(|slice| slice.series.iter().flat_map(of)).collect()
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../metric_shifts.rs"));
    assert_eq!((config.max_series, config.measures.as_slice()), (20_000, &Family::ALL[..]));
}

#[test]
fn a_level_keeps_its_bits_and_who_was_measured() {
    let closed = close(vec![request("k8s.pod.cpu.usage", Kind::Gauge, &[(20, 0.1 + 0.2, &[])])]);
    let (key, scrapes) = closed[0].series.first_key_value().expect("a series");
    let who = [&key.service, &key.instance, &key.node, &key.part, &key.name].map(|text| &**text);
    assert_eq!(who, ["cart", "cart-1", "n1", "", "k8s.pod.cpu.usage"]);
    assert_eq!(scrapes[0].value().to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(closed[0].slice, Context::for_test("x").grid().slice(UnixNano(20_000_000_000)));
}

#[test]
fn a_counter_becomes_its_rate_and_a_reset_counts_from_zero() {
    let points: Vec<Point> = [(10, 100.0), (20, 105.0), (30, 125.0), (40, 4.0), (50, 5.0)]
        .map(|(time, value)| (time, value, &[][..]))
        .into();
    let closed = close(vec![request("process_cpu_seconds_total", Kind::Counter, &points)]);
    assert_eq!(scrapes(&closed, Measure::CpuUsage), [(20, 0.5), (30, 2.0), (40, 0.4), (50, 0.1)]);
}

#[test]
fn a_delta_is_a_rate_over_its_own_interval() {
    let closed = close(vec![request("http_requests_total", Kind::Delta, &[(20, 30.0, &[]), (90, 15.0, &[])])]);
    assert_eq!(scrapes(&closed, Measure::RequestRate), [(20, 2.0), (90, 1.0)]);
}

#[test]
fn modes_are_added_up_and_containers_stay_apart() {
    let modes: &[Point] = &[
        (10, 1.0, &[("cpu.mode", "user")]),
        (10, 1.0, &[("cpu.mode", "system")]),
        (10, 9.0, &[("cpu.mode", "idle")]),
        (20, 2.0, &[("cpu.mode", "user")]),
        (20, 4.0, &[("cpu.mode", "system")]),
        (20, 18.0, &[("cpu.mode", "idle")]),
    ];
    let containers: &[Point] = &[(20, 1.5, &[("container", "app")]), (20, 0.5, &[("container", "proxy")])];
    let closed = close(vec![
        request("process.cpu.time", Kind::Counter, modes),
        request("container.cpu.usage", Kind::Gauge, containers),
    ]);
    assert_eq!(scrapes(&closed, Measure::CpuUsage), [(20, 0.4), (20, 1.5), (20, 0.5)]);
}

#[test]
fn a_distribution_gives_rate_mean_and_share_of_errors() {
    let ok: &[(&str, &str)] = &[("http.response.status_code", "200")];
    let bad: &[(&str, &str)] = &[("http.response.status_code", "503"), ("error.type", "503")];
    // The errors' counter is born at the second scrape: it was 0 at the first one.
    let points: &[Point] = &[(10, 100.0, ok), (20, 130.0, ok), (20, 10.0, bad), (30, 160.0, ok), (30, 20.0, bad)];
    let closed = close(vec![request("http.server.request.duration", Kind::Histogram, points)]);
    assert_eq!(scrapes(&closed, Measure::RequestRate), [(20, 4.0), (30, 4.0)]);
    assert_eq!(scrapes(&closed, Measure::RequestDuration), [(20, 0.5), (30, 0.5)]);
    assert_eq!(scrapes(&closed, Measure::ErrorShare), [(20, 0.25), (30, 0.25)]);
}

#[test]
fn a_metric_under_two_names_counts_once() {
    let usage: &[Point] = &[(20, 3.0, &[("db.client.connection.state", "used")])];
    let old: &[Point] = &[(20, 3.0, &[("state", "used")])];
    let closed = close(vec![
        request("db.client.connections.usage", Kind::Gauge, old),
        request("db.client.connection.count", Kind::Gauge, usage),
        request("db_client_connection_count", Kind::Gauge, old),
    ]);
    assert_eq!(scrapes(&closed, Measure::PoolUsage), [(20, 3.0)]);
}

#[test]
fn late_and_future_points_and_those_without_room_are_counted() {
    let mut chain = chain(&Config { max_series: 1, ..Config::default() });
    let cpu = |time| request("k8s.pod.cpu.usage", Kind::Gauge, &[(time, 1.0, &[])]);
    chain.send_at(cpu(20), 20 * SECOND);
    chain.send_at(request("go_goroutines", Kind::Gauge, &[(20, 9.0, &[])]), 20 * SECOND);
    let closed = slices(chain.tick(30 * SECOND));
    assert_eq!((closed.len(), closed[0].overflow, closed[0].series.len()), (1, 1, 1));
    chain.send_at(cpu(29), 31 * SECOND);
    chain.send_at(cpu(3600), 31 * SECOND);
    assert!(slices(chain.finish()).is_empty());
    let notes = chain.0[0].cx.stats().notes();
    assert_eq!((notes["series_past_max"], notes["late"], notes["future"]), (1, 1, 1));
}

#[test]
fn measures_that_are_off_are_not_taken_and_all_metrics_pass() {
    let mut chain = chain(&Config { measures: vec![Family::Memory], ..Config::default() });
    let passed = chain.send_at(request("k8s.pod.cpu.usage", Kind::Gauge, &[(20, 1.0, &[])]), 20 * SECOND);
    assert!(matches!(passed[..], [Data::Metrics(_)]));
    assert!(slices(chain.finish()).is_empty());
}

#[test]
fn gauges_with_unknown_names_are_kept_as_they_are_and_take_no_room_from_the_others() {
    let mut chain = chain(&Config { max_other_series: 1, ..Config::default() });
    chain.send_at(request("db_cpu_pct", Kind::Gauge, &[(20, 97.0, &[])]), 20 * SECOND);
    chain.send_at(request("checkout_p99_ms", Kind::Gauge, &[(20, 4120.0, &[])]), 20 * SECOND);
    chain.send_at(request("go_goroutines", Kind::Gauge, &[(20, 9.0, &[])]), 20 * SECOND);
    // A counter of something unknown says nothing by its level.
    chain.send_at(request("parcels_total", Kind::Counter, &[(20, 1.0, &[]), (25, 2.0, &[])]), 25 * SECOND);
    let closed = slices(chain.finish());
    assert_eq!(scrapes(&closed, Measure::Other), [(20, 97.0)]);
    assert_eq!(scrapes(&closed, Measure::Threads), [(20, 9.0)]);
    assert_eq!(closed.iter().map(|slice| slice.overflow).sum::<u64>(), 1);
    assert_eq!(chain.0[0].cx.stats().notes()["other_series_past_max"], 1);
}

#[test]
fn a_flood_of_series_points_and_long_attributes_is_bounded_and_counted() {
    const LONG: &str = match std::str::from_utf8(&[b'x'; LONGEST_IDENTITY]) {
        Ok(text) => text,
        Err(_) => "",
    };
    let config = Config { max_series: 3, max_other_series: 3, ..Config::default() };
    let mut chain = chain(&config);
    for pool in ["a", "b", "c", "d", "e"] {
        let labels: &'static [(&str, &str)] = vec![("pool.name", pool)].leak();
        chain.send_at(request("worker_pool_active", Kind::Gauge, &[(20, 1.0, labels)]), 20 * SECOND);
    }
    chain.send_at(request("worker_pool_active", Kind::Gauge, &[(20, 1.0, &[("pool.name", LONG)])]), 20 * SECOND);
    let flood: Vec<Point> = (0..1000).map(|_| (21, 1.0, &[("pool.name", "a")][..])).collect();
    chain.send_at(request("worker_pool_active", Kind::Gauge, &flood), 21 * SECOND);
    let closed = slices(chain.finish());
    let notes = chain.0[0].cx.stats().notes();
    let room = 3 * MEAN_PENDING - 3;
    for (reason, points) in [
        ("series_past_max", 2),
        ("identity_too_long", 1),
        ("points_past_max", 1000 - room as u64),
        ("duplicate", room as u64 - 1),
    ] {
        assert_eq!(notes.get(reason), Some(&points), "{reason}");
    }
    assert_eq!((closed[0].series.len(), closed[0].overflow), (3, 3 + 1000 - room as u64));
}

#[test]
fn silent_series_are_forgotten() {
    let mut chain = chain(&Config { max_series: 1, ..Config::default() });
    chain.send_at(request("k8s.pod.cpu.usage", Kind::Gauge, &[(20, 1.0, &[])]), 20 * SECOND);
    chain.tick(4000 * SECOND);
    chain.send_at(request("go_goroutines", Kind::Gauge, &[(4000, 9.0, &[])]), 4000 * SECOND);
    assert_eq!(scrapes(&slices(chain.finish()), Measure::Threads), [(4000, 9.0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_and_batches_within_the_lateness_change_nothing(
        values in prop::collection::vec(0..1000_u32, 12),
        order in Just((0..24_usize).collect::<Vec<_>>()).prop_shuffle(),
        cut in 1..8_usize,
    ) {
        let labels: [&[(&str, &str)]; 2] = [&[("route", "/a"), ("error.type", "x")], &[("route", "/b")]];
        let points: Vec<Point> = values
            .iter()
            .enumerate()
            .flat_map(|(i, &value)| labels.map(|label| (10 + 5 * i as u64, f64::from(value) / 7.0, label)))
            .collect();
        let straight = close(vec![request("http_requests_total", Kind::Counter, &points)]);
        let shuffled: Vec<Point> = order.iter().map(|&i| points[i]).collect();
        let parts = shuffled.chunks(cut).map(|part| request("http_requests_total", Kind::Counter, part)).collect();
        prop_assert_eq!(close(parts), straight);
    }

    #[test]
    fn closing_slice_by_slice_is_closing_at_once(values in prop::collection::vec(0..1000_u32, 20)) {
        let point = |(i, &value): (usize, &u32)| -> Point { (10 + 5 * i as u64, f64::from(value), &[]) };
        let points: Vec<Point> = values.iter().enumerate().map(point).collect();
        let whole = close(vec![request("http_requests_total", Kind::Counter, &points)]);
        let (mut chain, mut closed) = (chain(&Config::default()), Vec::new());
        for &point in &points {
            chain.send_at(request("http_requests_total", Kind::Counter, &[point]), point.0 * SECOND);
            closed.extend(slices(chain.tick((point.0 - 4) * SECOND)));
        }
        closed.extend(slices(chain.finish()));
        prop_assert_eq!(closed, whole);
    }
}
