//! Log records by the walk: what is read of them, which statement wrote them, and that an export loses nothing.

use std::sync::Arc;

use backtrail_model::log::{LogBatch, LogRecord};
use backtrail_model::{SymbolKind, Symbols};
use backtrail_wire::attributes::log_body;
use backtrail_wire::{Bounds, WalkSpec, WalkedLogs, Walker, export, json};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;

fn walked(symbols: &Arc<Symbols>, bytes: Vec<u8>) -> WalkedLogs {
    let mut walker = Walker::new(Arc::new(WalkSpec::new(vec!["user.id".to_owned()])), Arc::clone(symbols));
    walker.logs(Bytes::from(bytes), &Bounds::none()).expect("well-framed")
}

#[test]
fn logs_become_records() {
    let text = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},
      "scopeLogs":[{"logRecords":[
        {"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":17,"body":{"stringValue":"boom"},
         "traceId":"d6cf14aa1a21bbb3e6157c9714af0981","spanId":"7a5f9c54a49100d1","eventName":"crash",
         "attributes":[{"key":"code.filepath","value":{"stringValue":"pay.go"}},
           {"key":"code.lineno","value":{"intValue":"42"}},{"key":"code.namespace","value":{"stringValue":"pay"}},
           {"key":"code.function","value":{"stringValue":"charge"}},{"key":"user.id","value":{"intValue":7}}]},
        {"observedTimeUnixNano":"9","severityText":"warning","body":{"kvlistValue":{"values":[
           {"key":"k","value":{"intValue":1}}]}},"traceId":"ff"},
        {"body":{"stringValue":"{\"level\":\"fatal\",\"trace_id\":\"d6cf14aa1a21bbb3e6157c9714af0981\"}"}}]}]}]}"#;
    let bytes = json::logs(text).expect("valid");
    ExportLogsServiceRequest::decode(&bytes[..]).expect("prost reads it");
    let symbols = Arc::new(Symbols::new(100));
    let walked = walked(&symbols, bytes);
    let (batch, records) = (&walked.batch, &walked.batch.records);
    let [first, second, third] = &records[..] else { panic!("three records") };
    assert_eq!((first.time.0, first.observed.0, first.severity, first.line), (5, 6, 17, 42));
    assert_eq!(&*symbols.resolve(SymbolKind::Function, first.function), "pay.charge");
    assert_eq!(&*symbols.resolve(SymbolKind::File, first.file), "pay.go");
    assert_eq!(&*symbols.resolve(SymbolKind::Service, first.service), "pay");
    assert_eq!(batch.event_name(first), "crash");
    assert_eq!(log_body(batch, first).expect("set").to_string(), "boom");
    assert_eq!(batch.slots_of(0), [backtrail_model::span::SlotValue::Int(7)]);
    assert_eq!((second.time.0, second.severity, second.trace_id.is_valid()), (9, 13, false));
    assert_eq!(log_body(batch, second).expect("set").to_string(), r#"{"k":1}"#);
    assert_eq!((third.severity, third.trace_id.is_valid(), batch.event_name(third).len()), (21, true, 0));
    assert_eq!((walked.invalid_ids, walked.clamped.missing_time), (1, 1));
}

/// One record with these JSON fields, in the scope of this name.
fn record(scope: &str, fields: &str) -> (String, LogRecord, LogBatch) {
    let text = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}],"scope":{{"name":"{scope}"}}}}]}}]}}"#
    );
    let symbols = Arc::new(Symbols::new(100));
    let batch = walked(&symbols, json::logs(text.as_bytes()).expect(fields)).batch;
    (symbols.resolve(SymbolKind::Template, batch.records[0].template).to_string(), batch.records[0], batch)
}

