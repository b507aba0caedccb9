use backtrail_model::alert::Alert;
use backtrail_model::change::{Change, ChangeKind};
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::span::SpanFlags;
use backtrail_model::span::SpanKind::Client;
use backtrail_model::verdict::Verdict as Document;
use backtrail_pipeline::Duration;
use backtrail_pipeline::boards::{NoAnswer, Question};

use super::*;
use crate::testing::{Chain, Span, documented, node, traces};
use crate::{anomaly_trigger, edge_aggregation, ochiai};

mod owners;

const SLICE_MICROS: u64 = 15_000_000;

/// What is wrong with cart's callee.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Slow,
    Failing,
}

/// One request: web calls cart, and cart calls stock; pay is another request of web's.
fn request(n: u64, start: u64, fault: Fault) -> Vec<Span> {
    let jitter = crate::hash::mix(n) % 4000;
    let web = Span { service: "web", operation: "GET /cart", start, length: 50_000 + jitter, ..Span::default() };
    let late = if fault == Fault::Slow { 200_000 } else { 0 };
    let failed = if fault == Fault::Failing { SpanFlags::ERROR } else { 0 };
    let call = |id, parent, service, offset, length| Span {
        id,
        parent,
        service,
        operation: "call",
        kind: Client,
        start: start + offset,
        length: length + jitter / 2 + late,
        flags: failed,
        ..web
    };
    let serve = |id, parent, service, offset, length| Span {
        operation: "serve",
        kind: web.kind,
        ..call(id, parent, service, offset, length)
    };
    vec![
        Span { length: web.length + late, flags: failed, ..web },
        call(2, 1, "web", 5000, 40_000),
        serve(3, 2, "cart", 6000, 38_000),
        call(4, 3, "cart", 10_000, 20_000),
        serve(5, 4, "stock", 11_000, 18_000),
    ]
}

fn payment(n: u64, start: u64) -> Vec<Span> {
    let jitter = crate::hash::mix(n + 77) % 4000;
    let web = Span { service: "web", operation: "POST /pay", start, length: 30_000 + jitter, ..Span::default() };
    let call = Span { id: 2, parent: 1, kind: Client, operation: "call", start: start + 1000, length: 20_000, ..web };
    let bank =
        Span { id: 3, parent: 2, service: "bank", operation: "charge", start: start + 2000, length: 15_000, ..web };
    vec![web, call, bank]
}

/// Four processors in a row, on one or several shards.
struct Line {
    shards: Vec<Chain>,
    judge: Chain,
    cx: Context,
    sent: u64,
    /// Of this many traces a sampler before us kept one.
    one_of: u32,
}

impl Line {
    fn new(shards: usize, trigger: &anomaly_trigger::Config, config: &Config) -> Self {
        let cx = Context::for_test("line");
        let shard = || {
            let edges = node(&cx, &edge_aggregation::Config::default());
            Chain(vec![edges, node(&cx, &ochiai::Config::default())])
        };
        let judge = Chain(vec![node(&cx, trigger), node(&cx, config)]);
        Self { shards: (0..shards).map(|_| shard()).collect(), judge, cx, sent: 0, one_of: 1 }
    }

    /// One slice of traffic; answers the documents.
    fn slice(&mut self, slice: u64, fault: Fault) -> Vec<Data> {
        for n in 0..40 {
            let (start, id) = (slice * SLICE_MICROS + n * 300_000, slice * 100 + n);
            let mut list = if n % 4 == 3 { payment(id, start) } else { request(id, start, fault) };
            for span in &mut list {
                span.weight *= self.one_of;
            }
            let shard = id as usize % self.shards.len();
            self.sent += 1;
            let passed = self.shards[shard].send(Data::Traces(Arc::new(traces(&self.cx, id, &[list]))));
            assert_eq!(passed.len(), 1);
        }
        let mut out = Vec::new();
        for shard in &mut self.shards {
            for data in shard.tick((slice + 1) * SLICE_MICROS) {
                out.extend(self.judge.send(data));
            }
        }
        out.extend(self.judge.tick((slice + 1) * SLICE_MICROS));
        out
    }

    /// Quiet traffic, then ten slices of the fault, then quiet again.
    fn outage(&mut self, fault: Fault) -> Vec<Data> {
        let slices = (1000..1075).flat_map(|n| {
            let sick = (1050..1060).contains(&n);
            self.slice(n, if sick { fault } else { Fault::None })
        });
        slices.collect()
    }
}

