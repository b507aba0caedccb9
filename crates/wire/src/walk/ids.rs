//! Trace and span ids by the names that loggers give them, for records whose own fields are empty.

use backtrail_model::{SpanId, TraceId};

/// What a record's attributes or its JSON body say.
#[derive(Clone, Copy, Default)]
pub(super) struct NamedIds<'a> {
    pub(super) trace_id: Option<&'a str>,
    pub(super) span_id: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) datadog_trace_id: Option<&'a str>,
    pub(super) datadog_span_id: Option<&'a str>,
}

impl NamedIds<'_> {
    /// The ids, from the first source that holds a trace id.
    pub(super) fn read(&self) -> Option<(TraceId, SpanId)> {
        let hex = |id: &str| TraceId::from_hex(id).filter(TraceId::is_valid);
        if let Some(trace_id) = self.trace_id.and_then(hex) {
            return Some((trace_id, self.span_id.and_then(SpanId::from_hex).unwrap_or_default()));
        }
        // 00-<trace id>-<span id>-<flags>
        let mut parent = self.traceparent.unwrap_or_default().split('-').skip(1);
        if let Some(trace_id) = parent.next().and_then(hex) {
            return Some((trace_id, parent.next().and_then(SpanId::from_hex).unwrap_or_default()));
        }
        // 128 bits as hex, or the lower 64 bits as decimal.
        let id = self.datadog_trace_id?;
        let trace_id = hex(id).or_else(|| id.parse().ok().map(of_number))?;
        let span_id = self.datadog_span_id.and_then(|id| id.parse().ok()).map(SpanId).unwrap_or_default();
        trace_id.is_valid().then_some((trace_id, span_id))
    }
}

/// The trace id whose lower half is `low`.
pub(super) fn of_number(low: u64) -> TraceId {
    TraceId(u128::from(low).to_be_bytes())
}
