use backtrail_model::histogram::bucket;
use backtrail_model::incident::{DetectorKind, Status};
use backtrail_model::spectra::{Element, TraceGroup};
use backtrail_pipeline::{Duration, Ratio};

use super::*;
use crate::testing::{Chain, documented, node};

const ONE: u64 = 256;
const SLICE_MICROS: u64 = 15_000_000;

/// A generator with a fixed seed: tests must not depend on luck.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        crate::hash::mix(self.0)
    }

    /// Uniform in 0..1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A latency with a long tail around `millis`.
    fn latency(&mut self, millis: f64) -> u64 {
        let normal: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        (millis * 1e6 * (0.5 * normal).exp()) as u64
    }
}

/// Traffic of one entry operation in one slice.
#[derive(Clone, Copy)]
struct Traffic {
    route: &'static str,
    backend: &'static str,
    traces: u64,
    errors: f64,
    millis: f64,
}

const SHOP: Traffic = Traffic { route: "GET /shop", backend: "cart", traces: 40, errors: 0.01, millis: 50.0 };
const PAY: Traffic = Traffic { route: "POST /pay", backend: "bank", traces: 20, errors: 0.0, millis: 200.0 };

fn spectra(slice: u64, traffic: &[Traffic], dice: &mut Dice) -> Data {
    let mut spectra = SpectraSlice::new(Slice(slice));
    for (n, t) in traffic.iter().enumerate() {
        let element = |service: &str| Element { kind: ElementKind::Service, service: service.into(), name: "".into() };
        let signature = n as u64 + 1;
        spectra.signatures.insert(signature, [element(t.backend), element(t.route)].into());
        let entry = Entry { service: "web".into(), route: t.route.into() };
        // A crowd that comes and goes.
        let traces = t.traces / 2 + dice.next() % t.traces.max(1);
        for _ in 0..traces {
            let (error, latency) = (dice.share() < t.errors, bucket(dice.latency(t.millis)));
            *spectra.groups.entry(TraceGroup { entry: entry.clone(), signature, error, latency }).or_default() += ONE;
        }
    }
    Data::Spectra(Arc::new(spectra))
}

struct Bench {
    chain: Chain,
    dice: Dice,
    next: u64,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let cx = Context::for_test("anomaly_trigger");
        Self { chain: Chain(vec![node(&cx, config)]), dice: Dice(7), next: 1000 }
    }

    /// One slice with this traffic; answers the revisions.
    fn slice(&mut self, traffic: &[Traffic]) -> Vec<Incident> {
        self.chain.send(spectra(self.next, traffic, &mut self.dice));
        self.next += 1;
        // The grid of tests begins at 0, and slice n there is number n + 1.
        incidents(self.chain.tick((self.next - 1) * SLICE_MICROS))
    }

    fn slices(&mut self, count: usize, traffic: &[Traffic]) -> Vec<Incident> {
        (0..count).flat_map(|_| self.slice(traffic)).collect()
    }
}

fn incidents(data: Vec<Data>) -> Vec<Incident> {
    let found = data.into_iter().filter_map(|data| match data {
        Data::Incident(incident) => Some(Arc::unwrap_or_clone(incident)),
        _ => None,
    });
    found.collect()
}

fn keys(incidents: &[Incident]) -> BTreeSet<&str> {
    incidents.iter().map(|incident| &*incident.incident_key).collect()
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../anomaly_trigger.rs"));
    assert_eq!((config.slo.len(), config.shift), (1, Shift::default()));
}

#[test]
fn problems_are_told_with_their_places() {
    let twisted = GivenWindow { start: "20".parse().expect("a time"), end: "10".parse().expect("a time") };
    let slo = Slo { objective: Ratio(1.0), ..Slo::default() };
    let config = Config { window: Some(twisted), slo: vec![slo], resolve_after: 0, ..Config::default() };
    let paths: Vec<_> = config.check().into_iter().map(|finding| finding.path).collect();
    assert_eq!(paths, ["window.end", "slo[0].service", "slo[0].objective", "resolve_after"]);
}

#[test]
fn healthy_traffic_opens_nothing_in_thousands_of_slices() {
    let mut bench = Bench::new(&Config::default());
    let quiet = Traffic { route: "GET /rare", traces: 3, errors: 0.02, ..SHOP };
    let opened = bench.slices(4000, &[SHOP, PAY, quiet]);
    assert!(opened.is_empty(), "{:#?}", opened[0]);
}

