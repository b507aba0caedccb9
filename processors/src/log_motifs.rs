//! Counts log records, slice by slice, by the statement that wrote them: service, template and severity.
//!
//! A record belongs to the slice of its own time. The text of one record is kept with each motif, so that a reader sees
//! what the statement says. The records themselves pass unchanged.
//!
//! ```yaml
//! processors:
//!   log_motifs:
//!     max_motifs: 10000
//! ```
//!
//! A slice is sent when the watermark passes its end; records that come later are noted as `late_slice`. Up to
//! `max_motifs` the number of shards changes nothing in it; past that, which motifs are told apart depends on the order
//! of arrival, and `overflow` says how many records were not.

mod counts;

use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::log::LogBatch;
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::symbols::Symbols;
use backtrail_model::time::Tick;
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::counts::OpenMotifs;
use crate::slices::OpenSlices;

/// Counts log records by the statement that wrote them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most motifs (service, template and severity) that a slice tells apart on one shard; records of further ones are
    /// counted together.
    pub max_motifs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_motifs: 10_000 }
    }
}

impl Component for Config {
    const NAME: &'static str = "log_motifs";
    const SUMMARY: &'static str = "counts log records by statement in slices of time";
    const SCOPE: Scope = Scope::Trace;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Logs])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Logs, Signal::LogMotifs])
    }

    fn check(&self) -> Vec<Finding> {
        if (1..=1_000_000).contains(&self.max_motifs) {
            return Vec::new();
        }
        let message = format!("max_motifs is {}", self.max_motifs);
        vec![Finding::new("max_motifs", message, "write a number from 1 to 1000000")]
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(LogMotifs {
            config: self.clone(),
            symbols: Arc::clone(cx.symbols()),
            slices: OpenSlices::new(cx.grid()),
        }))
    }
}

/// One shard's copy of the node.
struct LogMotifs {
    config: Config,
    symbols: Arc<Symbols>,
    slices: OpenSlices<OpenMotifs>,
}

impl LogMotifs {
    fn count(&mut self, batch: &LogBatch, indices: Option<&[u32]>, out: &mut Emit<'_>) {
        let mut late = 0;
        let mut count = |index: usize| {
            let record = &batch.records[index];
            match self.slices.of_time(record.time) {
                Some((_, motifs)) => motifs.count(batch, record, self.config.max_motifs),
                None => late += 1,
            }
        };
        match indices {
            Some(indices) => indices.iter().for_each(|&index| count(index as usize)),
            None => (0..batch.records.len()).for_each(count),
        }
        out.note("late_slice", late);
    }
}

impl Processor for LogMotifs {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Logs(logs, indices) = &batch.data {
            self.count(logs, indices.as_deref(), out);
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        for (slice, motifs) in self.slices.close(now) {
            let motifs = motifs.resolve(slice, &self.symbols);
            out.note("records_past_max", motifs.overflow);
            out.derive(Data::LogMotifs(Arc::new(motifs)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
