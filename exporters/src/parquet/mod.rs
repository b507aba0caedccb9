//! `parquet`: kept spans, windows and verdicts as Parquet tables (see `backtrail_store` for the columns).
//!
//! Files lie below `<path>/v1/<table>/date=YYYY-MM-DD/hour=HH/` and appear whole. Spans roll by size and age.
//! Everything else rolls at fixed borders of event time, so that any number of shards and any batch size gives
//! byte-equal files; what comes after its border was written makes a further file.
//!
//! ```yaml
//! exporters:
//!   parquet/spans: { tables: [spans] }
//!   parquet/windows: { tables: [edges, spectra, log_motifs, incidents, suspects, verdicts], max_file_age: 10m }
//! ```

mod cells;
mod files;
mod span_columns;
mod span_rows;
mod spans;
#[cfg(test)]
pub(crate) mod test_data;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use async_trait::async_trait;
use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::{ByteSize, Component, Context, Duration, Exporter, Finding, NodeError, Scope};
use backtrail_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cells::{Cells, Kind};
use files::Files;
use spans::SpanFiles;

/// A table that can be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableName {
    /// Spans of kept traces (from traces).
    Spans,
    /// Calls between services by slice (from edges).
    Edges,
    /// Elements, entries and latency tests by slice (from spectra).
    Spectra,
    /// Log records by statement and slice (from log motifs).
    LogMotifs,
    /// Resources and requests by slice (from metric windows).
    MetricWindows,
    /// Revisions of incidents (from incidents).
    Incidents,
    /// Suspects of verdicts (from verdicts).
    Suspects,
    /// Verdicts (from verdicts).
    Verdicts,
}

impl TableName {
    const fn signal(self) -> Signal {
        match self {
            Self::Spans => Signal::Traces,
            Self::Edges => Signal::Edges,
            Self::Spectra => Signal::Spectra,
            Self::LogMotifs => Signal::LogMotifs,
            Self::MetricWindows => Signal::MetricWindows,
            Self::Incidents => Signal::Incidents,
            Self::Suspects | Self::Verdicts => Signal::Verdicts,
        }
    }
}

/// Settings of `parquet`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Tables to write: `spans`, `edges`, `spectra`, `log_motifs`, `metric_windows`, `incidents`, `suspects`,
    /// `verdicts`. Required.
    pub tables: Vec<TableName>,
    /// Base directory; empty means `windows` below `service.data_dir`.
    pub path: String,
    /// Name of this collector in file names; collectors that share a `path` need different ones.
    pub instance: String,
    /// A file of spans past this size is published and the next one begun.
    pub max_file_size: ByteSize,
    /// A file holds at most this much time, and never more than an hour.
    pub max_file_age: Duration,
    /// Rows of a row group of spans.
    pub row_group_rows: usize,
    /// Bytes of raw spans that are collected for a row group at most.
    pub row_group_size: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            path: String::new(),
            instance: "local".to_owned(),
            max_file_size: ByteSize(128 << 20),
            max_file_age: Duration::from_secs(600),
            row_group_rows: backtrail_store::ROW_GROUP_ROWS,
            row_group_size: ByteSize(64 << 20),
        }
    }
}

impl Component for Config {
    const NAME: &'static str = "parquet";
    const SUMMARY: &'static str = "Writes kept spans, windows and verdicts as Parquet tables.";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Exporter;

    fn accepts(&self) -> Signals {
        self.tables.iter().fold(Signals::NONE, |all, table| all.and(Signals::of(&[table.signal()])))
    }

