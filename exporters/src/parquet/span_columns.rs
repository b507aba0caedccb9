//! The columns of `spans` under construction.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::NullBuffer;
use backtrail_model::span::{SpanFlags, SpanRecord};
use backtrail_model::{SpanId, TraceId};
use backtrail_store::tables::spans::{EVENT, EXCEPTION, LINK, TABLE};
use backtrail_store::{Assembler, FewTexts, FewTextsMap, ListColumn, MapColumn, StoreError, list_of, struct_of};
use backtrail_wire::attributes::ValueRef;

/// Type, message and stack trace of an exception.
pub(super) type ExceptionParts<'a> = [Option<ValueRef<'a>>; 3];

/// What a span's message says once.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) status_message: Cow<'a, str>,
    pub(super) trace_state: Cow<'a, str>,
    /// `http.request.method`, else `http.method`.
    pub(super) method: Option<ValueRef<'a>>,
    /// `http.route`.
    pub(super) route: Option<ValueRef<'a>>,
    /// The first exception event.
    pub(super) exception: Option<ExceptionParts<'a>>,
}

/// Codes of gRPC stand behind those of HTTP in a record.
const GRPC: u16 = 1000;

/// Builders in the order of the table.
#[derive(Default)]
pub(super) struct SpanColumns {
    trace_id: StringBuilder,
    span_id: StringBuilder,
    parent_span_id: StringBuilder,
    start_time: TimestampMicrosecondBuilder,
    start_unix_nano: Int64Builder,
    duration_ns: Int64Builder,
    pub(super) service: Int32Builder,
    pub(super) service_namespace: Int32Builder,
    pub(super) service_version: Int32Builder,
    pub(super) instance: Int32Builder,
    pub(super) operation: Int32Builder,
    name: StringBuilder,
    kind: StringBuilder,
    status: StringBuilder,
    status_message: StringBuilder,
    error: BooleanBuilder,
    http_method: StringBuilder,
    http_route: StringBuilder,
    http_status_code: Int32Builder,
    grpc_status_code: Int32Builder,
    pub(super) peer: Int32Builder,
    pub(super) code_function: Int32Builder,
    pub(super) code_file: Int32Builder,
    resend_count: Int32Builder,
    weight: Float64Builder,
    pub(super) keep_reason: Int32Builder,
    pub(super) late: BooleanBuilder,
    pub(super) evidence: BooleanBuilder,
    trace_state: StringBuilder,
    pub(super) scope_name: Int32Builder,
    pub(super) scope_version: Int32Builder,
    exceptions: [StringBuilder; 3],
    has_exception: Vec<bool>,
    events: ListColumn,
    event_time: Vec<i64>,
    event_name: StringBuilder,
    pub(super) event_attributes: MapColumn,
    links: ListColumn,
    link_trace_id: StringBuilder,
    link_span_id: StringBuilder,
    linked: usize,
    pub(super) link_attributes: MapColumn,
    pub(super) attributes: MapColumn,
    pub(super) resource_attributes: FewTextsMap,
}

