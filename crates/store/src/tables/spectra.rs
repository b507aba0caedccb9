//! `spectra`: which elements failing and passing traces touched, and how long operations took, by slice.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use backtrail_model::histogram::Histogram;
use backtrail_model::spectra::{Element, ElementKind, Entry, SignatureHash, SpectraSlice, TraceGroup};
use backtrail_model::time::{Slice, SliceGrid};

use crate::columns::{Assembler, doubles, histograms, int64s, optional_int64s, optional_texts, texts, times};
use crate::error::StoreError;
use crate::schema::{Kind, Storage, Table, double, int64, nested, text, time};
use crate::tables::{HISTOGRAM, WEIGHT, weighted};

/// The table.
pub const TABLE: Table = Table {
    name: "spectra",
    about: "Four kinds of rows (`row_kind`), each for one slice. `entry`: the traces that came in at an entry point. \
            `element`: those of them that touched an element. `latency_test`: self time of an operation, or the gap of \
            its calls to a `callee`. `error_origin`: spans that failed while no child of theirs did. For Ochiai, sum \
            over a window: `ef = sum(error_traces)` and `ep = sum(traces) - ef` over the element's rows, \
            `nf = sum(error_traces) - ef` and `np = sum(traces) - sum(error_traces) - ep` over the entries' rows; the \
            score is `ef / sqrt((ef + nf) * (ef + ep))`.",
    sorted_by: &["window_start"],
    columns: &[
        time("window_start", "Start of the slice"),
        time("window_end", "End of the slice (exclusive)"),
        int64("window_start_unix_nano", "ns since the Unix epoch", "Start of the slice, exactly"),
        text("row_kind", "`entry`, `element`, `latency_test` or `error_origin`"),
        text("entry_service", "Service of the traces' root (`entry`, `element`)").optional(),
        text("entry_route", "Operation of the traces' root (`entry`, `element`)").optional(),
        text("kind", "Kind of the element: `service`, `route`, `edge`, `function`, `file` or `frame`").optional(),
        text("service", "Service of the element (for an edge: the caller), of the operation, or of the origin")
            .optional(),
        text("name", "Name within the service: route, callee, function, file, frame, operation").optional(),
        text("callee", "Called service of a gap; null for self time").optional(),
        double("traces", "traces", "Traces (`error_origin`: failing spans)").optional(),
        double("error_traces", "traces", "Traces of these whose root or entry span failed").optional(),
        int64("observations", "spans", "Observations of a latency test").optional(),
        double("sum_ns", "ns", "Sum of the observations").optional().stored(Storage::Plain),
        double("sum_squares_ns2", "ns²", "Sum of their squares").optional().stored(Storage::Plain),
        int64("p50_ns", "ns", "Median: of the root's duration (`entry`) or of the test").optional(),
        int64("p95_ns", "ns", "95th percentile of the same").optional(),
        int64("p99_ns", "ns", "99th percentile of the same").optional(),
        nested("histogram", Kind::Structs(HISTOGRAM), "Distribution of the same; empty for elements and origins"),
    ],
};

#[derive(Default)]
struct Row<'a> {
    slice: Slice,
    what: &'static str,
    entry: Option<&'a Entry>,
    kind: &'static str,
    service: &'a str,
    name: &'a str,
    callee: &'a str,
    traces: Option<(u64, Option<u64>)>,
    test: Option<(u64, u128, u128)>,
    histogram: Histogram,
    /// What a count of 1 is in the histogram.
    weight: f64,
}

/// The rows of slices, which must come in order.
pub fn batch<'a>(
    grid: SliceGrid,
    slices: impl IntoIterator<Item = &'a SpectraSlice>,
) -> Result<RecordBatch, StoreError> {
    let mut rows = Vec::new();
    for slice in slices {
        traces(slice, &mut rows);
        tests(slice, &mut rows);
        origins(slice, &mut rows);
    }
    let quantile = |q: f64| {
        let value = move |h: &Histogram| (h.count() > 0).then(|| h.quantile(q));
        optional_int64s(rows.iter().map(move |row| value(&row.histogram)))
    };
    Assembler::new(&TABLE)
        .add("window_start", times(rows.iter().map(|row| grid.start(row.slice))))
        .add("window_end", times(rows.iter().map(|row| grid.end(row.slice))))
        .add("window_start_unix_nano", int64s(rows.iter().map(|row| grid.start(row.slice).0)))
        .add("row_kind", texts(rows.iter().map(|row| row.what)))
        .add("entry_service", optional_texts(rows.iter().map(|row| row.entry.map_or("", |entry| &*entry.service))))
        .add("entry_route", optional_texts(rows.iter().map(|row| row.entry.map_or("", |entry| &*entry.route))))
        .add("kind", optional_texts(rows.iter().map(|row| row.kind)))
        .add("service", optional_texts(rows.iter().map(|row| row.service)))
        .add("name", optional_texts(rows.iter().map(|row| row.name)))
        .add("callee", optional_texts(rows.iter().map(|row| row.callee)))
        .add("traces", doubles(rows.iter().map(|row| row.traces.map(|(all, _)| weighted(all)))))
        .add("error_traces", doubles(rows.iter().map(|row| row.traces.and_then(|(_, errors)| errors.map(weighted)))))
        .add("observations", optional_int64s(rows.iter().map(|row| row.test.map(|(n, ..)| n))))
        .add("sum_ns", doubles(rows.iter().map(|row| row.test.map(|(_, sum, _)| sum as f64))))
        .add("sum_squares_ns2", doubles(rows.iter().map(|row| row.test.map(|(.., squares)| squares as f64))))
        .add("p50_ns", quantile(0.5))
        .add("p95_ns", quantile(0.95))
        .add("p99_ns", quantile(0.99))
        .add("histogram", histograms(rows.iter().map(|row| (&row.histogram, row.weight))))
        .finish()
}

