//! `log_motifs`: log records by the statement that wrote them, by slice.

use arrow::array::RecordBatch;
use backtrail_model::log::severity_name;
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::time::{Slice, SliceGrid, UnixNano};

use crate::columns::{Assembler, int64s, optional_int64s, optional_texts, optional_times, texts, times};
use crate::error::StoreError;
use crate::schema::{Column, Storage, Table, int64, text, time};

const NS: &str = "ns since the Unix epoch";

const fn exactly(name: &'static str, about: &'static str) -> Column {
    int64(name, NS, about)
}

/// The table.
pub const TABLE: Table = Table {
    name: "log_motifs",
    about: "One row is one motif in one slice: the log records that one statement of one service wrote with one severity. \
            Rows of several slices, shards or instances may be added up. A late part of a slice is a row of its own. The \
            row without a service counts the records past the cap on motifs.",
    sorted_by: &["window_start", "service", "template"],
    columns: &[
        time("window_start", "Start of the slice"),
        time("window_end", "End of the slice (exclusive)"),
        exactly("window_start_unix_nano", "Start of the slice, exactly"),
        text("service", "Service that wrote the records; null for records past the cap").optional(),
        text("template", "The statement: its place in the code, else severity, logger and message without its values"),
        text("severity", "`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL` or `UNSPECIFIED`"),
        int64("count", "records", "Records"),
        int64("in_traces", "records", "Records of these that name their trace; null past the cap").optional(),
        time("first_seen", "Time of the first record; null past the cap").optional(),
        exactly("first_seen_unix_nano", "The same, exactly").optional(),
        time("last_seen", "Time of the last record; null past the cap").optional(),
        exactly("last_seen_unix_nano", "The same, exactly").optional(),
        text(
            "example",
            "Body of one record, at most 300 bytes: the least in the order of bytes; null if all are empty",
        )
        .optional()
        .stored(Storage::Plain),
    ],
};

/// What stands for the template of records past the cap.
const OTHER: &str = "(other)";

#[derive(Clone, Copy)]
struct Row<'a> {
    slice: Slice,
    key: Option<&'a MotifKey>,
    count: u64,
    counts: Option<&'a MotifCounts>,
}

/// The rows of slices, which must come in order.
pub fn batch<'a>(
    grid: SliceGrid,
    slices: impl IntoIterator<Item = &'a LogMotifSlice>,
) -> Result<RecordBatch, StoreError> {
    let mut rows = Vec::new();
    for slice in slices {
        if slice.overflow > 0 {
            rows.push(Row { slice: slice.slice, key: None, count: slice.overflow, counts: None });
        }
        rows.extend(slice.motifs.iter().map(|(key, counts)| Row {
            slice: slice.slice,
            key: Some(key),
            count: counts.count,
            counts: Some(counts),
        }));
    }
    let counted = |of: fn(&MotifCounts) -> u64| optional_int64s(rows.iter().map(move |row| row.counts.map(of)));
    let seen = |of: fn(&MotifCounts) -> UnixNano| optional_times(rows.iter().map(move |row| row.counts.map(of)));
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| grid.start(row.slice))))
        .add("window_end", times(rows.iter().map(|row| grid.end(row.slice))))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| grid.start(row.slice).0)))
        .add("service", optional_texts(rows.iter().map(|row| row.key.map_or("", |key| &*key.service))))
        .add("template", texts(rows.iter().map(|row| row.key.map_or(OTHER, |key| &*key.template))))
        .add("severity", texts(rows.iter().map(|row| severity_name(row.key.map_or(0, |key| key.severity)))))
        .add("count", int64s(rows.iter().map(|row| row.count)))
        .add("in_traces", counted(|counts| counts.in_traces))
        .add("first_seen", seen(|counts| counts.first))
        .add("first_seen_unix_nano", counted(|counts| counts.first.0))
        .add("last_seen", seen(|counts| counts.last))
        .add("last_seen_unix_nano", counted(|counts| counts.last.0))
        .add("example", optional_texts(rows.iter().map(|row| row.counts.map_or("", |counts| &*counts.example))))
        .finish()
}
