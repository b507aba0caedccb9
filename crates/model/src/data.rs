//! What travels along an edge of the graph: one batch of one signal with its acknowledgement.

use std::sync::Arc;

use bytes::Bytes;

use crate::ack::Ack;
use crate::edges::EdgeSlice;
use crate::incident::Incident;
use crate::log::LogBatch;
use crate::log_motifs::LogMotifSlice;
use crate::metrics::MetricSlice;
use crate::patch_request::PatchRequest;
use crate::signal::Signal;
use crate::span::SpanBatch;
use crate::spectra::SpectraSlice;
use crate::time::UnixNano;
use crate::trace::TraceBatch;
use crate::verdict::Verdict;

/// Opaque OTLP of a signal that is passed through (metrics, until a node decodes them).
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// The request: `ExportMetricsServiceRequest`.
    pub buf: Bytes,
    /// Data points in it.
    pub items: u64,
    /// The bytes that the receiver's budget lent for this request.
    pub permit: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

/// The data of a batch. Large carriers are shared, so that a fan-out copies nothing.
#[derive(Clone, Debug)]
pub enum Data {
    /// Spans; the indices select records of the batch (a shard's part), all when `None`.
    Spans(Arc<SpanBatch>, Option<Arc<[u32]>>),
    /// Traces.
    Traces(Arc<TraceBatch>),
    /// Log records; the indices select records of the batch (a shard's part), all when `None`.
    Logs(Arc<LogBatch>, Option<Arc<[u32]>>),
    /// Metrics.
    Metrics(RawBatch),
    /// A slice of edges.
    Edges(Arc<EdgeSlice>),
    /// A slice of spectra.
    Spectra(Arc<SpectraSlice>),
    /// A slice of log motifs.
    LogMotifs(Arc<LogMotifSlice>),
    /// A slice of metrics.
    MetricWindows(Arc<MetricSlice>),
    /// An incident's revision.
    Incident(Arc<Incident>),
    /// A verdict.
    Verdict(Arc<Verdict>),
    /// A patch request.
    PatchRequest(Arc<PatchRequest>),
}

impl Data {
    /// Which signal this is.
    pub const fn signal(&self) -> Signal {
        match self {
            Self::Spans(..) => Signal::Spans,
            Self::Traces(_) => Signal::Traces,
            Self::Logs(..) => Signal::Logs,
            Self::Metrics(_) => Signal::Metrics,
            Self::Edges(_) => Signal::Edges,
            Self::Spectra(_) => Signal::Spectra,
            Self::LogMotifs(_) => Signal::LogMotifs,
            Self::MetricWindows(_) => Signal::MetricWindows,
            Self::Incident(_) => Signal::Incidents,
            Self::Verdict(_) => Signal::Verdicts,
            Self::PatchRequest(_) => Signal::PatchRequests,
        }
    }

    /// How many items it counts for: spans, log records, data points; one for a slice or a document.
    pub fn items(&self) -> u64 {
        match self {
            Self::Spans(batch, None) => batch.records.len() as u64,
            Self::Logs(batch, None) => batch.records.len() as u64,
            Self::Spans(_, Some(selected)) | Self::Logs(_, Some(selected)) => selected.len() as u64,
            Self::Traces(batch) => batch.records.len() as u64,
            Self::Metrics(raw) => raw.items,
            Self::Edges(_)
            | Self::Spectra(_)
            | Self::LogMotifs(_)
            | Self::MetricWindows(_)
            | Self::Incident(_)
            | Self::Verdict(_)
            | Self::PatchRequest(_) => 1,
        }
    }
}

/// One batch on an edge.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What it carries.
    pub data: Data,
    /// When it arrived, by the receiver's clock.
    pub arrival: UnixNano,
    /// The sender's acknowledgement; a clone is another share in it.
    pub ack: Ack,
}

impl Batch {
    /// Derived data that nobody waits for: slices, incidents, verdicts.
    pub fn derived(data: Data, arrival: UnixNano) -> Self {
        Self { data, arrival, ack: Ack::none() }
    }
}
