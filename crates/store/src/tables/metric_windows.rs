//! `metric_windows`: the resources and requests of services as metrics say them, by slice.

use arrow::array::RecordBatch;
use backtrail_model::metrics::{MetricSlice, Scrape, SeriesKey};
use backtrail_model::time::SliceGrid;

use crate::columns::{Assembler, doubles, int64s, optional_texts, texts, times};
use crate::error::StoreError;
use crate::schema::{Column, Storage, Table, double, int64, text, time};

const fn value(name: &'static str, about: &'static str) -> Column {
    double(name, "as `unit` says", about).stored(Storage::Plain)
}

/// The table.
pub const TABLE: Table = Table {
    name: "metric_windows",
    about: "One row is one series in one slice. Counters are rates since the scrape before, distributions became \
            requests in a second, mean duration and share of errors; attributes that are no column were added up.",
    sorted_by: &["window_start", "service", "instance"],
    columns: &[
        time("window_start", "Start of the slice"),
        time("window_end", "End of the slice (exclusive)"),
        int64("window_start_unix_nano", "ns since the Unix epoch", "Start of the slice, exactly"),
        text("service", "`service.name`, else the workload in Kubernetes, else the container"),
        text("instance", "Pod, else instance id, else host").optional(),
        text("node", "Node, else host").optional(),
        text("part", "Container, pool or queue; null for all of the instance").optional(),
        text("measure", "What is measured, such as `cpu_usage`, `memory_utilization`, `queue_depth`, `error_share`"),
        text("metric", "Current name of the metric"),
        text("unit", "Unit of the values (UCUM)"),
        int64("scrapes", "scrapes", "Scrapes in the slice"),
        value("min", "Least value"),
        value("max", "Greatest value"),
        value("mean", "Mean of the scrapes"),
        value("last", "Value of the last scrape"),
    ],
};

/// The rows of slices, which must come in order.
pub fn batch<'a>(
    grid: SliceGrid,
    slices: impl IntoIterator<Item = &'a MetricSlice>,
) -> Result<RecordBatch, StoreError> {
    let rows: Vec<_> = slices
        .into_iter()
        .flat_map(|slice| slice.series.iter().map(|(key, scrapes)| (slice.slice, key, scrapes)))
        .filter(|(_, _, scrapes)| !scrapes.is_empty())
        .collect();
    let text = |of: fn(&SeriesKey) -> &str| rows.iter().map(move |&(_, key, _)| of(key));
    let value = |of: fn(&[Scrape]) -> f64| doubles(rows.iter().map(move |&(_, _, scrapes)| of(scrapes)));
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| grid.start(row.0))))
        .add("window_end", times(rows.iter().map(|row| grid.end(row.0))))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| grid.start(row.0).0)))
        .add("service", texts(text(|key| &key.service)))
        .add("instance", optional_texts(text(|key| &key.instance)))
        .add("node", optional_texts(text(|key| &key.node)))
        .add("part", optional_texts(text(|key| &key.part)))
        .add("measure", texts(text(|key| key.measure.name())))
        .add("metric", texts(text(|key| &key.name)))
        .add("unit", texts(text(|key| key.measure.unit())))
        .add("scrapes", int64s(rows.iter().map(|row| row.2.len() as u64)))
        .add("min", value(|scrapes| values(scrapes).fold(f64::INFINITY, f64::min)))
        .add("max", value(|scrapes| values(scrapes).fold(f64::NEG_INFINITY, f64::max)))
        .add("mean", value(|scrapes| values(scrapes).sum::<f64>() / scrapes.len() as f64))
        .add("last", value(|scrapes| values(scrapes).last().unwrap_or_default()))
        .finish()
}

fn values(scrapes: &[Scrape]) -> impl Iterator<Item = f64> {
    scrapes.iter().map(|scrape| scrape.value())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::{Array, Float64Array, StringArray};
    use backtrail_model::metrics::Measure;
    use backtrail_model::time::{Slice, UnixNano};

    use super::*;

    #[test]
    fn a_row_is_a_series_in_a_slice() {
        let mut slice = MetricSlice::new(Slice(5));
        let key = SeriesKey {
            service: "cart".into(),
            instance: "cart-1".into(),
            node: "".into(),
            part: "".into(),
            measure: Measure::MemoryUsage,
            name: "k8s.pod.memory.usage".into(),
        };
        for (time, value) in [(1, 3.0), (2, 1.0), (3, 2.0)] {
            slice.add(key.clone(), Scrape::new(UnixNano(time), value));
        }
        let grid = SliceGrid { origin: UnixNano(0), length: Duration::from_secs(15) };
        let rows = batch(grid, [&slice, &MetricSlice::new(Slice(6))]).expect("fits its table");
        let number = |name: &str| {
            let column = rows.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<Float64Array>());
            column.map(|column| column.value(0))
        };
        let found = ["min", "max", "mean", "last"].map(number);
        assert_eq!((rows.num_rows(), found), (1, [Some(1.0), Some(3.0), Some(2.0), Some(2.0)]));
        let unit = rows.column_by_name("unit").and_then(|column| column.as_any().downcast_ref::<StringArray>());
        assert_eq!(unit.map(|unit| unit.value(0)), Some("By"));
        assert!(rows.column_by_name("node").is_some_and(|node| node.is_null(0)));
    }
}
