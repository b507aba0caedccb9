//! What `trace_assembly` does with log records.

use super::*;

/// A record that names the trace and the span, a second after the spans.
fn log(trace: u64, span: u64, template: &'static str) -> Log {
    Log { time: 101_000_000, trace, span, template, ..Log::default() }
}

fn log_rows(bench: &Bench, batch: &TraceBatch) -> Vec<(u32, String, u8)> {
    let head = &batch.traces[0];
    let row = |log: &backtrail_model::trace::TraceLog| {
        let name = bench.cx.symbols().resolve(SymbolKind::Template, log.template);
        (log.span, name.to_string(), log.severity)
    };
    batch.logs_of(head).iter().map(row).collect()
}

#[test]
fn log_records_travel_with_their_trace_in_an_order_of_their_own() {
    let mut bench = Bench::new(&Config::default());
    let records =
        [log(1, 2, "b"), log(1, 1, "a"), log(1, 2, "a"), log(1, 9, "gone"), log(1, 0, "none"), log(2, 1, "x")];
    bench.send_logs(99, &records);
    bench.send(100, &[span(1, 1, 0), span(1, 2, 1)]);
    bench.send_logs(105, &[Log { time: 1, severity: 17, ..log(1, 2, "late in order") }]);
    let sent = bench.tick(110);
    let rows = log_rows(&bench, &sent[0]);
    let rows: Vec<_> = rows.iter().map(|(span, name, severity)| (*span, &**name, *severity)).collect();
    let expected =
        [(1, "late in order", 17), (0, "a", 9), (1, "a", 9), (1, "b", 9), (NO_SPAN, "gone", 9), (NO_SPAN, "none", 9)];
    assert_eq!(rows, expected);
    assert_eq!((bench.note("logs_without_spans"), bench.note("late_logs"), bench.logs_bytes()), (1, 0, 0));
}

#[test]
fn a_log_record_of_a_large_trace_finds_its_span_too() {
    let mut bench = Bench::new(&Config::default());
    let spans: Vec<Encoded> = (1..=500).map(|n| span(1, n, n / 2)).collect();
    bench.send(100, &spans);
    bench.send_logs(100, &[log(1, 400, "a"), log(1, 501, "b")]);
    let sent = bench.finish();
    assert_eq!(sent[0].logs.iter().map(|log| log.span).collect::<Vec<_>>(), [399, NO_SPAN]);
}

#[test]
fn no_trace_waits_longer_or_goes_earlier_because_of_its_log_records() {
    let mut bench = Bench::new(&Config { num_traces: 1, ..Config::default() });
    bench.send_logs(95, &[log(1, 1, "a"), log(2, 1, "a"), log(3, 1, "a")]);
    assert!(bench.tick(104).is_empty());
    bench.send(104, &[span(1, 1, 0)]);
    assert!(bench.tick(113).is_empty());
    assert_eq!(bench.note("logs_without_spans"), 2);
    let sent = bench.tick(114);
    assert_eq!((sent[0].logs.len(), sent[0].traces[0].flags), (1, TraceFlags::default()));
    assert_eq!(bench.hold, UnixNano::MAX);
}

#[test]
fn log_records_after_the_decision_are_late_and_pass() {
    let mut bench = Bench::new(&Config::default());
    bench.send(100, &[span(1, 1, 0)]);
    bench.tick(110);
    bench.send_logs(111, &[log(1, 1, "a")]);
    assert_eq!((bench.note("late_logs"), bench.logs_bytes(), bench.node.held()), (1, 0, 0));
    bench.send(112, &[span(1, 2, 1)]);
    assert!(bench.tick(122)[0].logs.is_empty());
}

#[test]
fn a_batch_of_logs_is_acknowledged_by_what_follows() {
    let (tx, rx) = std::sync::mpsc::sync_channel(1);
    let mut bench = Bench::new(&Config::default());
    let ack = Ack::new(move |outcome| tx.send(outcome).unwrap_or(()));
    let records = logs(&bench.cx, trace_id, &[log(1, 1, "a")]);
    let (mut queue, stats) = (VecDeque::new(), Arc::clone(bench.cx.stats()));
    let data = Data::Logs(Arc::new(records), None);
    let mut out = Emit::new(&mut queue, &stats, UnixNano(0), &mut bench.hold);
    bench.node.process(Batch { data, arrival: UnixNano(0), ack }, &mut out).expect("processes");
    assert!(rx.try_recv().is_err());
    for batch in queue {
        batch.ack.delivered();
    }
    assert_eq!(rx.try_recv(), Ok(Outcome::Delivered));
}

#[test]
fn a_trace_with_many_log_records_keeps_the_earliest() {
    let mut bench = Bench::new(&Config { max_logs_per_trace: 3, ..Config::default() });
    let records: Vec<Log> = (1..=20).rev().map(|time| Log { time, ..log(1, 1, "a") }).collect();
    bench.send_logs(100, &records);
    bench.send(100, &[span(1, 1, 0)]);
    let sent = bench.finish();
    assert_eq!(sent[0].logs.iter().map(|log| log.time.0).collect::<Vec<_>>(), [1000, 2000, 3000]);
    assert_eq!((bench.note("logs_past_max"), bench.logs_bytes()), (17, 0));
}

#[test]
fn log_records_stay_within_a_quarter_of_the_bytes() {
    let mut bench = Bench::new(&Config { max_bytes: ByteSize(4000), ..Config::default() });
    let records: Vec<Log> = (1..=100).map(|n| log(n, 1, "a")).collect();
    bench.send_logs(100, &records);
    assert!(bench.logs_bytes() <= 1500 && bench.note("logs_past_bytes") > 80, "{}", bench.logs_bytes());
}

#[test]
fn evidence_takes_its_log_records_along() {
    let mut bench = Bench::new(&Config::default());
    bench.send_logs(100, &[log(1, 1, "a"), log(2, 2, "b")]);
    bench.send(100, &[span(1, 1, 0), span(2, 2, 0)]);
    bench.tick(110);
    bench.cx.shared().incidents.publish(vec![incident("a", 105)]);
    let released = bench.tick(111);
    assert_eq!(released[0].traces.len(), 2);
    for head in &released[0].traces {
        let [log] = released[0].logs_of(head) else { panic!("one record") };
        assert_eq!(log.span, head.first);
    }
}
