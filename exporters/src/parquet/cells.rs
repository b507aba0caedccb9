//! Slices and documents, held until the file that they belong to is complete.
//!
//! A cell is a fixed piece of event time, `max_file_age` long and within one hour. Parts of a slice from several shards
//! are added up, so a cell's file depends on what happened in it and not on how it was carried here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use backtrail_model::data::Data;
use backtrail_model::edges::EdgeSlice;
use backtrail_model::incident::Incident;
use backtrail_model::log_motifs::LogMotifSlice;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::Context;
use backtrail_store::tables::{edges, incidents, log_motifs, metric_windows, spectra, suspects, verdicts};
use backtrail_store::{StoreError, Table, partition_of};

use super::files::Files;

/// How long after the end of a cell and the allowed lateness its file is written: slices close a moment later.
const GRACE: Duration = Duration::from_secs(5);

/// What a [`Cells`] collects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Edges,
    Spectra,
    LogMotifs,
    MetricWindows,
    Incidents,
    Verdicts { suspects: bool, verdicts: bool },
}

impl Kind {
    /// The tables that a cell becomes.
    fn tables(self) -> Vec<&'static Table> {
        match self {
            Self::Edges => vec![&edges::TABLE],
            Self::Spectra => vec![&spectra::TABLE],
            Self::LogMotifs => vec![&log_motifs::TABLE],
            Self::MetricWindows => vec![&metric_windows::TABLE],
            Self::Incidents => vec![&incidents::TABLE],
            Self::Verdicts { suspects, verdicts } => {
                let tables = [(suspects, &suspects::TABLE), (verdicts, &verdicts::TABLE)];
                tables.into_iter().filter(|(wanted, _)| *wanted).map(|(_, table)| table).collect()
            }
        }
    }
}

/// Documents are told apart by time, incident and revision; the last one wins.
type DocumentKey = (UnixNano, String, u64);

#[derive(Default)]
struct Cell {
    edges: BTreeMap<Slice, Arc<EdgeSlice>>,
    spectra: BTreeMap<Slice, Arc<SpectraSlice>>,
    log_motifs: BTreeMap<Slice, Arc<LogMotifSlice>>,
    metric_windows: BTreeMap<Slice, Arc<MetricSlice>>,
    incidents: BTreeMap<DocumentKey, Arc<Incident>>,
    verdicts: BTreeMap<DocumentKey, Arc<Verdict>>,
    /// Items that were put in.
    items: u64,
    /// Tables of it that are published already, when the next one failed.
    written: usize,
}

pub(super) struct Cells {
    kind: Kind,
    length: Duration,
    grid: SliceGrid,
    open: BTreeMap<UnixNano, Cell>,
    newest: UnixNano,
    cx: Context,
}

impl Cells {
    pub(super) fn new(kind: Kind, length: Duration, cx: &Context) -> Self {
        let length = length.min(Duration::from_hours(1));
        Self { kind, length, grid: cx.grid(), open: BTreeMap::new(), newest: UnixNano(0), cx: cx.clone() }
    }

    pub(super) fn takes(&self, data: &Data) -> bool {
        matches!(
            (self.kind, data),
            (Kind::Edges, Data::Edges(_))
                | (Kind::Spectra, Data::Spectra(_))
                | (Kind::LogMotifs, Data::LogMotifs(_))
                | (Kind::MetricWindows, Data::MetricWindows(_))
                | (Kind::Incidents, Data::Incident(_))
                | (Kind::Verdicts { .. }, Data::Verdict(_))
        )
    }

    pub(super) fn held(&self) -> u64 {
        self.open.values().map(|cell| cell.items).sum()
    }

