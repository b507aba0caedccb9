//! The rules of sampling one by one.

use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::span::SpanFlags;
use backtrail_model::time::UnixNano;
use backtrail_model::trace::{TraceBatch, TraceFlags};
use backtrail_model::{Ack, columns};
use backtrail_pipeline::{Component, Context, Duration, Emit, Processor};
use serde_json::{Value as Json, json};

use super::Config;
use super::sampler::Sampler;
use crate::encoded::{Encoded, Value, batch, text, trace_id};
use crate::testing::documented;

pub(super) const MS: u64 = 1_000_000;

pub(super) struct Bench {
    cx: Context,
    node: Sampler,
}

impl Bench {
    pub(super) fn new(policies: Json) -> Self {
        let cx = Context::for_test("tail_sampling");
        let config = config(policies);
        assert_eq!(config.check(), []);
        Self { node: Sampler::new(&config, &cx).expect("builds"), cx }
    }

    /// The names of the policies that kept each trace, "" for those that were not kept.
    pub(super) fn judge(&mut self, flags: u16, traces: &[Vec<Encoded>]) -> Vec<String> {
        let sent = self.send(&assembled(&self.cx, flags, traces));
        let reason = |spans: &Vec<Encoded>| {
            let id = trace_id(spans[0].trace);
            let head = sent.iter().flat_map(|batch| &batch.traces).find(|head| head.trace_id == id);
            head.map_or(String::new(), |head| head.reason.to_string())
        };
        traces.iter().map(reason).collect()
    }

    fn send(&mut self, traces: &TraceBatch) -> Vec<Arc<TraceBatch>> {
        let (mut queue, mut hold, stats) = (VecDeque::new(), UnixNano::MAX, Arc::clone(self.cx.stats()));
        let data = Data::Traces(Arc::new(traces.clone()));
        stats.accept(data.items());
        let mut out = Emit::new(&mut queue, &stats, UnixNano(0), &mut hold);
        self.node.process(Batch { data, arrival: UnixNano(0), ack: Ack::none() }, &mut out).expect("processes");
        let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(load(&stats.accepted), load(&stats.sent) + stats.dropped().values().sum::<u64>(), "conservation");
        let traces = |batch: Batch| match batch.data {
            Data::Traces(traces) => traces,
            other => panic!("it sent {}", other.signal()),
        };
        queue.into_iter().map(traces).collect()
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.cx.stats().dropped().get(reason).copied().unwrap_or(0)
    }
}

fn config(policies: Json) -> Config {
    let mut block = json!({});
    block["policies"] = policies;
    serde_json::from_value(block).expect("policies")
}

/// Traces as `trace_assembly` sends them.
fn assembled(cx: &Context, flags: u16, traces: &[Vec<Encoded>]) -> TraceBatch {
    let mut all = TraceBatch::default();
    let spans = batch(cx, traces.iter().flatten());
    for (index, record) in spans.records.iter().enumerate() {
        let mut record = *record;
        all.raw.extend_from_slice(spans.raw(&record));
        record.raw_offset = all.raw.len() as u32 - record.raw_len;
        if columns::write(spans.slots_of(index), &cx.shared().attributes_of_traces(), 0, &mut all.raw) {
            record.flags.set(SpanFlags::COLUMNS);
        }
        all.records.push(record);
    }
    all.origins = spans.origins;
    all.parents = vec![backtrail_model::trace::NO_SPAN; all.records.len()];
    let mut first = 0;
    for spans in traces {
        let range = &all.records[first..first + spans.len()];
        all.traces.push(backtrail_model::trace::TraceHead {
            trace_id: trace_id(spans[0].trace),
            first: first as u32,
            len: spans.len() as u32,
            root: first as u32,
            start: range.iter().map(|record| record.start).min().unwrap_or_default(),
            end: range.iter().map(backtrail_model::span::SpanRecord::end).max().unwrap_or_default(),
            first_log: 0,
            log_len: 0,
            flags: TraceFlags(flags),
            reason: Arc::from(""),
        });
        first += spans.len();
    }
    all
}

fn span(trace: u64) -> Encoded {
    Encoded { trace, ..Encoded::default() }
}

fn with(value: Value) -> Vec<Encoded> {
    vec![Encoded { attributes: vec![("k", value)], ..span(1) }]
}

fn on_resource(value: Value) -> Vec<Encoded> {
    vec![Encoded { resource: vec![("k", value)], ..span(1) }]
}

/// Whether a single policy keeps the trace.
fn keeps(mut policy: Json, trace: &[Encoded]) -> bool {
    policy["name"] = json!("p");
    Bench::new(json!([policy])).judge(0, &[trace.to_vec()])[0] == "p"
}