#[test]
fn an_error_shift_opens_updates_and_resolves_one_incident() {
    let mut bench = Bench::new(&Config::default());
    assert!(bench.slices(60, &[SHOP, PAY]).is_empty());
    let onset = bench.next;
    let during = bench.slices(8, &[Traffic { errors: 0.4, ..SHOP }, PAY]);
    let after = bench.slices(20, &[SHOP, PAY]);
    let all: Vec<Incident> = during.into_iter().chain(after).collect();
    assert_eq!(keys(&all).len(), 1);
    let first = &all[0];
    assert_eq!((first.status, first.detector.kind), (Status::Open, DetectorKind::ErrorShift));
    assert_eq!((&*first.endpoint.route, &*first.endpoint.method, first.opened), ("GET /shop", "GET", Slice(onset)));
    let revisions: Vec<u64> = all.iter().map(|incident| incident.revision).collect();
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{revisions:?}");
    let last = all.last().expect("revisions");
    assert_eq!(last.status, Status::Resolved);
    let grid = bench.chain.0[0].cx.grid();
    assert_eq!(last.window.end_unix_nano, grid.end(Slice(onset + 7)));
    assert_eq!(all.iter().filter(|incident| incident.status == Status::Resolved).count(), 1);
}

#[test]
fn a_latency_shift_is_flagged_within_eight_slices_even_with_little_traffic() {
    let mut bench = Bench::new(&Config::default());
    let rare = Traffic { traces: 6, ..PAY };
    assert!(bench.slices(120, &[rare]).is_empty());
    let during = bench.slices(8, &[Traffic { millis: 600.0, ..rare }]);
    assert_eq!(during.first().map(|incident| incident.detector.kind), Some(DetectorKind::LatencyShift));
}

#[test]
fn a_second_outage_of_the_same_endpoint_is_a_second_incident() {
    let mut bench = Bench::new(&Config::default());
    bench.slices(60, &[SHOP]);
    let sick = Traffic { millis: 400.0, ..SHOP };
    let mut all = bench.slices(6, &[sick]);
    all.extend(bench.slices(30, &[SHOP]));
    all.extend(bench.slices(6, &[sick]));
    all.extend(bench.slices(30, &[SHOP]));
    assert_eq!(keys(&all).len(), 2);
    assert_eq!(all.iter().filter(|incident| incident.status == Status::Resolved).count(), 2);
}

#[test]
fn endpoints_that_fail_with_an_open_incident_join_it() {
    let mut bench = Bench::new(&Config::default());
    let orders = Traffic { route: "GET /orders", ..SHOP };
    bench.slices(60, &[SHOP, orders, PAY]);
    let mut all = bench.slices(4, &[Traffic { errors: 0.5, ..SHOP }, Traffic { errors: 0.5, ..orders }, PAY]);
    assert_eq!(keys(&all).len(), 1);
    // Another backend breaks while the first is still broken: nothing in common, so another incident.
    let pay = Traffic { errors: 0.5, ..PAY };
    all.extend(bench.slices(4, &[Traffic { errors: 0.5, ..SHOP }, Traffic { errors: 0.5, ..orders }, pay]));
    assert_eq!(keys(&all).len(), 2);
    assert_eq!(bench.chain.0[0].cx.shared().incidents.open().len(), 2);
}

#[test]
fn a_state_that_lasts_becomes_the_normal_one() {
    let mut bench = Bench::new(&Config { max_open: Duration::from_secs(300), ..Config::default() });
    bench.slices(60, &[SHOP]);
    let all = bench.slices(400, &[Traffic { millis: 400.0, ..SHOP }]);
    assert_eq!(keys(&all).len(), 1);
    assert_eq!(all.last().map(|incident| incident.status), Some(Status::Resolved));
}

#[test]
fn an_incident_resolves_when_its_traffic_ends() {
    let mut bench = Bench::new(&Config::default());
    bench.slices(60, &[SHOP]);
    bench.slices(4, &[Traffic { errors: 0.5, ..SHOP }]);
    let after = incidents(bench.chain.tick((bench.next + 20) * SLICE_MICROS));
    assert_eq!(after.last().map(|incident| incident.status), Some(Status::Resolved));
    assert!(bench.chain.0[0].cx.shared().incidents.open().is_empty());
}

