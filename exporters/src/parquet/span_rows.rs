//! From records and their raw bytes to the rows of `spans`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use backtrail_model::span::{Origin, SpanFlags, SpanRecord};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::trace::{TraceBatch, TraceFlags};
use backtrail_store::StoreError;
use backtrail_wire::attributes::{OriginView, SpanView, ValueRef};
use std::collections::HashMap;

use super::span_columns::SpanColumns;

/// A span of a batch among several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Row {
    pub(super) batch: u32,
    pub(super) trace: u32,
    pub(super) record: u32,
}

/// The rows in the order of the table, and how many values were not UTF-8.
pub(super) fn batch(
    rows: &[Row],
    batches: &[Arc<TraceBatch>],
    symbols: &Symbols,
) -> Result<(RecordBatch, u64), StoreError> {
    let key = |row: &Row| {
        let batch = &batches[row.batch as usize];
        let record = &batch.records[row.record as usize];
        (batch.traces[row.trace as usize].trace_id, record.start, record.span_id)
    };
    let mut sorted: Vec<_> = rows.iter().map(|row| (key(row), *row)).collect();
    sorted.sort_unstable();
    let mut build = Build {
        columns: SpanColumns::with_capacity(rows.len()),
        names: Names::new(symbols),
        origins: HashMap::default(),
        lossy: 0,
    };
    for (_, row) in sorted {
        build.row(&batches[row.batch as usize], row);
    }
    Ok((build.columns.finish()?, build.lossy))
}

struct Build<'a> {
    columns: SpanColumns,
    names: Names<'a>,
    /// By hash: equal origins have equal hashes.
    origins: HashMap<u64, OriginRow, foldhash::fast::FixedState>,
    lossy: u64,
}

/// What the rows of an origin share.
struct OriginRow {
    scope_name: String,
    scope_version: String,
    keys: StringArray,
    values: StringArray,
    lossy: u64,
}