fn verdicts(data: &[Data]) -> Vec<Arc<Document>> {
    let found = data.iter().filter_map(|data| match data {
        Data::Verdict(verdict) => Some(Arc::clone(verdict)),
        _ => None,
    });
    found.collect()
}

fn requests(data: &[Data]) -> Vec<Arc<PatchRequest>> {
    let found = data.iter().filter_map(|data| match data {
        Data::PatchRequest(request) => Some(Arc::clone(request)),
        _ => None,
    });
    found.collect()
}

fn run(shards: usize, fault: Fault, config: &Config) -> Vec<Data> {
    Line::new(shards, &anomaly_trigger::Config::default(), config).outage(fault)
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../verdict.rs"));
    let expected = Requests { flag_prefix: "fix_".to_owned(), ..Requests::default() };
    assert_eq!(config.patch_request, expected);
}

#[test]
fn a_slow_callee_is_the_first_suspect_from_the_first_verdict_to_the_last() {
    let data = run(1, Fault::Slow, &Config::default());
    let verdicts = verdicts(&data);
    assert!(verdicts.len() >= 10, "{}", verdicts.len());
    for verdict in &verdicts {
        let first = verdict.of_kind("service").next().expect("a suspect");
        assert_eq!((&*first.entity.service, first.rank), ("stock", 1), "revision {}", verdict.revision);
        assert_eq!(verdict.endpoint.route, "GET /cart");
    }
    assert_eq!(verdicts.last().map(|verdict| verdict.status), Some(Status::Resolved));
    assert!(
        data.iter().any(|data| matches!(data, Data::Edges(_))) && data.iter().any(|d| matches!(d, Data::Incident(_)))
    );
}

#[test]
fn a_failing_callee_is_the_first_suspect_and_not_those_who_pass_its_errors_on() {
    let verdicts = verdicts(&run(1, Fault::Failing, &Config::default()));
    let last = verdicts.last().expect("a verdict");
    assert_eq!(last.of_kind("service").next().map(|suspect| &*suspect.entity.service), Some("stock"));
    assert_ne!(last.confidence.level, "inconclusive");
}

#[test]
fn weights_are_no_observations() {
    let line = |one_of| Line { one_of, ..Line::new(1, &anomaly_trigger::Config::default(), &Config::default()) };
    let last = |one_of| verdicts(&line(one_of).outage(Fault::Failing)).pop().expect("a verdict");
    let (all, tenth) = (last(1), last(10));
    assert!((all.provenance.sampled_share - 1.0).abs() < 1e-12);
    assert!((tenth.provenance.sampled_share - 0.1).abs() < 1e-12);
    // The same traces came, so the same is significant: ten times the weight adds no certainty.
    let scores = |verdict: &Document| -> Vec<(String, f64)> {
        verdict
            .of_kind("service")
            .map(|suspect| (suspect.entity.service.clone(), suspect.score.parts["errors"]))
            .collect()
    };
    assert_eq!(scores(&all), scores(&tenth));
}

#[test]
fn the_number_of_shards_changes_no_verdict() {
    let one = verdicts(&run(1, Fault::Slow, &Config::default()));
    let three = verdicts(&run(3, Fault::Slow, &Config::default()));
    assert!(!one.is_empty());
    assert_eq!(one, three);
}

#[test]
fn one_patch_is_asked_for_an_incident_and_suspect() {
    let prefix = Requests { flag_prefix: "shop_".to_owned(), ..Requests::default() };
    let data = run(1, Fault::Slow, &Config { patch_request: prefix, ..Config::default() });
    let requests = requests(&data);
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.suspect_ref.entity.service, "stock");
    assert!(request.constraints.patch_must_be_guarded_by_flag.starts_with("shop_stock"));
    assert_eq!(request.id, self::requests(&run(2, Fault::Slow, &Config::default()))[0].id);
    let off = Config { patch_request: Requests { enabled: false, ..Requests::default() }, ..Config::default() };
    assert!(self::requests(&run(1, Fault::Slow, &off)).is_empty());
}

#[test]
fn healthy_traffic_gets_no_verdict() {
    assert!(verdicts(&run(1, Fault::None, &Config::default())).is_empty());
}

