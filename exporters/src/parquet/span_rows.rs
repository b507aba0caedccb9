//! From records and their raw bytes to the rows of `spans`.

use std::borrow::Cow;
use std::sync::Arc;

use backtrail_model::span::{Origin, SpanRecord};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::trace::{TraceBatch, TraceFlags};
use backtrail_store::{FewTexts, StoreError, TableWriter};
use backtrail_wire::attributes::{EventView, LinkView, OriginView, SpanField, SpanView, ValueRef};
use std::collections::HashMap;

use super::span_columns::{ExceptionParts, Said, SpanColumns};

/// A span of a batch among several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Row {
    pub(super) batch: u32,
    pub(super) trace: u32,
    pub(super) record: u32,
}

/// Rows that become Arrow columns at a time. The columns of a whole row group would be fresh memory of hundreds of
/// megabytes, which the kernel clears and no cache holds; a multiple of the writer's own step (1024) gives the same file.
const CHUNK: usize = 1024;

/// Writes the rows as a row group, in the order of the table. Answers how many values were not UTF-8.
pub(super) fn write(
    rows: &[Row],
    batches: &[Arc<TraceBatch>],
    symbols: &Symbols,
    writer: &mut TableWriter,
) -> Result<u64, StoreError> {
    let mut names = Names::new(symbols);
    let (mut origins, mut lossy) = (Origins::default(), 0);
    for chunk in sorted(rows, batches).chunks(CHUNK) {
        let record = |row: &Row| &batches[row.batch as usize].records[row.record as usize];
        let bytes = chunk.iter().map(|row| record(row).raw_len as usize).sum();
        let columns = SpanColumns::with_capacity(chunk.len(), bytes);
        let mut build = Build { columns, names: &mut names, origins: &mut origins, lossy: 0 };
        for &row in chunk {
            build.row(&batches[row.batch as usize], row);
        }
        lossy += build.lossy;
        let columns = build.columns;
        writer.write(&columns.finish(&mut names.texts)?)?;
    }
    writer.end_row_group()?;
    Ok(lossy)
}

/// The rows by (trace id, start, span id). Rows of a trace come together and in order, so whole traces are sorted, and
/// single rows only where a trace came in parts (late spans, copies out of the evidence ring).
fn sorted(rows: &[Row], batches: &[Arc<TraceBatch>]) -> Vec<Row> {
    let mut parts: Vec<_> = rows
        .chunk_by(|a, b| (a.batch, a.trace) == (b.batch, b.trace))
        .map(|part| (batches[part[0].batch as usize].traces[part[0].trace as usize].trace_id, part))
        .collect();
    parts.sort_by_key(|&(id, _)| id);
    let mut sorted = Vec::with_capacity(rows.len());
    for trace in parts.chunk_by(|a, b| a.0 == b.0) {
        let first = sorted.len();
        for (_, part) in trace {
            sorted.extend_from_slice(part);
        }
        if trace.len() > 1 {
            sorted[first..].sort_by_key(|row: &Row| {
                let record = &batches[row.batch as usize].records[row.record as usize];
                (record.start, record.span_id)
            });
        }
    }
    sorted
}

/// By hash: equal origins have equal hashes.
type Origins = HashMap<u64, OriginRow, foldhash::fast::FixedState>;

struct Build<'a, 'n> {
    columns: SpanColumns,
    names: &'a mut Names<'n>,
    origins: &'a mut Origins,
    lossy: u64,
}

/// What the rows of an origin share, as numbers of texts.
struct OriginRow {
    service_namespace: Option<i32>,
    service_version: Option<i32>,
    instance: Option<i32>,
    scope_name: Option<i32>,
    scope_version: Option<i32>,
    keys: Vec<i32>,
    values: Vec<i32>,
    lossy: u64,
}

impl Build<'_, '_> {
    fn row(&mut self, batch: &TraceBatch, row: Row) {
        let trace = &batch.traces[row.trace as usize];
        let record = &batch.records[row.record as usize];
        let columns = &mut self.columns;
        columns.ids(trace.trace_id, record);
        columns.keep_reason.append_value(self.names.reason(&trace.reason));
        columns.late.append_value(trace.flags.has(TraceFlags::LATE));
        columns.evidence.append_value(trace.flags.has(TraceFlags::EVIDENCE));
        self.names(record);
        self.origin(&batch.origins[record.origin as usize]);
        let mut said = Said::default();
        for field in SpanView::of_record(batch.raw(record)).fields() {
            match field {
                SpanField::Attribute(key, value) => {
                    let key = self.counted(key);
                    self.attribute(&key, value, &mut said);
                }
                SpanField::Name(text) => said.name = self.counted(text),
                SpanField::TraceState(text) => said.trace_state = self.counted(text),
                SpanField::StatusMessage(text) => said.status_message = self.counted(text),
                SpanField::Event(event) => self.event(event, &mut said.exception),
                SpanField::Link(link) => self.link(link),
            }
        }
        self.columns.said(&said);
    }

