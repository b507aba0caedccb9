use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::span::SpanKind::{Client, Consumer, Internal, Producer, Server, Unspecified};
use backtrail_model::span::{SpanFlags, SpanRecord};
use backtrail_model::trace::TraceFlags;
use proptest::prelude::*;

use super::*;
use crate::testing::{Chain, Span, documented, node, traces};

const ONE: u64 = SpanRecord::ONE as u64;

/// The slices that one shard closes.
fn close_with(config: &Config, batches: &[Vec<Vec<Span>>]) -> Vec<EdgeSlice> {
    let cx = Context::for_test("edge_aggregation");
    let mut chain = Chain(vec![node(&cx, config)]);
    for (n, lists) in batches.iter().enumerate() {
        chain.send(Data::Traces(Arc::new(traces(&cx, 1 + 1000 * n as u64, lists))));
    }
    slices(chain.finish())
}

fn slices(data: Vec<Data>) -> Vec<EdgeSlice> {
    let edges = data.into_iter().filter_map(|data| match data {
        Data::Edges(slice) => Some(Arc::unwrap_or_clone(slice)),
        _ => None,
    });
    edges.collect()
}

fn close(spans: &[Span]) -> EdgeSlice {
    close_with(&Config::default(), &[vec![spans.to_vec()]]).remove(0)
}

fn key(caller: &str, callee: &str, route: &str, kind: EdgeKind) -> EdgeKey {
    EdgeKey { caller: caller.into(), callee: callee.into(), route: route.into(), kind }
}

#[track_caller]
fn edge<'a>(slice: &'a EdgeSlice, caller: &str, callee: &str, route: &str, kind: EdgeKind) -> &'a EdgeCounts {
    let found = slice.edges.get(&key(caller, callee, route, kind));
    found.unwrap_or_else(|| panic!("{caller} -> {callee} {route} is missing in {:#?}", slice.edges.keys()))
}

fn root() -> Span {
    Span::default()
}

fn client(id: u64, start: u64, length: u64) -> Span {
    Span { id, parent: 1, operation: "call", kind: Client, start, length, ..root() }
}

fn cart(id: u64, parent: u64, start: u64, length: u64) -> Span {
    Span { id, parent, service: "cart", operation: "Get", start, length, ..root() }
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../edge_aggregation.rs"));
    assert_eq!(config.max_edges, Config::default().max_edges);
}

#[test]
fn a_call_has_both_durations_and_its_share_of_the_critical_path() {
    let slice = close(&[root(), client(2, 100, 500), cart(3, 2, 200, 300)]);
    let call = edge(&slice, "shop", "cart", "Get", EdgeKind::Call);
    assert_eq!((call.calls, call.errors, call.requests, call.unpaired), (ONE, 0, ONE, 0));
    assert_eq!((call.client.count(), call.server.count()), (ONE, ONE));
    assert_eq!((call.critical, call.critical_ns), (ONE, 500_000));
    let entry = edge(&slice, "", "shop", "GET /", EdgeKind::Entry);
    assert_eq!((entry.calls, entry.critical_ns), (ONE, 500_000));
    assert_eq!(slice.edges.len(), 2);
}

#[test]
fn who_answers_under_a_name_is_remembered_and_who_does_not_is_called_by_it() {
    let named = |id, start, peer| Span { peer, ..client(id, start, 500) };
    let slice = close(&[
        root(),
        named(2, 100, "cart.shop.svc"),
        cart(3, 2, 200, 300),
        named(4, 700, "cart"),
        cart(5, 4, 800, 300),
        named(6, 1300, "cart.shop.svc"),
    ]);
    let peers: Vec<_> = slice.peers.iter().map(|(peer, services)| (&**peer, services.len())).collect();
    assert_eq!(peers, [("cart.shop.svc", 1)], "a service's own name needs no word");
    assert!(slice.peers["cart.shop.svc"].contains("cart"));
    assert_eq!(edge(&slice, "shop", "cart.shop.svc", "call", EdgeKind::Virtual).calls, ONE);
    let mut merged = EdgeSlice::new(slice.slice);
    merged.merge(&slice);
    assert_eq!(merged.peers, slice.peers);
}

