//! What `trace_assembly` promises, one behaviour each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backtrail_model::data::{Batch, Data};
use backtrail_model::incident::Endpoint;
use backtrail_model::span::{Slot, SlotValue, SpanFlags, SpanRecord};
use backtrail_model::symbols::SymbolKind;
use backtrail_model::time::{Tick, UnixNano};
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceFlags};
use backtrail_model::{Ack, Outcome};
use backtrail_pipeline::context::OpenIncident;
use backtrail_pipeline::{ByteSize, Component, Context, Duration as Wait, Emit, Processor};
use proptest::prelude::*;

use super::Config;
use super::assembly::Assembly;
use crate::encoded::{Encoded, Value, batch, text, trace_id};
use crate::testing::{Log, documented, logs};

mod logs_of_traces;

const SECOND: u64 = 1_000_000_000;

struct Bench {
    cx: Context,
    node: Assembly,
    /// What the last tick held the watermark at.
    hold: UnixNano,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let cx = Context::for_test("trace_assembly");
        Self { node: Assembly::new(config, &cx), cx, hold: UnixNano::MAX }
    }

    fn with_attribute(config: &Config, key: &str) -> Self {
        let bench = Self::new(config);
        bench.cx.attribute(key);
        bench
    }

    fn send(&mut self, second: u64, spans: &[Encoded]) -> Vec<Arc<TraceBatch>> {
        let spans = batch(&self.cx, spans);
        self.process(second, Data::Spans(Arc::new(spans), None), Ack::none())
    }

    fn send_logs(&mut self, second: u64, records: &[Log]) -> Vec<Arc<TraceBatch>> {
        let records = logs(&self.cx, trace_id, records);
        self.process(second, Data::Logs(Arc::new(records), None), Ack::none())
    }

    fn process(&mut self, second: u64, data: Data, ack: Ack) -> Vec<Arc<TraceBatch>> {
        self.cx.stats().accept(data.items());
        let arrival = UnixNano(second * SECOND);
        self.call(arrival, |node, out| node.process(Batch { data, arrival, ack }, out).expect("processes"))
    }

    fn tick(&mut self, second: u64) -> Vec<Arc<TraceBatch>> {
        let now = UnixNano(second * SECOND);
        self.ticked(Tick { arrival: now, watermark: now.minus(Duration::from_secs(10)) })
    }

    fn finish(&mut self) -> Vec<Arc<TraceBatch>> {
        self.ticked(Tick::LAST)
    }

    fn ticked(&mut self, now: Tick) -> Vec<Arc<TraceBatch>> {
        self.hold = UnixNano::MAX;
        self.call(now.arrival, |node, out| node.tick(now, out).expect("ticks"))
    }

    fn call(&mut self, arrival: UnixNano, work: impl FnOnce(&mut Assembly, &mut Emit<'_>)) -> Vec<Arc<TraceBatch>> {
        let (mut queue, stats) = (VecDeque::new(), Arc::clone(self.cx.stats()));
        work(&mut self.node, &mut Emit::new(&mut queue, &stats, arrival, &mut self.hold));
        let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        let dropped: u64 = stats.dropped().values().sum();
        assert_eq!(load(&stats.accepted), load(&stats.sent) + dropped + self.node.held(), "conservation");
        let traces = |batch: Batch| match batch.data {
            Data::Traces(traces) => Some(traces),
            Data::Logs(..) => {
                batch.ack.delivered();
                None
            }
            other => panic!("it sent {}", other.signal()),
        };
        queue.into_iter().filter_map(traces).collect()
    }

    fn logs_bytes(&self) -> u64 {
        self.node.logs.bytes()
    }

    fn note(&self, what: &str) -> u64 {
        self.cx.stats().notes().get(what).copied().unwrap_or(0)
    }
}

fn span(trace: u64, id: u64, parent: u64) -> Encoded {
    Encoded { trace, id, parent, start: 100 * SECOND + id, ..Encoded::default() }
}

fn columns(batch: &TraceBatch, record: &SpanRecord) -> Vec<(Slot, SlotValue)> {
    batch.columns(record).collect()
}

