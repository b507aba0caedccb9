//! Policies, compiled: each says yes or no to a trace.

use std::collections::HashSet;

use backtrail_model::span::{AttributeValue, Slot, SlotValue, SpanFlags};
use backtrail_model::trace::{TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::{Context, NodeError};
use regex::bytes::RegexSet;

use super::config::{Policy, PolicyType, StringAttribute};
use super::re2;
use super::threshold::Share;

/// A compiled policy.
pub(super) enum Matcher {
    Always,
    Latency {
        over_ms: i64,
        up_to_ms: Option<i64>,
    },
    Numeric {
        slot: Slot,
        min: i64,
        max: i64,
        invert: bool,
    },
    String {
        slot: Slot,
        values: Strings,
        invert: bool,
    },
    Boolean {
        slot: Slot,
        value: bool,
        invert: bool,
    },
    Status {
        error: bool,
        ok: bool,
        unset: bool,
    },
    SpanCount {
        min: i64,
        max: Option<i64>,
    },
    TraceFlags,
    Probabilistic(Share),
    /// `and`, and what stands in a `drop`.
    All(Vec<Matcher>),
    Not(Box<Matcher>),
    Suspect,
}

/// What a string is compared with.
pub(super) enum Strings {
    Exact(HashSet<Vec<u8>>),
    Patterns(RegexSet),
}

/// A trace within its batch.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) batch: &'a TraceBatch,
    pub(super) head: &'a TraceHead,
}

impl Policy {
    /// The policies inside of an `and`, `not` or `drop`, with the field that holds them.
    pub(super) fn nested(&self) -> (&'static str, &[Self]) {
        match self.kind {
            PolicyType::And => {
                ("and.and_sub_policy", self.and.as_ref().map_or(&[], |and| and.and_sub_policy.as_slice()))
            }
            PolicyType::Drop => {
                ("drop.drop_sub_policy", self.drop.as_ref().map_or(&[], |drop| drop.drop_sub_policy.as_slice()))
            }
            PolicyType::Not => {
                ("not.not_sub_policy", self.not.as_ref().map_or(&[], |not| std::slice::from_ref(&*not.not_sub_policy)))
            }
            _ => ("", &[]),
        }
    }

    /// Whether it is, or contains, a `suspect`.
    pub(super) fn looks_at_evidence(&self) -> bool {
        self.kind == PolicyType::Suspect || self.nested().1.iter().any(Self::looks_at_evidence)
    }
}

impl Matcher {
    pub(super) fn new(policy: &Policy, cx: &Context) -> Result<Self, NodeError> {
        let nested = || policy.nested().1.iter().map(|sub| Self::new(sub, cx)).collect::<Result<Vec<_>, _>>();
        let no_limit = |limit: i64, none: i64| if limit == 0 { none } else { limit };
        Ok(match policy.kind {
            PolicyType::AlwaysSample => Self::Always,
            PolicyType::Latency => {
                let latency = policy.latency.clone().unwrap_or_default();
                let up_to_ms = (latency.upper_threshold_ms != 0).then_some(latency.upper_threshold_ms);
                Self::Latency { over_ms: latency.threshold_ms, up_to_ms }
            }
            PolicyType::NumericAttribute => {
                let numeric = policy.numeric_attribute.clone().unwrap_or_default();
                let (min, max) = (no_limit(numeric.min_value, i64::MIN), no_limit(numeric.max_value, i64::MAX));
                Self::Numeric { slot: cx.attribute(&numeric.key), min, max, invert: numeric.invert_match }
            }
            PolicyType::StringAttribute => {
                let string = policy.string_attribute.clone().unwrap_or_default();
                let slot = cx.attribute(&string.key);
                Self::String { slot, values: Strings::new(&string)?, invert: string.invert_match }
            }
            PolicyType::BooleanAttribute => {
                let boolean = policy.boolean_attribute.clone().unwrap_or_default();
                Self::Boolean { slot: cx.attribute(&boolean.key), value: boolean.value, invert: boolean.invert_match }
            }
            PolicyType::StatusCode => {
                let status = policy.status_code.clone().unwrap_or_default();
                let has = |name: &str| status.status_codes.iter().any(|code| code == name);
                Self::Status { error: has("ERROR"), ok: has("OK"), unset: has("UNSET") }
            }
            PolicyType::SpanCount => {
                let count = policy.span_count.clone().unwrap_or_default();
                Self::SpanCount { min: count.min_spans, max: (count.max_spans != 0).then_some(count.max_spans) }
            }
            PolicyType::TraceFlags => Self::TraceFlags,
            PolicyType::Probabilistic => {
                let share = policy.probabilistic.clone().unwrap_or_default();
                Self::Probabilistic(Share::new(&share.hash_salt, share.sampling_percentage))
            }
            PolicyType::And | PolicyType::Drop => Self::All(nested()?),
            PolicyType::Not => Self::Not(Box::new(Self::All(nested()?))),
            PolicyType::Suspect => Self::Suspect,
            PolicyType::TraceState
            | PolicyType::RateLimiting
            | PolicyType::BytesLimiting
            | PolicyType::Composite
            | PolicyType::OttlCondition => {
                let message = format!("policy '{}' is of a type that is not supported yet", policy.name);
                return Err(NodeError::config(message, "remove the policy"));
            }
        })
    }

