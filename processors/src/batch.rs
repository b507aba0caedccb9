//! otelcol's `batch`: read, so that a copied configuration works, and not needed.
//!
//! A Collector batches because its exporters send what they are given. Here exporters collect by themselves, by size and
//! time, and everything before them works on batches as they arrive; waiting for more would only add latency. The
//! component takes no signal: everything passes by.
//!
//! ```yaml
//! processors:
//!   batch:
//!     timeout: 200ms
//!     send_batch_size: 8192
//! ```

use backtrail_model::data::Batch;
use backtrail_model::signal::Signals;
use backtrail_pipeline::{Component, Context, Duration, Emit, NodeError, Processor, Reconfigured, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of otelcol's `batch`. None has an effect.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_batch_size: Option<u64>,
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_batch_max_size: Option<u64>,
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata_keys: Vec<String>,
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_cardinality_limit: Option<u64>,
}

impl Component for Config {
    const NAME: &'static str = "batch";
    const SUMMARY: &'static str = "Read for otelcol's sake: exporters batch by themselves";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::NONE
    }

    fn emits(&self) -> Signals {
        Signals::NONE
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        tracing::info!(node = cx.node(), "batch has no effect: exporters collect by size and time themselves");
        Ok(Box::new(PassThrough))
    }
}

/// Sends on what it is given.
pub(crate) struct PassThrough;

impl Processor for PassThrough {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        out.pass(batch);
        Ok(())
    }

    fn reconfigure(&mut self, _new: &dyn std::any::Any) -> Reconfigured {
        Reconfigured::Live
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::documented;

    #[test]
    fn the_options_of_otelcol_parse() {
        let config: Config = documented(include_str!("batch.rs"));
        assert_eq!(config.send_batch_size, Some(8192));
        let all = json!({ "timeout": "1s", "send_batch_size": 1, "send_batch_max_size": 2, "metadata_keys": ["tenant"],
            "metadata_cardinality_limit": 3 });
        assert!(serde_json::from_value::<Config>(all).is_ok());
    }
}