#[test]
fn an_objective_that_burns_in_both_windows_opens_an_incident() {
    let slo = Slo { service: "web".into(), latency: Some(Duration::from_millis(300)), ..Slo::default() };
    let shift = Shift { enabled: false, ..Shift::default() };
    let config = Config { slo: vec![slo], shift, ..Config::default() };
    let mut bench = Bench::new(&config);
    let fine = Traffic { errors: 0.0, millis: 20.0, ..SHOP };
    assert!(bench.slices(240, &[fine]).is_empty());
    let all = bench.slices(20, &[Traffic { errors: 0.2, ..fine }]);
    assert_eq!(all[0].detector.kind, DetectorKind::SloBurn);
    assert_eq!(all[0].detector.slo, "99.9% of web * succeed within 300ms");
    assert!(all[0].detector.observed >= all[0].detector.threshold);
}

fn given(first: u64, slices: u64) -> Config {
    let time = |slice: u64| Time(backtrail_model::time::UnixNano((slice - 1) * SLICE_MICROS * 1000));
    Config { window: Some(GivenWindow { start: time(first), end: time(first + slices) }), ..Config::default() }
}

#[test]
fn a_given_window_is_an_incident_from_its_first_slice_to_its_last() {
    let mut bench = Bench::new(&given(1020, 4));
    let mut all = bench.slices(20, &[SHOP, PAY]);
    all.extend(bench.slices(4, &[SHOP, Traffic { errors: 0.5, ..PAY }]));
    all.extend(bench.slices(3, &[SHOP, PAY]));
    let seen: Vec<_> = all.iter().map(|incident| (incident.revision, incident.status)).collect();
    let expected = [(0, Status::Open), (1, Status::Updated), (2, Status::Updated), (3, Status::Resolved)];
    assert_eq!(seen, expected);
    assert_eq!(keys(&all).len(), 1);
    assert!(all.iter().all(|incident| incident.endpoint.route == "POST /pay"));
    assert!(incidents(bench.chain.finish()).is_empty());
}

#[test]
fn a_given_window_ends_with_the_input_and_without_traffic_too() {
    let mut cut = Bench::new(&given(1020, 10));
    cut.slices(23, &[SHOP]);
    let last = incidents(cut.chain.finish());
    assert_eq!(last.iter().map(|i| (i.revision, i.status)).collect::<Vec<_>>(), [(3, Status::Resolved)]);
    let mut silent = Bench::new(&given(1020, 4));
    silent.slices(10, &[SHOP]);
    let all = incidents(silent.chain.tick(2000 * SLICE_MICROS));
    assert_eq!(all.iter().map(|i| (i.revision, i.status)).collect::<Vec<_>>(), [(3, Status::Resolved)]);
}

#[test]
fn parts_of_shards_and_coarse_ticks_change_nothing() {
    let mut dice = Dice(3);
    let sick = Traffic { errors: 0.5, ..SHOP };
    let slices: Vec<Data> =
        (0..80_u64).map(|n| spectra(1000 + n, &[if (60..66).contains(&n) { sick } else { SHOP }], &mut dice)).collect();
    let cx = Context::for_test("anomaly_trigger");
    let (mut fine, mut coarse) =
        (Chain(vec![node(&cx, &Config::default())]), Chain(vec![node(&cx, &Config::default())]));
    let mut expected = Vec::new();
    for (n, data) in (1000..).zip(&slices) {
        fine.send(data.clone());
        expected.extend(incidents(fine.tick(n * SLICE_MICROS)));
    }
    for data in &slices {
        let Data::Spectra(whole) = data else { continue };
        let mut parts = [SpectraSlice::new(whole.slice), SpectraSlice::new(whole.slice)];
        for (n, (group, count)) in whole.groups.iter().enumerate() {
            parts[n % 2].groups.insert(group.clone(), *count);
            parts[n % 2].signatures.clone_from(&whole.signatures);
        }
        for part in parts {
            coarse.send(Data::Spectra(Arc::new(part)));
        }
    }
    let got = incidents(coarse.finish());
    assert!(!got.is_empty());
    assert_eq!(got, expected);
}

/// Operations inside with what they take, milliseconds.
type Inner = &'static [(&'static str, u64)];

/// A slice whose entry operation is steady while operations inside take this long: each of 40 traces once.
fn with_inner(slice: u64, inner: Inner, dice: &mut Dice) -> Data {
    let Data::Spectra(spectra) = spectra(slice, &[Traffic { traces: 40, errors: 0.0, ..SHOP }], dice) else {
        panic!("spectra")
    };
    let mut spectra = Arc::unwrap_or_clone(spectra);
    for (service, millis) in inner {
        let key =
            backtrail_model::spectra::TestKey { service: (*service).into(), operation: "load".into(), callee: None };
        let sums = spectra.tests.entry(key).or_default();
        for _ in 0..40 {
            sums.record(millis * 1_000_000 + dice.next() % 500_000);
        }
    }
    Data::Spectra(Arc::new(spectra))
}

