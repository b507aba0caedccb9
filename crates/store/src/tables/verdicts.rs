//! `verdicts`: every verdict, its key facts typed and the whole document as JSON.

use arrow::array::RecordBatch;
use backtrail_model::verdict::{Suspect, Verdict};

use crate::columns::{Assembler, doubles, int64s, optional_texts, texts, times};
use crate::error::StoreError;
use crate::schema::{Storage, Table, double, int64, text, time};
use crate::tables::incidents::status;

/// The table.
pub const TABLE: Table = Table {
    name: "verdicts",
    about: "One row is one verdict on a revision of an incident; the greatest revision of an `incident_key` is the \
            latest. `top_*` is the first service suspect; all suspects are in `suspects`.",
    sorted_by: &["window_end"],
    columns: &[
        time("window_start", "Start of the judged window"),
        time("window_end", "End of the judged window (exclusive)"),
        int64("window_start_unix_nano", "ns since the Unix epoch", "Start of the window, exactly"),
        int64("window_end_unix_nano", "ns since the Unix epoch", "End of the window, exactly"),
        text("verdict_id", "Id of the verdict"),
        text("incident_key", "The incident"),
        int64("revision", "slices", "Revision of the incident"),
        text("status", "`open`, `updated`, `resolved` or `inconclusive`"),
        text("detector", "What noticed the incident"),
        text("endpoint_service", "Service where it is seen"),
        text("endpoint_route", "Route where it is seen"),
        text("cause", "The cause in a sentence"),
        text("confidence", "`high`, `medium`, `low` or `inconclusive`"),
        double("confidence_score", "0 to 1", "Score of the first suspect"),
        text("top_service", "Service of the first suspect").optional(),
        text("top_version", "Its version").optional(),
        text("top_route", "First route suspect").optional(),
        text("top_function", "First function suspect").optional(),
        double("traces", "traces", "Traces in the window"),
        double("failing_traces", "traces", "Failing traces of these"),
        double("baseline_traces", "traces", "Traces in the baseline"),
        double("p95_ms", "ms", "95th percentile of the endpoint in the window"),
        double("baseline_p95_ms", "ms", "The same in the baseline"),
        double("sampled_share", "0 to 1", "Share of traffic that was seen"),
        int64("late_spans", "spans", "Spans that came too late"),
        text("engine", "Engine and version"),
        text("config_digest", "Digest of the configuration"),
        text("document", "The whole verdict as JSON").stored(Storage::Plain),
    ],
};

/// The rows of verdicts, in the given order.
pub fn batch(rows: &[&Verdict]) -> Result<RecordBatch, StoreError> {
    let documents: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
    let documents = documents.map_err(|error| StoreError::Bug(format!("a verdict is not JSON: {error}")))?;
    let text = |of: fn(&Verdict) -> &str| rows.iter().map(move |row| of(row));
    let number = |of: fn(&Verdict) -> f64| doubles(rows.iter().map(|row| of(row)));
    let top = |kind: &'static str, of: fn(&Suspect) -> &str| {
        optional_texts(rows.iter().map(|row| row.of_kind(kind).next().map_or("", of)))
    };
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| row.window.start_unix_nano)))
        .add("window_end", times(rows.iter().map(|row| row.window.end_unix_nano)))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| row.window.start_unix_nano.0)))
        .add("window_end_unix_nano", int64s(rows.iter().map(|row| row.window.end_unix_nano.0)))
        .add("verdict_id", texts(text(|row| &row.id)))
        .add("incident_key", texts(text(|row| &row.incident_key)))
        .add("revision", int64s(rows.iter().map(|row| row.revision)))
        .add("status", texts(rows.iter().map(|row| status(row.status))))
        .add("detector", texts(text(|row| row.detector.kind.name())))
        .add("endpoint_service", texts(text(|row| &row.endpoint.service)))
        .add("endpoint_route", texts(text(|row| &row.endpoint.route)))
        .add("cause", texts(text(|row| &row.cause)))
        .add("confidence", texts(text(|row| &row.confidence.level)))
        .add("confidence_score", number(|row| row.confidence.score))
        .add("top_service", top("service", |suspect| &suspect.entity.service))
        .add("top_version", top("service", |suspect| &suspect.entity.version))
        .add("top_route", top("route", |suspect| &suspect.entity.name))
        .add("top_function", top("function", |suspect| &suspect.entity.name))
        .add("traces", number(|row| row.impact.traces))
        .add("failing_traces", number(|row| row.impact.failing))
        .add("baseline_traces", number(|row| row.impact.baseline_traces))
        .add("p95_ms", number(|row| row.impact.p95_ms))
        .add("baseline_p95_ms", number(|row| row.impact.baseline_p95_ms))
        .add("sampled_share", number(|row| row.provenance.sampled_share))
        .add("late_spans", int64s(rows.iter().map(|row| row.provenance.late_spans)))
        .add("engine", texts(text(|row| &row.provenance.engine)))
        .add("config_digest", texts(text(|row| &row.provenance.config_digest)))
        .add("document", texts(documents))
        .finish()
}