    fn emits(&self) -> Signals {
        Signals::NONE
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |path: &str, message: &str, hint: &str| findings.push(Finding::new(path, message, hint));
        if self.tables.is_empty() {
            find("tables", "no tables are listed", "write the tables to be kept, such as tables: [spans]");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if self.instance.is_empty() || !self.instance.chars().all(plain) || self.instance.starts_with('.') {
            find("instance", "an instance is part of file names", "use letters, digits, '_' and '.'");
        }
        if self.max_file_age.0.as_secs() == 0 {
            find("max_file_age", "files would hold less than a second", "write 10m");
        }
        if self.max_file_size.0 < 1 << 20 {
            find("max_file_size", "files would be smaller than 1 MiB", "write 128MiB");
        }
        if !(1000..=backtrail_store::ROW_GROUP_ROWS).contains(&self.row_group_rows) {
            find("row_group_rows", "a row group has 1000 to 131072 rows", "leave it out for 131072");
        }
        if self.row_group_size.0 < 1 << 20 {
            find("row_group_size", "row groups would be smaller than 1 MiB", "leave it out for 64MiB");
        }
        findings
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Exporter>, NodeError> {
        let base = if self.path.is_empty() { cx.data_dir().join("windows") } else { PathBuf::from(&self.path) };
        let has = |table| self.tables.contains(&table);
        let kinds = [
            (Kind::Edges, has(TableName::Edges)),
            (Kind::Spectra, has(TableName::Spectra)),
            (Kind::LogMotifs, has(TableName::LogMotifs)),
            (Kind::MetricWindows, has(TableName::MetricWindows)),
            (Kind::Incidents, has(TableName::Incidents)),
            (
                Kind::Verdicts { suspects: has(TableName::Suspects), verdicts: has(TableName::Verdicts) },
                has(TableName::Suspects) || has(TableName::Verdicts),
            ),
        ];
        let cells = kinds.into_iter().filter(|(_, wanted)| *wanted);
        Ok(Box::new(Parquet {
            cx: cx.clone(),
            files: Files::new(base, &self.instance, cx),
            spans: has(TableName::Spans).then(|| SpanFiles::new(self, cx)),
            cells: cells.map(|(kind, _)| Cells::new(kind, self.max_file_age.0, cx)).collect(),
            started: false,
        }))
    }
}

struct Parquet {
    cx: Context,
    files: Files,
    spans: Option<SpanFiles>,
    cells: Vec<Cells>,
    /// Whether leftovers of an earlier run were removed: nothing is touched before the first data comes.
    started: bool,
}

impl Parquet {
    /// Takes a batch. What is due from earlier batches is written first: if the disk refuses, this batch is not taken,
    /// and the engine brings it again.
    fn take(&mut self, data: &Data) -> Result<(), StoreError> {
        if !self.started {
            self.files.start()?;
            self.started = true;
        }
        match data {
            Data::Traces(batch) => {
                if let Some(spans) = &mut self.spans {
                    spans.settle(&mut self.files)?;
                    spans.push(batch);
                }
            }
            other => {
                if let Some(cells) = self.cells.iter_mut().find(|cells| cells.takes(other)) {
                    cells.settle(&mut self.files)?;
                    cells.push(other);
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, last: bool) -> Result<(), StoreError> {
        if let Some(spans) = &mut self.spans {
            spans.publish_due(last, &mut self.files)?;
        }
        for cells in &mut self.cells {
            cells.publish_due(last, &mut self.files)?;
        }
        Ok(())
    }

    fn error(&self, error: StoreError) -> NodeError {
        match error {
            StoreError::Bug(message) => NodeError::Bug(message),
            error => NodeError::unavailable(format!("{}: {error}", self.cx.node()), error),
        }
    }
}

#[async_trait]
impl Exporter for Parquet {
    async fn export(&mut self, batch: &Batch) -> Result<(), NodeError> {
        crate::heavy(|| self.take(&batch.data)).map_err(|error| self.error(error))
    }

    async fn flush(&mut self, last: bool) -> Result<(), NodeError> {
        crate::heavy(|| self.publish(last)).map_err(|error| self.error(error))
    }

    fn held(&self) -> u64 {
        let cells: u64 = self.cells.iter().map(Cells::held).sum();
        cells + self.spans.as_ref().map_or(0, SpanFiles::held)
    }
}