/// A trace with everything that belongs to it, comparable between batches.
fn shapes(bench: &Bench, batches: &[Arc<TraceBatch>]) -> Vec<String> {
    let mut shapes: Vec<String> = batches.iter().flat_map(|batch| shapes_of(bench, batch)).collect();
    shapes.sort_unstable();
    shapes
}

fn shapes_of(bench: &Bench, batch: &TraceBatch) -> Vec<String> {
    let shape = |head: &backtrail_model::trace::TraceHead| {
        let spans: Vec<_> = batch
            .range(head)
            .map(|index| {
                let record = &batch.records[index];
                let service = bench.cx.symbols().resolve(SymbolKind::Service, record.service);
                let origin = &batch.origins[record.origin as usize];
                let parent = batch.parents[index];
                let parent = if parent == NO_SPAN { parent } else { parent - head.first };
                let fixed = (record.span_id, record.parent_id, record.start, record.duration, record.flags.0, parent);
                format!(
                    "{fixed:?} {service} {:?} {:?} {:?}",
                    origin.resource,
                    batch.raw(record),
                    columns(batch, record)
                )
            })
            .collect();
        let root = if head.root == NO_SPAN { head.root } else { head.root - head.first };
        format!("{:?} {root} {:?} {:?} {:?} {spans:#?}", head.trace_id, head.start, head.end, head.flags)
    };
    batch.traces.iter().map(shape).collect()
}

#[test]
fn the_example_in_the_docs_parses() {
    let config: Config = documented(include_str!("mod.rs"));
    assert_eq!(config.num_traces, 200_000);
    assert_eq!(Config::default().check(), []);
}

#[test]
fn a_trace_is_sent_once_its_wait_is_over_and_in_order() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(7, 3, 2), span(7, 1, 0)]);
    bench.send(105, &[span(7, 2, 1)]);
    assert!(bench.tick(109).is_empty());
    let sent = bench.tick(110);
    let (batch, head) = (&sent[0], &sent[0].traces[0]);
    assert_eq!(batch.records.iter().map(|record| record.span_id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((batch.parents.as_slice(), head.root, head.len), (&[NO_SPAN, 0, 1][..], 0, 3));
    assert_eq!((head.start.0, head.end.0), (100 * SECOND + 1, 100 * SECOND + 3 + 1_000_000));
    assert_eq!((head.trace_id, head.flags), (trace_id(7), TraceFlags::default()));
    assert_eq!(bench.node.held(), 0);
}

#[test]
fn the_bytes_and_columns_of_a_span_come_out_as_they_went_in() {
    let mut bench = Bench::with_attribute(&Config::default(), "user");
    bench.cx.attribute_of_spans("other");
    let mut spans = [span(1, 1, 0), span(1, 2, 1), span(1, 3, 1)];
    spans[1].attributes = vec![("user", text("ada")), ("other", Value::Int(1))];
    spans[2].attributes = vec![("user", Value::Bool(true))];
    let received = batch(&bench.cx, &spans);
    bench.send(100, &spans);
    let sent = bench.finish();
    for (index, record) in sent[0].records.iter().enumerate() {
        let mut message = Vec::new();
        sent[0].message(&sent[0].traces[0], record).write(&mut message);
        assert_eq!(message, received.raw(&received.records[index]));
        let [user, other] = received.slots_of(index) else { panic!("two attributes were asked for") };
        assert_eq!(*other != SlotValue::Absent, index == 1, "it is there on spans, and not asked for of traces");
        assert_eq!(columns(&sent[0], record).len(), usize::from(*user != SlotValue::Absent));
    }
    assert_eq!(columns(&sent[0], &sent[0].records[2]), [(Slot(0), SlotValue::Bool(true))]);
    let SlotValue::Str { offset, len } = sent[0].columns(&sent[0].records[1]).get(Slot(0)) else { panic!("a string") };
    assert_eq!(&sent[0].raw(&sent[0].records[1])[offset as usize..][..len as usize], b"ada");
}

#[test]
fn only_the_selected_spans_are_taken() {
    let mut bench = Bench::new(&Config::default());
    let spans = batch(&bench.cx, &[span(1, 1, 0), span(2, 2, 0), span(1, 3, 1)]);
    bench.process(100, Data::Spans(Arc::new(spans), Some(Arc::from([0, 2]))), Ack::none());
    assert_eq!(bench.node.held(), 2);
    let sent = bench.finish();
    assert_eq!((sent.len(), sent[0].traces.len(), sent[0].records.len()), (1, 1, 2));
}

#[test]
fn a_batch_is_acknowledged_once_it_is_copied() {
    let (tx, rx) = std::sync::mpsc::sync_channel(1);
    let mut bench = Bench::new(&Config::default());
    let spans = batch(&bench.cx, &[span(1, 1, 0)]);
    let ack = Ack::new(move |outcome| tx.send(outcome).unwrap_or(()));
    bench.process(100, Data::Spans(Arc::new(spans), None), ack);
    assert_eq!(rx.try_recv(), Ok(Outcome::Delivered));
}

#[test]
fn a_trace_with_its_root_may_be_decided_sooner() {
    let config = Config { decision_wait_after_root_received: Wait::from_secs(2), ..Config::default() };
    let mut bench = Bench::new(&config);
    bench.send(100, &[span(1, 2, 1), span(2, 5, 4)]);
    bench.send(103, &[span(1, 1, 0)]);
    assert!(bench.tick(104).is_empty());
    assert_eq!(bench.tick(105)[0].traces[0].trace_id, trace_id(1));
    assert_eq!(bench.tick(110)[0].traces[0].trace_id, trace_id(2));
}

#[test]
fn a_trace_without_a_root_says_so() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 2, 1), span(1, 3, 2)]);
    let sent = bench.finish();
    assert_eq!(sent[0].traces[0].root, NO_SPAN);
    assert!(sent[0].traces[0].flags.has(TraceFlags::ROOTLESS));
    assert_eq!(sent[0].parents, [NO_SPAN, 0]);
}

