//! Received bytes of one signal as data for the graph, with what has to be counted about them.

use std::sync::Arc;

use backtrail_model::data::{Data, RawBatch};
use backtrail_model::signal::Signal;
use backtrail_model::span::SpanRecord;
use backtrail_model::symbols::Symbols;
use backtrail_model::time::UnixNano;
use backtrail_pipeline::context::{Permit, Shared};
use backtrail_pipeline::stats::NodeStats;
pub(crate) use backtrail_wire::Bounds;
use backtrail_wire::walk::{ClampCounts, Rejected};
use backtrail_wire::{WalkSpec, Walker, WireError, count_data_points, json};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::latest;

/// How a request is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

/// Decodes requests on any thread.
pub(crate) struct Decoder {
    spec: Arc<WalkSpec>,
    symbols: Arc<Symbols>,
    /// Walkers that nobody uses now. A walk never waits, so there are as many as there are threads.
    idle: Mutex<Vec<Walker>>,
}

/// One decoded request.
pub(crate) struct Decoded {
    /// What goes into the graph.
    pub(crate) data: Data,
    /// Items that do not.
    pub(crate) rejected: Rejected,
    clamped: ClampCounts,
    invalid_utf8: u64,
    invalid_ids: u64,
}

impl Decoder {
    /// A decoder that fills the columns that the nodes asked for; call it when all of them are built.
    pub(crate) fn new(shared: &Shared) -> Self {
        let spec = Arc::new(WalkSpec::new(shared.attributes()));
        Self { spec, symbols: Arc::clone(&shared.symbols), idle: Mutex::default() }
    }

    /// Decodes a request of traces (`Spans`), logs or metrics.
    pub(crate) fn decode(
        &self,
        signal: Signal,
        form: Form,
        bytes: Bytes,
        bounds: &Bounds,
        mut permit: Option<Permit>,
    ) -> Result<Decoded, WireError> {
        let bytes = match form {
            Form::Protobuf => bytes,
            Form::Json => {
                let transcoded = Bytes::from(transcode(signal, &bytes)?);
                if let Some(permit) = &mut permit {
                    permit.resize(transcoded.len() as u64);
                }
                transcoded
            }
        };
        let permit = permit.map(|permit| Arc::new(permit) as _);
        match signal {
            Signal::Logs => {
                let mut walked = self.walk(|walker| walker.logs(bytes, bounds))?;
                walked.batch.permit = permit;
                Ok(Decoded {
                    clamped: walked.clamped,
                    invalid_utf8: walked.invalid_utf8,
                    invalid_ids: walked.invalid_ids,
                    ..Decoded::whole(Data::Logs(Arc::new(walked.batch), None))
                })
            }
            Signal::Metrics => {
                let items = count_data_points(&bytes)?;
                Ok(Decoded::whole(Data::Metrics(RawBatch { buf: bytes, items, permit })))
            }
            _ => {
                let mut walked = self.walk(|walker| walker.traces(bytes, bounds))?;
                walked.batch.permit = permit;
                Ok(Decoded {
                    rejected: walked.rejected,
                    clamped: walked.clamped,
                    invalid_utf8: walked.invalid_utf8,
                    ..Decoded::whole(Data::Spans(Arc::new(walked.batch), None))
                })
            }
        }
    }

    fn walk<T>(&self, walk: impl FnOnce(&mut Walker) -> T) -> T {
        let idle = self.idle.lock().pop();
        let mut walker = idle.unwrap_or_else(|| Walker::new(Arc::clone(&self.spec), Arc::clone(&self.symbols)));
        let walked = walk(&mut walker);
        self.idle.lock().push(walker);
        walked
    }
}

/// OTLP/JSON as protobuf.
pub(crate) fn transcode(signal: Signal, json: &[u8]) -> Result<Vec<u8>, WireError> {
    match signal {
        Signal::Logs => json::logs(json),
        Signal::Metrics => json::metrics(json),
        _ => json::traces(json),
    }
}

impl Decoded {
    fn whole(data: Data) -> Self {
        let (rejected, clamped) = (Rejected::default(), ClampCounts::default());
        Self { data, rejected, clamped, invalid_utf8: 0, invalid_ids: 0 }
    }

    /// Counts everything: accepted = sent + dropped, so rejected items were accepted too.
    pub(crate) fn count(&self, stats: &NodeStats) {
        stats.accept(self.data.items() + self.rejected.total());
        for (reason, items) in self.rejected.by_reason() {
            stats.drop_items(reason, items);
        }
        for (what, items) in self.clamped.by_reason() {
            stats.note(what, items);
        }
        stats.note("invalid_utf8", self.invalid_utf8);
        stats.note("invalid_ids", self.invalid_ids);
    }

    /// The greatest time in it: end of a span, time of a log record or data point. 0 if there is none.
    pub(crate) fn latest(&self) -> UnixNano {
        match &self.data {
            Data::Spans(batch, _) => batch.records.iter().map(SpanRecord::end).max().unwrap_or_default(),
            Data::Logs(batch, _) => batch.records.iter().map(|record| record.time).max().unwrap_or_default(),
            Data::Metrics(raw) => latest::of_metrics(&raw.buf),
            _ => UnixNano(0),
        }
    }
}
