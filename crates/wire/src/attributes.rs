//! A raw span, log record or origin in full, for those who need every field: the Parquet exporter, exception frames.
//!
//! A view checks the framing once; after that its iterators cannot fail. Strings that are not UTF-8 are read with
//! U+FFFD in place of what is wrong. A field that is set twice reads as its last value, as protobuf says.

use std::borrow::Cow;
use std::fmt;

use backtrail_model::log::{LogBatch, LogBody, LogRecord};
use backtrail_model::span::Origin;

use crate::check;
use crate::error::WireError;
use crate::proto::{Cursor, FIXED32, FIXED64, ITEM_DEPTH, LEN, MAX_DEPTH, VARINT, key};
use crate::schema::{self, Schema};
use crate::walk::value;

/// A value of the wire that a view looks for.
#[derive(Clone, Copy)]
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a checked message, by key. Ends early if the framing is broken, which the check excludes.
#[derive(Clone)]
struct Fields<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(message) }
    }

    fn read(&mut self) -> Option<(u32, Raw<'a>)> {
        loop {
            let key = self.cursor.key().ok()??;
            let value = match key & 7 {
                VARINT => Raw::Number(self.cursor.varint().ok()?),
                FIXED64 => Raw::Number(self.cursor.fixed64().ok()?),
                FIXED32 => Raw::Number(u64::from(self.cursor.fixed32().ok()?)),
                LEN => Raw::Bytes(self.cursor.bytes().ok()?),
                _ => {
                    // A group: unknown to OTLP.
                    self.cursor.skip(key, MAX_DEPTH).ok()?;
                    continue;
                }
            };
            return Some((key, value));
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.read()
    }
}

/// The last value of a bytes field.
fn last_bytes(message: &[u8], number: u32) -> &[u8] {
    let mut found = &[][..];
    for (field, value) in Fields::of(message) {
        if let (true, Raw::Bytes(bytes)) = (field == key(number, LEN), value) {
            found = bytes;
        }
    }
    found
}

fn last_text(message: &[u8], number: u32) -> Cow<'_, str> {
    lossy(last_bytes(message, number))
}

/// Text, with what is not UTF-8 replaced. To look first whether there is anything to replace is faster than to replace
/// part by part.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The last value of a numeric field of this wire type.
fn last_number(message: &[u8], number: u32, wire: u32) -> u64 {
    let mut found = 0;
    for (field, value) in Fields::of(message) {
        if let (true, Raw::Number(value)) = (field == key(number, wire), value) {
            found = value;
        }
    }
    found
}

/// All values of a repeated message field.
#[derive(Clone)]
struct Repeated<'a> {
    fields: Fields<'a>,
    key: u32,
}

impl<'a> Repeated<'a> {
    fn of(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::of(message), key: key(number, LEN) }
    }
}

impl<'a> Iterator for Repeated<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let (key, Raw::Bytes(bytes)) = self.fields.next()?
                && key == self.key
            {
                return Some(bytes);
            }
        }
    }
}

fn checked<'a>(schema: &Schema, message: &'a [u8], depth: u32) -> Result<&'a [u8], WireError> {
    check::message::<false>(schema, message, depth).map(|()| message).map_err(|broken| broken.within(message))
}

/// Attributes: keys and values, in the order of the message.
#[derive(Clone)]
pub struct Attributes<'a> {
    messages: Repeated<'a>,
}

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8], number: u32) -> Self {
        Self { messages: Repeated::of(message, number) }
    }

    /// The value of `key`, the last one if it is there twice.
    pub fn get(&self, key: &str) -> Option<ValueRef<'a>> {
        self.clone().filter(|(name, _)| name == key).last().map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (Cow<'a, str>, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.messages.next().map(key_value)
    }
}

/// Key and value of a `KeyValue` message.
fn key_value(message: &[u8]) -> (Cow<'_, str>, ValueRef<'_>) {
    match value::common_key_value(message) {
        Some((name, value)) => (lossy(name), value_of(value)),
        None => uncommon_key_value(message),
    }
}

