//! What a structured body says that its log record does not: many services write the trace id, the level, the logger and
//! the message only there. A structured body is a JSON object in a text, or a map.

use std::borrow::Cow;
use std::fmt;

use backtrail_model::log::{LogBody, LogRecord};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::ids::NamedIds;
use crate::attributes::{Attributes, ValueRef};

/// Larger bodies are dumps, not log lines.
const LARGEST: usize = 64 * 1024;

/// The bytes of a record that hold its body: the text, or the `AnyValue` message.
pub(super) fn bytes(raw: &[u8], body: LogBody) -> &[u8] {
    match body {
        LogBody::Absent => &[],
        LogBody::Text { offset, len } | LogBody::Value { offset, len } => {
            &raw[offset as usize..(offset + len) as usize]
        }
    }
}

/// The body, if it is structured.
pub(super) fn read(raw: &[u8], body: LogBody) -> Option<Body<'_>> {
    let bytes = bytes(raw, body);
    match body {
        LogBody::Absent => None,
        LogBody::Text { .. } => object(bytes).and_then(|text| serde_json::from_slice(text).ok()),
        LogBody::Value { .. } => map(bytes).map(Body::of_map),
    }
}

/// Appends the keys of a structured body, each with a blank behind it.
pub(super) fn keys(raw: &[u8], body: LogBody, out: &mut Vec<u8>) {
    let bytes = bytes(raw, body);
    if let LogBody::Value { .. } = body {
        for (key, _) in map(bytes).into_iter().flatten() {
            out.extend_from_slice(key.as_bytes());
            out.push(b' ');
        }
    } else if let Some(text) = object(bytes) {
        // It was parsed before, so this cannot fail half-way.
        let _ = Keys(out).deserialize(&mut serde_json::Deserializer::from_slice(text));
    }
}

/// The text, if it may be a JSON object.
fn object(text: &[u8]) -> Option<&[u8]> {
    (text.len() <= LARGEST && text.trim_ascii_start().first() == Some(&b'{')).then_some(text)
}

fn map(value: &[u8]) -> Option<Attributes<'_>> {
    match ValueRef::of_any_value(value) {
        Some(ValueRef::Map(map)) => Some(map),
        _ => None,
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
pub(super) struct Body<'a> {
    level: Option<Cow<'a, str>>,
    logger: Option<Cow<'a, str>>,
    /// `message`, `msg`, `body`, `log`.
    messages: [Option<Cow<'a, str>>; 4],
    trace_id: Option<Cow<'a, str>>,
    span_id: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
    datadog_trace_id: Option<Cow<'a, str>>,
    datadog_span_id: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    fn of_map(map: Attributes<'a>) -> Self {
        let mut body = Self::default();
        for (key, value) in map {
            if let Some(field) = body.field(&key) {
                *field = match value {
                    ValueRef::Str(text) => Some(text),
                    ValueRef::Int(number) if number >= 0 => Some(Cow::Owned(number.to_string())),
                    _ => None,
                };
            }
        }
        body
    }

    fn field(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match key {
            "level" | "severity" | "lvl" | "log.level" | "loglevel" => &mut self.level,
            "logger" | "logger_name" | "log.logger" => &mut self.logger,
            "message" => &mut self.messages[0],
            "msg" => &mut self.messages[1],
            "body" => &mut self.messages[2],
            "log" => &mut self.messages[3],
            "trace_id" | "traceId" | "traceid" | "trace.id" => &mut self.trace_id,
            "span_id" | "spanId" | "spanid" | "span.id" => &mut self.span_id,
            "traceparent" => &mut self.traceparent,
            "dd.trace_id" => &mut self.datadog_trace_id,
            "dd.span_id" => &mut self.datadog_span_id,
            _ => return None,
        })
    }

    /// Fills ids and severity that the record lacks.
    pub(super) fn complete(&self, record: &mut LogRecord) {
        if record.severity == 0 {
            record.severity = self.level.as_ref().map_or(0, |level| severity_of_text(level.as_bytes()));
        }
        if record.trace_id.is_valid() {
            return;
        }
        let ids = NamedIds {
            trace_id: self.trace_id.as_deref(),
            span_id: self.span_id.as_deref(),
            traceparent: self.traceparent.as_deref(),
            datadog_trace_id: self.datadog_trace_id.as_deref(),
            datadog_span_id: self.datadog_span_id.as_deref(),
        };
        if let Some((trace_id, span_id)) = ids.read() {
            record.trace_id = trace_id;
            if !record.span_id.is_valid() {
                record.span_id = span_id;
            }
        }
    }

    /// What it says.
    pub(super) fn message(&self) -> Option<&str> {
        self.messages.iter().flatten().map(|text| &**text).find(|text| !text.is_empty())
    }

    /// Who says it; "" if it does not tell.
    pub(super) fn logger(&self) -> &str {
        self.logger.as_deref().unwrap_or_default()
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
            match body.field(&key.unwrap_or_default()) {
                Some(field) => *field = map.next_value::<Loose<'de>>()?.0,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(body)
    }
}

/// Collects the keys of an object.
struct Keys<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Loose(key), _)) = map.next_entry::<Loose<'de>, IgnoredAny>()? {
            self.0.extend_from_slice(key.unwrap_or_default().as_bytes());
            self.0.push(b' ');
        }
        Ok(())
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

    fn parsed(text: &str) -> Option<Body<'_>> {
        read(text.as_bytes(), LogBody::Text { offset: 0, len: text.len() as u32 })
    }

    fn completed(text: &str) -> (String, String, u8) {
        let mut record = LogRecord::default();
        if let Some(body) = parsed(text) {
            body.complete(&mut record);
        }
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

    #[test]
    fn the_message_is_the_best_of_its_names() {
        let message = |text| parsed(text).and_then(|body| body.message().map(str::to_owned));
        assert_eq!(message(r#"{"log":"a","msg":"b","level":1}"#).as_deref(), Some("b"));
        assert_eq!(message(r#"{"body":"c","message":{"x":1}}"#).as_deref(), Some("c"));
        assert_eq!(message(r#"{"msg":"","user":"d"}"#), None);
        assert_eq!(parsed(r#"{"logger_name":"a.B"}"#).map(|body| body.logger().to_owned()).as_deref(), Some("a.B"));
        let mut found = Vec::new();
        let text = r#"{"user":"d","n":[1],"o":{}}"#;
        keys(text.as_bytes(), LogBody::Text { offset: 0, len: text.len() as u32 }, &mut found);
        assert_eq!(found, b"user n o ");
    }
}
