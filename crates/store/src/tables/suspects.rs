//! `suspects`: every suspect of every verdict.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use backtrail_model::verdict::{Counts, Suspect, Verdict};

use crate::columns::{
    Assembler, ListColumn, doubles, int32s, int64s, list_of, map_of, optional_int32s, optional_texts, texts, times,
};
use crate::error::StoreError;
use crate::schema::{Kind, Storage, Table, double, int32, int64, nested, text, time};

/// The table.
pub const TABLE: Table = Table {
    name: "suspects",
    about: "One row is one suspect of one verdict. Suspects of different kinds are ranked within their kind. The \
            Ochiai score is `ef / sqrt((ef + nf) * (ef + ep))`.",
    sorted_by: &["window_end"],
    columns: &[
        time("window_start", "Start of the judged window"),
        time("window_end", "End of the judged window (exclusive)"),
        int64("window_end_unix_nano", "ns since the Unix epoch", "End of the window, exactly"),
        text("verdict_id", "The verdict; joins with `verdicts.verdict_id`"),
        text("incident_key", "The incident"),
        int64("revision", "slices", "Revision of the incident"),
        text("endpoint_service", "Service where the incident is seen"),
        text("endpoint_route", "Route where the incident is seen"),
        text("kind", "`service`, `route`, `edge`, `function`, `file`, `frame`, `log`, `resource` or `change`"),
        int32("rank", "1 is the most likely of its kind"),
        text("service", "Service that owns it (for an edge: the caller)"),
        text("name", "Name within the service; for an edge the callee; null for a service").optional(),
        text("version", "`service.version`").optional(),
        text("commit", "Deployed commit").optional(),
        text("function", "Function").optional(),
        text("file", "Source file").optional(),
        int32("line", "Line").optional(),
        double("score", "0 to 1", "What the ranking sorts by").stored(Storage::Plain),
        nested("score_parts", Kind::NumberMap, "Named parts of the score, 0 to 1 each"),
        text("formula", "How the score comes from its parts, with the numbers"),
        double("ef", "traces", "Failing traces that touch it"),
        double("ep", "traces", "Passing traces that touch it"),
        double("nf", "traces", "Failing traces that do not"),
        double("np", "traces", "Passing traces that do not"),
        text("ochiai", "The Ochiai formula with its numbers"),
        text("confidence", "`high`, `medium`, `low` or `none`"),
        nested("why", Kind::TextList, "Ids of the evidence for and against it, in the verdict's document"),
    ],
};

/// The rows of verdicts, in the given order.
pub fn batch(verdicts: &[&Verdict]) -> Result<RecordBatch, StoreError> {
    let rows: Vec<(&Verdict, &Suspect)> =
        verdicts.iter().flat_map(|verdict| verdict.suspects.iter().map(|suspect| (*verdict, suspect))).collect();
    let of = |get: fn(&Suspect) -> &str| rows.iter().map(move |(_, suspect)| get(suspect));
    let count = |get: fn(&Counts) -> f64| doubles(rows.iter().map(|(_, suspect)| get(&suspect.counts)));
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|(verdict, _)| verdict.window.start_unix_nano)))
        .add("window_end", times(rows.iter().map(|(verdict, _)| verdict.window.end_unix_nano)))
        .add("window_end_unix_nano", int64s(rows.iter().map(|(verdict, _)| verdict.window.end_unix_nano.0)))
        .add("verdict_id", texts(rows.iter().map(|(verdict, _)| &verdict.id)))
        .add("incident_key", texts(rows.iter().map(|(verdict, _)| &verdict.incident_key)))
        .add("revision", int64s(rows.iter().map(|(verdict, _)| verdict.revision)))
        .add("endpoint_service", texts(rows.iter().map(|(verdict, _)| &verdict.endpoint.service)))
        .add("endpoint_route", texts(rows.iter().map(|(verdict, _)| &verdict.endpoint.route)))
        .add("kind", texts(of(|suspect| &suspect.entity.kind)))
        .add("rank", int32s(rows.iter().map(|(_, suspect)| suspect.rank as i32)))
        .add("service", texts(of(|suspect| &suspect.entity.service)))
        .add("name", optional_texts(of(|suspect| &suspect.entity.name)))
        .add("version", optional_texts(of(|suspect| &suspect.entity.version)))
        .add("commit", optional_texts(of(|suspect| &suspect.entity.commit)))
        .add("function", optional_texts(of(|suspect| &suspect.entity.function)))
        .add("file", optional_texts(of(|suspect| &suspect.entity.file)))
        .add("line", optional_int32s(rows.iter().map(|(_, suspect)| suspect.entity.line.map(|line| line as i32))))
        .add("score", doubles(rows.iter().map(|(_, suspect)| suspect.score.total)))
        .add("score_parts", parts(&rows))
        .add("formula", texts(of(|suspect| &suspect.score.formula)))
        .add("ef", count(|counts| counts.ef))
        .add("ep", count(|counts| counts.ep))
        .add("nf", count(|counts| counts.nf))
        .add("np", count(|counts| counts.np))
        .add("ochiai", texts(of(|suspect| &suspect.ochiai)))
        .add("confidence", texts(of(|suspect| &suspect.confidence)))
        .add("why", why(&rows))
        .finish()
}

fn parts(rows: &[(&Verdict, &Suspect)]) -> ArrayRef {
    let (mut list, mut names, mut values) = (ListColumn::default(), Vec::new(), Vec::new());
    for (_, suspect) in rows {
        names.extend(suspect.score.parts.keys());
        values.extend(suspect.score.parts.values().copied());
        list.end(names.len());
    }
    let names = StringArray::from_iter_values(names);
    map_of(list, Arc::new(names), Arc::new(Float64Array::from(values)))
}

fn why(rows: &[(&Verdict, &Suspect)]) -> ArrayRef {
    let (mut list, mut ids) = (ListColumn::default(), Vec::new());
    for (_, suspect) in rows {
        ids.extend(&suspect.why);
        list.end(ids.len());
    }
    list_of(list, texts(ids))
}
