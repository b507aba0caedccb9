//! Small components to load configurations with: none of them does anything.

use async_trait::async_trait;
use backtrail_model::data::Batch;
use backtrail_model::signal::{Signal, Signals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::{Context, Outlet, Stop};
use crate::emit::Emit;
use crate::node::*;
use crate::units::{ByteSize, Duration, Ratio, Secret};

pub(super) const COMPONENTS: Components = Components {
    receivers: &[receiver::<Otlp>(), receiver::<Replay>()],
    processors: &[
        processor::<AnomalyTrigger>(),
        processor::<Limiter>(),
        processor::<Ochiai>(),
        processor::<Redaction>(),
        processor::<TailSampling>(),
        processor::<TraceAssembly>(),
        processor::<VerdictMaker>(),
    ],
    exporters: &[exporter::<Debugging>(), exporter::<Parquet>(), exporter::<PatchQueue>()],
};

struct Nothing;

#[async_trait]
impl Receiver for Nothing {
    async fn run(self: Box<Self>, _: Outlet, _: Stop) -> Result<(), NodeError> {
        Ok(())
    }
}

impl Processor for Nothing {
    fn process(&mut self, _: Batch, _: &mut Emit<'_>) -> Result<(), NodeError> {
        Ok(())
    }
}

#[async_trait]
impl Exporter for Nothing {
    async fn export(&mut self, _: &Batch) -> Result<(), NodeError> {
        Ok(())
    }
}

const SPANS: Signals = Signals::of(&[Signal::Spans]);
const TRACES: Signals = Signals::of(&[Signal::Traces]);
const SPECTRA: Signals = Signals::of(&[Signal::Spectra]);
const INCIDENTS: Signals = Signals::of(&[Signal::Incidents]);
const VERDICTS: Signals = Signals::of(&[Signal::Verdicts]);

/// The part of a component that all fakes share.
macro_rules! fake {
    ($node:ident, $type:ident, $name:literal, $scope:ident, { $($more:item)* }) => {
        impl Component for $type {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = concat!("A fake ", $name, ".");
            const SCOPE: Scope = Scope::$scope;
            type Node = dyn $node;
            fn build(&self, _: &Context) -> Result<Box<dyn $node>, NodeError> {
                Ok(Box::new(Nothing))
            }
            $($more)*
        }
    };
    ($node:ident, $type:ident, $name:literal, $scope:ident, $accepts:expr => $emits:expr) => {
        fake!($node, $type, $name, $scope, {
            fn accepts(&self) -> Signals { $accepts }
            fn emits(&self) -> Signals { $emits }
        });
    };
}

/// Receives.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Otlp {
    /// Where it listens.
    endpoint: String,
    /// Largest body.
    max_body: ByteSize,
    /// Open connections.
    connections: u16,
}
fake!(Receiver, Otlp, "otlp", Stateless, Signals::NONE => Signals::of(&[Signal::Spans, Signal::Logs]));

/// Replays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Replay {
    /// The recorded file.
    pub(super) path: String,
}
fake!(Receiver, Replay, "replay", Stateless, {
    fn accepts(&self) -> Signals {
        Signals::NONE
    }
    fn emits(&self) -> Signals {
        SPANS
    }
    fn virtual_clock(&self) -> bool {
        true
    }
});

/// Removes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Redaction {
    /// Keys to remove.
    keys: Vec<String>,
}
fake!(Processor, Redaction, "redaction", Stateless,
    Signals::of(&[Signal::Spans, Signal::Logs]) => Signals::of(&[Signal::Spans, Signal::Logs]));

/// Limits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limiter {
    /// The budget.
    limit: ByteSize,
}
impl Default for Limiter {
    fn default() -> Self {
        Self { limit: ByteSize(64 << 20) }
    }
}
fake!(Processor, Limiter, "memory_limiter", Stateless, {
    fn accepts(&self) -> Signals {
        Signals::NONE
    }
    fn emits(&self) -> Signals {
        Signals::NONE
    }
    fn memory_limit(&self) -> Option<u64> {
        Some(self.limit.0)
    }
});