    pub(super) fn matches(&self, trace: Judged<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Latency { over_ms, up_to_ms } => {
                let millis = trace.head.end.since(trace.head.start).as_millis();
                let millis = i64::try_from(millis).unwrap_or(i64::MAX);
                millis > *over_ms && up_to_ms.is_none_or(|limit| millis <= limit)
            }
            Self::Numeric { slot, min, max, invert } => {
                let fits = |value: i64| (*min..=*max).contains(&value);
                trace.any_value(*slot, |value| fits(value.integer())) != *invert
            }
            Self::String { slot, values, invert } => trace.any_value(*slot, |value| values.have(value)) != *invert,
            Self::Boolean { slot, value: wanted, invert } => {
                trace.any_value(*slot, |value| value.boolean() == *wanted) != *invert
            }
            Self::Status { error, ok, unset } => trace.any_span(|flags| {
                if flags.has(SpanFlags::STATUS_ERROR) {
                    *error
                } else if flags.has(SpanFlags::STATUS_OK) {
                    *ok
                } else {
                    *unset
                }
            }),
            Self::SpanCount { min, max } => {
                let count = i64::from(trace.head.len);
                count >= *min && max.is_none_or(|max| count <= max)
            }
            Self::TraceFlags => trace.any_span(|flags| flags.has(SpanFlags::SAMPLED)),
            Self::Probabilistic(share) => share.has(trace.head.trace_id),
            Self::All(matchers) => matchers.iter().all(|matcher| matcher.matches(trace)),
            Self::Not(matcher) => !matcher.matches(trace),
            Self::Suspect => trace.head.flags.has(TraceFlags::EVIDENCE),
        }
    }
}

impl Strings {
    fn new(string: &StringAttribute) -> Result<Self, NodeError> {
        if !string.enabled_regex_matching {
            // "" never matches exactly, not even where it is named.
            let values = string.values.iter().filter(|value| !value.is_empty());
            return Ok(Self::Exact(values.map(|value| value.clone().into_bytes()).collect()));
        }
        let patterns = RegexSet::new(string.values.iter().map(|pattern| re2::translated(pattern)))
            .map_err(|error| NodeError::config(format!("string_attribute: {error}"), "mend the regular expression"))?;
        Ok(Self::Patterns(patterns))
    }

    fn have(&self, value: &Value<'_>) -> bool {
        let text = value.text();
        match self {
            Self::Exact(values) => values.contains(text),
            // Quirk of otelcol: "" on a span matches no pattern, on a resource it may.
            Self::Patterns(patterns) => (value.is_on_resource() || !text.is_empty()) && patterns.is_match(text),
        }
    }
}

/// An attribute that is there, on a span or on its resource.
enum Value<'a> {
    Span(SlotValue, &'a [u8]),
    Resource(&'a AttributeValue),
}

impl Value<'_> {
    fn is_on_resource(&self) -> bool {
        matches!(self, Self::Resource(_))
    }

    fn integer(&self) -> i64 {
        match self {
            Self::Span(SlotValue::Int(value), _) | Self::Resource(AttributeValue::Int(value)) => *value,
            _ => 0,
        }
    }

    fn boolean(&self) -> bool {
        matches!(self, Self::Span(SlotValue::Bool(true), _) | Self::Resource(AttributeValue::Bool(true)))
    }

    fn text(&self) -> &[u8] {
        match self {
            Self::Span(SlotValue::Str { offset, len }, raw) => {
                raw.get(*offset as usize..(*offset + *len) as usize).unwrap_or_default()
            }
            Self::Resource(AttributeValue::Str(text)) => text.as_bytes(),
            _ => &[],
        }
    }
}

impl Judged<'_> {
    fn any_span(&self, test: impl Fn(SpanFlags) -> bool) -> bool {
        self.batch.spans(self.head).iter().any(|record| test(record.flags))
    }

    /// Whether the attribute passes the test on any span of the trace, or on the resource of any.
    fn any_value(&self, slot: Slot, test: impl Fn(&Value<'_>) -> bool) -> bool {
        let column = usize::from(slot.0);
        let mut last_origin = None;
        self.batch.range(self.head).any(|index| {
            let record = &self.batch.records[index];
            let on_span = self.batch.columns(record).get(slot);
            if on_span != SlotValue::Absent && test(&Value::Span(on_span, self.batch.raw(record))) {
                return true;
            }
            // Neighbours often share their resource.
            if last_origin.replace(record.origin) == Some(record.origin) {
                return false;
            }
            let origin = self.batch.origins.get(record.origin as usize);
            let on_resource = origin.and_then(|origin| origin.slots.get(column)).and_then(Option::as_ref);
            on_resource.is_some_and(|value| test(&Value::Resource(value)))
        })
    }
}
