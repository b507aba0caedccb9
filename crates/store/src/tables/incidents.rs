//! `incidents`: every revision of every incident.

use arrow::array::RecordBatch;
use backtrail_model::incident::{Incident, Status};
use backtrail_model::time::SliceGrid;

use crate::columns::{Assembler, doubles, int64s, optional_texts, texts, times};
use crate::error::StoreError;
use crate::schema::{Storage, Table, double, int64, text, time};

/// The table.
pub const TABLE: Table = Table {
    name: "incidents",
    about: "One row is one revision of an incident: a full snapshot, the greatest revision of an `incident_key` wins.",
    sorted_by: &["window_end"],
    columns: &[
        time("window_start", "Start of the window so far"),
        time("window_end", "End of the window so far (exclusive)"),
        int64("window_start_unix_nano", "ns since the Unix epoch", "Start of the window, exactly"),
        int64("window_end_unix_nano", "ns since the Unix epoch", "End of the window, exactly"),
        int64("watermark_unix_nano", "ns since the Unix epoch", "Watermark when it was judged"),
        time("opened", "Start of the slice that opened it"),
        text("incident_key", "Stable while the incident lasts"),
        int64("revision", "slices", "Slices since the opening slice"),
        text("event_id", "Id of the revision's event").stored(Storage::Plain),
        text("status", "`open`, `updated`, `resolved` or `inconclusive`"),
        text("detector", "`given_window`, `slo_burn`, `error_shift` or `latency_shift`"),
        text("slo", "The objective in words").optional(),
        double("threshold", "see `detector_unit`", "The limit that was crossed"),
        double("observed", "see `detector_unit`", "What was observed"),
        text("detector_unit", "`burn_rate`, `share`, `ms`, `z`").optional(),
        text("endpoint_service", "Service where it is seen"),
        text("endpoint_route", "Route where it is seen"),
        text("endpoint_method", "HTTP method").optional(),
        int64("late_spans", "spans", "Spans that came too late for the window"),
    ],
};

/// The name of a status in documents.
pub(crate) const fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Updated => "updated",
        Status::Resolved => "resolved",
        Status::Inconclusive => "inconclusive",
    }
}

/// The rows of incidents, in the given order.
pub fn batch(grid: SliceGrid, rows: &[&Incident]) -> Result<RecordBatch, StoreError> {
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| row.window.start_unix_nano)))
        .add("window_end", times(rows.iter().map(|row| row.window.end_unix_nano)))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| row.window.start_unix_nano.0)))
        .add("window_end_unix_nano", int64s(rows.iter().map(|row| row.window.end_unix_nano.0)))
        .add("watermark_unix_nano", int64s(rows.iter().map(|row| row.window.watermark_unix_nano.0)))
        .add("opened", times(rows.iter().map(|row| grid.start(row.opened))))
        .add("incident_key", texts(rows.iter().map(|row| &row.incident_key)))
        .add("revision", int64s(rows.iter().map(|row| row.revision)))
        .add("event_id", texts(rows.iter().map(|row| row.event_id())))
        .add("status", texts(rows.iter().map(|row| status(row.status))))
        .add("detector", texts(rows.iter().map(|row| row.detector.kind.name())))
        .add("slo", optional_texts(rows.iter().map(|row| &row.detector.slo)))
        .add("threshold", doubles(rows.iter().map(|row| row.detector.threshold)))
        .add("observed", doubles(rows.iter().map(|row| row.detector.observed)))
        .add("detector_unit", optional_texts(rows.iter().map(|row| &row.detector.unit)))
        .add("endpoint_service", texts(rows.iter().map(|row| &row.endpoint.service)))
        .add("endpoint_route", texts(rows.iter().map(|row| &row.endpoint.route)))
        .add("endpoint_method", optional_texts(rows.iter().map(|row| &row.endpoint.method)))
        .add("late_spans", int64s(rows.iter().map(|row| row.window.late)))
        .finish()
}