/// Assembles.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TraceAssembly {
    /// How long a trace is waited for.
    decision_wait: Duration,
    /// Traces held at a time.
    max_traces: u32,
}
impl Default for TraceAssembly {
    fn default() -> Self {
        Self { decision_wait: Duration::from_secs(10), max_traces: 50_000 }
    }
}
fake!(Processor, TraceAssembly, "trace_assembly", Trace, SPANS => TRACES);

/// How a policy decides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Decision {
    /// Keeps errors.
    Errors,
    /// Keeps what is slow.
    Latency {
        /// From here on.
        threshold: Duration,
    },
}

/// One policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// Its name.
    name: String,
    /// What it keeps.
    keep: Decision,
    /// The share of it.
    #[serde(default)]
    share: Option<Ratio>,
}

/// Samples.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TailSampling {
    /// How long a trace is waited for.
    decision_wait: Option<Duration>,
    /// What is kept.
    policies: Vec<Policy>,
}
fake!(Processor, TailSampling, "tail_sampling", Trace, {
    fn accepts(&self) -> Signals {
        TRACES
    }
    fn emits(&self) -> Signals {
        TRACES
    }
    fn check(&self) -> Vec<Finding> {
        let twice = |i: usize| self.policies[..i].iter().any(|p| p.name == self.policies[i].name);
        let at = (0..self.policies.len()).filter(|&i| twice(i));
        at.map(|i| Finding::new(format!("policies[{i}].name"), "two policies have this name", "rename one")).collect()
    }
    fn implies(&self) -> Option<Implied> {
        let mut settings = serde_json::Map::new();
        if let Some(wait) = self.decision_wait {
            settings.insert("decision_wait".to_owned(), json!(wait));
        }
        Some(Implied { component: "trace_assembly", settings })
    }
});

/// Scores.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ochiai {
    /// The window.
    window: Duration,
    /// Failures that are needed.
    min_failures: u64,
    /// Whether it is on.
    enabled: bool,
}
impl Default for Ochiai {
    fn default() -> Self {
        Self { window: Duration::from_secs(900), min_failures: 5, enabled: true }
    }
}
fake!(Processor, Ochiai, "ochiai", Trace, TRACES => TRACES.and(SPECTRA));

/// Triggers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AnomalyTrigger {}
fake!(Processor, AnomalyTrigger, "anomaly_trigger", Global, SPECTRA => SPECTRA.and(INCIDENTS));

/// Judges.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VerdictMaker {}
fake!(Processor, VerdictMaker, "verdict", Global, INCIDENTS => VERDICTS);

/// Prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Debugging {
    /// How much.
    verbosity: Verbosity,
    /// A token.
    token: Secret,
}
/// How much is printed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verbosity {
    /// Counts.
    #[default]
    Basic,
    /// Everything.
    Detailed,
}
fake!(Exporter, Debugging, "debug", Stateless, Signal::ALL.into_iter().collect() => Signals::NONE);

/// A table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Table {
    /// Traces.
    Spans,
    /// Spectra.
    Windows,
}

/// Writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Parquet {
    /// What is written.
    tables: Vec<Table>,
    /// Where.
    path: String,
}
fake!(Exporter, Parquet, "parquet", Stateless, {
    fn accepts(&self) -> Signals {
        let of = |table: &Table| if matches!(table, Table::Spans) { TRACES } else { SPECTRA };
        self.tables.iter().map(of).fold(Signals::NONE, Signals::and)
    }
    fn emits(&self) -> Signals {
        Signals::NONE
    }
    fn check(&self) -> Vec<Finding> {
        if self.tables.is_empty() {
            vec![Finding::new("tables", "no tables are listed", "such as tables: [spans]")]
        } else {
            Vec::new()
        }
    }
});

/// Queues.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PatchQueue {}
fake!(Exporter, PatchQueue, "patch_queue", Stateless, VERDICTS => Signals::NONE);
