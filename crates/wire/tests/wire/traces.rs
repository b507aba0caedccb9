//! The walk and re-export against prost.

use std::sync::Arc;

use backtrail_model::span::{SlotValue, SpanBatch, SpanFlags};
use backtrail_model::{SymbolKind, Symbols};
use backtrail_wire::attributes::{OriginView, SpanView, ValueRef};
use backtrail_wire::{Bounds, Fault, WalkSpec, Walker, WireError, export, valid_utf8};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::generate;
use super::oracle::{self, Expected};

const WANTED: [&str; 3] = ["http.route", "user.id", "error.type"];

fn walker() -> (Walker, Arc<Symbols>) {
    let symbols = Arc::new(Symbols::new(1_000_000));
    let spec = WalkSpec::new(WANTED.map(String::from).to_vec());
    (Walker::new(Arc::new(spec), Arc::clone(&symbols)), symbols)
}

const FLAGS: [(u16, &str); 12] = [
    (SpanFlags::ERROR, "error"),
    (SpanFlags::STATUS_ERROR, "status error"),
    (SpanFlags::STATUS_OK, "status ok"),
    (SpanFlags::EVENTS, "events"),
    (SpanFlags::LINKS, "links"),
    (SpanFlags::EXCEPTION, "exception"),
    (SpanFlags::SAMPLED, "sampled"),
    (SpanFlags::REMOTE_PARENT, "remote"),
    (SpanFlags::MESSAGING, "messaging"),
    (SpanFlags::DATABASE, "database"),
    (SpanFlags::BREAKER, "breaker"),
    (SpanFlags::CLAMPED, "clamped"),
];

fn found(batch: &SpanBatch, index: usize, symbols: &Symbols) -> Expected {
    let record = &batch.records[index];
    let resolve = |kind, symbol| symbols.resolve(kind, symbol).to_string();
    Expected {
        trace_id: batch.trace_ids[index].0.to_vec(),
        span_id: record.span_id.0,
        parent_id: record.parent_id.0,
        start: record.start.0,
        duration: record.duration,
        operation: resolve(SymbolKind::Operation, record.operation),
        peer: resolve(SymbolKind::Peer, record.peer),
        function: resolve(SymbolKind::Function, record.function),
        file: resolve(SymbolKind::File, record.file),
        kind: record.kind as u8,
        weight: record.weight,
        status_code: record.status_code,
        resend: record.resend,
        flags: FLAGS.iter().filter(|(bit, _)| record.flags.has(*bit)).map(|(_, name)| *name).collect(),
    }
}

fn same_slot(raw: &[u8], slot: SlotValue, expected: Option<&Value>) -> bool {
    match (slot, expected) {
        (SlotValue::Str { offset, len }, Some(Value::StringValue(text))) => {
            raw[offset as usize..(offset + len) as usize] == *text.as_bytes()
        }
        (SlotValue::Int(found), Some(Value::IntValue(value))) => found == *value,
        (SlotValue::Double(found), Some(Value::DoubleValue(value))) => found.to_bits() == value.to_bits(),
        (SlotValue::Bool(found), Some(Value::BoolValue(value))) => found == *value,
        (SlotValue::Absent, None)
        | (SlotValue::Other, Some(Value::ArrayValue(_) | Value::KvlistValue(_) | Value::BytesValue(_))) => true,
        _ => false,
    }
}

fn same_value(found: &ValueRef<'_>, expected: Option<&Value>) -> bool {
    match (found, expected) {
        (ValueRef::Empty, None) => true,
        (ValueRef::Str(text), Some(Value::StringValue(value))) => text == value,
        (ValueRef::Int(found), Some(Value::IntValue(value))) => found == value,
        (ValueRef::Double(found), Some(Value::DoubleValue(value))) => found.to_bits() == value.to_bits(),
        (ValueRef::Bool(found), Some(Value::BoolValue(value))) => found == value,
        (ValueRef::Bytes(found), Some(Value::BytesValue(value))) => found == value,
        (ValueRef::Array(found), Some(Value::ArrayValue(array))) => {
            let found: Vec<_> = found.clone().collect();
            found.len() == array.values.len()
                && found.iter().zip(&array.values).all(|(found, value)| same_value(found, value.value.as_ref()))
        }
        (ValueRef::Map(found), Some(Value::KvlistValue(list))) => same_attributes(found.clone(), &list.values),
        _ => false,
    }
}

fn same_attributes<'a>(
    found: impl Iterator<Item = (std::borrow::Cow<'a, str>, ValueRef<'a>)>,
    expected: &[KeyValue],
) -> bool {
    let found: Vec<_> = found.collect();
    found.len() == expected.len()
        && found.iter().zip(expected).all(|((key, value), kv)| {
            *key == kv.key && same_value(value, kv.value.as_ref().and_then(|any| any.value.as_ref()))
        })
}

