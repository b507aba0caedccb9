//! What a JSON body says that its log record does not: many services write the trace id and the level only there.

use std::borrow::Cow;
use std::fmt;

use backtrail_model::{SpanId, TraceId};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::logs::LogRecord;

/// Larger bodies are dumps, not log lines.
const LARGEST: usize = 64 * 1024;

/// Fills ids and severity that the record lacks from `text`, if that is a JSON object.
pub(super) fn complete(record: &mut LogRecord, text: &[u8]) {
    if text.len() > LARGEST || text.trim_ascii_start().first() != Some(&b'{') {
        return;
    }
    let Ok(body) = serde_json::from_slice::<Body<'_>>(text) else { return };
    if record.severity == 0 {
        record.severity = body.level.as_ref().map_or(0, |level| severity_of_text(level.as_bytes()));
    }
    if record.trace_id.is_valid() {
        return;
    }
    let (trace_id, span_id) = body.ids();
    if let Some(trace_id) = trace_id.filter(TraceId::is_valid) {
        record.trace_id = trace_id;
        if !record.span_id.is_valid() {
            record.span_id = span_id.unwrap_or_default();
        }
    }
}

/// The severity number of a level's usual names: the least of its group, as OpenTelemetry maps them. Bunyan's and
/// pino's numbers (10 to 60) count as names, too. 0 if it is not known.
pub(super) fn severity_of_text(level: &[u8]) -> u8 {
    let mut lower = [0; 11];
    let level = level.trim_ascii();
    let Some(name) = lower.get_mut(..level.len()) else { return 0 };
    name.copy_from_slice(level);
    name.make_ascii_lowercase();
    match &*name {
        b"trace" | b"10" => 1,
        b"debug" | b"dbg" | b"20" => 5,
        b"info" | b"information" | b"inf" | b"30" => 9,
        b"notice" => 10,
        b"warn" | b"warning" | b"wrn" | b"40" => 13,
        b"error" | b"err" | b"severe" | b"50" => 17,
        b"critical" | b"crit" => 18,
        b"alert" => 19,
        b"fatal" | b"panic" | b"emergency" | b"emerg" | b"60" => 21,
        _ => 0,
    }
}

/// The fields that are understood, at the top level of the object.
#[derive(Default)]
struct Body<'a> {
    level: Option<Cow<'a, str>>,
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
    datadog_trace_id: Option<Cow<'a, str>>,
    datadog_span_id: Option<Cow<'a, str>>,
}

impl Body<'_> {
    fn ids(&self) -> (Option<TraceId>, Option<SpanId>) {
        if let Some(trace_id) = self.trace_id.as_deref().and_then(TraceId::from_hex) {
            return (Some(trace_id), self.span_id.as_deref().and_then(SpanId::from_hex));
        }
        if let Some(parent) = &self.traceparent {
            // 00-<trace id>-<span id>-<flags>
            let mut parts = parent.split('-').skip(1);
            return (parts.next().and_then(TraceId::from_hex), parts.next().and_then(SpanId::from_hex));
        }
        let trace_id = self.datadog_trace_id.as_deref().and_then(|id| {
            // 128 bits as hex, or the lower 64 bits as decimal.
            TraceId::from_hex(id).or_else(|| id.parse::<u64>().ok().map(|low| TraceId(u128::from(low).to_be_bytes())))
        });
        (trace_id, self.datadog_span_id.as_deref().and_then(|id| id.parse().ok()).map(SpanId))
    }
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(Loose(key)) = map.next_key::<Loose<'de>>()? {
            let field = match key.as_deref().unwrap_or_default() {
                "level" | "severity" | "lvl" | "log.level" | "loglevel" => &mut body.level,
                "trace_id" | "traceId" | "traceid" | "trace.id" => &mut body.trace_id,
                "span_id" | "spanId" | "spanid" | "span.id" => &mut body.span_id,
                "traceparent" => &mut body.traceparent,
                "dd.trace_id" => &mut body.datadog_trace_id,
                "dd.span_id" => &mut body.datadog_span_id,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = map.next_value::<Loose<'de>>()?.0;
        }
        Ok(body)
    }
}

/// A string, or a number as its text; nothing for any other type.
struct Loose<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Loose(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Loose(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Loose(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose(None))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str) -> (String, String, u8) {
        let mut record = LogRecord::default();
        complete(&mut record, text.as_bytes());
        (record.trace_id.to_string(), record.span_id.to_string(), record.severity)
    }

    #[test]
    fn ids_and_level_come_from_a_json_body() {
        let (trace, span) = ("d6cf14aa1a21bbb3e6157c9714af0981", "7a5f9c54a49100d1");
        for text in [
            format!(r#"{{"level":"ERROR","trace_id":"{trace}","span_id":"{span}"}}"#),
            format!(r#" {{"x":[1,{{}}],"severity":"error","traceId":"{}","spanId":"{span}"}}"#, trace.to_uppercase()),
            format!(r#"{{"level":50,"traceparent":"00-{trace}-{span}-01"}}"#),
        ] {
            assert_eq!(completed(&text), (trace.into(), span.into(), 17), "{text}");
        }
        let datadog = completed(r#"{"dd.trace_id":"255","dd.span_id":16,"level":{"a":1}}"#);
        assert_eq!(datadog, ("000000000000000000000000000000ff".into(), "0000000000000010".into(), 0));
    }

    #[test]
    fn other_text_says_nothing() {
        let nothing = completed("");
        for text in ["error: x", "{not json", r#"["level"]"#, r#"{"level":null,"trace_id":"xyz"}"#] {
            assert_eq!(completed(text), nothing, "{text}");
        }
    }
}
