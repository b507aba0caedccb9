//! All rules at once: random policies and traces, against a second and naive reading of the rules.

use backtrail_model::span::SpanFlags;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::tests::{Bench, MS};
use crate::encoded::{Encoded, Value, text};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop_oneof![Just(""), Just("a"), Just("ab"), Just("b")].prop_map(text),
        (-2..4_i64).prop_map(Value::Int),
        Just(Value::Double(2.0)),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Other),
    ]
}

fn trace() -> impl Strategy<Value = Vec<Encoded>> {
    let attribute = || prop::option::of(value());
    let flags = prop_oneof![Just(0), Just(SpanFlags::STATUS_ERROR), Just(SpanFlags::STATUS_OK | SpanFlags::SAMPLED)];
    let span = (0..4_000_000_u64, 0..4_000_000_u64, flags, attribute(), attribute());
    prop::collection::vec(span, 1..5).prop_map(|spans| {
        let encoded = spans.into_iter().zip(1..).map(|((start, length, flags, on_span, on_resource), id)| Encoded {
            id,
            start,
            length,
            flags,
            attributes: on_span.map(|value| ("k", value)).into_iter().collect(),
            resource: on_resource.map(|value| ("k", value)).into_iter().collect(),
            ..Encoded::default()
        });
        encoded.collect()
    })
}

fn policy() -> impl Strategy<Value = Json> {
    let named = |policy: Json| {
        let mut policy = policy;
        policy["name"] = json!("");
        policy
    };
    let invert = any::<bool>();
    let leaf = prop_oneof![
        Just(json!({ "type": "always_sample" })),
        Just(json!({ "type": "trace_flags" })),
        (0..5_i64, 0..8_i64).prop_map(|(low, high)| json!({ "type": "latency",
            "latency": { "threshold_ms": low, "upper_threshold_ms": if high > low { high } else { 0 } } })),
        (-2..3_i64, 1..4_i64, invert).prop_map(|(min, max, invert)| json!({ "type": "numeric_attribute",
            "numeric_attribute": { "key": "k", "min_value": min, "max_value": max, "invert_match": invert } })),
        (prop::sample::subsequence(vec!["", "a", "b", "^a$", ".*"], 0..4), any::<bool>(), invert)
            .prop_map(|(values, regex, invert)| json!({ "type": "string_attribute", "string_attribute": { "key": "k",
                "values": values, "enabled_regex_matching": regex, "invert_match": invert } })),
        (any::<bool>(), invert).prop_map(|(value, invert)| json!({ "type": "boolean_attribute",
            "boolean_attribute": { "key": "k", "value": value, "invert_match": invert } })),
        prop::sample::subsequence(vec!["OK", "ERROR", "UNSET"], 1..3)
            .prop_map(|codes| json!({ "type": "status_code", "status_code": { "status_codes": codes } })),
        (0..4_i64, 0..4_i64).prop_map(|(min, max)| json!({ "type": "span_count",
            "span_count": { "min_spans": min, "max_spans": max } })),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|sub| json!({ "type": "and", "and": { "and_sub_policy": sub } })),
            inner.prop_map(|sub| json!({ "type": "not", "not": { "not_sub_policy": sub } })),
        ]
    })
    .prop_map(named)
}