fn same_view(raw: &[u8], span: &Span) -> bool {
    let view = SpanView::parse(raw).expect("walked");
    let (events, links): (Vec<_>, Vec<_>) = (view.events().collect(), view.links().collect());
    view.name() == span.name
        && view.trace_state() == span.trace_state
        && (view.start(), view.end(), view.flags()) == (span.start_time_unix_nano, span.end_time_unix_nano, span.flags)
        && view.status_message() == span.status.as_ref().map_or("", |status| status.message.as_str())
        && same_attributes(view.attributes(), &span.attributes)
        && events.len() == span.events.len()
        && events.iter().zip(&span.events).all(|(view, event)| {
            view.time() == event.time_unix_nano
                && view.name() == event.name
                && same_attributes(view.attributes(), &event.attributes)
        })
        && links.len() == span.links.len()
        && links.iter().zip(&span.links).all(|(view, link)| {
            view.trace_id().is_none_or(|id| id.0[..] == link.trace_id[..])
                && view.span_id().is_none_or(|id| id.0.to_be_bytes()[..] == link.span_id[..])
                && same_attributes(view.attributes(), &link.attributes)
        })
}

/// The walk of `bytes` finds what prost finds, field by field.
fn agrees_with_prost(bytes: Vec<u8>) {
    let request = ExportTraceServiceRequest::decode(&bytes[..]).expect("prost reads it");
    let (mut walker, symbols) = walker();
    let walked = walker.traces(Bytes::from(bytes), &Bounds::none()).expect("well-framed");
    let batch = &walked.batch;
    let (mut index, mut rejected) = (0, std::collections::BTreeMap::new());
    for resource in &request.resource_spans {
        let no_attributes = Vec::new();
        let attributes = resource.resource.as_ref().map_or(&no_attributes, |resource| &resource.attributes);
        let service = match oracle::map(attributes).get("service.name") {
            Some(Value::StringValue(name)) if !name.is_empty() => name.clone(),
            _ => "unknown_service".to_owned(),
        };
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let expected = match oracle::expected(span) {
                    Ok(expected) => expected,
                    Err(reason) => {
                        *rejected.entry(reason).or_insert(0) += 1;
                        continue;
                    }
                };
                assert_eq!(found(batch, index, &symbols), expected);
                let (record, values) = (&batch.records[index], oracle::map(&span.attributes));
                let raw = batch.raw(record);
                assert_eq!(&Span::decode(raw).expect("raw span"), span);
                for (slot, key) in batch.slots_of(index).iter().zip(WANTED) {
                    assert!(same_slot(raw, *slot, values.get(key).copied()), "{key}: {slot:?}");
                }
                assert!(same_view(raw, span) && valid_utf8(raw), "{span:?}");
                let origin = &batch.origins[record.origin as usize];
                assert_eq!(*symbols.resolve(SymbolKind::Service, origin.service), *service);
                assert_eq!(record.service, origin.service);
                assert!(same_attributes(OriginView::of(origin).resource_attributes(), attributes));
                let name = scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
                assert_eq!(OriginView::of(origin).scope_name(), name);
                index += 1;
            }
        }
    }
    assert_eq!(index, batch.records.len());
    let counted: std::collections::BTreeMap<_, _> =
        walked.rejected.by_reason().into_iter().filter(|&(_, count)| count > 0).collect();
    assert_eq!(counted, rejected);
}

/// Each span with its wrappers, unknown fields left to the raw comparison: order and grouping do not matter.
fn flat(request: &ExportTraceServiceRequest) -> Vec<Vec<u8>> {
    let mut spans = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..scope.clone() }];
                spans.push(ResourceSpans { scope_spans, ..resource.clone() }.encode_to_vec());
            }
        }
    }
    spans.sort_unstable();
    spans
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_walk_finds_what_prost_finds(request in generate::request()) {
        agrees_with_prost(request.encode_to_vec());
    }

    #[test]
    fn the_walk_finds_what_prost_finds_in_odd_encodings(request in generate::request(), seed in any::<u64>()) {
        agrees_with_prost(generate::odd(&request, seed));
    }

    #[test]
    fn a_re_export_holds_every_accepted_span(request in generate::request(), seed in any::<u64>()) {
        let bytes = generate::odd(&request, seed);
        let mut sent = ExportTraceServiceRequest::decode(&bytes[..]).expect("prost reads it");
        let walked = walker().0.traces(Bytes::from(bytes), &Bounds::none()).expect("well-framed");
        let exported = export::spans(&walked.batch, None);
        for scope in sent.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
            scope.spans.retain(|span| oracle::expected(span).is_ok());
        }
        let again = ExportTraceServiceRequest::decode(&exported.bytes[..]).expect("prost reads the export");
        prop_assert_eq!(flat(&again), flat(&sent));
        prop_assert_eq!((exported.items, exported.invalid_utf8), (walked.batch.records.len() as u64, 0));
        // Unknown fields survive: the raw spans are the same bytes.
        let rewalked = walker().0.traces(Bytes::from(exported.bytes), &Bounds::none()).expect("well-framed");
        let raws = |batch: &SpanBatch| {
            let mut raws: Vec<_> = batch.records.iter().map(|record| batch.raw(record).to_vec()).collect();
            raws.sort_unstable();
            raws
        };
        prop_assert_eq!(raws(&rewalked.batch), raws(&walked.batch));
    }

    /// Whatever is broken: no panic, the same verdict on the framing as prost, and no more records than prost.
    #[test]
    fn broken_input_is_judged_as_prost_judges_it(
        request in generate::request(),
        seed in any::<u64>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = generate::odd(&request, seed);
        for (index, byte, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        let walked = walker().0.traces(Bytes::from(bytes.clone()), &Bounds::none());
        match (ExportTraceServiceRequest::decode(&bytes[..]), walked) {
            (Ok(request), Ok(walked)) => {
                let spans = request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len());
                let found = walked.batch.records.len() as u64 + walked.rejected.total();
                prop_assert_eq!(spans.sum::<usize>() as u64, found);
            }
            (Ok(_), Err(error)) => prop_assert!(false, "prost accepts, the walk says {}", error),
            // Strings are not checked by the walk but when they leave.
            (Err(error), Ok(walked)) => {
                prop_assert!(error.to_string().contains("UTF-8"), "the walk accepts, prost says {}", error);
                let exported = export::spans(&walked.batch, None);
                prop_assert!(ExportTraceServiceRequest::decode(&exported.bytes[..]).is_ok());
            }
            (Err(_), Err(WireError::Broken { offset, fault })) => {
                prop_assert!(offset <= bytes.len() && fault != Fault::Utf8);
            }
            (Err(_), Err(error)) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = walker().0.traces(Bytes::from(bytes.clone()), &Bounds::none());
        let _ = walker().0.logs(Bytes::from(bytes.clone()), &Bounds::none());
        let _ = backtrail_wire::count_data_points(&bytes);
        let _ = backtrail_wire::json::from_span(&bytes);
        let _ = backtrail_wire::json::traces(&bytes);
    }
}