impl Build<'_> {
    fn row(&mut self, batch: &TraceBatch, row: Row) {
        let trace = &batch.traces[row.trace as usize];
        let record = &batch.records[row.record as usize];
        let columns = &mut self.columns;
        columns.ids(trace.trace_id, record);
        columns.keep_reason.append_value(&trace.reason);
        columns.late.append_value(trace.flags.has(TraceFlags::LATE));
        columns.evidence.append_value(trace.flags.has(TraceFlags::EVIDENCE));
        self.names(record);
        self.origin(&batch.origins[record.origin as usize]);
        // The framing was checked when the span was received; a span that fails here anyway keeps its typed columns.
        let view = SpanView::parse(batch.raw(record)).ok();
        self.texts(view.as_ref());
        self.attributes(view.as_ref());
        self.events(view.as_ref(), record.flags);
        self.links(view.as_ref(), record.flags);
    }

    fn names(&mut self, record: &SpanRecord) {
        let (columns, names) = (&mut self.columns, &mut self.names);
        columns.service.append_value(names.get(SymbolKind::Service, record.service));
        columns.operation.append_value(names.get(SymbolKind::Operation, record.operation));
        columns.peer.append_option(some(names.get(SymbolKind::Peer, record.peer)));
        columns.code_function.append_option(some(names.get(SymbolKind::Function, record.function)));
        columns.code_file.append_option(some(names.get(SymbolKind::File, record.file)));
    }

    fn origin(&mut self, origin: &Origin) {
        let columns = &mut self.columns;
        columns.service_namespace.append_option(some(&origin.namespace));
        columns.service_version.append_option(some(&origin.version));
        columns.instance.append_option(some(self.names.get(SymbolKind::Instance, origin.instance)));
        let row = self.origins.entry(origin.hash).or_insert_with(|| OriginRow::of(origin));
        self.lossy += std::mem::take(&mut row.lossy);
        columns.scope_name.append_option(some(&row.scope_name));
        columns.scope_version.append_option(some(&row.scope_version));
        columns.resource_attributes.extend(&row.keys, &row.values);
        columns.resource_attributes.end();
    }

    fn texts(&mut self, view: Option<&SpanView<'_>>) {
        let columns = &mut self.columns;
        let (name, message, state) =
            view.map_or_else(Default::default, |view| (view.name(), view.status_message(), view.trace_state()));
        self.lossy += [&name, &message, &state].map(|text| u64::from(is_lossy(text))).iter().sum::<u64>();
        columns.name.append_value(&name);
        columns.status_message.append_option(some(&message));
        columns.trace_state.append_option(some(&state));
    }

    fn attributes(&mut self, view: Option<&SpanView<'_>>) {
        let columns = &mut self.columns;
        let (mut method, mut route) = (None, None);
        for (key, value) in view.into_iter().flat_map(SpanView::attributes) {
            self.lossy += u64::from(is_lossy(&key)) + u64::from(is_lossy_value(&value));
            if columns.attributes.key(&key) {
                put(&mut columns.attributes, &value);
                match &*key {
                    "http.request.method" => method = Some(value),
                    "http.method" if method.is_none() => method = Some(value),
                    "http.route" => route = Some(value),
                    _ => {}
                }
            }
        }
        columns.attributes.end();
        columns.http_method.append_option(method.as_ref().and_then(ValueRef::as_str));
        columns.http_route.append_option(route.as_ref().and_then(ValueRef::as_str));
    }

    fn events(&mut self, view: Option<&SpanView<'_>>, flags: SpanFlags) {
        let columns = &mut self.columns;
        let mut exception = None;
        if flags.has(SpanFlags::EVENTS) {
            for event in view.into_iter().flat_map(SpanView::events) {
                let name = event.name();
                columns.event(event.time(), &name);
                self.lossy += u64::from(is_lossy(&name));
                let first = exception.is_none() && name == "exception";
                let mut found = first.then(<[Option<ValueRef<'_>>; 3]>::default);
                for (key, value) in event.attributes() {
                    self.lossy += u64::from(is_lossy(&key)) + u64::from(is_lossy_value(&value));
                    let part = EXCEPTION.iter().position(|part| *part == key);
                    if let (Some(part), Some(found)) = (part, &mut found) {
                        found[part] = Some(value);
                    } else if columns.event_attributes.key(&key) {
                        put(&mut columns.event_attributes, &value);
                    }
                }
                columns.event_attributes.end();
                exception = exception.or(found);
            }
        }
        columns.end_events();
        columns.exception(exception.as_ref());
    }

    fn links(&mut self, view: Option<&SpanView<'_>>, flags: SpanFlags) {
        let columns = &mut self.columns;
        if flags.has(SpanFlags::LINKS) {
            for link in view.into_iter().flat_map(SpanView::links) {
                columns.link(link.trace_id().unwrap_or_default(), link.span_id().unwrap_or_default());
                for (key, value) in link.attributes() {
                    self.lossy += u64::from(is_lossy(&key)) + u64::from(is_lossy_value(&value));
                    if columns.link_attributes.key(&key) {
                        put(&mut columns.link_attributes, &value);
                    }
                }
                columns.link_attributes.end();
            }
        }
        columns.end_links();
    }
}

/// The attributes of an exception, in the order of its columns.
const EXCEPTION: [&str; 3] = ["exception.type", "exception.message", "exception.stacktrace"];

impl OriginRow {
    fn of(origin: &Origin) -> Self {
        let view = OriginView::of(origin);
        let (mut keys, mut values, mut lossy) = (Vec::new(), Vec::new(), 0);
        for (key, value) in view.resource_attributes() {
            lossy += u64::from(is_lossy(&key)) + u64::from(is_lossy_value(&value));
            if !keys.contains(&key) {
                keys.push(key);
                values.push(value.to_string());
            }
        }
        let (scope_name, scope_version) = (view.scope_name(), view.scope_version());
        lossy += u64::from(is_lossy(&scope_name)) + u64::from(is_lossy(&scope_version));
        Self {
            scope_name: scope_name.into_owned(),
            scope_version: scope_version.into_owned(),
            keys: StringArray::from_iter_values(keys),
            values: StringArray::from_iter_values(values),
            lossy,
        }
    }
}

fn put(map: &mut backtrail_store::MapColumn, value: &ValueRef<'_>) {
    match value {
        ValueRef::Str(text) => map.value(text),
        other => map.print(other),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A view owns a text only where it had to replace what is not UTF-8 (or where there is none).
#[expect(clippy::ptr_arg, reason = "whether it is owned is the question")]
fn is_lossy(text: &Cow<'_, str>) -> bool {
    matches!(text, Cow::Owned(text) if !text.is_empty())
}

fn is_lossy_value(value: &ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Str(Cow::Owned(_)))
}

/// Resolved symbols: a look-up in the shared table takes a lock, and the same names come again and again.
struct Names<'a> {
    symbols: &'a Symbols,
    known: [Vec<Option<Arc<str>>>; SymbolKind::ALL.len()],
}

impl<'a> Names<'a> {
    fn new(symbols: &'a Symbols) -> Self {
        Self { symbols, known: Default::default() }
    }

    fn get(&mut self, kind: SymbolKind, symbol: Symbol) -> &str {
        if !symbol.is_some() {
            return "";
        }
        let (known, index) = (&mut self.known[kind as usize], symbol.0 as usize);
        if known.len() <= index {
            known.resize(index + 1, None);
        }
        known[index].get_or_insert_with(|| self.symbols.resolve(kind, symbol))
    }
}