#[test]
fn only_the_first_and_the_last_revision_are_judged_when_that_is_wanted() {
    let config = Config { every_revision: false, ..Config::default() };
    let verdicts = verdicts(&run(1, Fault::Slow, &config));
    let statuses: Vec<Status> = verdicts.iter().map(|verdict| verdict.status).collect();
    assert_eq!(statuses, [Status::Open, Status::Resolved]);
}

#[test]
fn a_given_window_is_judged_against_what_was_before_it() {
    let time = |slice: u64| anomaly_trigger::Time(UnixNano(slice * SLICE_MICROS * 1000));
    let window = Some(anomaly_trigger::GivenWindow { start: time(1050), end: time(1060) });
    let trigger = anomaly_trigger::Config { window, ..anomaly_trigger::Config::default() };
    let data = Line::new(2, &trigger, &Config::default()).outage(Fault::Slow);
    let verdicts = verdicts(&data);
    assert_eq!(verdicts.len(), 10);
    let last = verdicts.last().expect("a verdict");
    assert_eq!((last.status, last.revision), (Status::Resolved, 9));
    assert_eq!(last.of_kind("service").next().map(|suspect| &*suspect.entity.service), Some("stock"));
    assert_eq!((last.provenance.baseline_slices, last.provenance.window_slices), (50, 10));
}

fn change(kind: ChangeKind, commit: &str, service: &str, slice: u64) -> Change {
    let time = anomaly_trigger::Time(UnixNano(slice * SLICE_MICROS * 1000));
    Change { kind, commit: commit.into(), service: service.into(), time, ..Change::default() }.bounded()
}

/// Commits and deploys: one of stock's shortly before the fault, one of another service's, one after it.
fn changes() -> Vec<Change> {
    let of = |commit: &str, service: &str, slice: u64| {
        let commit_of = change(ChangeKind::Commit, commit, "", slice);
        [commit_of, change(ChangeKind::Deploy, commit, service, slice)]
    };
    [of("guilty", "stock", 1047), of("bystander", "bank", 1047), of("later", "stock", 1058)].concat()
}

#[test]
fn posted_changes_are_suspects_and_the_one_that_reached_the_sick_service_comes_first() {
    let mut line = Line::new(1, &anomaly_trigger::Config::default(), &Config::default());
    line.cx.shared().changes.post(changes());
    let verdicts = verdicts(&line.outage(Fault::Slow));
    let last = verdicts.last().expect("a verdict");
    let commits: Vec<&str> = last.of_kind("change").map(|suspect| &*suspect.entity.commit).collect();
    let places = ["guilty", "bystander"].map(|commit| commits.iter().position(|c| *c == commit));
    assert!(places[0] < places[1] && !commits.contains(&"later"), "{commits:?}");
    assert!(last.of_kind("change").all(|suspect| !suspect.score.formula.is_empty()));
}

#[test]
fn changes_are_read_from_a_file_and_a_bad_one_is_refused_with_its_name() {
    let file = std::env::temp_dir().join(format!("backtrail-changes-{}.json", std::process::id()));
    std::fs::write(&file, serde_json::to_string(&changes()).expect("json")).expect("written");
    let config = Config { changes: Changes { file: Some(file.clone()), ..Changes::default() }, ..Config::default() };
    let last = verdicts(&run(1, Fault::Slow, &config)).pop().expect("a verdict");
    assert!(last.of_kind("change").any(|suspect| suspect.entity.commit == "guilty"));
    std::fs::write(&file, "7").expect("written");
    let error = config.build(&Context::for_test("verdict")).err().expect("no changes").to_string();
    std::fs::remove_file(&file).expect("removed");
    assert!(error.contains("changes.file") && error.contains("not a list of changes"), "{error}");
}

#[test]
fn without_changes_no_change_is_suspected() {
    let last = verdicts(&run(1, Fault::Slow, &Config::default())).pop().expect("a verdict");
    assert_eq!(last.of_kind("change").count(), 0);
}