#[test]
fn over_num_traces_the_oldest_is_decided_early_and_none_is_lost() {
    let mut bench = Bench::new(&Config { num_traces: 2, ..Config::default() });
    let sent = bench.send(100, &[span(1, 1, 0), span(2, 2, 0), span(3, 3, 0), span(4, 4, 0)]);
    assert_eq!(sent[0].traces.iter().map(|head| head.trace_id).collect::<Vec<_>>(), [trace_id(1), trace_id(2)]);
    assert!(sent[0].traces[0].flags.has(TraceFlags::EARLY));
    assert_eq!((bench.note("decided_early_num_traces"), bench.node.held()), (2, 2));
}

#[test]
fn over_max_bytes_the_oldest_are_decided_early() {
    let mut bench = Bench::new(&Config { max_bytes: ByteSize(1000), ..Config::default() });
    let spans: Vec<Encoded> = (1..=100).map(|n| span(n, n, 0)).collect();
    let sent = bench.send(100, &spans);
    assert!(bench.note("decided_early_memory") > 80);
    assert_eq!(sent[0].traces[0].trace_id, trace_id(1));
    assert!(bench.node.store.arena.live_bytes() <= 1000);
}

#[test]
fn an_endless_trace_is_decided_at_its_cap_and_what_follows_is_late() {
    let mut bench = Bench::new(&Config { max_spans_per_trace: 3, ..Config::default() });
    let spans: Vec<Encoded> = (1..=5).map(|n| span(1, n, n - 1)).collect();
    let sent = bench.send(100, &spans);
    assert_eq!((sent[0].traces[0].len, sent[0].traces[0].flags.0), (3, TraceFlags::EARLY));
    assert_eq!(bench.note("decided_early_trace_cap"), 1);
    let rest = bench.tick(110);
    assert!(rest[0].traces[0].flags.has(TraceFlags::LATE) && rest[0].traces[0].len == 2);
    assert_eq!(bench.note("late_spans"), 2);
}

#[test]
fn late_spans_travel_as_a_fragment_after_a_wait_of_their_own() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0)]);
    bench.tick(110);
    bench.send(111, &[span(1, 2, 1)]);
    bench.send(115, &[span(1, 3, 1)]);
    assert!(bench.tick(120).is_empty());
    let sent = bench.tick(121);
    assert_eq!((sent[0].traces[0].len, sent[0].traces[0].flags.0), (2, TraceFlags::LATE | TraceFlags::ROOTLESS));
    assert_eq!(bench.note("late_spans"), 2);
}