fn string(values: &[&str], regex: bool) -> Json {
    json!({ "type": "string_attribute",
        "string_attribute": { "key": "k", "values": values, "enabled_regex_matching": regex } })
}

fn numeric(min: i64, max: i64) -> Json {
    json!({ "type": "numeric_attribute", "numeric_attribute": { "key": "k", "min_value": min, "max_value": max } })
}

#[test]
fn the_example_in_the_docs_parses() {
    let config: Config = documented(include_str!("mod.rs"));
    assert_eq!(config.policies.len(), 5);
}

#[test]
fn a_block_of_otelcol_parses() {
    let block = json!({
        "decision_wait": "10s", "num_traces": 100, "expected_new_traces_per_sec": 10,
        "decision_cache": { "sampled_cache_size": 100_000, "non_sampled_cache_size": 100_000 },
        "policies": [
            { "name": "p1", "type": "always_sample" },
            { "name": "p2", "type": "latency", "latency": { "threshold_ms": 5000, "upper_threshold_ms": 10000 } },
            { "name": "p3", "type": "numeric_attribute",
              "numeric_attribute": { "key": "key1", "min_value": 50, "max_value": 100 } },
            { "name": "p4", "type": "probabilistic", "probabilistic": { "sampling_percentage": 10 } },
            { "name": "p5", "type": "status_code", "status_code": { "status_codes": ["ERROR", "UNSET"] } },
            { "name": "p6", "type": "string_attribute", "string_attribute": { "key": "key2",
              "values": ["value1", "val*"], "enabled_regex_matching": true, "cache_max_size": 10 } },
            { "name": "p7", "type": "boolean_attribute", "boolean_attribute": { "key": "key4", "value": true } },
            { "name": "p8", "type": "span_count", "span_count": { "min_spans": 2, "max_spans": 20 } },
            { "name": "p9", "type": "and", "and": { "and_sub_policy": [
                { "name": "a1", "type": "status_code", "status_code": { "status_codes": ["OK"] } },
                { "name": "a2", "type": "trace_flags" } ] } },
            { "name": "p10", "type": "not", "not": { "not_sub_policy": { "name": "n", "type": "always_sample" } } },
            { "name": "p11", "type": "drop", "drop": { "drop_sub_policy": [
                { "name": "d", "type": "string_attribute", "string_attribute": { "key": "url.path",
                  "values": ["\\/health", "\\/metrics"], "enabled_regex_matching": true } } ] } }
        ]
    });
    let config: Config = serde_json::from_value(block).expect("parses");
    assert_eq!(config.check(), []);
}

#[test]
fn only_stated_settings_are_passed_to_trace_assembly() {
    let settings = |config: &Config| serde_json::to_value(config.implies().expect("implies").settings).expect("json");
    assert_eq!(settings(&Config::default()), json!({}));
    let stated = Config { decision_wait: Some(Duration::from_secs(30)), num_traces: Some(7), ..Config::default() };
    assert_eq!(settings(&stated), json!({ "decision_wait": "30s", "num_traces": 7 }));
    let config = serde_json::from_value::<crate::trace_assembly::Config>(settings(&stated));
    assert_eq!(config.expect("settings of trace_assembly").num_traces, 7);
}

#[test]
fn every_problem_is_named_with_its_place() {
    let config = config(json!([
        { "name": "a", "type": "rate_limiting", "rate_limiting": { "spans_per_second": 10 } },
        { "name": "a", "type": "numeric_attribute", "numeric_attribute": { "key": "" } },
        { "type": "status_code", "status_code": { "status_codes": ["BAD"] } },
        { "name": "d", "type": "drop", "drop": { "drop_sub_policy": [
            { "name": "s", "type": "string_attribute",
              "string_attribute": { "key": "k", "values": ["("], "enabled_regex_matching": true } } ] } },
        { "name": "n", "type": "and" },
    ]));
    let paths: Vec<String> = config.check().into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        paths,
        [
            "policies[0].type",
            "policies[1].name",
            "policies[1].numeric_attribute.key",
            "policies[1].numeric_attribute",
            "policies[2].name",
            "policies[2].status_code.status_codes",
            "policies[3].drop.drop_sub_policy[0].string_attribute.values[0]",
            "policies[4].and.and_sub_policy",
        ]
    );
    assert_eq!(Config::default().check().len(), 1, "no policy");
}

#[test]
fn latency_is_cut_to_whole_milliseconds_and_must_be_longer() {
    let policy = json!({ "type": "latency", "latency": { "threshold_ms": 200 } });
    let spans = |end| {
        vec![
            Encoded { start: MS, length: 10, ..span(1) },
            Encoded { id: 2, start: 2 * MS, length: end - MS, ..span(1) },
        ]
    };
    assert!(!keeps(policy.clone(), &spans(200 * MS + 999_900)));
    assert!(keeps(policy, &spans(201 * MS)));
}