/// Fields in another order, repeated or unknown. A value split over several messages, which no encoder writes, reads as
/// its last part.
#[cold]
fn uncommon_key_value(message: &[u8]) -> (Cow<'_, str>, ValueRef<'_>) {
    let mut found = ValueRef::Empty;
    for value in Repeated::of(message, 2) {
        found = ValueRef::of_any_value(value).unwrap_or(found);
    }
    (last_text(message, 1), found)
}

/// The value in an `AnyValue` message.
#[inline]
fn value_of(message: &[u8]) -> ValueRef<'_> {
    match message {
        [0x0A, length @ ..0x80, text @ ..] if text.len() == usize::from(*length) => ValueRef::Str(lossy(text)),
        _ => ValueRef::of_any_value(message).unwrap_or(ValueRef::Empty),
    }
}

/// An attribute's value.
#[derive(Clone)]
pub enum ValueRef<'a> {
    /// No value.
    Empty,
    /// A string.
    Str(Cow<'a, str>),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An array.
    Array(Values<'a>),
    /// A map.
    Map(Attributes<'a>),
}

/// The values of an array.
#[derive(Clone)]
pub struct Values<'a> {
    messages: Repeated<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        Some(ValueRef::of_any_value(self.messages.next()?).unwrap_or(ValueRef::Empty))
    }
}

impl<'a> ValueRef<'a> {
    /// The value of an `AnyValue` message; `None` if it holds none.
    pub(crate) fn of_any_value(message: &'a [u8]) -> Option<Self> {
        const STRING: u32 = key(1, LEN);
        const BOOL: u32 = key(2, VARINT);
        const INT: u32 = key(3, VARINT);
        const DOUBLE: u32 = key(4, FIXED64);
        const ARRAY: u32 = key(5, LEN);
        const MAP: u32 = key(6, LEN);
        const BYTES: u32 = key(7, LEN);
        let mut found = None;
        for (field, value) in Fields::of(message) {
            found = Some(match (field, value) {
                (STRING, Raw::Bytes(text)) => Self::Str(lossy(text)),
                (BOOL, Raw::Number(value)) => Self::Bool(value != 0),
                (INT, Raw::Number(value)) => Self::Int(value as i64),
                (DOUBLE, Raw::Number(bits)) => Self::Double(f64::from_bits(bits)),
                (ARRAY, Raw::Bytes(array)) => Self::Array(Values { messages: Repeated::of(array, 1) }),
                (MAP, Raw::Bytes(map)) => Self::Map(Attributes::of(map, 1)),
                (BYTES, Raw::Bytes(bytes)) => Self::Bytes(bytes),
                _ => continue,
            });
        }
        found
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// As JSON: bytes as base64, doubles that JSON cannot write as text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Empty => Value::Null,
            Self::Str(text) => Value::String(text.clone().into_owned()),
            Self::Int(value) => Value::from(*value),
            Self::Double(value) => crate::json::double(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Bytes(bytes) => Value::String(crate::json::to_base64(bytes)),
            Self::Array(values) => values.clone().map(|value| value.to_json()).collect(),
            Self::Map(entries) => {
                Value::Object(entries.clone().map(|(key, value)| (key.into_owned(), value.to_json())).collect())
            }
        }
    }
}

/// As text: a string as it is, nothing for no value, everything else as JSON.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Str(text) => f.write_str(text),
            Self::Int(value) => fmt::Display::fmt(value, f),
            Self::Bool(value) => fmt::Display::fmt(value, f),
            Self::Double(value) => fmt::Display::fmt(value, f),
            Self::Bytes(bytes) => f.write_str(&crate::json::to_base64(bytes)),
            Self::Array(_) | Self::Map(_) => fmt::Display::fmt(&self.to_json(), f),
        }
    }
}

/// As [`ValueRef::to_json`], with bytes in quotes.
impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_json(), f)
    }
}