#[test]
fn an_error_names_the_byte() {
    // ResourceSpans { ScopeSpans { Span { trace_id: 16 bytes announced, 1 there } } }
    let bytes = [0x0A, 7, 0x12, 5, 0x12, 3, 0x0A, 16, 1];
    let error = walker().0.traces(Bytes::copy_from_slice(&bytes), &Bounds::none()).expect_err("truncated");
    assert_eq!(error.to_string(), "broken protobuf at byte 7: truncated: a value reaches past the end of its message");
    // In the resource, which is read from a copy: attributes (field 1) as a varint.
    let bytes = [0x0A, 4, 0x0A, 2, 0x08, 1];
    let error = walker().0.traces(Bytes::copy_from_slice(&bytes), &Bounds::none()).expect_err("wrong type");
    assert_eq!(error.to_string(), "broken protobuf at byte 5: wrong wire type for the field");
}

#[test]
fn a_span_that_is_not_utf8_stays_and_does_not_leave() {
    let mut bytes = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![
                    Span { trace_id: vec![1; 16], span_id: vec![1; 8], name: "bad~".to_owned(), ..Span::default() },
                    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "good".to_owned(), ..Span::default() },
                ],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec();
    let tilde = bytes.iter().position(|&byte| byte == b'~').expect("in the name");
    bytes[tilde] = 0xFF;
    let (mut walker, symbols) = walker();
    let walked = walker.traces(Bytes::from(bytes), &Bounds::none()).expect("well-framed");
    assert_eq!((walked.batch.records.len(), walked.invalid_utf8), (2, 1));
    assert_eq!(&*symbols.resolve(SymbolKind::Operation, walked.batch.records[0].operation), "bad\u{FFFD}");
    let exported = export::spans(&walked.batch, None);
    assert_eq!((exported.items, exported.invalid_utf8), (1, 1));
}

#[test]
fn origins_are_shared_across_batches_and_carry_the_resource() {
    let text = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let attributes = [
        text("service.name", "cart"),
        text("host.name", "node-7"),
        text("service.instance.id", "i-1"),
        text("service.version", "1.2.3"),
        text("vcs.repository.ref.revision", "abc"),
        text("user.id", "u"),
    ]
    .join(",");
    let json = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{{"spans":[
        {{"traceId":"d6cf14aa1a21bbb3e6157c9714af0981","spanId":"7a5f9c54a49100d1","name":"x"}}]}}]}}]}}"#
    );
    let bytes = Bytes::from(backtrail_wire::json::traces(json.as_bytes()).expect("valid"));
    let (mut walker, symbols) = walker();
    let first = walker.traces(bytes.clone(), &Bounds::none()).expect("valid").batch;
    let second = walker.traces(bytes, &Bounds::none()).expect("valid").batch;
    assert!(Arc::ptr_eq(&first.origins[0], &second.origins[0]));
    let origin = &first.origins[0];
    assert_eq!(&*symbols.resolve(SymbolKind::Instance, origin.instance), "i-1");
    assert_eq!((&*origin.version, &*origin.revision, &*origin.namespace), ("1.2.3", "abc", ""));
    assert_eq!(origin.slots[1], Some(backtrail_model::span::AttributeValue::Str("u".into())));
}
