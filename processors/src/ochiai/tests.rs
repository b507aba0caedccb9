use backtrail_model::span::SpanKind::{Client, Consumer, Internal, Producer, Server};
use backtrail_model::spectra::{ElementKind, Entry, SpectraSlice, TestKey};
use backtrail_model::trace::TraceFlags;
use proptest::prelude::*;

use super::*;
use crate::testing::{Chain, Span, documented, node, traces};

const ONE: u64 = SpanRecord::ONE as u64;

fn close_with(config: &Config, batches: &[Vec<Vec<Span>>]) -> Vec<SpectraSlice> {
    let cx = Context::for_test("ochiai");
    let mut chain = Chain(vec![node(&cx, config)]);
    for (n, lists) in batches.iter().enumerate() {
        chain.send(Data::Traces(Arc::new(traces(&cx, 1 + 1000 * n as u64, lists))));
    }
    let spectra = chain.finish().into_iter().filter_map(|data| match data {
        Data::Spectra(slice) => Some(Arc::unwrap_or_clone(slice)),
        _ => None,
    });
    spectra.collect()
}

fn close(lists: &[Vec<Span>]) -> SpectraSlice {
    close_with(&Config::default(), &[lists.to_vec()]).remove(0)
}

fn root() -> Span {
    Span { length: 10_000, ..Span::default() }
}

fn client() -> Span {
    Span { id: 2, parent: 1, operation: "call", kind: Client, start: 1000, length: 4000, ..Span::default() }
}

fn cart() -> Span {
    Span { id: 3, parent: 2, service: "cart", operation: "Get", start: 2000, length: 1000, ..Span::default() }
}

fn names(slice: &SpectraSlice) -> Vec<String> {
    let lists = slice.signatures.values().flat_map(|list| list.iter());
    let mut names: Vec<_> = lists.map(|e| format!("{} {} {}", e.kind.name(), e.service, e.name)).collect();
    names.sort();
    names
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../ochiai.rs"));
    assert_eq!(config.max_signatures, Config::default().max_signatures);
}

#[test]
fn a_trace_is_counted_once_with_the_elements_it_touches() {
    let query =
        Span { id: 4, parent: 3, service: "cart", operation: "SELECT", peer: "postgres", kind: Client, ..cart() };
    let slice = close(&[vec![root(), client(), Span { function: "cart.get", ..cart() }, query]]);
    assert_eq!(
        names(&slice),
        [
            "edge cart postgres",
            "edge shop cart",
            "function cart cart.get",
            "route cart Get",
            "route cart SELECT",
            "route shop GET /",
            "route shop call",
            "service cart ",
            "service shop ",
        ]
    );
    let (group, count) = slice.groups.first_key_value().expect("a group");
    assert_eq!(group.entry, Entry { service: "shop".into(), route: "GET /".into() });
    assert_eq!((group.error, group.latency, *count), (false, backtrail_model::histogram::bucket(10_000_000), ONE));
}

#[test]
fn latency_tests_are_self_times_and_gaps() {
    let slice = close(&[vec![root(), client(), cart()]]);
    let test = |service: &str, operation: &str, callee: Option<&str>| {
        let key = TestKey { service: service.into(), operation: operation.into(), callee: callee.map(Arc::from) };
        slice.tests.get(&key).map(|sums| (sums.n, sums.sum))
    };
    assert_eq!(test("shop", "GET /", None), Some((1, 6_000_000)));
    assert_eq!(test("shop", "call", Some("cart")), Some((1, 3_000_000)));
    assert_eq!(test("cart", "Get", None), Some((1, 1_000_000)));
    assert_eq!(slice.tests.len(), 3);
}

#[test]
fn what_repeats_in_a_trace_is_observed_often_and_counted_as_one_trace() {
    let again = Span { id: 8, ..cart() };
    let slice = close(&[vec![root(), client(), cart(), again], vec![root(), client(), cart()]]);
    let key = TestKey { service: "cart".into(), operation: "Get".into(), callee: None };
    assert_eq!((slice.tests[&key].n, slice.tests[&key].traces), (3, 2));
}