#[test]
fn a_latency_band_judges_the_whole_trace() {
    let policy = json!({ "type": "latency", "latency": { "threshold_ms": 100, "upper_threshold_ms": 200 } });
    let trace = |length| vec![Encoded { length: 150 * MS, ..span(1) }, Encoded { id: 2, length, ..span(1) }];
    assert!(keeps(policy.clone(), &trace(200 * MS)));
    assert!(!keeps(policy, &trace(201 * MS)));
}

#[test]
fn a_number_that_is_no_integer_counts_as_zero_and_zero_is_no_limit() {
    assert!(keeps(numeric(5, 10), &with(Value::Int(10))) && !keeps(numeric(5, 10), &with(Value::Int(11))));
    assert!(keeps(numeric(0, 10), &with(Value::Int(-99))) && keeps(numeric(5, 0), &with(Value::Int(i64::MAX))));
    assert!(!keeps(numeric(5, 0), &with(Value::Double(7.0))) && keeps(numeric(-1, 10), &with(text("x"))));
    assert!(keeps(numeric(5, 10), &on_resource(Value::Int(5))) && !keeps(numeric(-5, 10), &[span(1)]));
}

#[test]
fn an_exact_string_is_equal_and_never_empty() {
    assert!(keeps(string(&["a", "b"], false), &with(text("b"))));
    assert!(!keeps(string(&["a"], false), &with(text("ab"))));
    assert!(!keeps(string(&[""], false), &with(text(""))) && !keeps(string(&[""], false), &on_resource(text(""))));
    assert!(keeps(string(&["a"], false), &on_resource(text("a"))));
}

#[test]
fn a_pattern_matches_anywhere_and_the_empty_string_on_resources_only() {
    assert!(keeps(string(&["ealt"], true), &with(text("/health"))));
    assert!(!keeps(string(&["^ealt"], true), &with(text("/health"))));
    assert!(!keeps(string(&[".*"], true), &with(text(""))) && keeps(string(&[".*"], true), &on_resource(text(""))));
    assert!(
        !keeps(string(&[".*"], true), &with(Value::Int(3)))
            && keeps(string(&[".*"], true), &on_resource(Value::Int(3)))
    );
}

#[test]
fn a_value_that_is_no_boolean_counts_as_false() {
    let policy = |value| json!({ "type": "boolean_attribute", "boolean_attribute": { "key": "k", "value": value } });
    assert!(keeps(policy(true), &with(Value::Bool(true))) && !keeps(policy(true), &with(text("true"))));
    assert!(keeps(policy(false), &with(text("true"))) && !keeps(policy(false), &[span(1)]));
}

#[test]
fn inversion_is_a_plain_negation() {
    let mut policy = string(&["a"], false);
    policy["string_attribute"]["invert_match"] = json!(true);
    assert!(!keeps(policy.clone(), &with(text("a"))));
    assert!(keeps(policy.clone(), &with(text("b"))) && keeps(policy.clone(), &[span(1)]));
    policy["name"] = json!("inverted");
    let mut bench = Bench::new(json!([policy, { "name": "all", "type": "always_sample" }]));
    assert_eq!(bench.judge(0, &[with(text("a"))]), ["all"], "it vetoes nothing");
}

#[test]
fn any_span_with_the_status_is_enough() {
    let policy = |codes: &[&str]| json!({ "type": "status_code", "status_code": { "status_codes": codes } });
    let failed = Encoded { id: 2, flags: SpanFlags::STATUS_ERROR, ..span(1) };
    let fine = Encoded { id: 3, flags: SpanFlags::STATUS_OK, ..span(1) };
    assert!(keeps(policy(&["ERROR"]), &[fine.clone(), failed.clone()]));
    assert!(!keeps(policy(&["UNSET"]), &[fine.clone(), failed]) && keeps(policy(&["UNSET", "OK"]), &[fine]));
}

#[test]
fn span_counts_are_inclusive_at_both_ends() {
    let policy = |min, max| json!({ "type": "span_count", "span_count": { "min_spans": min, "max_spans": max } });
    let two = [span(1), Encoded { id: 2, ..span(1) }];
    assert!(keeps(policy(2, 2), &two) && keeps(policy(2, 0), &two));
    assert!(!keeps(policy(3, 0), &two) && !keeps(policy(1, 1), &two));
}

#[test]
fn the_sampled_flag_of_any_span_is_enough() {
    let sampled = Encoded { flags: SpanFlags::SAMPLED, ..span(1) };
    assert!(keeps(json!({ "type": "trace_flags" }), &[span(1), sampled]));
    assert!(!keeps(json!({ "type": "trace_flags" }), &[span(1)]));
}

