//! The node contract: three traits, and the config struct that knows which node it builds.

use std::any::Any;

use async_trait::async_trait;
use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::Signals;
use backtrail_model::time::Tick;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{Context, Outlet, Stop};
use crate::emit::Emit;

/// What went wrong in a node, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration cannot work; nothing was started.
    #[error("{message}")]
    Config {
        /// What is wrong.
        message: String,
        /// How to mend it.
        hint: String,
    },
    /// A resource is away for now (disk, peer); the engine retries.
    #[error("{message}")]
    Unavailable {
        /// What is away.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This batch can never be taken; it is dropped and counted under `reason`.
    #[error("{message}")]
    Rejected {
        /// Reason in counters: one word in `snake_case`.
        reason: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A broken promise inside backtrail.
    #[error("bug: {0}")]
    Bug(String),
}

impl NodeError {
    /// A configuration error with a hint.
    pub fn config(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Config { message: message.into(), hint: hint.into() }
    }

    /// A resource that is away, with its cause.
    pub fn unavailable(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { message: message.into(), source: Some(source.into()) }
    }
}

/// Where the engine may run a node, and so where it puts exchange and gather.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Any thread, any copy: looks at one batch at a time. Runs in front of the exchange.
    Stateless,
    /// One copy a shard; all spans of a trace come to the same shard.
    Trace,
    /// One copy; slices come in order, complete, after the watermark of every shard has passed them.
    Global,
}

/// Where telemetry enters. Owns its sockets; returns once `stop` fires and its in-flight work is sent.
#[async_trait]
pub trait Receiver: Send {
    /// Binds sockets and opens files. Called for all receivers after the whole graph was built and before any runs, so
    /// that a taken port stops the start and nothing has been received.
    async fn bind(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    /// Receives until `stop` fires, or until the input ends.
    async fn run(self: Box<Self>, out: Outlet, stop: Stop) -> Result<(), NodeError>;
}

/// A step in the middle: a plain state machine with no sockets, no clock and no `await`.
///
/// Conservation: of the items that `process` is given, each is passed on ([`Emit::pass`]), dropped with a reason
/// ([`Emit::drop_items`]) or held (and then counted by [`Processor::held`]).
pub trait Processor: Send {
    /// Takes a batch of a signal that the node accepts.
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError>;

    /// Called with both clocks, and one last time ([`Tick::LAST`]) to close what is open.
    fn tick(&mut self, _now: Tick, _out: &mut Emit<'_>) -> Result<(), NodeError> {
        Ok(())
    }

    /// Items that were accepted and neither passed on nor dropped yet: counted from the buffers themselves.
    fn held(&self) -> u64 {
        0
    }

    /// Takes a changed configuration (the component's config struct) without losing its buffers, or says that it must
    /// be rebuilt.
    fn reconfigure(&mut self, _new: &dyn Any) -> Reconfigured {
        Reconfigured::Rebuild
    }
}

/// Answer to a changed configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconfigured {
    /// It is in force; buffers and windows survived.
    Live,
    /// The node must be built anew.
    Rebuild,
}

/// Looks at something outside of the telemetry (files, DNS) beside a processor, which may do neither, and tells its copies
/// through a board of the shared state. There is one for each node, whatever the number of its copies.
#[async_trait]
pub trait Watcher: Send {
    /// Watches until the graph is drained; then it is dropped where it waits.
    async fn run(self: Box<Self>);
}

/// Where results leave.
#[async_trait]
pub trait Exporter: Send {
    /// Takes a batch. `Ok` acknowledges it; `Err` decides between retry (`Unavailable`) and drop (`Rejected`).
    /// Items that are dropped out of an otherwise good batch are counted through the context's stats.
    async fn export(&mut self, batch: &Batch) -> Result<(), NodeError>;

    /// Makes everything exported so far durable and visible; called on a timer (`last` = false: publish what is due)
    /// and at shutdown (`last` = true: publish all).
    async fn flush(&mut self, _last: bool) -> Result<(), NodeError> {
        Ok(())
    }

    /// Items that were accepted but are not yet where they have to be (written, sent).
    fn held(&self) -> u64 {
        0
    }
}