#[test]
fn an_error_begins_where_no_child_failed() {
    let slice = close(&[vec![root().failed(), client().failed(), cart().failed()]]);
    let origins: Vec<_> = slice.error_origins.iter().map(|((s, o), n)| (&**s, &**o, *n)).collect();
    assert_eq!(origins, [("cart", "Get", ONE)]);
    assert!(slice.groups.keys().all(|group| group.error));
}

#[test]
fn the_span_that_serves_a_client_root_tells_whether_the_request_failed() {
    let user = Span { id: 9, parent: 0, service: "users", operation: "visit", kind: Client, ..root() };
    let slice = close(&[vec![user, Span { parent: 9, start: 1, ..root() }.failed()]]);
    let (group, _) = slice.groups.first_key_value().expect("a group");
    assert_eq!((&*group.entry.service, group.error), ("users", true));
}

#[test]
fn a_rootless_trace_enters_at_its_earliest_span() {
    let slice = close(&[vec![client(), cart()]]);
    let (group, _) = slice.groups.first_key_value().expect("a group");
    assert_eq!(&*group.entry.route, "call");
}

#[test]
fn versions_are_seen_once_a_service() {
    let slice = close(&[vec![Span { version: "1.2", ..root() }, client(), Span { version: "7", ..cart() }]]);
    let versions: Vec<_> = slice.versions.iter().map(|(s, v)| (&**s, v.len())).collect();
    assert_eq!(versions, [("cart", 1), ("shop", 1)]);
}

#[test]
fn past_the_caps_traces_are_counted_without_their_elements() {
    let lists = [vec![root()], vec![root(), client()], vec![root(), client(), cart()]];
    let slices = close_with(&Config { max_signatures: 1, ..Config::default() }, &[lists.to_vec()]);
    assert_eq!((slices[0].signatures.len(), slices[0].overflow, slices[0].traces()), (1, 2 * ONE, 3 * ONE));
    let slices = close_with(&Config { max_elements: 2, ..Config::default() }, &[lists.to_vec()]);
    assert_eq!((slices[0].signatures.len(), slices[0].overflow, slices[0].traces()), (1, 2 * ONE, 3 * ONE));
}