#[test]
fn exact_duplicates_are_dropped_and_others_with_the_same_id_are_kept() {
    let mut bench = Bench::new(&Config::default());
    let longer = Encoded { length: 2_000_000, ..span(1, 1, 0) };
    bench.send(100, &[span(1, 1, 0), longer, span(1, 2, 1), span(1, 1, 0)]);
    let sent = bench.finish();
    assert_eq!(bench.cx.stats().dropped().get("duplicate_span"), Some(&1));
    assert_eq!(
        sent[0].records.iter().map(|r| (r.span_id.0, r.duration)).collect::<Vec<_>>(),
        [(1, 1_000_000), (1, 2_000_000), (2, 1_000_000)]
    );
    assert_eq!(sent[0].parents, [NO_SPAN, NO_SPAN, 0]);
}

#[test]
fn no_span_is_its_own_ancestor() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 2), span(1, 2, 1), span(1, 3, 3), span(1, 4, 2)]);
    let sent = bench.finish();
    assert_eq!(sent[0].parents, [NO_SPAN, 0, NO_SPAN, 1]);
    assert_eq!(bench.note("parent_cycles"), 2);
}

#[test]
fn a_large_trace_finds_its_parents_too() {
    let mut bench = Bench::new(&Config::default());
    let spans: Vec<Encoded> = (1..=500).rev().map(|n| span(1, n, n / 2)).collect();
    bench.send(100, &spans);
    let sent = bench.finish();
    assert!((1..=500_usize).all(|n| sent[0].parent(n - 1) == (n / 2).checked_sub(1)));
}

#[test]
fn batches_are_bounded() {
    let mut bench = Bench::new(&Config::default());
    let spans: Vec<Encoded> = (1..=9000).map(|n| span(n / 10, n, 0)).collect();
    bench.send(100, &spans);
    let sent = bench.finish();
    assert!(sent.len() >= 5 && sent.iter().all(|batch| batch.records.len() <= 2048));
    assert_eq!(sent.iter().map(|batch| batch.records.len()).sum::<usize>(), 9000);
}

#[test]
fn slices_of_waiting_traces_stay_open() {
    let mut bench = Bench::new(&Config::default());
    bench.send(110, &[Encoded { start: 107 * SECOND, ..span(1, 1, 0) }]);
    bench.send(119, &[Encoded { start: 118 * SECOND, ..span(2, 2, 0) }]);
    bench.tick(119);
    assert_eq!(bench.hold, UnixNano(105 * SECOND), "slices are 15 s");
    bench.tick(121);
    assert_eq!(bench.hold, UnixNano(105 * SECOND));
    bench.tick(131);
    assert_eq!(bench.hold, UnixNano::MAX);
}

#[test]
fn a_sender_of_old_or_late_spans_does_not_stop_the_windows() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0)]);
    bench.tick(160);
    bench.send(161, &[span(1, 2, 1), span(2, 3, 0)]);
    bench.tick(162);
    assert_eq!(bench.hold, UnixNano::MAX);
}

#[test]
fn everything_is_given_back_after_the_decision() {
    let mut bench = Bench::new(&Config::default());
    let spans: Vec<Encoded> = (1..=20_000).map(|n| span(n % 500, n, 0)).collect();
    bench.send(100, &spans);
    assert!(bench.node.store.arena.allocated_bytes() > 1 << 20);
    bench.tick(110);
    assert_eq!(bench.node.store.arena.live_bytes(), 0);
    assert!(bench.node.store.arena.allocated_bytes() <= 5 << 18, "one slab");
    assert!(bench.node.store.origins.is_empty());
}