/// A span's message that holds links only: (number of the test trace, span id).
fn links(to: &[(u64, u64)]) -> &'static [u8] {
    let mut raw = Vec::new();
    for &(trace, span) in to {
        raw.extend_from_slice(&[0x6A, 28, 0x0A, 16]);
        raw.extend_from_slice(&crate::testing::trace_id(trace).0);
        raw.extend_from_slice(&[0x12, 8]);
        raw.extend_from_slice(&span.to_be_bytes());
    }
    raw.leak()
}

fn consumer(id: u64, to: &[(u64, u64)]) -> Span {
    let flags = SpanFlags::MESSAGING | SpanFlags::LINKS;
    Span { id, service: "mailer", operation: "process", kind: Consumer, start: 2000, flags, raw: links(to), ..root() }
}

#[test]
fn a_consumer_in_a_trace_of_its_own_receives_each_message_that_it_links_to() {
    let named = Span { peer: "mails", ..consumer(1, &[(7, 2), (8, 2), (9, 2)]) };
    let slice = close_with(&Config::default(), &[vec![vec![named], vec![consumer(1, &[(7, 3)])]]]).remove(0);
    let received = edge(&slice, "mails", "mailer", "process", EdgeKind::Messaging);
    assert_eq!((received.calls, received.unpaired), (3 * ONE, 0));
    let unnamed = edge(&slice, "(unknown)", "mailer", "process", EdgeKind::Messaging);
    assert_eq!((unnamed.calls, unnamed.unpaired), (ONE, ONE));
    assert_eq!(slice.edges.len(), 2, "a consumer with links is no entry from outside");
}

#[test]
fn a_link_to_a_producer_of_the_same_trace_finds_its_destination() {
    let send = |id, peer| Span { id, parent: 1, operation: "send", kind: Producer, start: 10 * id, peer, ..root() };
    let slice = close(&[root(), send(2, "mails"), send(3, ""), Span { parent: 1, ..consumer(4, &[(1, 2), (1, 3)]) }]);
    assert_eq!(edge(&slice, "shop", "mails", "send", EdgeKind::Messaging).calls, ONE);
    assert_eq!(edge(&slice, "mails", "mailer", "process", EdgeKind::Messaging).calls, ONE);
    let direct = edge(&slice, "shop", "mailer", "process", EdgeKind::Messaging);
    assert_eq!((direct.calls, direct.unpaired), (ONE, 0));
}

#[test]
fn a_link_to_the_parent_is_no_second_message() {
    let send = Span { id: 2, parent: 1, operation: "send", kind: Producer, peer: "mails", start: 10, ..root() };
    let slice = close(&[root(), send, Span { parent: 2, ..consumer(3, &[(1, 2)]) }]);
    assert_eq!(edge(&slice, "mails", "mailer", "process", EdgeKind::Messaging).calls, ONE);
    assert_eq!(slice.edges.len(), 3);
}

#[test]
fn every_server_child_of_one_client_span_is_a_call() {
    let slice = close(&[root(), client(2, 100, 500), cart(3, 2, 110, 100), cart(4, 2, 300, 100)]);
    assert_eq!(edge(&slice, "shop", "cart", "Get", EdgeKind::Call).calls, 2 * ONE);
}

#[test]
fn a_change_of_service_is_a_call_even_when_the_kinds_are_wrong() {
    let slice = close(&[Span { kind: Unspecified, ..root() }, Span { kind: Internal, ..cart(2, 1, 10, 20) }]);
    assert_eq!(edge(&slice, "shop", "cart", "Get", EdgeKind::Call).calls, ONE);
    assert_eq!(edge(&slice, "", "shop", "GET /", EdgeKind::Entry).calls, ONE);
}

#[test]
fn a_destination_is_a_node_between_producer_and_consumer() {
    let send = Span { id: 2, parent: 1, operation: "send", kind: Producer, peer: "orders", ..root() };
    let receive = Span { id: 3, parent: 2, service: "mail", operation: "on order", kind: Consumer, ..root() };
    // A consumer that is only linked to its producer begins a trace of its own.
    let linked = Span { id: 4, parent: 0, service: "ledger", peer: "orders", ..receive };
    let slices = close_with(&Config::default(), &[vec![vec![root(), send, receive.failed()], vec![linked]]]);
    let sent = edge(&slices[0], "shop", "orders", "send", EdgeKind::Messaging);
    assert_eq!((sent.calls, sent.errors), (ONE, 0));
    let received = edge(&slices[0], "orders", "mail", "on order", EdgeKind::Messaging);
    assert_eq!((received.calls, received.errors, received.client.count()), (ONE, ONE, 0));
    assert_eq!(edge(&slices[0], "orders", "ledger", "on order", EdgeKind::Messaging).calls, ONE);
    assert_eq!(slices[0].edges.len(), 4);
}

