//! `edges`: calls between services, by slice.

use arrow::array::{ArrayRef, RecordBatch};
use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeSlice};
use backtrail_model::histogram::Histogram;
use backtrail_model::time::SliceGrid;

use crate::columns::{Assembler, doubles, histograms, int64s, optional_int64s, optional_texts, texts, times};
use crate::error::StoreError;
use crate::schema::{Column, Kind, Table, double, int64, nested, text, time};
use crate::tables::{HISTOGRAM, WEIGHT, weighted};

const fn quantile(name: &'static str, about: &'static str) -> Column {
    int64(name, "ns", about).optional()
}

/// The table.
pub const TABLE: Table = Table {
    name: "edges",
    about: "One row is one edge in one slice: the calls from a caller to a route of a callee. Rows of several slices, \
            shards or instances may be added up, but for quantiles, which come from the summed histograms. A late part \
            of a slice is a row of its own.",
    sorted_by: &["window_start", "callee", "route"],
    columns: &[
        time("window_start", "Start of the slice"),
        time("window_end", "End of the slice (exclusive)"),
        int64("window_start_unix_nano", "ns since the Unix epoch", "Start of the slice, exactly"),
        text("caller", "Calling service; null for an entry").optional(),
        text("callee", "Called service, peer or destination"),
        text("route", "Operation of the callee; for `virtual` the caller's span name"),
        text("kind", "`call`, `virtual`, `entry`, `messaging`, `self_call` or `overflow`"),
        double("calls", "calls", "Calls"),
        double("errors", "calls", "Calls that failed at the client or at the server"),
        double("requests", "requests", "Calls without repeats"),
        double("retries", "calls", "Calls that repeat an earlier one of the same request"),
        double("attempts_per_request", "calls per request", "`calls / requests`; null without requests").optional(),
        double("breaker", "calls", "Calls that a breaker, an overload guard or a fallback answered"),
        double("unpaired", "calls", "Client spans without a server span, and the other way round"),
        double("critical_path_traces", "traces", "Times that the edge lay on the critical path of its trace"),
        double("critical_path_ns", "ns", "Time of critical paths that was spent on the edge"),
        quantile("client_p50_ns", "Median duration at the client"),
        quantile("client_p95_ns", "95th percentile at the client"),
        quantile("client_p99_ns", "99th percentile at the client"),
        quantile("server_p50_ns", "Median duration at the server"),
        quantile("server_p95_ns", "95th percentile at the server"),
        quantile("server_p99_ns", "99th percentile at the server"),
        nested("client_histogram", Kind::Structs(HISTOGRAM), "Durations at the client"),
        nested("server_histogram", Kind::Structs(HISTOGRAM), "Durations at the server"),
    ],
};

/// The rows of slices, which must come in order.
pub fn batch<'a>(grid: SliceGrid, slices: impl IntoIterator<Item = &'a EdgeSlice>) -> Result<RecordBatch, StoreError> {
    let mut rows: Vec<_> = slices
        .into_iter()
        .flat_map(|slice| slice.edges.iter().map(|(key, counts)| (slice.slice, key, counts)))
        .collect();
    rows.sort_by_key(|&(slice, key, _)| (slice, &key.callee, &key.route, &key.caller, key.kind));
    let text = |of: fn(&EdgeKey) -> &str| rows.iter().map(move |&(_, key, _)| of(key));
    let count = |of: fn(&EdgeCounts) -> u64| doubles(rows.iter().map(|(_, _, counts)| weighted(of(counts))));
    let quantile = |of: fn(&EdgeCounts) -> &Histogram, q: f64| -> ArrayRef {
        let value = |histogram: &Histogram| (histogram.count() > 0).then(|| histogram.quantile(q));
        optional_int64s(rows.iter().map(|(_, _, counts)| value(of(counts))))
    };
    let attempts = |counts: &EdgeCounts| -> f64 { counts.calls as f64 / counts.requests as f64 };
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| grid.start(row.0))))
        .add("window_end", times(rows.iter().map(|row| grid.end(row.0))))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| grid.start(row.0).0)))
        .add("caller", optional_texts(text(|key| &key.caller)))
        .add("callee", texts(text(|key| &key.callee)))
        .add("route", texts(text(|key| &key.route)))
        .add("kind", texts(text(|key| key.kind.name())))
        .add("calls", count(|counts| counts.calls))
        .add("errors", count(|counts| counts.errors))
        .add("requests", count(|counts| counts.requests))
        .add("retries", count(|counts| counts.retries))
        .add("attempts_per_request", doubles(rows.iter().map(|row| (row.2.requests > 0).then(|| attempts(row.2)))))
        .add("breaker", count(|counts| counts.breaker))
        .add("unpaired", count(|counts| counts.unpaired))
        .add("critical_path_traces", count(|counts| counts.critical))
        .add("critical_path_ns", doubles(rows.iter().map(|row| row.2.critical_ns as f64)))
        .add("client_p50_ns", quantile(|counts| &counts.client, 0.5))
        .add("client_p95_ns", quantile(|counts| &counts.client, 0.95))
        .add("client_p99_ns", quantile(|counts| &counts.client, 0.99))
        .add("server_p50_ns", quantile(|counts| &counts.server, 0.5))
        .add("server_p95_ns", quantile(|counts| &counts.server, 0.95))
        .add("server_p99_ns", quantile(|counts| &counts.server, 0.99))
        .add("client_histogram", histograms(rows.iter().map(|row| (&row.2.client, WEIGHT))))
        .add("server_histogram", histograms(rows.iter().map(|row| (&row.2.server, WEIGHT))))
        .finish()
}