/// A field of a span that holds text or a message.
#[derive(Clone, Debug)]
pub enum SpanField<'a> {
    /// The W3C trace state.
    TraceState(Cow<'a, str>),
    /// The name as sent.
    Name(Cow<'a, str>),
    /// An attribute: key and value.
    Attribute(Cow<'a, str>, ValueRef<'a>),
    /// An event.
    Event(EventView<'a>),
    /// A link.
    Link(LinkView<'a>),
    /// The message of the status; it may be empty.
    StatusMessage(Cow<'a, str>),
}

const TRACE_STATE: u32 = key(3, LEN);
const NAME: u32 = key(5, LEN);
const ATTRIBUTE: u32 = key(9, LEN);
const EVENT: u32 = key(11, LEN);
const LINK: u32 = key(13, LEN);
const STATUS: u32 = key(15, LEN);

/// A span's message, to read in full.
#[derive(Clone, Copy)]
pub struct SpanView<'a> {
    raw: &'a [u8],
}

impl<'a> SpanView<'a> {
    /// A view of a span's message.
    ///
    /// # Errors
    /// If the framing is broken; the bytes of a [`SpanRecord`](backtrail_model::span::SpanRecord) never are.
    pub fn parse(raw: &'a [u8]) -> Result<Self, WireError> {
        checked(&schema::SPAN, raw, ITEM_DEPTH).map(|raw| Self { raw })
    }

    /// A view of the message of a [`SpanRecord`](backtrail_model::span::SpanRecord), whose framing the walk has checked
    /// when it was received. (Of a broken message, a view would read what stands before the break.)
    pub const fn of_record(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The fields below, in the order of the message and in one pass: who wants most of them reads the message once.
    /// Of `Name`, `TraceState` and `StatusMessage` the last counts.
    pub fn fields(&self) -> impl Iterator<Item = SpanField<'a>> + use<'a> {
        Fields::of(self.raw).filter_map(|(field, value)| {
            let Raw::Bytes(bytes) = value else { return None };
            Some(match field {
                ATTRIBUTE => {
                    let (key, value) = key_value(bytes);
                    SpanField::Attribute(key, value)
                }
                NAME => SpanField::Name(lossy(bytes)),
                TRACE_STATE => SpanField::TraceState(lossy(bytes)),
                EVENT => SpanField::Event(EventView { raw: bytes }),
                LINK => SpanField::Link(LinkView { raw: bytes }),
                STATUS => SpanField::StatusMessage(last_text(bytes, 2)),
                _ => return None,
            })
        })
    }

    /// The name as sent (a record's operation may be a normalized route instead).
    pub fn name(&self) -> Cow<'a, str> {
        last_text(self.raw, 5)
    }

    /// The W3C trace state.
    pub fn trace_state(&self) -> Cow<'a, str> {
        last_text(self.raw, 3)
    }

    /// Start as sent, Unix nanoseconds.
    pub fn start(&self) -> u64 {
        last_number(self.raw, 7, FIXED64)
    }

    /// End as sent, Unix nanoseconds.
    pub fn end(&self) -> u64 {
        last_number(self.raw, 8, FIXED64)
    }

    /// OTLP flags.
    pub fn flags(&self) -> u32 {
        last_number(self.raw, 16, FIXED32) as u32
    }

    /// The status message.
    pub fn status_message(&self) -> Cow<'a, str> {
        let messages = Repeated::of(self.raw, 15).map(|status| last_text(status, 2));
        messages.filter(|message| !message.is_empty()).last().unwrap_or_default()
    }

    /// The attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.raw, 9)
    }

    /// The events.
    pub fn events(&self) -> impl Iterator<Item = EventView<'a>> + use<'a> {
        Repeated::of(self.raw, 11).map(|raw| EventView { raw })
    }

    /// The links.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'a>> + use<'a> {
        Repeated::of(self.raw, 13).map(|raw| LinkView { raw })
    }
}

/// An event of a span.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    raw: &'a [u8],
}

impl<'a> EventView<'a> {
    /// When it happened, Unix nanoseconds.
    pub fn time(&self) -> u64 {
        last_number(self.raw, 1, FIXED64)
    }

    /// Its name.
    pub fn name(&self) -> Cow<'a, str> {
        last_text(self.raw, 2)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.raw, 3)
    }
}

/// A link of a span.
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    raw: &'a [u8],
}