/// The rules, read once more over plain data: whether the policy says yes.
fn says_yes(policy: &Json, trace: &[Encoded]) -> bool {
    let kind = policy["type"].as_str().unwrap_or_default();
    let options = &policy[kind];
    let int = |field: &str| options[field].as_i64().unwrap_or(0);
    let sub = |field: &str| options[field].as_array().cloned().unwrap_or_default();
    let on_spans: Vec<&Value> = trace.iter().flat_map(|span| span.attributes.iter().map(|(_, value)| value)).collect();
    let on_resources: Vec<&Value> =
        trace.iter().flat_map(|span| span.resource.iter().map(|(_, value)| value)).collect();
    let all = || on_spans.iter().chain(&on_resources);
    let as_int = |value: &Value| if let Value::Int(value) = value { *value } else { 0 };
    let as_text = |value: &Value| if let Value::Str(text) = value { text.to_string() } else { String::new() };
    let inverted = options["invert_match"] == json!(true);
    match kind {
        "always_sample" => true,
        "trace_flags" => trace.iter().any(|span| span.flags & SpanFlags::SAMPLED != 0),
        "latency" => {
            let start = trace.iter().map(|span| span.start).min().unwrap_or(0);
            let end = trace.iter().map(|span| span.start + span.length).max().unwrap_or(0);
            let millis = ((end - start) / MS) as i64;
            millis > int("threshold_ms") && (int("upper_threshold_ms") == 0 || millis <= int("upper_threshold_ms"))
        }
        "numeric_attribute" => {
            let (min, max) = (int("min_value"), int("max_value"));
            let fits = |n: i64| (min == 0 || n >= min) && (max == 0 || n <= max);
            all().any(|value| fits(as_int(value))) != inverted
        }
        "string_attribute" => {
            let values: Vec<String> = serde_json::from_value(options["values"].clone()).expect("strings");
            let found = if options["enabled_regex_matching"] == json!(true) {
                let matches = |value: &Value| {
                    values.iter().any(|pattern| regex::Regex::new(pattern).expect("regex").is_match(&as_text(value)))
                };
                on_spans.iter().any(|value| !as_text(value).is_empty() && matches(value))
                    || on_resources.iter().any(|value| matches(value))
            } else {
                all().any(|value| !as_text(value).is_empty() && values.contains(&as_text(value)))
            };
            found != inverted
        }
        "boolean_attribute" => {
            all().any(|value| (**value == Value::Bool(true)) == (options["value"] == json!(true))) != inverted
        }
        "status_code" => trace.iter().any(|span| {
            let status = match span.flags & (SpanFlags::STATUS_ERROR | SpanFlags::STATUS_OK) {
                SpanFlags::STATUS_ERROR => "ERROR",
                SpanFlags::STATUS_OK => "OK",
                _ => "UNSET",
            };
            sub("status_codes").contains(&json!(status))
        }),
        "span_count" => {
            let count = trace.len() as i64;
            count >= int("min_spans") && (int("max_spans") == 0 || count <= int("max_spans"))
        }
        "and" => sub("and_sub_policy").iter().all(|sub| says_yes(sub, trace)),
        "not" => !says_yes(&options["not_sub_policy"], trace),
        other => panic!("unknown type {other}"),
    }
}

proptest! {
    #[test]
    fn any_set_of_policies_decides_as_the_table_says(
        mut keep in prop::collection::vec(policy(), 1..4), mut drop in prop::collection::vec(policy(), 0..2),
        drop_at in 0..4_usize, traces in prop::collection::vec(trace(), 1..6),
    ) {
        for (n, policy) in keep.iter_mut().enumerate() {
            policy["name"] = json!(format!("p{n}"));
        }
        let mut traces = traces;
        for (spans, id) in traces.iter_mut().zip(1..) {
            for span in spans {
                span.trace = id;
            }
        }
        let expected: Vec<String> = traces.iter().map(|spans| {
            let dropped = !drop.is_empty() && drop.iter().all(|policy| says_yes(policy, spans));
            let first = keep.iter().find(|policy| says_yes(policy, spans));
            let name = first.map(|policy| policy["name"].as_str().unwrap_or_default().to_owned());
            if dropped { String::new() } else { name.unwrap_or_default() }
        }).collect();
        let mut policies = keep;
        if !drop.is_empty() {
            for policy in &mut drop {
                policy["name"] = json!("sub");
            }
            let at = drop_at.min(policies.len());
            policies.insert(at, json!({ "name": "drop", "type": "drop", "drop": { "drop_sub_policy": drop } }));
        }
        prop_assert_eq!(Bench::new(json!(policies)).judge(0, &traces), expected);
    }
}