    pub(super) fn push(&mut self, data: &Data) {
        let time = match data {
            Data::Edges(slice) => self.grid.start(slice.slice),
            Data::Spectra(slice) => self.grid.start(slice.slice),
            Data::LogMotifs(slice) => self.grid.start(slice.slice),
            Data::MetricWindows(slice) => self.grid.start(slice.slice),
            Data::Incident(incident) => incident.window.end_unix_nano,
            Data::Verdict(verdict) => verdict.window.end_unix_nano,
            _ => return,
        };
        let start = self.start_of(time);
        self.newest = self.newest.max(start);
        let cell = self.open.entry(start).or_default();
        cell.items += 1;
        match data {
            Data::Edges(slice) => {
                cell.edges
                    .entry(slice.slice)
                    .and_modify(|known| Arc::make_mut(known).merge(slice))
                    .or_insert_with(|| Arc::clone(slice));
            }
            Data::Spectra(slice) => {
                cell.spectra
                    .entry(slice.slice)
                    .and_modify(|known| Arc::make_mut(known).merge(slice))
                    .or_insert_with(|| Arc::clone(slice));
            }
            Data::LogMotifs(slice) => {
                cell.log_motifs
                    .entry(slice.slice)
                    .and_modify(|known| Arc::make_mut(known).merge(slice))
                    .or_insert_with(|| Arc::clone(slice));
            }
            Data::MetricWindows(slice) => {
                cell.metric_windows
                    .entry(slice.slice)
                    .and_modify(|known| Arc::make_mut(known).merge(slice))
                    .or_insert_with(|| Arc::clone(slice));
            }
            Data::Incident(incident) => {
                let key = (time, incident.incident_key.clone(), incident.revision);
                cell.incidents.insert(key, Arc::clone(incident));
            }
            Data::Verdict(verdict) => {
                let key = (time, verdict.incident_key.clone(), verdict.revision);
                cell.verdicts.insert(key, Arc::clone(verdict));
            }
            _ => {}
        }
    }

    /// Start of the cell that holds `time`: cells are counted from the hour, so that none lies in two partitions.
    fn start_of(&self, time: UnixNano) -> UnixNano {
        let (hour, length) = (partition_of(time).start(), self.length.as_nanos() as u64);
        UnixNano(hour.0 + (time.0 - hour.0) / length * length)
    }

    /// Publishes what the data itself shows to be complete: a whole cell lies between it and the newest one, which is
    /// more than shards can be apart.
    pub(super) fn settle(&mut self, files: &mut Files) -> Result<(), StoreError> {
        let whole = self.newest.minus(self.length).minus(self.length);
        self.publish_before(UnixNano(whole.0 + 1), files)
    }

    /// Publishes what is complete by the clock; everything if `last`. A replay has no use for the clock, because its
    /// shards may be minutes of virtual time apart.
    pub(super) fn publish_due(&mut self, last: bool, files: &mut Files) -> Result<(), StoreError> {
        if last {
            return self.publish_before(UnixNano::MAX, files);
        }
        if self.cx.shared().clock().is_virtual() {
            return self.settle(files);
        }
        let wait = self.length + self.grid.length + self.cx.shared().allowed_lateness + GRACE;
        self.publish_before(self.cx.now().minus(wait), files)
    }

    fn publish_before(&mut self, border: UnixNano, files: &mut Files) -> Result<(), StoreError> {
        while let Some(mut entry) = self.open.first_entry() {
            let start = *entry.key();
            if start >= border {
                break;
            }
            let tables = self.kind.tables();
            let cell = entry.get_mut();
            for table in &tables[cell.written..] {
                let batch = cell.rows(table, self.grid)?;
                if batch.num_rows() > 0 {
                    let mut writer = files.begin(table)?;
                    writer.write_row_group(&batch)?;
                    files.publish(table, partition_of(start), start, writer)?;
                }
                cell.written += 1;
            }
            self.cx.stats().send(entry.remove().items);
        }
        Ok(())
    }
}

impl Cell {
    fn rows(&self, table: &'static Table, grid: SliceGrid) -> Result<RecordBatch, StoreError> {
        let verdicts_of = || self.verdicts.values().map(|verdict| &**verdict).collect::<Vec<_>>();
        match table.name {
            "edges" => edges::batch(grid, self.edges.values().map(|slice| &**slice)),
            "spectra" => spectra::batch(grid, self.spectra.values().map(|slice| &**slice)),
            "log_motifs" => log_motifs::batch(grid, self.log_motifs.values().map(|slice| &**slice)),
            "metric_windows" => metric_windows::batch(grid, self.metric_windows.values().map(|slice| &**slice)),
            "incidents" => {
                incidents::batch(grid, &self.incidents.values().map(|incident| &**incident).collect::<Vec<_>>())
            }
            "suspects" => suspects::batch(&verdicts_of()),
            "verdicts" => verdicts::batch(&verdicts_of()),
            other => Err(StoreError::Bug(format!("no rows for table {other}"))),
        }
    }
}