impl<'a> LinkView<'a> {
    /// The linked trace, if its id is valid.
    pub fn trace_id(&self) -> Option<backtrail_model::TraceId> {
        let id = last_bytes(self.raw, 1).try_into().ok().map(backtrail_model::TraceId);
        id.filter(backtrail_model::TraceId::is_valid)
    }

    /// The linked span, if its id is valid.
    pub fn span_id(&self) -> Option<backtrail_model::SpanId> {
        let id = last_bytes(self.raw, 2).try_into().ok();
        id.map(|id| backtrail_model::SpanId(u64::from_be_bytes(id))).filter(|id| id.is_valid())
    }

    /// The W3C trace state of the linked span.
    pub fn trace_state(&self) -> Cow<'a, str> {
        last_text(self.raw, 3)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.raw, 4)
    }
}

/// The body of a log record of the batch; `None` if it has none.
pub fn log_body<'a>(batch: &'a LogBatch, record: &LogRecord) -> Option<ValueRef<'a>> {
    let part = |offset: u32, len: u32| &batch.raw(record)[offset as usize..(offset + len) as usize];
    match record.body {
        LogBody::Absent => None,
        LogBody::Text { offset, len } => Some(ValueRef::Str(lossy(part(offset, len)))),
        LogBody::Value { offset, len } => ValueRef::of_any_value(part(offset, len)),
    }
}

/// A log record's message, to read in full.
#[derive(Clone, Copy)]
pub struct LogView<'a> {
    raw: &'a [u8],
}

impl<'a> LogView<'a> {
    /// A view of a log record's message.
    ///
    /// # Errors
    /// If the framing is broken; the bytes of a [`LogRecord`] never are.
    pub fn parse(raw: &'a [u8]) -> Result<Self, WireError> {
        checked(&schema::LOG_RECORD, raw, ITEM_DEPTH).map(|raw| Self { raw })
    }

    /// The severity as the source wrote it.
    pub fn severity_text(&self) -> Cow<'a, str> {
        last_text(self.raw, 3)
    }

    /// The body.
    pub fn body(&self) -> ValueRef<'a> {
        Repeated::of(self.raw, 5).filter_map(ValueRef::of_any_value).last().unwrap_or(ValueRef::Empty)
    }

    /// The attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.raw, 6)
    }
}

/// Resource and scope of an origin, to read in full.
#[derive(Clone, Copy)]
pub struct OriginView<'a> {
    resource: &'a [u8],
    scope: &'a [u8],
}

impl<'a> OriginView<'a> {
    /// A view of an origin. Its bytes were checked when it was built.
    pub fn of(origin: &'a Origin) -> Self {
        Self { resource: &origin.resource, scope: &origin.scope }
    }

    /// The resource's attributes.
    pub fn resource_attributes(&self) -> impl Iterator<Item = (Cow<'a, str>, ValueRef<'a>)> + use<'a> {
        Repeated::of(self.resource, 1).flat_map(|resource| Attributes::of(resource, 1))
    }

    /// The schema URL of the resource.
    pub fn resource_schema_url(&self) -> Cow<'a, str> {
        last_text(self.resource, 3)
    }

    /// The scope's name.
    pub fn scope_name(&self) -> Cow<'a, str> {
        self.scope_text(1)
    }

    /// The scope's version.
    pub fn scope_version(&self) -> Cow<'a, str> {
        self.scope_text(2)
    }

    /// The scope's attributes.
    pub fn scope_attributes(&self) -> impl Iterator<Item = (Cow<'a, str>, ValueRef<'a>)> + use<'a> {
        Repeated::of(self.scope, 1).flat_map(|scope| Attributes::of(scope, 3))
    }

    /// The schema URL of the scope.
    pub fn scope_schema_url(&self) -> Cow<'a, str> {
        last_text(self.scope, 3)
    }

    fn scope_text(&self, number: u32) -> Cow<'a, str> {
        let texts = Repeated::of(self.scope, 1).map(|scope| last_text(scope, number));
        texts.filter(|text| !text.is_empty()).last().unwrap_or_default()
    }
}
