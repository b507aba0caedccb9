//! The tables of version 1. What is not here yet: `changes`.

pub mod edges;
pub mod incidents;
pub mod log_motifs;
pub mod metric_windows;
pub mod spans;
pub mod spectra;
pub mod suspects;
pub mod verdicts;

use crate::schema::{Column, Table, double, int64};

/// All tables, in the order of the pipeline.
pub const TABLES: &[&Table] = &[
    &spans::TABLE,
    &edges::TABLE,
    &spectra::TABLE,
    &log_motifs::TABLE,
    &metric_windows::TABLE,
    &incidents::TABLE,
    &suspects::TABLE,
    &verdicts::TABLE,
];

/// Fields of a histogram's bucket.
pub const HISTOGRAM: &[Column] = &[
    int64("bucket_lower_ns", "ns", "Least value of the bucket; buckets are 1/32 of a power of two wide"),
    double("count", "observations", "Observations in the bucket"),
];

/// Weighted counts are in 1/256.
pub(crate) const WEIGHT: f64 = 256.0;

/// A weighted count as a number of traces or calls.
pub(crate) fn weighted(count: u64) -> f64 {
    count as f64 / WEIGHT
}
