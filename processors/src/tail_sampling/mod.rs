//! Decides which traces are kept, by otelcol's policies with otelcol's meaning; a block copied from a Collector works.
//!
//! Every trace is put before all policies. A `drop` policy that matches beats everything, wherever it stands. Otherwise
//! one policy that says yes is enough, and the first of them by order is stamped on the trace as its reason.
//! `invert_match` and `not` are plain negations. Spans that come late follow the decision of their trace as long as it is
//! remembered (`decision_cache`), and are decided on their own after that.
//!
//! What differs from otelcol, knowingly:
//! - `latency` with `upper_threshold_ms` judges the whole trace, and not the part of it that had arrived first.
//! - `numeric_attribute` without both limits is a configuration error, and not a crash at the first decision.
//! - `decision_cache` remembers 100,000 decisions of each kind where nothing is stated; otelcol remembers none.
//! - Nothing is evicted undecided: over `num_traces`, `trace_assembly` decides the oldest traces early.
//! - `decision_wait` and `num_traces` are settings of `trace_assembly`, which is put before this one where it is missing.
//!
//! One policy is ours: `suspect` keeps the copies that `trace_assembly` releases because an incident opened, unless the
//! trace was kept anyway or a `drop` policy matches. No other policy looks at these copies.
//!
//! ```yaml
//! processors:
//!   tail_sampling:
//!     decision_wait: 10s
//!     policies:
//!       - { name: errors, type: status_code, status_code: { status_codes: [ERROR] } }
//!       - { name: slow, type: latency, latency: { threshold_ms: 2000 } }
//!       - { name: incidents, type: suspect }
//!       - name: no-probes
//!         type: drop
//!         drop:
//!           drop_sub_policy:
//!             - { name: probe, type: string_attribute, string_attribute: { key: url.path, values: [/healthz] } }
//!       - { name: some, type: probabilistic, probabilistic: { sampling_percentage: 5 } }
//! ```

mod check;
mod config;
mod matching;
mod re2;
#[cfg(test)]
mod reference;
mod sampler;
#[cfg(test)]
mod tests;
mod threshold;

pub use config::{
    And, BooleanAttribute, Config, DecisionCache, Drop, Latency, Not, Nothing, NumericAttribute, Policy, PolicyType,
    Probabilistic, SpanCount, StatusCode, StringAttribute,
};