#[test]
fn a_message_without_a_named_destination_joins_the_services() {
    let send = Span { id: 2, parent: 1, operation: "send", kind: Producer, ..root() };
    let receive = Span { id: 3, parent: 2, service: "mail", operation: "on order", kind: Consumer, ..root() };
    let slice = close(&[root(), send, receive]);
    assert_eq!(edge(&slice, "shop", "mail", "on order", EdgeKind::Messaging).calls, ONE);
    assert_eq!(slice.edges.len(), 2);
}

#[test]
fn what_is_not_instrumented_is_a_virtual_node_and_what_nobody_names_is_unpaired() {
    let query = Span { peer: "postgres", operation: "SELECT", ..client(2, 10, 20) };
    let slice = close(&[root(), query, client(3, 50, 20)]);
    let call = edge(&slice, "shop", "postgres", "SELECT", EdgeKind::Virtual);
    assert_eq!((call.calls, call.unpaired, call.server.count()), (ONE, 0, 0));
    assert_eq!(edge(&slice, "shop", "(unknown)", "call", EdgeKind::Virtual).unpaired, ONE);
    let off = Config { virtual_nodes: false, ..Config::default() };
    let slices = close_with(&off, &[vec![vec![root(), query]]]);
    assert_eq!(slices[0].edges.len(), 1);
}

#[test]
fn a_client_span_around_another_one_is_the_same_call() {
    let outer = Span { peer: "postgres", operation: "SELECT", ..client(2, 10, 40) };
    let inner = Span { id: 3, parent: 2, start: 15, length: 20, ..outer };
    let slice = close(&[root(), outer, inner]);
    assert_eq!(edge(&slice, "shop", "postgres", "SELECT", EdgeKind::Virtual).calls, ONE);
}

#[test]
fn a_service_that_calls_itself_over_the_wire_is_told_apart() {
    let inner = Span { id: 3, parent: 2, operation: "GET /self", start: 110, length: 50, ..root() };
    let slice = close(&[root(), client(2, 100, 100), inner]);
    assert_eq!(edge(&slice, "shop", "shop", "GET /self", EdgeKind::SelfCall).calls, ONE);
}

#[test]
fn a_server_whose_caller_is_missing_is_unpaired() {
    let slice = close(&[Span { parent: 99, ..root() }]);
    let entry = edge(&slice, "", "shop", "GET /", EdgeKind::Entry);
    assert_eq!((entry.calls, entry.unpaired), (ONE, ONE));
}

#[test]
fn a_call_fails_at_either_end_and_a_breaker_is_counted() {
    let broken = Span { flags: SpanFlags::BREAKER, ..client(4, 300, 10) }.failed();
    let spans = [
        root(),
        client(2, 100, 50),
        cart(3, 2, 110, 10).failed(),
        broken,
        Span { service: "mail", ..cart(5, 4, 301, 5) },
        client(6, 400, 50),
        Span { operation: "Put", ..cart(7, 6, 410, 10) },
    ];
    let slice = close(&spans);
    assert_eq!(edge(&slice, "shop", "cart", "Get", EdgeKind::Call).errors, ONE);
    let breaker = edge(&slice, "shop", "mail", "Get", EdgeKind::Call);
    assert_eq!((breaker.errors, breaker.breaker), (ONE, ONE));
    assert_eq!(edge(&slice, "shop", "cart", "Put", EdgeKind::Call).errors, 0);
}