/// A wrong value that only the component can see, named by its place in the component's config.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Path below the component's key, such as `policies[2].latency.threshold_ms`; "" for the component itself.
    pub path: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl Finding {
    /// A finding.
    pub fn new(path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: hint.into() }
    }
}

/// See [`Component::implies`].
#[derive(Clone, PartialEq, Debug)]
pub struct Implied {
    /// Key of the processor that must stand before.
    pub component: &'static str,
    /// The settings that this component states for it.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A config struct that knows which node it builds. This and a row in the crate's table are all the registration there
/// is. Derive `Serialize, Deserialize, JsonSchema, Clone, Debug` and write `#[serde(deny_unknown_fields, default)]`.
pub trait Component: DeserializeOwned + Serialize + JsonSchema + Default + Clone + Send + Sync + 'static {
    /// The key in `pipeline.yaml`.
    const NAME: &'static str;
    /// Other keys that mean the same (otelcol's older names).
    const ALIASES: &'static [&'static str] = &[];
    /// One sentence for `backtrail components` and the reference.
    const SUMMARY: &'static str;
    /// Where the engine may run it.
    const SCOPE: Scope;
    /// The node's trait object: `dyn Receiver`, `dyn Processor` or `dyn Exporter`.
    type Node: ?Sized;

    /// Signals it takes; others pass by a processor and never reach an exporter.
    fn accepts(&self) -> Signals;
    /// Signals it sends on, those that it observes included.
    fn emits(&self) -> Signals;
    /// What is wrong with the values, all of it.
    fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
    /// A processor that must stand before this one: without one that emits what this accepts, the loader inserts it
    /// with these settings; where one stands already, a differing value is a configuration error.
    fn implies(&self) -> Option<Implied> {
        None
    }
    /// The byte budget of receivers that this component sets (`memory_limiter`), in bytes.
    fn memory_limit(&self) -> Option<u64> {
        None
    }
    /// Whether a receiver replays time instead of receiving live (see `Clock`).
    fn virtual_clock(&self) -> bool {
        false
    }
    /// Whether it reads files beside the configuration: then a reload hands it its configuration also when that is the
    /// same, so that the files are read again. Its node must take that live.
    fn reads_files(&self) -> bool {
        false
    }
    /// What watches the outside for the node. Called once, before any copy is built; a node with a watcher is not
    /// reconfigured but restarted.
    fn watcher(&self, _cx: &Context) -> Result<Option<Box<dyn Watcher>>, NodeError> {
        Ok(None)
    }
    /// Whether [`Component::watcher`] gives one.
    fn watches(&self) -> bool {
        false
    }
    /// Builds one copy of the node. Processors of scope `Trace` are built once a shard.
    fn build(&self, cx: &Context) -> Result<Box<Self::Node>, NodeError>;
}

/// A parsed component: [`Component`] without its type.
pub trait Configured<N: ?Sized>: Send + Sync {
    /// See [`Component::accepts`].
    fn accepts(&self) -> Signals;
    /// See [`Component::emits`].
    fn emits(&self) -> Signals;
    /// See [`Component::check`].
    fn check(&self) -> Vec<Finding>;
    /// See [`Component::implies`].
    fn implies(&self) -> Option<Implied>;
    /// See [`Component::memory_limit`].
    fn memory_limit(&self) -> Option<u64>;
    /// See [`Component::virtual_clock`].
    fn virtual_clock(&self) -> bool;
    /// See [`Component::reads_files`].
    fn reads_files(&self) -> bool;
    /// See [`Component::watcher`].
    fn watcher(&self, cx: &Context) -> Result<Option<Box<dyn Watcher>>, NodeError>;
    /// See [`Component::watches`].
    fn watches(&self) -> bool;
    /// See [`Component::build`].
    fn build(&self, cx: &Context) -> Result<Box<N>, NodeError>;
    /// The config struct, for [`Processor::reconfigure`].
    fn as_any(&self) -> &dyn Any;
    /// The config with defaults filled in.
    fn json(&self) -> serde_json::Value;
}

impl<C: Component> Configured<C::Node> for C {
    fn accepts(&self) -> Signals {
        Component::accepts(self)
    }

    fn emits(&self) -> Signals {
        Component::emits(self)
    }