    /// Counts a text that was not UTF-8 (the view has replaced what is wrong).
    fn counted<'t>(&mut self, text: Cow<'t, str>) -> Cow<'t, str> {
        self.lossy += u64::from(is_lossy(&text));
        text
    }

    fn names(&mut self, record: &SpanRecord) {
        let (columns, names) = (&mut self.columns, &mut *self.names);
        columns.service.append_value(names.number(SymbolKind::Service, record.service));
        columns.operation.append_value(names.number(SymbolKind::Operation, record.operation));
        columns.peer.append_option(names.optional_number(SymbolKind::Peer, record.peer));
        columns.code_function.append_option(names.optional_number(SymbolKind::Function, record.function));
        columns.code_file.append_option(names.optional_number(SymbolKind::File, record.file));
    }

    fn origin(&mut self, origin: &Origin) {
        let columns = &mut self.columns;
        let row = self.origins.entry(origin.hash).or_insert_with(|| OriginRow::of(origin, self.names));
        self.lossy += std::mem::take(&mut row.lossy);
        columns.service_namespace.append_option(row.service_namespace);
        columns.service_version.append_option(row.service_version);
        columns.instance.append_option(row.instance);
        columns.scope_name.append_option(row.scope_name);
        columns.scope_version.append_option(row.scope_version);
        columns.resource_attributes.row(&row.keys, &row.values);
    }

    fn attribute<'t>(&mut self, key: &str, value: ValueRef<'t>, said: &mut Said<'t>) {
        let columns = &mut self.columns;
        self.lossy += u64::from(is_lossy_value(&value));
        if !columns.attributes.key(key) {
            return;
        }
        put(&mut columns.attributes, &value);
        match key {
            "http.request.method" => said.method = Some(value),
            "http.method" if said.method.is_none() => said.method = Some(value),
            "http.route" => said.route = Some(value),
            _ => {}
        }
    }

    fn event<'t>(&mut self, event: EventView<'t>, exception: &mut Option<ExceptionParts<'t>>) {
        let columns = &mut self.columns;
        let name = event.name();
        columns.event(event.time(), &name);
        self.lossy += u64::from(is_lossy(&name));
        let first = exception.is_none() && name == "exception";
        let mut found = first.then(ExceptionParts::default);
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
        if found.is_some() {
            *exception = found;
        }
    }

    fn link(&mut self, link: LinkView<'_>) {
        let columns = &mut self.columns;
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

/// The attributes of an exception, in the order of its columns.
const EXCEPTION: [&str; 3] = ["exception.type", "exception.message", "exception.stacktrace"];

impl OriginRow {
    fn of(origin: &Origin, names: &mut Names<'_>) -> Self {
        let view = OriginView::of(origin);
        let instance = names.optional_number(SymbolKind::Instance, origin.instance);
        let texts = &mut names.texts;
        let (mut keys, mut values, mut lossy) = (Vec::new(), Vec::new(), 0);
        for (key, value) in view.resource_attributes() {
            lossy += u64::from(is_lossy(&key)) + u64::from(is_lossy_value(&value));
            let key = texts.number(&key);
            if !keys.contains(&key) {
                keys.push(key);
                values.push(match &value {
                    ValueRef::Str(text) => texts.number(text),
                    other => texts.number(&other.to_string()),
                });
            }
        }
        let (scope_name, scope_version) = (view.scope_name(), view.scope_version());
        lossy += u64::from(is_lossy(&scope_name)) + u64::from(is_lossy(&scope_version));
        Self {
            service_namespace: texts.optional_number(&origin.namespace),
            service_version: texts.optional_number(&origin.version),
            instance,
            scope_name: texts.optional_number(&scope_name),
            scope_version: texts.optional_number(&scope_version),
            keys,
            values,
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

/// A view owns a text only where it had to replace what is not UTF-8 (or where there is none).
#[expect(clippy::ptr_arg, reason = "whether it is owned is the question")]
fn is_lossy(text: &Cow<'_, str>) -> bool {
    matches!(text, Cow::Owned(text) if !text.is_empty())
}

fn is_lossy_value(value: &ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Str(Cow::Owned(_)))
}

/// Resolved symbols and other texts that come again and again, numbered.
struct Names<'a> {
    symbols: &'a Symbols,
    texts: FewTexts,
    /// By symbol; [`Names::UNKNOWN`] for one that has not been met.
    numbers: [Vec<i32>; SymbolKind::ALL.len()],
    /// The last trace's reason.
    reason: Option<(Arc<str>, i32)>,
}

impl<'a> Names<'a> {
    const UNKNOWN: i32 = -1;

    fn new(symbols: &'a Symbols) -> Self {
        Self { symbols, texts: FewTexts::default(), numbers: Default::default(), reason: None }
    }

    fn number(&mut self, kind: SymbolKind, symbol: Symbol) -> i32 {
        let (numbers, index) = (&mut self.numbers[kind as usize], symbol.0 as usize);
        if numbers.len() <= index {
            numbers.resize(index + 1, Self::UNKNOWN);
        }
        if numbers[index] == Self::UNKNOWN {
            numbers[index] = self.texts.number(&self.symbols.resolve(kind, symbol));
        }
        numbers[index]
    }

    fn optional_number(&mut self, kind: SymbolKind, symbol: Symbol) -> Option<i32> {
        symbol.is_some().then(|| self.number(kind, symbol))
    }

    fn reason(&mut self, reason: &Arc<str>) -> i32 {
        match &self.reason {
            Some((last, number)) if Arc::ptr_eq(last, reason) => *number,
            _ => {
                let number = self.texts.number(reason);
                self.reason = Some((Arc::clone(reason), number));
                number
            }
        }
    }
}