/// Traces and failing traces, weighted.
type Sums = (u64, u64);

/// Entries and elements. Groups are told apart by signature and latency; here they are added up.
fn traces<'a>(slice: &'a SpectraSlice, rows: &mut Vec<Row<'a>>) {
    // Groups are sorted by entry, then by signature.
    let mut entries: Vec<(&Entry, (u64, u64, Histogram))> = Vec::new();
    let mut signatures: Vec<((&Entry, SignatureHash), Sums)> = Vec::new();
    for (group, &count) in &slice.groups {
        let TraceGroup { entry, signature, error, latency } = group;
        let errors = if *error { count } else { 0 };
        if entries.last().is_none_or(|(last, _)| !last.is(entry)) {
            entries.push((entry, <(u64, u64, Histogram)>::default()));
        }
        if let Some((_, sums)) = entries.last_mut() {
            sums.0 += count;
            sums.1 += errors;
            sums.2.add(*latency, count);
        }
        if signatures.last().is_none_or(|(last, _)| last.1 != *signature || !last.0.is(entry)) {
            signatures.push(((entry, *signature), Sums::default()));
        }
        if let Some((_, sums)) = signatures.last_mut() {
            sums.0 += count;
            sums.1 += errors;
        }
    }
    rows.extend(entries.into_iter().map(|(entry, (all, errors, histogram))| Row {
        slice: slice.slice,
        what: "entry",
        entry: Some(entry),
        traces: Some((all, Some(errors))),
        histogram,
        weight: WEIGHT,
        ..Row::default()
    }));
    // Elements are counted by number and sorted once: signatures repeat them thousands of times, mostly with the same
    // strings in the same place.
    let (mut known, mut elements) = (HashMap::<&Element, usize>::new(), Vec::new());
    let mut places = HashMap::<(ElementKind, usize, usize), usize, foldhash::fast::FixedState>::default();
    let members: BTreeMap<SignatureHash, Vec<usize>> = slice
        .signatures
        .iter()
        .map(|(&hash, list)| {
            let number = |element: &'a Element| {
                let place = (element.kind, element.service.as_ptr() as usize, element.name.as_ptr() as usize);
                *places.entry(place).or_insert_with(|| {
                    *known.entry(element).or_insert_with(|| {
                        elements.push(element);
                        elements.len() - 1
                    })
                })
            };
            (hash, list.iter().map(number).collect())
        })
        .collect();
    let mut order: Vec<usize> = (0..elements.len()).collect();
    order.sort_unstable_by_key(|&number| elements[number]);
    for of_entry in signatures.chunk_by(|a, b| a.0.0.is(b.0.0)) {
        let mut counts: Vec<Option<Sums>> = vec![None; elements.len()];
        for ((_, signature), (all, errors)) in of_entry {
            for &number in members.get(signature).into_iter().flatten() {
                let sums = counts[number].get_or_insert_default();
                sums.0 += all;
                sums.1 += errors;
            }
        }
        let entry = of_entry[0].0.0;
        let counted = order.iter().filter_map(|&number| Some((elements[number], counts[number]?)));
        rows.extend(counted.map(|(element, (all, errors))| Row {
            slice: slice.slice,
            what: "element",
            entry: Some(entry),
            kind: element.kind.name(),
            service: &element.service,
            name: &element.name,
            traces: Some((all, Some(errors))),
            ..Row::default()
        }));
    }
}

fn tests<'a>(slice: &'a SpectraSlice, rows: &mut Vec<Row<'a>>) {
    rows.extend(slice.tests.iter().map(|(key, sums)| Row {
        slice: slice.slice,
        what: "latency_test",
        service: &key.service,
        name: &key.operation,
        callee: key.callee.as_deref().unwrap_or(""),
        test: Some((sums.n, sums.sum, sums.sum_sq)),
        histogram: sums.histogram.clone(),
        weight: 1.0,
        ..Row::default()
    }));
}

fn origins<'a>(slice: &'a SpectraSlice, rows: &mut Vec<Row<'a>>) {
    rows.extend(slice.error_origins.iter().map(|((service, operation), &count)| Row {
        slice: slice.slice,
        what: "error_origin",
        service,
        name: operation,
        traces: Some((count, None)),
        ..Row::default()
    }));
}
