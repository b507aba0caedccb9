//! OTLP/JSON: into protobuf for the walk, and back for people.
//!
//! The rules that differ from plain JSON of protobuf: ids are hex in either case, enums are integers (names are
//! understood), names are lowerCamelCase only. 64-bit integers are strings or numbers, unknown fields are ignored, and
//! null is the same as absent; `NaN` and infinities may lack their quotes. Both directions are driven by the schema
//! tables of this crate.

mod bare;
mod encoding;
mod read;
mod write;

use serde_json::Value;

use crate::check;
use crate::error::WireError;
use crate::proto::{ITEM_DEPTH, MAX_DEPTH};
use crate::schema::{self, Schema};

pub(crate) use encoding::to_base64;
pub(crate) use write::double;

/// An `ExportTraceServiceRequest` (or `TracesData`) in JSON, as protobuf.
///
/// # Errors
/// If it is not JSON or a field has a wrong type; the message names line and column. Ids of a wrong length are hex all
/// the same and pass: the walk rejects their spans one by one.
pub fn traces(json: &[u8]) -> Result<Vec<u8>, WireError> {
    request(&schema::TRACES, json)
}

/// An `ExportLogsServiceRequest` (or `LogsData`) in JSON, as protobuf.
///
/// # Errors
/// As [`traces`].
pub fn logs(json: &[u8]) -> Result<Vec<u8>, WireError> {
    request(&schema::LOGS, json)
}

/// An `ExportMetricsServiceRequest` (or `MetricsData`) in JSON, as protobuf.
///
/// # Errors
/// As [`traces`].
pub fn metrics(json: &[u8]) -> Result<Vec<u8>, WireError> {
    request(&schema::METRICS, json)
}

fn request(schema: &'static Schema, json: &[u8]) -> Result<Vec<u8>, WireError> {
    let error = match read::request(schema, json) {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    match bare::quoted(json) {
        Some(quoted) => Ok(read::request(schema, &quoted)?),
        None => Err(error.into()),
    }
}

/// An `ExportTraceServiceRequest` as JSON.
///
/// # Errors
/// If the framing is broken.
pub fn from_traces(request: &[u8]) -> Result<Value, WireError> {
    to_value(&schema::TRACES, request, MAX_DEPTH)
}

/// A span's message as JSON.
///
/// # Errors
/// If the framing is broken.
pub fn from_span(raw: &[u8]) -> Result<Value, WireError> {
    to_value(&schema::SPAN, raw, ITEM_DEPTH)
}

/// A log record's message as JSON.
///
/// # Errors
/// If the framing is broken.
pub fn from_log_record(raw: &[u8]) -> Result<Value, WireError> {
    to_value(&schema::LOG_RECORD, raw, ITEM_DEPTH)
}

fn to_value(schema: &Schema, message: &[u8], depth: u32) -> Result<Value, WireError> {
    check::message::<false>(schema, message, depth)
        .and_then(|()| write::message(schema, message))
        .map_err(|broken| broken.within(message))
}