#[test]
fn copies_of_evidence_are_not_counted_again() {
    let cx = Context::for_test("ochiai");
    let mut chain = Chain(vec![node(&cx, &Config::default())]);
    let mut batch = traces(&cx, 1, &[vec![root()]]);
    batch.traces[0].flags.set(TraceFlags::EVIDENCE);
    assert_eq!(chain.send(Data::Traces(Arc::new(batch))).len(), 1);
    assert!(chain.finish().is_empty());
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

#[test]
fn the_frames_of_an_exception_are_elements() {
    let trace = b"E: no\n\tat Cart.add(Cart.java:1)";
    let attribute = [field(1, b"exception.stacktrace"), field(2, &field(1, trace))].concat();
    let event = [field(2, b"exception"), field(3, &attribute)].concat();
    let raw: &'static [u8] = Box::leak(field(11, &event).into_boxed_slice());
    let slice = close(&[vec![root(), client(), Span { raw, flags: SpanFlags::EXCEPTION, ..cart() }]]);
    assert!(names(&slice).contains(&"frame cart Cart.add (Cart.java)".to_owned()), "{:?}", names(&slice));
    assert_eq!(slice.signatures.values().flat_map(|l| l.iter()).filter(|e| e.kind == ElementKind::Frame).count(), 1);
}

fn any_trace() -> impl Strategy<Value = Vec<Span>> {
    let services = prop::sample::select(vec!["shop", "cart", "mail"]);
    let kinds = prop::sample::select(vec![Server, Client, Internal, Producer, Consumer]);
    let span =
        (services, kinds, 0..40_000_u64, 0..20_000_u64, 0..2_u16, prop::sample::select(vec!["", "cart", "topic"]));
    prop::collection::vec((span, any::<prop::sample::Index>()), 1..12).prop_map(|parts| {
        let spans = parts.iter().enumerate().map(|(n, ((service, kind, start, length, flags, peer), parent))| Span {
            id: n as u64 + 1,
            parent: if n == 0 { 0 } else { parent.index(n) as u64 + 1 },
            service,
            kind: *kind,
            start: start * 1000,
            length: length * 1000,
            flags: *flags,
            peer,
            ..root()
        });
        spans.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_over_shards_and_any_order_gives_the_same_slices(
        lists in prop::collection::vec((any_trace(), 0..3_usize), 1..20),
    ) {
        let whole = close_with(&Config::default(), &[lists.iter().map(|(list, _)| list.clone()).collect()]);
        let mut merged: Vec<SpectraSlice> = Vec::new();
        for shard in 0..3 {
            let part = lists.iter().rev().filter(|(_, s)| *s == shard).map(|(list, _)| vec![list.clone()]);
            for slice in close_with(&Config::default(), &part.collect::<Vec<_>>()) {
                match merged.iter_mut().find(|known| known.slice == slice.slice) {
                    Some(known) => known.merge(&slice),
                    None => merged.push(slice),
                }
            }
        }
        merged.sort_by_key(|slice| slice.slice);
        prop_assert_eq!(whole, merged);
    }
}

/// The steps of a slice's only path, as `service: previous > next`.
fn path(slice: &SpectraSlice) -> Vec<String> {
    let count = slice.paths.paths.values().next().expect("a path");
    let steps = count.steps.iter().map(|hash| &slice.paths.steps[hash]);
    steps.map(|step| format!("{}: {} > {}", step.service, step.previous.name, step.next.name)).collect()
}

#[test]
fn a_path_follows_the_visits_in_order_of_time() {
    let work = Span { id: 4, parent: 3, service: "cart", operation: "load", kind: Internal, start: 2500, ..cart() };
    let slice = close(&[vec![root(), client(), cart(), Span { length: 100, ..work }]]);
    assert_eq!(
        path(&slice),
        ["shop: <begin> > call", "cart: <begin> > load", "cart: load > <end>", "shop: call > <end>"]
    );
    let call = slice.paths.steps.values().find(|step| &*step.next.name == "call").expect("the call");
    assert_eq!(call.next.callee, Some(Entry { service: "cart".into(), route: "Get".into() }));
}

#[test]
fn equal_paths_are_one_and_ids_do_not_matter() {
    let moved = |by: u64| vec![Span { id: 9, ..root().later(by) }, Span { id: 8, parent: 9, ..client().later(by) }];
    let slice = close_with(&Config::default(), &[vec![moved(0), moved(77)], vec![moved(5)]]).remove(0);
    let counts: Vec<u64> = slice.paths.paths.values().map(|count| count.traces).collect();
    assert_eq!((counts, slice.paths.overflow), (vec![3 * ONE], 0));
}

#[test]
fn traces_past_max_paths_keep_their_steps_without_order() {
    let config = Config { max_paths: 1, ..Config::default() };
    let twice = vec![root(), client(), Span { id: 5, start: 6000, length: 100, ..client() }];
    let slice = close_with(&config, &[vec![vec![root(), client()], twice]]).remove(0);
    assert_eq!((slice.paths.paths.len(), slice.paths.overflow), (1, ONE));
    // The second trace passes "after the call" twice: once to another call, once to the end.
    let share = |previous: &str, next: &str| {
        let step = |step: &backtrail_model::paths::Step| *step.previous.name == *previous && *step.next.name == *next;
        let known = slice.paths.steps.iter().find(|(_, known)| step(known)).expect("known");
        slice.paths.loose[known.0] as f64 / backtrail_model::paths::Paths::LOOSE as f64
    };
    assert_eq!((share("<begin>", "call"), share("call", "call"), share("call", "<end>")), (1.0, 0.5, 0.5));
}

#[test]
fn without_max_paths_nothing_is_counted() {
    let slice = close_with(&Config { max_paths: 0, ..Config::default() }, &[vec![vec![root(), client()]]]).remove(0);
    assert_eq!(slice.paths, backtrail_model::paths::Paths::new());
}
