//! Files of spans: rows are collected for a row group, sorted, and written to a file that is not visible yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backtrail_model::time::UnixNano;
use backtrail_model::trace::TraceBatch;
use backtrail_pipeline::Context;
use backtrail_store::tables::spans::TABLE;
use backtrail_store::{Partition, StoreError, TableWriter, partition_of};

use super::Config;
use super::files::Files;
use super::span_rows::{self, Row};

/// Hours that are open at a time; past it the earliest is published.
const MAX_OPEN: usize = 8;

pub(super) struct SpanFiles {
    max_size: u64,
    max_age: Duration,
    group_rows: usize,
    group_bytes: u64,
    open: BTreeMap<Partition, SpanFile>,
    cx: Context,
}

/// The file of one hour: rows in memory, and row groups on the disk.
struct SpanFile {
    /// When its first row came, by the graph's clock.
    since: UnixNano,
    /// Least start of its spans.
    first: UnixNano,
    batches: Vec<Arc<TraceBatch>>,
    rows: Vec<Row>,
    bytes: u64,
    writer: Option<TableWriter>,
}

impl SpanFiles {
    pub(super) fn new(config: &Config, cx: &Context) -> Self {
        Self {
            max_size: config.max_file_size.0,
            max_age: config.max_file_age.0,
            group_rows: config.row_group_rows,
            group_bytes: config.row_group_size.0,
            open: BTreeMap::new(),
            cx: cx.clone(),
        }
    }

    pub(super) fn held(&self) -> u64 {
        self.open.values().map(SpanFile::held).sum()
    }

    /// Takes the spans of a batch, each into the file of the hour that it started in.
    pub(super) fn push(&mut self, batch: &Arc<TraceBatch>) {
        let now = self.cx.now();
        for (number, trace) in batch.traces.iter().enumerate() {
            for index in batch.range(trace) {
                let record = &batch.records[index];
                let file = self.open.entry(partition_of(record.start)).or_insert_with(|| SpanFile::new(now));
                file.push(batch, number as u32, index as u32);
            }
        }
    }

    /// Writes full row groups and publishes full files.
    pub(super) fn settle(&mut self, files: &mut Files) -> Result<(), StoreError> {
        let mut full = Vec::new();
        for (&partition, file) in &mut self.open {
            while file.rows.len() >= self.group_rows || file.bytes >= self.group_bytes {
                file.write_group(self.group_rows, files, &self.cx)?;
            }
            if file.writer.as_ref().is_some_and(|writer| writer.bytes() >= self.max_size) {
                full.push(partition);
            }
        }
        if self.open.len() > MAX_OPEN {
            full.extend(self.open.keys().next().copied());
        }
        full.into_iter().try_for_each(|partition| self.publish(partition, files))
    }

    /// Publishes files that are over age; all if `last`. In a replay only size and the end close files: the timer runs
    /// by the wall clock and would make files differ from run to run.
    pub(super) fn publish_due(&mut self, last: bool, files: &mut Files) -> Result<(), StoreError> {
        let now = self.cx.now();
        let replay = self.cx.shared().clock().is_virtual();
        let due = |file: &SpanFile| last || (!replay && now.since(file.since) >= self.max_age);
        let due: Vec<_> = self.open.iter().filter(|(_, file)| due(file)).map(|(&partition, _)| partition).collect();
        due.into_iter().try_for_each(|partition| self.publish(partition, files))
    }

    fn publish(&mut self, partition: Partition, files: &mut Files) -> Result<(), StoreError> {
        let Some(file) = self.open.get_mut(&partition) else { return Ok(()) };
        while !file.rows.is_empty() {
            file.write_group(self.group_rows, files, &self.cx)?;
        }
        let (first, writer) = (file.first, file.writer.take());
        self.open.remove(&partition);
        let Some(writer) = writer else { return Ok(()) };
        let rows = writer.rows();
        match files.publish(&TABLE, partition, first, writer) {
            Ok(()) => self.cx.stats().send(rows),
            Err(error) => {
                lost(&self.cx, rows, &error);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl SpanFile {
    fn new(now: UnixNano) -> Self {
        Self { since: now, first: UnixNano::MAX, batches: Vec::new(), rows: Vec::new(), bytes: 0, writer: None }
    }

    fn held(&self) -> u64 {
        self.rows.len() as u64 + self.writer.as_ref().map_or(0, TableWriter::rows)
    }

    fn push(&mut self, batch: &Arc<TraceBatch>, trace: u32, record: u32) {
        if !self.batches.last().is_some_and(|last| Arc::ptr_eq(last, batch)) {
            self.batches.push(Arc::clone(batch));
        }
        let span = &batch.records[record as usize];
        self.first = self.first.min(span.start);
        self.bytes += u64::from(span.raw_len);
        self.rows.push(Row { batch: self.batches.len() as u32 - 1, trace, record });
    }

    /// Writes the oldest rows, at most `most`, as a row group. If that fails the rows stay for the next try; the row
    /// groups that stood in the same file are lost and counted, because a Parquet file that broke off has no footer.
    fn write_group(&mut self, most: usize, files: &mut Files, cx: &Context) -> Result<(), StoreError> {
        let count = self.rows.len().min(most);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => files.begin(&TABLE)?,
        };
        let before = writer.rows();
        let written = span_rows::write(&self.rows[..count], &self.batches, cx.symbols(), &mut writer);
        let lossy = match written {
            Ok(lossy) => lossy,
            Err(error) => {
                lost(cx, before, &error);
                return Err(error);
            }
        };
        cx.stats().note("invalid_utf8", lossy);
        self.writer = Some(writer);
        self.rows.drain(..count);
        self.forget_batches();
        Ok(())
    }

    /// Lets go of the batches that no row needs any more.
    fn forget_batches(&mut self) {
        let done = self.rows.first().map_or(self.batches.len(), |row| row.batch as usize);
        self.batches.drain(..done);
        self.bytes = 0;
        for row in &mut self.rows {
            row.batch -= done as u32;
            self.bytes += u64::from(self.batches[row.batch as usize].records[row.record as usize].raw_len);
        }
    }
}

fn lost(cx: &Context, rows: u64, error: &StoreError) {
    if rows > 0 {
        cx.stats().drop_items("write_failed", rows);
        tracing::warn!(node = cx.node(), %error, dropped = rows, "spans of a broken file are lost");
    }
}
