use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::time::{Slice, UnixNano};
use proptest::prelude::*;

use super::*;
use crate::testing::{Chain, Log, documented, logs, node, trace_id};
use crate::{encoded, trace_assembly};

const SECOND: u64 = 1_000_000;

fn slices(data: Vec<Data>) -> Vec<LogMotifSlice> {
    let motifs = data.into_iter().filter_map(|data| match data {
        Data::LogMotifs(slice) => Some(Arc::unwrap_or_clone(slice)),
        _ => None,
    });
    motifs.collect()
}

/// The slices that one shard closes.
fn close_with(config: &Config, batches: &[&[Log]]) -> Vec<LogMotifSlice> {
    let cx = Context::for_test("log_motifs");
    let mut chain = Chain(vec![node(&cx, config)]);
    for batch in batches {
        chain.send(Data::Logs(Arc::new(logs(&cx, trace_id, batch)), None));
    }
    slices(chain.finish())
}

fn key(template: &str, severity: u8) -> MotifKey {
    MotifKey { service: "shop".into(), template: template.into(), severity }
}

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../log_motifs.rs"));
    assert_eq!(config.max_motifs, Config::default().max_motifs);
    assert_eq!(Config { max_motifs: 0 }.check().len(), 1);
}

#[test]
fn records_are_counted_by_statement_and_severity_in_the_slice_of_their_time() {
    let records = [
        Log { time: 16 * SECOND, body: b"b 2", trace: 1, ..Log::default() },
        Log { time: 20 * SECOND, body: b"a 1", ..Log::default() },
        Log { time: 18 * SECOND, body: b"c", severity: 11, ..Log::default() },
        Log { time: 17 * SECOND, body: b"", severity: 17, ..Log::default() },
        Log { time: 31 * SECOND, ..Log::default() },
    ];
    let closed = close_with(&Config::default(), &[&records]);
    assert_eq!(closed.iter().map(LogMotifSlice::records).collect::<Vec<_>>(), [4, 1]);
    let counts = MotifCounts {
        count: 3,
        in_traces: 1,
        first: UnixNano(16 * SECOND * 1000),
        last: UnixNano(20 * SECOND * 1000),
        example: "a 1".into(),
    };
    assert_eq!(closed[0].motifs[&key("shop#1", 9)], counts);
    let error = &closed[0].motifs[&key("shop#1", 17)];
    assert_eq!((error.count, &*error.example), (1, ""));
}

#[test]
fn records_pass_and_only_the_selected_ones_count() {
    let cx = Context::for_test("log_motifs");
    let mut chain = Chain(vec![node(&cx, &Config::default())]);
    let batch = Arc::new(logs(&cx, trace_id, &[Log::default(); 3]));
    let passed = chain.send(Data::Logs(Arc::clone(&batch), Some(Arc::from([0, 2]))));
    let [Data::Logs(same, Some(selected))] = &passed[..] else { panic!("the batch passes") };
    assert!(Arc::ptr_eq(same, &batch) && **selected == [0, 2]);
    assert_eq!(slices(chain.finish())[0].records(), 2);
}

#[test]
fn past_max_motifs_records_are_counted_together() {
    let of = |template| Log { template, ..Log::default() };
    let cx = Context::for_test("log_motifs");
    let mut chain = Chain(vec![node(&cx, &Config { max_motifs: 2 })]);
    let records = [of("a"), of("b"), of("c"), of("a"), of("d")];
    chain.send(Data::Logs(Arc::new(logs(&cx, trace_id, &records)), None));
    let closed = slices(chain.finish());
    assert_eq!((closed[0].motifs.len(), closed[0].overflow, closed[0].records()), (2, 2, 5));
    assert_eq!(chain.0[0].cx.stats().notes().get("records_past_max"), Some(&2));
}

#[test]
fn a_record_of_a_closed_slice_is_noted_and_passes() {
    let cx = Context::for_test("log_motifs");
    let mut chain = Chain(vec![node(&cx, &Config::default())]);
    chain.tick(60 * SECOND);
    let late = Log { time: 20 * SECOND, ..Log::default() };
    let passed = chain.send(Data::Logs(Arc::new(logs(&cx, trace_id, &[late])), None));
    assert_eq!((passed.len(), chain.0[0].cx.stats().notes().get("late_slice")), (1, Some(&1)));
    assert!(slices(chain.finish()).is_empty());
}

/// Records and spans through the two nodes that look at both.
#[test]
fn behind_trace_assembly_records_are_counted_and_travel_with_their_trace() {
    let cx = Context::for_test("chain");
    let mut chain = Chain(vec![node(&cx, &trace_assembly::Config::default()), node(&cx, &Config::default())]);
    let span = encoded::Encoded { trace: 1, id: 7, start: 1_000_000, ..encoded::Encoded::default() };
    let records = [
        Log { trace: 1, span: 7, time: 1500, template: "shop#2", ..Log::default() },
        Log { trace: 1, span: 9, time: 1200, severity: 17, ..Log::default() },
        Log { trace: 2, time: 1000, ..Log::default() },
        Log { time: 1000, ..Log::default() },
    ];
    let sent = chain.send(Data::Logs(Arc::new(logs(&cx, encoded::trace_id, &records)), None));
    assert_eq!(sent.iter().map(Data::items).sum::<u64>(), 4);
    chain.send(Data::Spans(Arc::new(encoded::batch(&cx, [&span])), None));
    let out = chain.finish();
    let traces = out.iter().find_map(|data| if let Data::Traces(traces) = data { Some(traces) } else { None });
    let traces = traces.expect("a trace");
    let found: Vec<_> =
        traces.logs_of(&traces.traces[0]).iter().map(|log| (log.time.0, log.span, log.severity)).collect();
    assert_eq!(found, [(1_200_000, backtrail_model::trace::NO_SPAN, 17), (1_500_000, 0, 9)]);
    let closed = slices(out);
    assert_eq!((closed.len(), closed[0].records(), closed[0].motifs.len()), (1, 4, 3));
    assert_eq!(chain.0[0].cx.stats().notes().get("logs_without_spans"), Some(&1));
}

fn records() -> impl Strategy<Value = Vec<Log>> {
    let template = prop::sample::select(vec!["a#1", "b#2", "ERROR x <*>"]);
    let service = prop::sample::select(vec!["cart", "shop"]);
    let body = prop::sample::select(vec![&b"one"[..], b"two", b"", b"\xFFx"]);
    let log = (0..60_u64, 0..4_u64, service, template, 0..25_u8, body);
    let log = log.prop_map(|(time, trace, service, template, severity, body)| Log {
        time: time * SECOND,
        trace,
        span: 0,
        service,
        template,
        severity,
        body,
    });
    prop::collection::vec(log, 1..60)
}

proptest! {
    #[test]
    fn any_split_over_shards_gives_the_same_slices(records in records(), shards in 1..5_usize, seed in any::<u64>()) {
        let whole = close_with(&Config::default(), &[&records]);
        let mut merged: std::collections::BTreeMap<Slice, LogMotifSlice> = std::collections::BTreeMap::new();
        let mut parts = vec![Vec::new(); shards];
        for (n, log) in records.iter().rev().enumerate() {
            parts[(seed >> (n % 60)) as usize % shards].push(*log);
        }
        for part in &parts {
            let batches: Vec<&[Log]> = part.chunks(3).collect();
            for slice in close_with(&Config::default(), &batches) {
                merged.entry(slice.slice).or_insert_with(|| LogMotifSlice::new(slice.slice)).merge(&slice);
            }
        }
        prop_assert_eq!(whole, merged.into_values().collect::<Vec<_>>());
    }
}