/// Runs slices, so many of each kind, with these inner times through a node; answers the revisions by slice.
fn inner_revisions(config: &Config, stretches: &[(usize, Inner)]) -> Vec<Vec<Incident>> {
    let mut bench = Bench::new(config);
    let slices = stretches.iter().flat_map(|(count, inner)| std::iter::repeat_n(*inner, *count)).map(|inner| {
        let data = with_inner(bench.next, inner, &mut bench.dice);
        bench.chain.send(data);
        bench.next += 1;
        incidents(bench.chain.tick((bench.next - 1) * SLICE_MICROS))
    });
    slices.collect()
}

fn warm() -> Config {
    Config { shift: Shift { warm_up: Duration::from_secs(180), ..Shift::default() }, ..Config::default() }
}

const FINE: Inner = &[("cart", 2), ("stock", 2)];
const SLOW_CART: Inner = &[("cart", 9), ("stock", 2)];
const SLOW_STOCK: Inner = &[("cart", 2), ("stock", 9)];
const SLOW_BOTH: Inner = &[("cart", 9), ("stock", 9)];

/// The opening slice and the last status of each incident, in order.
fn stories(revisions: &[Vec<Incident>]) -> Vec<(u64, Status)> {
    let mut last = BTreeMap::new();
    for incident in revisions.iter().flatten() {
        last.insert((incident.opened, incident.incident_key.clone()), incident.status);
    }
    last.into_iter().map(|((opened, _), status)| (opened.0 - 1000, status)).collect()
}

#[test]
fn time_lost_inside_opens_an_incident_though_no_entry_operation_shows_it() {
    let revisions = inner_revisions(&warm(), &[(30, FINE), (6, SLOW_CART), (16, FINE)]);
    assert!(revisions[..30].iter().all(Vec::is_empty), "quiet times stay quiet");
    let first = revisions.iter().position(|list| !list.is_empty()).expect("an incident");
    assert!((31..34).contains(&first), "two slices that show it: {first}");
    let opened = &revisions[first][0];
    assert_eq!((opened.detector.kind, opened.status), (DetectorKind::EvidenceShift, Status::Open));
    assert_eq!(stories(&revisions), [(30, Status::Resolved)]);
}

#[test]
fn what_sets_in_elsewhere_and_later_is_an_incident_of_its_own() {
    let revisions =
        inner_revisions(&warm(), &[(30, FINE), (15, SLOW_CART), (8, SLOW_BOTH), (4, SLOW_CART), (16, FINE)]);
    assert_eq!(stories(&revisions), [(30, Status::Resolved), (45, Status::Resolved)]);
    // Neither keeps the other open.
    let end_of = |opened: u64| {
        let of_incident = revisions.iter().flatten().filter(|incident| incident.opened == Slice(1000 + opened));
        let grid = Context::for_test("grid").grid();
        of_incident.map(|incident| grid.slice(incident.window.end_unix_nano).0 - 1001).max()
    };
    let (first, second) = (end_of(30).expect("an end"), end_of(45).expect("an end"));
    assert_eq!((first, second), (56, 52), "the last slices that show it");
}

#[test]
fn what_sets_in_together_is_one_incident() {
    let revisions = inner_revisions(&warm(), &[(30, FINE), (1, SLOW_CART), (9, SLOW_BOTH), (20, FINE)]);
    assert_eq!(stories(&revisions), [(30, Status::Resolved)]);
}

#[test]
fn what_breaks_inside_when_the_first_trouble_is_over_is_a_second_incident() {
    let revisions = inner_revisions(&warm(), &[(30, FINE), (6, SLOW_CART), (24, FINE), (6, SLOW_STOCK), (16, FINE)]);
    assert_eq!(stories(&revisions), [(30, Status::Resolved), (60, Status::Resolved)]);
}

#[test]
fn trouble_inside_that_lasts_becomes_the_normal_state() {
    let config = Config { max_open: Duration::from_secs(300), ..warm() };
    let revisions = inner_revisions(&config, &[(30, FINE), (100, SLOW_CART)]);
    assert_eq!(stories(&revisions), [(30, Status::Resolved)]);
}

#[test]
fn looking_inside_can_be_turned_off() {
    let config = Config { shift: Shift { evidence: false, ..warm().shift }, ..warm() };
    let revisions = inner_revisions(&config, &[(30, FINE), (6, SLOW_CART)]);
    assert!(revisions.iter().all(Vec::is_empty));
}