#[test]
fn traces_that_wait_long_do_not_pin_the_memory_of_others() {
    let config = Config {
        decision_wait: Wait::from_secs(600),
        decision_wait_after_root_received: Wait::from_secs(1),
        ..Config::default()
    };
    let mut bench = Bench::new(&config);
    for second in 0..60_u64 {
        let id = |n: u64| second * 10_000 + n + 1;
        let spans: Vec<Encoded> = (0..5000).map(|n| span(id(n), id(n), u64::from(n % 100 == 0))).collect();
        bench.send(100 + second, &spans);
        bench.tick(101 + second);
    }
    assert_eq!(bench.node.held(), 3000);
    assert!(bench.node.store.arena.allocated_bytes() <= 20 << 20, "{}", bench.node.store.arena.allocated_bytes());
    let sent = bench.finish();
    assert_eq!(sent.iter().map(|batch| batch.records.len()).sum::<usize>(), 3000);
}

fn incident(key: &str, second: u64) -> OpenIncident {
    let endpoint = Endpoint { service: "shop".into(), route: "/".into(), method: "GET".into() };
    OpenIncident { incident_key: key.into(), endpoint, since: UnixNano(second * SECOND) }
}

#[test]
fn evidence_is_released_once_when_an_incident_opens() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0), Encoded { flags: SpanFlags::ERROR, ..span(2, 2, 0) }]);
    assert!(bench.tick(110).iter().all(|batch| !batch.traces[0].flags.has(TraceFlags::EVIDENCE)));
    bench.cx.shared().incidents.publish(vec![incident("a", 105)]);
    let released = bench.tick(111);
    assert_eq!(released[0].traces.len(), 2);
    assert!(released[0].traces.iter().all(|head| head.flags.has(TraceFlags::EVIDENCE)));
    assert_eq!(bench.node.evidence.bytes(), 0);
    bench.cx.shared().incidents.publish(vec![incident("a", 105), incident("b", 105)]);
    assert!(bench.tick(112).is_empty());
}

#[test]
fn evidence_from_long_before_the_incident_stays() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0)]);
    bench.tick(110);
    bench.cx.shared().incidents.publish(vec![incident("a", 400)]);
    assert!(bench.tick(111).is_empty());
}

#[test]
fn a_changed_wait_is_in_force_without_losing_spans() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0)]);
    let new = Config { decision_wait: Wait::from_secs(1), ..Config::default() };
    assert_eq!(bench.node.reconfigure(&new), backtrail_pipeline::node::Reconfigured::Live);
    bench.send(100, &[span(2, 2, 0)]);
    assert_eq!(bench.tick(110).iter().map(|batch| batch.traces.len()).sum::<usize>(), 2);
}

fn spans() -> impl Strategy<Value = Vec<Encoded>> {
    let span = (0..6_u64, 0..12_u64, 0..12_u64, 0..4_u64, 1..3_u64, 0..3_usize, any::<bool>());
    prop::collection::vec(span, 1..80).prop_map(|spans| {
        let encoded = spans.into_iter().map(|(trace, id, parent, start, length, service, named)| Encoded {
            trace: trace + 1,
            id: id + 1,
            parent,
            start: 100 * SECOND + start,
            length,
            service: ["a", "bb", "cc"][service].into(),
            attributes: if named { vec![("user", text("ada"))] } else { Vec::new() },
            ..Encoded::default()
        });
        encoded.collect()
    })
}

fn assembled(spans: &[Encoded], size: usize) -> Vec<String> {
    let mut bench = Bench::with_attribute(&Config::default(), "user");
    let mut sent = Vec::new();
    for part in spans.chunks(size) {
        sent.extend(bench.send(100, part));
    }
    sent.extend(bench.tick(105));
    sent.extend(bench.tick(111));
    assert_eq!((bench.node.held(), bench.node.store.arena.live_bytes()), (0, 0));
    assert!(bench.node.store.origins.is_empty());
    shapes(&bench, &sent)
}

proptest! {
    #[test]
    fn any_order_and_batch_size_gives_the_same_traces(
        spans in spans(), size in 1..20_usize, order in any::<u64>(),
    ) {
        let mut shuffled = spans.clone();
        let mut state = order | 1;
        for n in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(n, (state >> 33) as usize % (n + 1));
        }
        prop_assert_eq!(assembled(&spans, spans.len()), assembled(&shuffled, size));
    }
}