impl SpanColumns {
    /// Room for so many rows, of spans of so many bytes.
    pub(super) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self {
            trace_id: StringBuilder::with_capacity(rows, rows * 32),
            span_id: StringBuilder::with_capacity(rows, rows * 16),
            parent_span_id: StringBuilder::with_capacity(rows, rows * 16),
            start_time: TimestampMicrosecondBuilder::with_capacity(rows),
            start_unix_nano: Int64Builder::with_capacity(rows),
            duration_ns: Int64Builder::with_capacity(rows),
            name: StringBuilder::with_capacity(rows, rows * 32),
            http_route: StringBuilder::with_capacity(rows, rows * 32),
            has_exception: Vec::with_capacity(rows),
            attributes: MapColumn::with_capacity(rows * 10, bytes / 2),
            ..Self::default()
        }
    }

    /// What the record itself says.
    pub(super) fn ids(&mut self, trace_id: TraceId, record: &SpanRecord) {
        let mut hex = [0; 32];
        self.trace_id.append_value(encode(&trace_id.0, &mut hex));
        self.span_id.append_value(encode(&record.span_id.0.to_be_bytes(), &mut hex));
        if record.parent_id.is_valid() {
            self.parent_span_id.append_value(encode(&record.parent_id.0.to_be_bytes(), &mut hex));
        } else {
            self.parent_span_id.append_null();
        }
        self.start_time.append_value((record.start.0 / 1000) as i64);
        self.start_unix_nano.append_value(record.start.0 as i64);
        self.duration_ns.append_value(record.duration as i64);
        self.kind.append_value(record.kind.name());
        self.status.append_value(status(record.flags));
        self.error.append_value(record.is_error());
        let (http, grpc) = match record.status_code {
            0 => (None, None),
            code if code >= GRPC => (None, Some(i32::from(code - GRPC))),
            code => (Some(i32::from(code)), None),
        };
        self.http_status_code.append_option(http);
        self.grpc_status_code.append_option(grpc);
        self.resend_count.append_value(i32::from(record.resend));
        self.weight.append_value(f64::from(record.weight) / f64::from(SpanRecord::ONE));
    }

    /// What the span's own message says, once its attributes, events and links were added.
    pub(super) fn said(&mut self, said: &Said<'_>) {
        self.name.append_value(&said.name);
        self.status_message.append_option(some(&said.status_message));
        self.trace_state.append_option(some(&said.trace_state));
        self.http_method.append_option(said.method.as_ref().and_then(ValueRef::as_str));
        self.http_route.append_option(said.route.as_ref().and_then(ValueRef::as_str));
        self.attributes.end();
        self.events.end(self.event_time.len());
        self.links.end(self.linked);
        self.exception(said.exception.as_ref());
    }

    fn exception(&mut self, parts: Option<&ExceptionParts<'_>>) {
        for (index, column) in self.exceptions.iter_mut().enumerate() {
            match parts.and_then(|parts| parts[index].as_ref()) {
                Some(ValueRef::Str(text)) => column.append_value(text),
                Some(other) => column.append_value(other.to_string()),
                None => column.append_null(),
            }
        }
        self.has_exception.push(parts.is_some());
    }

    pub(super) fn event(&mut self, time: u64, name: &str) {
        self.event_time.push(i64::try_from(time).unwrap_or(i64::MAX));
        self.event_name.append_value(name);
    }

    pub(super) fn link(&mut self, trace_id: TraceId, span_id: SpanId) {
        let mut hex = [0; 32];
        self.link_trace_id.append_value(encode(&trace_id.0, &mut hex));
        self.link_span_id.append_value(encode(&span_id.0.to_be_bytes(), &mut hex));
        self.linked += 1;
    }

    pub(super) fn finish(mut self, texts: &mut FewTexts) -> Result<arrow::array::RecordBatch, StoreError> {
        let [kind, message, stacktrace] = &mut self.exceptions;
        let parts = vec![text(kind), text(message), text(stacktrace)];
        let exception = struct_of(EXCEPTION, parts, Some(NullBuffer::from(self.has_exception)));
        let times: ArrayRef = Arc::new(arrow::array::Int64Array::from(self.event_time));
        let fields = vec![times, text(&mut self.event_name), self.event_attributes.finish()];
        let events = list_of(self.events, struct_of(EVENT, fields, None));
        let ids = [text(&mut self.link_trace_id), text(&mut self.link_span_id)];
        let fields = ids.into_iter().chain([self.link_attributes.finish()]).collect();
        let links = list_of(self.links, struct_of(LINK, fields, None));
        Assembler::new(&TABLE)
            .add("trace_id", text(&mut self.trace_id))
            .add("span_id", text(&mut self.span_id))
            .add("parent_span_id", text(&mut self.parent_span_id))
            .add("start_time", Arc::new(self.start_time.finish().with_timezone("UTC")))
            .add("start_unix_nano", Arc::new(self.start_unix_nano.finish()))
            .add("duration_ns", Arc::new(self.duration_ns.finish()))
            .add("service", texts.column(self.service))
            .add("service_namespace", texts.column(self.service_namespace))
            .add("service_version", texts.column(self.service_version))
            .add("instance", texts.column(self.instance))
            .add("operation", texts.column(self.operation))
            .add("name", text(&mut self.name))
            .add("kind", text(&mut self.kind))
            .add("status", text(&mut self.status))
            .add("status_message", text(&mut self.status_message))
            .add("error", Arc::new(self.error.finish()))
            .add("http_method", text(&mut self.http_method))
            .add("http_route", text(&mut self.http_route))
            .add("http_status_code", Arc::new(self.http_status_code.finish()))
            .add("grpc_status_code", Arc::new(self.grpc_status_code.finish()))
            .add("peer", texts.column(self.peer))
            .add("code_function", texts.column(self.code_function))
            .add("code_file", texts.column(self.code_file))
            .add("resend_count", Arc::new(self.resend_count.finish()))
            .add("weight", Arc::new(self.weight.finish()))
            .add("keep_reason", texts.column(self.keep_reason))
            .add("late", Arc::new(self.late.finish()))
            .add("evidence", Arc::new(self.evidence.finish()))
            .add("trace_state", text(&mut self.trace_state))
            .add("scope_name", texts.column(self.scope_name))
            .add("scope_version", texts.column(self.scope_version))
            .add("exception", exception)
            .add("events", events)
            .add("links", links)
            .add("attributes", self.attributes.finish())
            .add("resource_attributes", texts.map_column(self.resource_attributes))
            .finish()
    }
}

pub(super) fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn text(column: &mut StringBuilder) -> ArrayRef {
    Arc::new(column.finish())
}

const fn status(flags: SpanFlags) -> &'static str {
    if flags.has(SpanFlags::STATUS_ERROR) {
        "error"
    } else if flags.has(SpanFlags::STATUS_OK) {
        "ok"
    } else {
        "unset"
    }
}

/// Lower-case hex of at most 16 bytes.
fn encode<'a>(bytes: &[u8], into: &'a mut [u8; 32]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in bytes.iter().enumerate() {
        into[index * 2] = DIGITS[usize::from(byte >> 4)];
        into[index * 2 + 1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(&into[..bytes.len() * 2]).expect("hex digits are ASCII")
}
