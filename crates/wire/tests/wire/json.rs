//! OTLP/JSON against opentelemetry-proto's serde, and the rules where the two differ.

use backtrail_wire::{count_data_points, json};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use proptest::prelude::*;
use prost::Message;

use super::generate;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_read_as_opentelemetry_proto_writes_them(request in generate::request()) {
        let text = serde_json::to_vec(&request).expect("serializes");
        let bytes = json::traces(&text).expect("valid");
        prop_assert_eq!(ExportTraceServiceRequest::decode(&bytes[..]).expect("protobuf"), request);
    }

    #[test]
    fn traces_survive_the_way_to_json_and_back(request in generate::request(), seed in any::<u64>()) {
        let odd = generate::odd(&request, seed);
        let request = ExportTraceServiceRequest::decode(&odd[..]).expect("prost reads it");
        let text = json::from_traces(&odd).expect("well-framed").to_string();
        let bytes = json::traces(text.as_bytes()).expect("valid");
        prop_assert_eq!(ExportTraceServiceRequest::decode(&bytes[..]).expect("protobuf"), request);
    }

    #[test]
    fn broken_json_never_panics(request in generate::request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&request).expect("serializes");
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(bytes) = json::traces(&text) {
            prop_assert!(ExportTraceServiceRequest::decode(&bytes[..]).is_ok());
        }
    }
}

fn span_of(fields: &str) -> Result<opentelemetry_proto::tonic::trace::v1::Span, String> {
    let text = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[\n{{{fields}}}]}}]}}]}}");
    let bytes = json::traces(text.as_bytes()).map_err(|error| error.to_string())?;
    let request = ExportTraceServiceRequest::decode(&bytes[..]).expect("protobuf");
    Ok(request.resource_spans[0].scope_spans[0].spans[0].clone())
}

#[test]
fn the_rules_of_otlp_json_hold() {
    let span = span_of(
        r#""traceId":"D6CF14AA1A21BBB3E6157C9714AF0981","spanId":"7a5f9c54a49100d1","parentSpanId":"",
        "kind":3,"startTimeUnixNano":"1700000000000000001","endTimeUnixNano":1700000000000000002,"flags":257,
        "name":"a\u00e9\n","unknown":{"deep":[1,{"x":null}]},"trace_state":"ignored","traceState":null,
        "status":{"code":"STATUS_CODE_ERROR","message":null},"events":null,
        "attributes":[{"key":"i","value":{"intValue":-5}},{"key":"s","value":{"intValue":"-9223372036854775808"}},
        {"key":"b","value":{"bytesValue":"AP8="}},{"key":"d","value":{"doubleValue":"NaN"}},
        {"key":"n","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}]}}},
        {"key":"e","value":{}}]"#,
    )
    .expect("valid");
    assert_eq!((span.trace_id[0], span.span_id[0], span.parent_span_id.len()), (0xD6, 0x7A, 0));
    assert_eq!((span.kind, span.flags, span.name.as_str(), span.trace_state.as_str()), (3, 257, "aé\n", ""));
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1);
    assert_eq!(span.status.expect("set").code, 2);
    assert_eq!(span.attributes.len(), 6);
    let int = |index: usize| format!("{:?}", span.attributes[index].value);
    assert!(int(0).contains("IntValue(-5)") && int(1).contains("IntValue(-9223372036854775808)"));
    assert!(int(2).contains("[0, 255]") && int(3).contains("NaN") && int(4).contains("BoolValue(true)"));
}

#[test]
fn errors_name_field_line_and_column() {
    for (fields, part) in [
        (r#""traceId":"xyz""#, "traceId: not hex"),
        (r#""startTimeUnixNano":-1"#, "startTimeUnixNano: integer -1 is out of range"),
        (r#""startTimeUnixNano":"soon""#, "startTimeUnixNano: 'soon' is not a value of this field"),
        (r#""attributes":{}"#, "attributes: an object where an array is meant"),
        (r#""name":5"#, "name: a number where a string is meant"),
        (r#""kind":"SPAN_KIND_OTHER""#, "kind: 'SPAN_KIND_OTHER' is not a value of this field"),
        (r#""status":[]"#, "status: an array where an object is meant"),
        (r#""name":"unclosed"#, "EOF while parsing"),
    ] {
        let error = span_of(fields).expect_err(fields);
        assert!(error.contains(part) && error.contains("at line 2 column"), "{fields}: {error}");
    }
    let deep = r#"{"arrayValue":{"values":["#.repeat(200);
    let error = span_of(&format!(r#""attributes":[{{"key":"a","value":{deep}"#)).expect_err("deep");
    assert!(error.contains("recursion limit exceeded"), "{error}");
    assert!(json::traces(b"{} {}").expect_err("two documents").to_string().contains("trailing characters"));
    assert!(json::traces(b"{}").expect("an empty request is fine").is_empty());
}

#[test]
fn bare_nan_costs_no_more_than_its_own_point() {
    let text = |value: &str| {
        let metric = r#"{"name":"g\"NaN","gauge":{"dataPoints":[{"asDouble":VALUE},{"asDouble":-1.5}]}}"#;
        format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#).replace("VALUE", value)
    };
    for value in ["NaN", "Infinity", "-Infinity"] {
        let bare = json::metrics(text(value).as_bytes()).expect("read all the same");
        assert_eq!(bare, json::metrics(text(&format!("\"{value}\"")).as_bytes()).expect("valid"));
    }
    assert!(json::metrics(text("Nan").as_bytes()).is_err());
}

#[test]
fn metrics_read_and_their_points_are_counted() {
    let text = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
      {"name":"g","gauge":{"dataPoints":[{"asDouble":1.5,"timeUnixNano":"1"},{"asInt":"-3"}]}},
      {"name":"s","sum":{"dataPoints":[{"asInt":7,"exemplars":[{"asDouble":2,"traceId":"AB"}]}],
        "aggregationTemporality":2,"isMonotonic":true}},
      {"name":"h","histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[
        {"count":"3","sum":4.5,"bucketCounts":["1",2],"explicitBounds":[0.5],"min":0,"max":"Infinity"}]}},
      {"name":"e","exponentialHistogram":{"dataPoints":[{"scale":-2,"positive":{"offset":-7,"bucketCounts":[1,"300"]}}]}},
      {"name":"q","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":"NaN"}]}]}}]}]}]}"#;
    let bytes = json::metrics(text).expect("valid");
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("prost reads it");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let Some(metric::Data::Gauge(gauge)) = &metrics[0].data else { panic!("a gauge") };
    assert_eq!(gauge.data_points[1].value, Some(number_data_point::Value::AsInt(-3)));
    let Some(metric::Data::Histogram(histogram)) = &metrics[2].data else { panic!("a histogram") };
    assert_eq!(histogram.aggregation_temporality, 1);
    assert_eq!((&histogram.data_points[0].bucket_counts[..], histogram.data_points[0].min), (&[1, 2][..], Some(0.0)));
    let Some(metric::Data::ExponentialHistogram(exponential)) = &metrics[3].data else { panic!("exponential") };
    let point = &exponential.data_points[0];
    let positive = point.positive.as_ref().expect("set");
    assert_eq!((point.scale, positive.offset, &positive.bucket_counts[..]), (-2, -7, &[1, 300][..]));
    assert_eq!(count_data_points(&bytes).ok(), Some(6));
    for len in 1..bytes.len() {
        let prost = ExportMetricsServiceRequest::decode(&bytes[..len]).is_ok();
        assert_eq!(count_data_points(&bytes[..len]).is_ok(), prost, "{len} bytes");
    }
}