    fn check(&self) -> Vec<Finding> {
        Component::check(self)
    }

    fn implies(&self) -> Option<Implied> {
        Component::implies(self)
    }

    fn memory_limit(&self) -> Option<u64> {
        Component::memory_limit(self)
    }

    fn virtual_clock(&self) -> bool {
        Component::virtual_clock(self)
    }

    fn reads_files(&self) -> bool {
        Component::reads_files(self)
    }

    fn watcher(&self, cx: &Context) -> Result<Option<Box<dyn Watcher>>, NodeError> {
        Component::watcher(self, cx)
    }

    fn watches(&self) -> bool {
        Component::watches(self)
    }

    fn build(&self, cx: &Context) -> Result<Box<C::Node>, NodeError> {
        Component::build(self, cx)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A parsed config, or the error with the path inside the component where it stands.
pub type Parsed<N> = Result<Box<dyn Configured<N>>, serde_path_to_error::Error<serde_json::Error>>;

/// One row of a component table: everything that the loader, `validate`, the schema and the docs need.
pub struct Kind<N: ?Sized + 'static> {
    /// The key in `pipeline.yaml`.
    pub name: &'static str,
    /// Other keys that mean the same.
    pub aliases: &'static [&'static str],
    /// One sentence.
    pub summary: &'static str,
    /// Where the engine may run it.
    pub scope: Scope,
    /// Parses the component's part of the configuration.
    pub parse: fn(serde_json::Value) -> Parsed<N>,
    /// Its JSON Schema.
    pub schema: fn() -> schemars::Schema,
    /// Its defaults.
    pub defaults: fn() -> serde_json::Value,
}

/// The row of a receiver.
pub const fn receiver<C: Component<Node = dyn Receiver>>() -> Kind<dyn Receiver> {
    Kind {
        name: C::NAME,
        aliases: C::ALIASES,
        summary: C::SUMMARY,
        scope: C::SCOPE,
        parse: |value| parse::<C>(value).map(|config| Box::new(config) as Box<dyn Configured<dyn Receiver>>),
        schema: || schemars::schema_for!(C),
        defaults: defaults::<C>,
    }
}

/// The row of a processor.
pub const fn processor<C: Component<Node = dyn Processor>>() -> Kind<dyn Processor> {
    Kind {
        name: C::NAME,
        aliases: C::ALIASES,
        summary: C::SUMMARY,
        scope: C::SCOPE,
        parse: |value| parse::<C>(value).map(|config| Box::new(config) as Box<dyn Configured<dyn Processor>>),
        schema: || schemars::schema_for!(C),
        defaults: defaults::<C>,
    }
}

/// The row of an exporter.
pub const fn exporter<C: Component<Node = dyn Exporter>>() -> Kind<dyn Exporter> {
    Kind {
        name: C::NAME,
        aliases: C::ALIASES,
        summary: C::SUMMARY,
        scope: C::SCOPE,
        parse: |value| parse::<C>(value).map(|config| Box::new(config) as Box<dyn Configured<dyn Exporter>>),
        schema: || schemars::schema_for!(C),
        defaults: defaults::<C>,
    }
}

fn parse<C: Component>(value: serde_json::Value) -> Result<C, serde_path_to_error::Error<serde_json::Error>> {
    // An empty component (`otlp:`) is null in YAML and means "all defaults".
    let value = if value.is_null() { serde_json::json!({}) } else { value };
    serde_path_to_error::deserialize(value)
}

fn defaults<C: Component>() -> serde_json::Value {
    serde_json::to_value(C::default()).unwrap_or_default()
}

/// The component tables of a binary.
#[derive(Clone, Copy)]
pub struct Components {
    /// Receivers, in alphabetical order.
    pub receivers: &'static [Kind<dyn Receiver>],
    /// Processors, in alphabetical order.
    pub processors: &'static [Kind<dyn Processor>],
    /// Exporters, in alphabetical order.
    pub exporters: &'static [Kind<dyn Exporter>],
}

/// Convenience for nodes: whether a batch carries spans or traces, which most nodes ask first.
pub fn is_trace_data(data: &Data) -> bool {
    matches!(data, Data::Spans(..) | Data::Traces(_))
}
