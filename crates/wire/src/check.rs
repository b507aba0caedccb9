//! Checks of whole messages against the schema tables of this crate: framing always, UTF-8 where bytes leave the process.

use crate::error::{Broken, Fault, WireError};
use crate::proto::{Cursor, ITEM_DEPTH, LEN, MAX_DEPTH};
use crate::schema::{self, Field, Kind, Schema};

/// Whether a span's message is well-framed and every string in it is UTF-8. One bad string makes a strict peer reject
/// a whole export, so this is asked for every span that leaves the process.
pub fn valid_utf8(span: &[u8]) -> bool {
    message::<true>(&schema::SPAN, span, ITEM_DEPTH).is_ok()
}

/// The same for a log record's message.
pub fn valid_utf8_log(record: &[u8]) -> bool {
    message::<true>(&schema::LOG_RECORD, record, ITEM_DEPTH).is_ok()
}

/// The same for the fields of [`Origin::resource`](backtrail_model::span::Origin) and
/// [`Origin::scope`](backtrail_model::span::Origin) of spans; those of logs have
/// the same shape.
pub fn valid_utf8_origin(resource: &[u8], scope: &[u8]) -> bool {
    message::<true>(&schema::RESOURCE_SPANS, resource, MAX_DEPTH - 1).is_ok()
        && message::<true>(&schema::SCOPE_SPANS, scope, MAX_DEPTH - 2).is_ok()
}

/// Data points of an `ExportMetricsServiceRequest`, with the framing of all of it checked.
///
/// # Errors
/// If the framing is broken at any depth.
pub fn count_data_points(request: &[u8]) -> Result<u64, WireError> {
    message::<false>(&schema::METRICS, request, MAX_DEPTH)
        .and_then(|()| data_points(&schema::METRICS, request))
        .map_err(|broken| broken.within(request))
}

/// Descends from the request to the messages that hold data points. What it reads was checked before.
fn data_points(schema: &Schema, bytes: &[u8]) -> Result<u64, Broken> {
    let (mut count, mut cursor) = (0, Cursor::new(bytes));
    while let Some(key) = cursor.key()? {
        match schema.field(key >> 3) {
            Some(Field { name: "dataPoints", .. }) => {
                cursor.bytes()?;
                count += 1;
            }
            // The way down, and nothing else: resources and attributes hold no data points.
            Some(&Field {
                name:
                    "resourceMetrics"
                    | "scopeMetrics"
                    | "metrics"
                    | "gauge"
                    | "sum"
                    | "histogram"
                    | "exponentialHistogram"
                    | "summary",
                kind: Kind::Message(inner),
                ..
            }) => count += data_points(inner, cursor.bytes()?)?,
            _ => cursor.skip(key, MAX_DEPTH)?,
        }
    }
    Ok(count)
}

/// Checks one message; `depth` is the nesting that is left below it.
pub(crate) fn message<const UTF8: bool>(schema: &Schema, bytes: &[u8], depth: u32) -> Result<(), Broken> {
    let mut cursor = Cursor::new(bytes);
    while let Some(key) = cursor.key()? {
        field::<UTF8>(schema, key, &mut cursor, depth)?;
    }
    Ok(())
}

/// Checks the value of one field and moves past it.
pub(crate) fn field<const UTF8: bool>(
    schema: &Schema,
    key: u32,
    cursor: &mut Cursor<'_>,
    depth: u32,
) -> Result<(), Broken> {
    let Some(field) = schema.field(key >> 3) else { return cursor.skip(key, depth) };
    let wire = key & 7;
    if wire == LEN && field.repeated && field.kind.wire() != LEN {
        return packed(field.kind, cursor.bytes()?);
    }
    if wire != field.kind.wire() {
        return Err(Broken::new(cursor.rest, Fault::WireType));
    }
    match field.kind {
        Kind::Message(inner) => {
            let Some(depth) = depth.checked_sub(1) else { return Err(Broken::new(cursor.rest, Fault::Depth)) };
            message::<UTF8>(inner, cursor.bytes()?, depth)
        }
        Kind::Text if UTF8 => {
            let bytes = cursor.bytes()?;
            std::str::from_utf8(bytes).map(drop).map_err(|_| Broken::new(bytes, Fault::Utf8))
        }
        _ => cursor.skip(key, depth),
    }
}

fn packed(kind: Kind, bytes: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.rest.is_empty() {
        cursor.skip(kind.wire(), 0)?;
    }
    Ok(())
}