fn text_attributes(attributes: &[(&str, &str)]) -> String {
    let entry = |(key, value): &(&str, &str)| match value.parse::<i64>() {
        Ok(number) => format!(r#"{{"key":"{key}","value":{{"intValue":{number}}}}}"#),
        Err(_) => format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#),
    };
    format!(r#""attributes":[{}]"#, attributes.iter().map(entry).collect::<Vec<_>>().join(","))
}

fn body(text: &str) -> String {
    format!(r#""body":{{"stringValue":{}}}"#, serde_json::Value::from(text))
}

#[test]
fn the_place_in_the_code_names_the_statement() {
    for (attributes, expected) in [
        (&[("code.namespace", "shop.Cart"), ("code.function", "add"), ("code.lineno", "42")][..], "shop.Cart#42"),
        (&[("code.function.name", "shop.Cart.add"), ("code.line.number", "42")], "shop.Cart.add#42"),
        (&[("code.file.path", "src/cart.py"), ("code.line.number", "7")], "src/cart.py#7"),
        (&[("code.filepath", "cart.go"), ("code.lineno", "7"), ("exception.type", "IOError")], "cart.go#7 IOError"),
        (&[("code.namespace", "shop.Cart"), ("code.function", "add")], "shop.Cart.add"),
        (&[("code.file.path", "src/cart.py")], "src/cart.py"),
        (&[("code.line.number", "42")], "scope#42"),
    ] {
        let fields = format!(r#""severityNumber":17,{},{}"#, body("failed after 3 tries"), text_attributes(attributes));
        assert_eq!(record("scope", &fields).0, expected, "{attributes:?}");
    }
    assert_eq!(record("", &text_attributes(&[("code.lineno", "42")])).0, "UNSPECIFIED");
}

#[test]
fn without_a_place_severity_logger_and_the_masked_message_do() {
    for (scope, fields, expected) in [
        (
            "shop.Cart",
            format!(r#""severityNumber":18,{}"#, body("no product 17 in 'x'")),
            "ERROR shop.Cart no product <*> in <*>",
        ),
        ("", body("started"), "UNSPECIFIED started"),
        ("", format!("{},{}", body("up"), text_attributes(&[("logger_name", "main")])), "UNSPECIFIED main up"),
        ("s", r#""severityText":"warn""#.to_owned(), "WARN s"),
        (
            "s",
            format!(r#""eventName":"cart.checkout","severityNumber":9,{}"#, body("whatever")),
            "INFO s cart.checkout",
        ),
        ("", body(r#"{"level":"error","logger":"db","msg":"lost conn 5","id":9}"#), "ERROR db lost conn <*>"),
        ("", body(r#"{"level":"info","log":"GET /a/1\n"}"#), "INFO GET /a/<*>"),
        ("", body(r#"{"user":"x","order_17":1}"#), "UNSPECIFIED {user order_<*>}"),
        (
            "s",
            r#""body":{"kvlistValue":{"values":[{"key":"level","value":{"stringValue":"debug"}},
            {"key":"message","value":{"stringValue":"tick 4"}}]}}"#
                .to_owned(),
            "DEBUG s tick <*>",
        ),
        (
            "s",
            r#""body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":1}}]}}"#.to_owned(),
            "UNSPECIFIED s {a}",
        ),
        ("s", r#""body":{"intValue":5}"#.to_owned(), "UNSPECIFIED s <*>"),
        (
            "s",
            format!(r#""severityNumber":17,{},{}"#, body("boom"), text_attributes(&[("exception.type", "a.B")])),
            "ERROR s boom a.B",
        ),
    ] {
        assert_eq!(record(scope, &fields).0, expected, "{fields}");
    }
}

#[test]
fn each_record_has_the_logger_of_its_own_scope() {
    let text = br#"{"resourceLogs":[
      {"scopeLogs":[{"scope":{"name":"a"},"logRecords":[{},{}]},{"logRecords":[{}]}]},
      {"scopeLogs":[{"scope":{"name":"b"},"logRecords":[{}]}]}]}"#;
    let symbols = Arc::new(Symbols::new(100));
    let bytes = json::logs(text).expect("valid");
    for _ in 0..2 {
        let records = walked(&symbols, bytes.clone()).batch.records;
        let names: Vec<_> = records.iter().map(|r| symbols.resolve(SymbolKind::Template, r.template)).collect();
        assert_eq!(
            names.iter().map(|name| &**name).collect::<Vec<_>>().join(","),
            "UNSPECIFIED a,UNSPECIFIED a,UNSPECIFIED,UNSPECIFIED b"
        );
    }
}

#[test]
fn ids_come_from_the_fields_then_the_attributes_then_the_body() {
    const TRACE: &str = "d6cf14aa1a21bbb3e6157c9714af0981";
    const OTHER: &str = "ffff14aa1a21bbb3e6157c9714af0981";
    let in_body = body(&format!(r#"{{"trace_id":"{OTHER}","span_id":"1111111111111111"}}"#));
    let attributes = |list: &[(&str, &str)]| format!("{in_body},{}", text_attributes(list));
    let parent = format!("00-{TRACE}-7a5f9c54a49100d1-01");
    for (fields, trace, span) in [
        (format!(r#""traceId":"{TRACE}","spanId":"7a5f9c54a49100d1",{in_body}"#), TRACE, "7a5f9c54a49100d1"),
        (attributes(&[("trace_id", TRACE), ("span_id", "7a5f9c54a49100d1")]), TRACE, "7a5f9c54a49100d1"),
        (attributes(&[("traceId", TRACE), ("spanId", "7a5f9c54a49100d1")]), TRACE, "7a5f9c54a49100d1"),
        (attributes(&[("traceparent", &parent)]), TRACE, "7a5f9c54a49100d1"),
        (
            attributes(&[("dd.trace_id", "255"), ("dd.span_id", "16")]),
            "000000000000000000000000000000ff",
            "0000000000000010",
        ),
        (attributes(&[("trace_id", "none")]), OTHER, "1111111111111111"),
        (in_body.clone(), OTHER, "1111111111111111"),
    ] {
        let (_, record, _) = record("", &fields);
        assert_eq!(
            (record.trace_id.to_string(), record.span_id.to_string()),
            (trace.to_owned(), span.to_owned()),
            "{fields}"
        );
    }
}

#[test]
fn an_export_loses_nothing() {
    let fields = format!(r#""droppedAttributesCount":3,"flags":1,{},{}"#, body("x"), text_attributes(&[("k", "v")]));
    let (_, _, batch) = record("scope", &fields);
    let sent = ExportLogsServiceRequest::decode(&batch.buf[..]).expect("protobuf");
    let exported = export::logs(&batch, None);
    assert_eq!((exported.items, exported.invalid_utf8), (1, 0));
    assert_eq!(ExportLogsServiceRequest::decode(&exported.bytes[..]).expect("protobuf"), sent);
    assert!(export::logs(&batch, Some(&[])).bytes.is_empty());
}

#[test]
fn noise_in_a_request_never_panics() {
    let fields = format!(
        r#""eventName":"e","severityText":"info",{},{}"#,
        body(r#"{"msg":"a 'b' 5"}"#),
        text_attributes(&[("code.lineno", "7"), ("exception.type", "E")])
    );
    let (_, _, batch) = record("scope", &fields);
    let mut walker = Walker::new(Arc::default(), Arc::new(Symbols::new(1000)));
    for at in 0..batch.buf.len() {
        for byte in [0, 1, b'"', 0x7F, 0x80, 0xFF] {
            let mut bytes = batch.buf.to_vec();
            bytes[at] = byte;
            // Either it is refused or it has the one record; no change of one byte can do worse.
            if let Ok(walked) = walker.logs(bytes.into(), &Bounds::none()) {
                assert!(walked.batch.records.len() <= 1);
            }
        }
    }
}