#[test]
fn a_posted_alert_is_judged_with_the_time_before_it_fired() {
    let shift = anomaly_trigger::Shift { enabled: false, ..anomaly_trigger::Shift::default() };
    let lead = Duration::from_secs(45);
    let alerts = anomaly_trigger::Alerts { lead, ..anomaly_trigger::Alerts::default() };
    let trigger = anomaly_trigger::Config { shift, alerts, ..anomaly_trigger::Config::default() };
    let mut line = Line::new(1, &trigger, &Config::default());
    let starts_at = UnixNano(1053 * SLICE_MICROS * 1000);
    let alert =
        Alert { id: "a".into(), service: "web".into(), summary: "web is slow".into(), starts_at, ..Alert::default() };
    line.cx.shared().alerts.post([alert]);
    let verdicts = verdicts(&line.outage(Fault::Slow));
    let first = verdicts.first().expect("a verdict");
    assert_eq!((first.detector.kind, &*first.detector.slo), (DetectorKind::Alert, "web is slow"));
    assert_eq!(first.provenance.window_slices, 4);
    // There are traces enough: they say who it is, whoever the alert names.
    assert_eq!(first.of_kind("service").next().map(|suspect| &*suspect.entity.service), Some("stock"));
}

/// Quiet slices, then sick ones, and nobody looks: no incident opens.
fn unnoticed(fault: Fault) -> Line {
    let shift = anomaly_trigger::Shift { enabled: false, ..anomaly_trigger::Shift::default() };
    let trigger = anomaly_trigger::Config { shift, ..anomaly_trigger::Config::default() };
    let mut line = Line::new(1, &trigger, &Config::default());
    for n in 1000..1060 {
        let data = line.slice(n, if n >= 1050 { fault } else { Fault::None });
        assert!(verdicts(&data).is_empty());
    }
    line
}

fn ask(line: &Line, endpoint: &str, slices: u64) -> Result<Document, NoAnswer> {
    let last = std::time::Duration::from_micros(slices * SLICE_MICROS);
    line.cx.shared().investigators.ask(&Question { endpoint: endpoint.to_owned(), last })
}

#[test]
fn an_endpoint_is_judged_without_an_incident_by_the_slices_that_are_held() {
    let line = unnoticed(Fault::Slow);
    for name in ["web GET /cart", "GET /cart", "cart", "stock serve"] {
        let verdict = ask(&line, name, 10).expect("a verdict");
        let first = verdict.of_kind("service").next().map(|suspect| &*suspect.entity.service);
        assert_eq!(first, Some("stock"), "{name}: {}", verdict.cause);
        assert_eq!((verdict.provenance.baseline_slices, verdict.provenance.window_slices), (50, 10), "{name}");
        assert_eq!(verdict, ask(&line, name, 10).expect("the same question has the same answer"));
    }
    let verdict = ask(&line, "web GET /cart", 10).expect("a verdict");
    assert_eq!((&*verdict.endpoint.route, &*verdict.endpoint.method), ("GET /cart", "GET"));
    assert_eq!((verdict.detector.kind, verdict.status), (DetectorKind::GivenWindow, Status::Open));
}

#[test]
fn who_shares_no_trace_with_an_endpoint_is_not_to_blame_for_it() {
    let verdict = ask(&unnoticed(Fault::Slow), "web POST /pay", 10).expect("a verdict");
    assert!(verdict.of_kind("service").all(|suspect| suspect.entity.service != "stock"), "{:?}", verdict.suspects);
}

#[test]
fn a_question_that_cannot_be_answered_says_what_can_be_asked() {
    let line = unnoticed(Fault::None);
    let known = vec!["web GET /cart".to_owned(), "web POST /pay".to_owned()];
    assert_eq!(ask(&line, "web GET /elsewhere", 10), Err(NoAnswer::UnknownEndpoint { known }));
    let nothing = Line::new(1, &anomaly_trigger::Config::default(), &Config::default());
    assert_eq!(ask(&nothing, "web", 10), Err(NoAnswer::NoSlices));
    let level = ask(&line, "web GET /cart", 10).expect("a verdict").confidence.level;
    assert!(["inconclusive", "low"].contains(&&*level), "{level}");
    let all = ask(&line, "web GET /cart", 100).expect("a verdict");
    assert!(all.cause.contains("no baseline"), "{}", all.cause);
    drop(line.judge);
    let question = Question { endpoint: "web".to_owned(), last: std::time::Duration::from_mins(1) };
    assert_eq!(line.cx.shared().investigators.ask(&question), Err(NoAnswer::Nobody));
}