#[test]
fn a_repeat_after_a_failure_is_a_retry_and_a_second_request_is_not() {
    let first = [client(2, 100, 50).failed(), cart(3, 2, 110, 10)];
    let again = [client(4, 200, 50), cart(5, 4, 210, 10)];
    let other = [client(6, 300, 50), cart(7, 6, 310, 10)];
    let slice = close(&[&[root()], &first[..], &again, &other].concat());
    let call = edge(&slice, "shop", "cart", "Get", EdgeKind::Call);
    assert_eq!((call.calls, call.retries, call.requests), (3 * ONE, ONE, 2 * ONE));
    // In parallel to the failing call nothing is repeated.
    let beside = [client(4, 120, 50), cart(5, 4, 130, 10)];
    let slice = close(&[&[root()], &first[..], &beside].concat());
    assert_eq!(edge(&slice, "shop", "cart", "Get", EdgeKind::Call).retries, 0);
    let stated = Span { resend: 1, ..client(2, 100, 50) };
    let slice = close(&[root(), stated, cart(3, 2, 110, 10)]);
    assert_eq!(edge(&slice, "shop", "cart", "Get", EdgeKind::Call).retries, ONE);
}

#[test]
fn a_sampled_call_counts_for_those_it_stands_for() {
    let slice = close(&[root(), client(2, 100, 50), Span { weight: 2560, ..cart(3, 2, 110, 10) }]);
    let call = edge(&slice, "shop", "cart", "Get", EdgeKind::Call);
    assert_eq!((call.calls, call.server.count()), (2560, 2560));
}

#[test]
fn past_the_cap_calls_are_counted_together_and_the_demand_is_estimated() {
    let names: Vec<&'static str> = (0..200).map(|n| &*Box::leak(format!("GET /{n}").into_boxed_str())).collect();
    let lists: Vec<_> = names.iter().map(|&operation| vec![Span { operation, ..root() }]).collect();
    let slices = close_with(&Config { max_edges: 50, ..Config::default() }, &[lists]);
    let overflow = edge(&slices[0], "", "(other)", "", EdgeKind::Overflow);
    assert_eq!(overflow.calls, 150 * ONE);
    assert!((195..=205).contains(&slices[0].demand), "{}", slices[0].demand);
}

#[test]
fn evidence_and_late_spans_pass_uncounted() {
    let cx = Context::for_test("edge_aggregation");
    let mut chain = Chain(vec![node(&cx, &Config::default())]);
    for flag in [TraceFlags::EVIDENCE, TraceFlags::LATE] {
        let mut batch = traces(&cx, 1, &[vec![root()]]);
        batch.traces[0].flags.set(flag);
        assert_eq!(chain.send(Data::Traces(Arc::new(batch))).len(), 1);
    }
    assert!(chain.finish().is_empty());
    assert_eq!(chain.0[0].cx.stats().notes().get("late"), Some(&1));
}

#[test]
fn a_slice_closes_once_and_a_trace_that_comes_after_that_is_noted() {
    let cx = Context::for_test("edge_aggregation");
    let mut chain = Chain(vec![node(&cx, &Config::default())]);
    let first = Data::Traces(Arc::new(traces(&cx, 1, &[vec![root()], vec![root().later(16_000_000)]])));
    chain.send(first.clone());
    assert!(chain.tick(14_000_000).is_empty());
    let closed = slices(chain.tick(15_000_000));
    assert_eq!(closed.iter().map(|slice| slice.slice).collect::<Vec<_>>(), [cx.grid().slice(UnixNano(0))]);
    chain.send(first);
    assert_eq!(chain.0[0].cx.stats().notes().get("late_slice"), Some(&1));
    let closed = slices(chain.finish());
    assert_eq!(edge(&closed[0], "", "shop", "GET /", EdgeKind::Entry).calls, 2 * ONE);
}

use backtrail_model::time::UnixNano;

fn any_trace() -> impl Strategy<Value = Vec<Span>> {
    let services = prop::sample::select(vec!["shop", "cart", "mail"]);
    let kinds = prop::sample::select(vec![Server, Client, Internal, Producer, Consumer]);
    let span = (services, kinds, 0..40_000_u64, 0..20_000_u64, 0..2_u16, prop::sample::select(vec!["", "db", "topic"]));
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
        let mut merged: Vec<EdgeSlice> = Vec::new();
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
        for (a, b) in whole.iter().zip(&merged) {
            prop_assert_eq!(&a.edges, &b.edges);
        }
        prop_assert_eq!(whole.len(), merged.len());
    }
}
