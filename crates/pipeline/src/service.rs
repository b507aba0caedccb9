//! The `service:` section: what holds for the whole process.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Duration};

/// `service:` in `pipeline.yaml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// The admin listener: health, metrics, status.
    pub admin: Admin,
    /// Where windows, the patch queue, the checkpoint and the last status are kept.
    pub data_dir: String,
    /// Shard threads; 0 means one for each core. The number never changes a result.
    pub shards: usize,
    /// Length of a slice: the grain of windows.
    pub slice: Duration,
    /// A border of the slice grid, Unix nanoseconds. For replays of a given window, which should begin with a slice.
    #[schemars(skip)]
    #[serde(skip_serializing)]
    pub slice_origin: u64,
    /// How late data may come and still be counted in its slice.
    pub allowed_lateness: Duration,
    /// How long a shutdown may take until what is left is given up (and counted).
    pub shutdown_timeout: Duration,
    /// Bytes of received bodies that may be held at a time; past it, senders are told to come again.
    pub memory_limit: ByteSize,
    /// Closed slices on disk, so that a restart knows the quiet past.
    pub checkpoint: Checkpoint,
    /// Distinct strings of each kind (services, operations, functions ...) that are told apart; the rest is "(other)".
    pub max_symbols: usize,
    /// The pipelines, by name.
    pub pipelines: BTreeMap<String, Pipeline>,
}

/// `service.checkpoint`: closed slices are written to `<data_dir>/checkpoint` as they close, and read when the pipeline
/// starts, so that incidents are noticed and judged by the past from before a restart. A replay keeps none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Whether slices are kept.
    pub enabled: bool,
    /// For how long: as much as `verdict` has of window and baseline, and `anomaly_trigger` of history.
    pub keep: Duration,
    /// Most bytes on disk; past it the oldest slices go.
    pub max_bytes: ByteSize,
}

/// `service.admin`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address of `/livez /readyz /metrics /status`; empty turns the listener off.
    pub endpoint: String,
}

/// A chain: receivers (or other pipelines), then processors in order, then exporters.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// Receivers by id, or names of pipelines whose output this one takes.
    pub receivers: Vec<String>,
    /// Processors by id, in order.
    pub processors: Vec<String>,
    /// Exporters by id.
    pub exporters: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { endpoint: "127.0.0.1:8888".to_owned() }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { enabled: true, keep: Duration::from_secs(75 * 60), max_bytes: ByteSize(256 << 20) }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            admin: Admin::default(),
            data_dir: "./backtrail-data".to_owned(),
            shards: 0,
            slice: Duration::from_secs(15),
            slice_origin: 0,
            allowed_lateness: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            memory_limit: ByteSize(512 << 20),
            checkpoint: Checkpoint::default(),
            max_symbols: 100_000,
            pipelines: BTreeMap::new(),
        }
    }
}