#[test]
fn drop_beats_everything_wherever_it_stands() {
    let drop = json!({ "name": "drop", "type": "drop", "drop": { "drop_sub_policy": [
        { "name": "a", "type": "span_count", "span_count": { "min_spans": 1 } },
        { "name": "b", "type": "string_attribute", "string_attribute": { "key": "k", "values": ["probe"] } } ] } });
    let mut bench = Bench::new(json!([{ "name": "all", "type": "always_sample" }, drop]));
    let other = vec![span(2)];
    assert_eq!(bench.judge(0, &[with(text("probe")), other]), ["", "all"]);
    assert_eq!(bench.dropped("dropped_by_policy"), 1);
}

#[test]
fn the_first_policy_that_keeps_is_the_reason() {
    let mut bench = Bench::new(json!([
        { "name": "many", "type": "span_count", "span_count": { "min_spans": 9 } },
        { "name": "first", "type": "always_sample" },
        { "name": "second", "type": "always_sample" },
    ]));
    assert_eq!(bench.judge(0, &[vec![span(1)]]), ["first"]);
}

#[test]
fn what_no_policy_wants_is_counted_and_acknowledged() {
    let (tx, rx) = std::sync::mpsc::sync_channel(1);
    let mut bench = Bench::new(json!([{ "name": "p", "type": "not",
        "not": { "not_sub_policy": { "name": "all", "type": "always_sample" } } }]));
    let traces = assembled(&bench.cx, 0, &[vec![span(1), span(1)]]);
    let (mut queue, mut hold, stats) = (VecDeque::new(), UnixNano::MAX, Arc::clone(bench.cx.stats()));
    let ack = Ack::new(move |outcome| tx.send(outcome).unwrap_or(()));
    let mut out = Emit::new(&mut queue, &stats, UnixNano(0), &mut hold);
    let batch = Batch { data: Data::Traces(Arc::new(traces)), arrival: UnixNano(0), ack };
    bench.node.process(batch, &mut out).expect("processes");
    assert_eq!(rx.try_recv(), Ok(backtrail_model::Outcome::Delivered));
    assert_eq!((queue.len(), bench.dropped("not_sampled")), (0, 2));
}

#[test]
fn late_spans_follow_the_decision_of_their_trace() {
    let mut bench = Bench::new(json!([
        { "name": "failed", "type": "status_code", "status_code": { "status_codes": ["ERROR"] } } ]));
    let failed = |trace| vec![Encoded { flags: SpanFlags::STATUS_ERROR, ..span(trace) }];
    assert_eq!(bench.judge(0, &[failed(1), vec![span(2)]]), ["failed", ""]);
    let late = [vec![span(1)], failed(2), failed(3), vec![span(4)]];
    assert_eq!(bench.judge(TraceFlags::LATE, &late), ["failed", "", "failed", ""]);
}

#[test]
fn only_a_suspect_policy_looks_at_evidence() {
    let mut without = Bench::new(json!([{ "name": "all", "type": "always_sample" }]));
    assert_eq!(without.judge(TraceFlags::EVIDENCE, &[vec![span(1)]]), [""]);
    assert_eq!(without.dropped("not_sampled"), 1);
    let mut bench = Bench::new(json!([
        { "name": "failed", "type": "status_code", "status_code": { "status_codes": ["ERROR"] } },
        { "name": "incident", "type": "suspect" } ]));
    let failed = vec![Encoded { flags: SpanFlags::STATUS_ERROR, ..span(1) }];
    let traces = [failed, vec![span(2)]];
    assert_eq!(bench.judge(0, &traces), ["failed", ""]);
    assert_eq!(bench.judge(TraceFlags::EVIDENCE, &traces), ["", "incident"]);
    assert_eq!(bench.dropped("already_kept"), 1);
    assert_eq!(bench.judge(TraceFlags::EVIDENCE, &traces), ["", ""], "a copy is kept once");
    assert_eq!(bench.judge(TraceFlags::LATE, &[vec![span(2)]]), ["incident"]);
}

#[test]
fn changed_policies_are_in_force_at_once_unless_they_need_another_column() {
    let mut bench = Bench::new(json!([{ "name": "a", "type": "always_sample" }]));
    let renamed = config(json!([{ "name": "b", "type": "always_sample" }]));
    assert_eq!(bench.node.reconfigure(&renamed), backtrail_pipeline::Reconfigured::Live);
    assert_eq!(bench.judge(0, &[vec![span(1)]]), ["b"]);
    let mut wider = string(&["x"], false);
    wider["name"] = json!("c");
    assert_eq!(bench.node.reconfigure(&config(json!([wider]))), backtrail_pipeline::Reconfigured::Rebuild);
}
