//! Options of `tail_sampling`, named as in otelcol.

use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::{Component, Context, Duration, Finding, Implied, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check;
use super::sampler::Sampler;

/// Options of `tail_sampling`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after its first span a trace is decided: a setting for `trace_assembly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_wait: Option<Duration>,
    /// How long after its root a trace is decided: a setting for `trace_assembly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_wait_after_root_received: Option<Duration>,
    /// Most traces that wait at a time: a setting for `trace_assembly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_traces: Option<u64>,
    /// Read for otelcol's sake; nothing is sized by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_new_traces_per_sec: Option<u64>,
    /// How many decisions are remembered for late spans.
    pub decision_cache: DecisionCache,
    /// Read for otelcol's sake; the decision is the same, because a `drop` policy beats everything in either case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_on_first_match: Option<bool>,
    /// Read for otelcol's sake; traces that wait at shutdown are always decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_pending_traces_on_shutdown: Option<bool>,
    /// Read for otelcol's sake; nothing is evicted undecided here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_on_overflow: Option<bool>,
    /// The policies.
    pub policies: Vec<Policy>,
}

/// How many decisions each shard remembers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionCache {
    /// Traces that were kept.
    pub sampled_cache_size: usize,
    /// Traces that were not.
    pub non_sampled_cache_size: usize,
}

impl Default for DecisionCache {
    fn default() -> Self {
        Self { sampled_cache_size: 100_000, non_sampled_cache_size: 100_000 }
    }
}

/// What a policy looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyType {
    /// Keeps every trace.
    #[default]
    AlwaysSample,
    /// The time from the first start to the last end.
    Latency,
    /// An integer attribute of a span or resource.
    NumericAttribute,
    /// A share of all traces, by trace id.
    Probabilistic,
    /// The status of any span.
    StatusCode,
    /// A string attribute of a span or resource.
    StringAttribute,
    /// A boolean attribute of a span or resource.
    BooleanAttribute,
    /// The number of spans.
    SpanCount,
    /// The W3C `sampled` flag of any span.
    TraceFlags,
    /// All of several policies.
    And,
    /// The opposite of a policy.
    Not,
    /// Drops what all of several policies match.
    Drop,
    /// Copies that were released because an incident opened.
    Suspect,
    /// Not supported yet.
    TraceState,
    /// Not supported yet.
    RateLimiting,
    /// Not supported yet.
    BytesLimiting,
    /// Not supported yet.
    Composite,
    /// Not supported yet.
    OttlCondition,
}

/// One policy: the part that its type names is the one that is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name: what stands as the reason on the traces that it keeps.
    #[serde(default)]
    pub name: String,
    /// What it looks at.
    #[serde(rename = "type")]
    pub kind: PolicyType,
    /// Options of `latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Options of `numeric_attribute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_attribute: Option<NumericAttribute>,
    /// Options of `probabilistic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilistic: Option<Probabilistic>,
    /// Options of `status_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<StatusCode>,
    /// Options of `string_attribute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_attribute: Option<StringAttribute>,
    /// Options of `boolean_attribute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean_attribute: Option<BooleanAttribute>,
    /// Options of `span_count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_count: Option<SpanCount>,
    /// Options of `and`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub and: Option<And>,
    /// Options of `not`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Not>,
    /// Options of `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Drop>,
    /// `suspect` has no options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<Nothing>,
    /// `always_sample` has no options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always_sample: Option<Nothing>,
    /// `trace_flags` has no options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_flags: Option<Nothing>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<serde_json::Value>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiting: Option<serde_json::Value>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_limiting: Option<serde_json::Value>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composite: Option<serde_json::Value>,
    /// Not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ottl_condition: Option<serde_json::Value>,
}

/// No options.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Keeps traces that took longer than `threshold_ms`, cut to whole milliseconds, and at most `upper_threshold_ms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Longer than this.
    pub threshold_ms: i64,
    /// At most this; 0 sets no upper limit.
    pub upper_threshold_ms: i64,
}

/// Keeps traces with an attribute in a range. A value that is no integer counts as 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NumericAttribute {
    /// The attribute.
    pub key: String,
    /// At least this; 0 sets no limit.
    pub min_value: i64,
    /// At most this; 0 sets no limit.
    pub max_value: i64,
    /// Keeps the traces that have no such value instead.
    pub invert_match: bool,
}

/// Keeps a share of the traces, the same in every process with the same salt.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probabilistic {
    /// Written before the trace id when it is hashed; "default-hash-seed" if empty.
    pub hash_salt: String,
    /// The share in percent; 100 and more keep everything.
    pub sampling_percentage: f64,
}

/// Keeps traces with a span of one of these statuses.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusCode {
    /// `OK`, `ERROR` and `UNSET`.
    pub status_codes: Vec<String>,
}

/// Keeps traces with an attribute that has one of these values. A value that is no string counts as "".
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StringAttribute {
    /// The attribute.
    pub key: String,
    /// The values, or regular expressions.
    pub values: Vec<String>,
    /// Whether the values are regular expressions, which may match anywhere in the attribute's value.
    pub enabled_regex_matching: bool,
    /// Read for otelcol's sake; results are not cached.
    pub cache_max_size: i64,
    /// Keeps the traces that have no such value instead.
    pub invert_match: bool,
}

/// Keeps traces with a boolean attribute of this value. A value that is no boolean counts as false.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BooleanAttribute {
    /// The attribute.
    pub key: String,
    /// The value.
    pub value: bool,
    /// Keeps the traces that have no such value instead.
    pub invert_match: bool,
}

/// Keeps traces with this many spans.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpanCount {
    /// At least this many.
    pub min_spans: i64,
    /// At most this many; 0 sets no limit.
    pub max_spans: i64,
}

/// Keeps traces that every sub-policy keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct And {
    /// The sub-policies.
    pub and_sub_policy: Vec<Policy>,
}

/// Keeps traces that the sub-policy does not keep.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Not {
    /// The sub-policy.
    pub not_sub_policy: Box<Policy>,
}

/// Drops traces that every sub-policy matches.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drop {
    /// The sub-policies.
    pub drop_sub_policy: Vec<Policy>,
}

impl Component for Config {
    const NAME: &'static str = "tail_sampling";
    const SUMMARY: &'static str = "Keeps the traces that one of its policies wants, with otelcol's policies";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Traces])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Traces])
    }

    fn check(&self) -> Vec<Finding> {
        check::findings(self)
    }

    fn implies(&self) -> Option<Implied> {
        let mut settings = serde_json::Map::new();
        let waits = [
            ("decision_wait", self.decision_wait),
            ("decision_wait_after_root_received", self.decision_wait_after_root_received),
        ];
        for (name, wait) in waits {
            settings.extend(wait.map(|wait| (name.to_owned(), wait.to_string().into())));
        }
        settings.extend(self.num_traces.map(|traces| ("num_traces".to_owned(), traces.into())));
        Some(Implied { component: "trace_assembly", settings })
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(Sampler::new(self, cx)?))
    }
}
