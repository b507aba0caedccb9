//! What a node gets when it is built and run: identity, clock, counters, shared tables, budget. Nothing else is global.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backtrail_model::ack::{Ack, Outcome};
use backtrail_model::data::{Batch, Data};
use backtrail_model::incident::Endpoint;
use backtrail_model::signal::Signal;
use backtrail_model::span::Slot;
use backtrail_model::symbols::Symbols;
use backtrail_model::time::{SliceGrid, UnixNano};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::boards::{AlertBoard, ChangeBoard, InvestigatorBoard, SaidBoard};
use crate::names::NameBoard;
use crate::stats::NodeStats;

/// What all nodes of one running graph share.
pub struct Shared {
    /// Interned strings.
    pub symbols: Arc<Symbols>,
    /// The grid of slices.
    pub grid: SliceGrid,
    /// How late data may come and still be counted in its slice.
    pub allowed_lateness: std::time::Duration,
    /// `service.data_dir`.
    pub data_dir: PathBuf,
    /// Digest of the configuration, for provenance.
    pub config_digest: String,
    /// Bytes that receivers may hold; asked before a body is read.
    pub budget: Budget,
    /// Open incidents.
    pub incidents: IncidentBoard,
    /// Changes that were posted.
    pub changes: ChangeBoard,
    /// Alerts that were posted.
    pub alerts: AlertBoard,
    /// Names of addresses.
    pub names: NameBoard,
    /// What the last verdicts said.
    pub said: SaidBoard,
    /// Nodes that answer questions.
    pub investigators: InvestigatorBoard,
    /// Bound addresses.
    pub listening: Mutex<Vec<Listening>>,
    attributes: Mutex<Vec<Wanted>>,
    clock: Clock,
}

/// An attribute that some node asked for.
struct Wanted {
    key: String,
    /// Whether it is asked for of traces, too.
    of_traces: bool,
}

/// A bound address.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Listening {
    /// The node, as in `status`.
    pub node: String,
    /// What listens: `grpc`, `http`.
    pub protocol: String,
    /// Where.
    pub address: SocketAddr,
}

/// The clock of a graph: the machine's, or the replayed lines'.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock.
    Live,
    /// The least arrival of all replayed inputs; advanced by the engine.
    Virtual(AtomicU64),
}

impl Clock {
    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    pub fn now(&self) -> UnixNano {
        match self {
            Self::Live => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                UnixNano(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
            }
            Self::Virtual(now) => UnixNano(now.load(Ordering::Acquire)),
        }
    }

    /// Moves a replayed clock forward; the machine's clock moves by itself.
    pub(crate) fn advance(&self, to: UnixNano) {
        if let Self::Virtual(now) = self {
            now.fetch_max(to.0, Ordering::AcqRel);
        }
    }

    /// Whether time is replayed.
    pub const fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }
}

/// Settings of [`Shared`].
pub struct SharedOptions {
    /// The grid of slices.
    pub grid: SliceGrid,
    /// `service.allowed_lateness`.
    pub allowed_lateness: std::time::Duration,
    /// `service.data_dir`.
    pub data_dir: PathBuf,
    /// Digest of the configuration.
    pub config_digest: String,
    /// `memory_limiter` / `service.memory_limit`: bytes of received bodies held at a time.
    pub memory_limit: u64,
    /// Cap of each symbol table.
    pub symbol_cap: usize,
    /// Whether time is replayed.
    pub virtual_clock: bool,
}

impl Shared {
    /// Shared state for one graph.
    pub fn new(options: SharedOptions) -> Arc<Self> {
        Arc::new(Self {
            symbols: Arc::new(Symbols::new(options.symbol_cap)),
            grid: options.grid,
            allowed_lateness: options.allowed_lateness,
            data_dir: options.data_dir,
            config_digest: options.config_digest,
            budget: Budget::new(options.memory_limit),
            incidents: IncidentBoard::default(),
            changes: ChangeBoard::default(),
            alerts: AlertBoard::default(),
            names: NameBoard::default(),
            said: SaidBoard::default(),
            investigators: InvestigatorBoard::default(),
            listening: Mutex::default(),
            attributes: Mutex::default(),
            clock: if options.virtual_clock { Clock::Virtual(AtomicU64::new(0)) } else { Clock::Live },
        })
    }

    /// The graph's clock.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Keys of the wanted attributes, by slot. Complete once all nodes are built.
    pub fn attributes(&self) -> Vec<String> {
        self.attributes.lock().iter().map(|wanted| wanted.key.clone()).collect()
    }

    /// The slots of those that are wanted of traces: the others have served once a span's trace is put together.
    pub fn attributes_of_traces(&self) -> Vec<Slot> {
        let wanted = self.attributes.lock();
        (0..).zip(&*wanted).filter(|(_, wanted)| wanted.of_traces).map(|(index, _)| Slot(index)).collect()
    }
}

/// What a node is built with. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    node: Arc<str>,
    shard: usize,
    stats: Arc<NodeStats>,
    shared: Arc<Shared>,
}

impl Context {
    /// The context of one copy of a node.
    pub fn new(node: impl Into<Arc<str>>, shard: usize, stats: Arc<NodeStats>, shared: Arc<Shared>) -> Self {
        Self { node: node.into(), shard, stats, shared }
    }

    /// A context for tests of a single node: 15 s slices, a virtual clock, a small budget.
    pub fn for_test(node: &str) -> Self {
        Self::for_test_in(node, Path::new("backtrail-data"))
    }

    /// The same with a `data_dir` of the test's own.
    pub fn for_test_in(node: &str, data_dir: &Path) -> Self {
        let options = SharedOptions {
            grid: SliceGrid { origin: UnixNano(0), length: std::time::Duration::from_secs(15) },
            allowed_lateness: std::time::Duration::from_secs(10),
            data_dir: data_dir.to_owned(),
            config_digest: String::new(),
            memory_limit: 64 << 20,
            symbol_cap: 10_000,
            virtual_clock: true,
        };
        Self::new(node, 0, Arc::default(), Shared::new(options))
    }

    /// The node's name in logs, metrics and `status`, such as `processors.ochiai`.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Which copy this is (0 for what is not sharded).
    pub const fn shard(&self) -> usize {
        self.shard
    }

    /// The counters of this copy.
    pub const fn stats(&self) -> &Arc<NodeStats> {
        &self.stats
    }

    /// What all nodes share.
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Interned strings.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.shared.symbols
    }

    /// The grid of slices.
    pub fn grid(&self) -> SliceGrid {
        self.shared.grid
    }

    /// `service.data_dir`.
    pub fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    /// Asks for an attribute of spans and traces: the walk will fill its column. Call it in `build` only.
    pub fn attribute(&self, key: &str) -> Slot {
        self.want(key, true)
    }

    /// Asks for an attribute that is read before traces are put together: it costs them nothing.
    pub fn attribute_of_spans(&self, key: &str) -> Slot {
        self.want(key, false)
    }

    fn want(&self, key: &str, of_traces: bool) -> Slot {
        let mut all = self.shared.attributes.lock();
        let index = all.iter().position(|wanted| wanted.key == key).unwrap_or_else(|| {
            all.push(Wanted { key: key.to_owned(), of_traces: false });
            all.len() - 1
        });
        all[index].of_traces |= of_traces;
        Slot(index as u16)
    }

    /// The time now, by the graph's clock. Processors use their tick instead.
    pub fn now(&self) -> UnixNano {
        self.shared.clock.now()
    }

    /// Reports a bound address.
    pub fn listening(&self, protocol: &str, address: SocketAddr) {
        tracing::info!(node = %self.node, protocol, %address, "listening");
        let entry = Listening { node: self.node.to_string(), protocol: protocol.to_owned(), address };
        self.shared.listening.lock().push(entry);
    }
}

/// A budget of bytes, shared by the receivers of a graph.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<BudgetInner>,
}

#[derive(Debug)]
struct BudgetInner {
    limit: u64,
    used: AtomicU64,
}

/// Bytes lent by a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { inner: Arc::new(BudgetInner { limit, used: AtomicU64::new(0) }) }
    }

    /// Lends `bytes`, or `None` when that would exceed the limit: then the sender is told to come again.
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        self.take(bytes).then(|| Permit { budget: self.clone(), bytes })
    }

    fn take(&self, bytes: u64) -> bool {
        let limit = self.inner.limit;
        self.inner
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= limit)
            })
            .is_ok()
    }

    /// Bytes lent now.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Acquire)
    }

    /// The limit.
    pub fn limit(&self) -> u64 {
        self.inner.limit
    }
}

impl Permit {
    /// Grows (or shrinks) the loan to `bytes` in all; `false` when the budget does not allow it.
    pub fn resize(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes {
            if !self.budget.take(bytes - self.bytes) {
                return false;
            }
        } else {
            self.budget.inner.used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.inner.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Open incidents, as the global thread knows them. Shards look at the version once a tick and release evidence.
#[derive(Default)]
pub struct IncidentBoard {
    version: AtomicU64,
    open: RwLock<Vec<OpenIncident>>,
}

/// An open incident on the board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIncident {
    /// Its key.
    pub incident_key: String,
    /// Where it is seen.
    pub endpoint: Endpoint,
    /// Start of its opening slice.
    pub since: UnixNano,
}

impl IncidentBoard {
    /// Replaces the list.
    pub fn publish(&self, open: Vec<OpenIncident>) {
        let mut current = self.open.write();
        if *current != open {
            *current = open;
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The list now.
    pub fn open(&self) -> Vec<OpenIncident> {
        self.open.read().clone()
    }
}

/// Tells a receiver to stop.
#[derive(Clone, Debug)]
pub struct Stop {
    fired: watch::Receiver<bool>,
}

impl Stop {
    /// A stop signal and the handle that fires it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (tx, fired) = watch::channel(false);
        (tx, Self { fired })
    }

    /// Waits until the signal fires (or its handle is gone).
    pub async fn wait(&mut self) {
        let _ = self.fired.wait_for(|&fired| fired).await;
    }

    /// Whether it has fired.
    pub fn is_set(&self) -> bool {
        *self.fired.borrow()
    }
}

/// A boxed future of the engine's inlet.
pub type Sending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The graph's side of an [`Outlet`].
pub trait Inlet: Send + Sync {
    /// Takes a batch; waits while the graph is full.
    fn send(&self, batch: Batch) -> Sending<'_>;
    /// Whether anything behind takes this signal.
    fn wants(&self, signal: Signal) -> bool;
    /// Moves a replayed input's clock: nothing that arrives later from it is earlier than `arrival`.
    fn advance(&self, arrival: UnixNano) -> Sending<'_>;
}

/// Where a receiver puts what it received. Cheap to clone; the graph's input ends when the last clone is dropped.
#[derive(Clone)]
pub struct Outlet {
    inlet: Arc<dyn Inlet>,
    stats: Arc<NodeStats>,
}

impl Outlet {
    /// An outlet over an inlet of the engine (or of a test).
    pub fn new(inlet: Arc<dyn Inlet>, stats: Arc<NodeStats>) -> Self {
        Self { inlet, stats }
    }

    /// Sends data and waits for its worst outcome: what a server answers its client. The items count as sent when the
    /// graph has taken them; `Failed` items were taken and lost on the way, and the nodes there counted them.
    pub async fn deliver(&self, data: Data, arrival: UnixNano) -> Outcome {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let ack = Ack::new(move |outcome| {
            // The receiver may have given up (its client went away): then nobody needs the answer.
            let _ = tx.send(outcome);
        });
        self.stats.send(data.items());
        self.inlet.send(Batch { data, arrival, ack }).await;
        rx.await.unwrap_or(Outcome::Failed)
    }

    /// Sends data that nobody waits for (replay).
    pub async fn send(&self, data: Data, arrival: UnixNano) {
        self.stats.send(data.items());
        self.inlet.send(Batch { data, arrival, ack: Ack::none() }).await;
    }

    /// Whether anything behind this receiver takes the signal: a server refuses what nobody would see.
    pub fn wants(&self, signal: Signal) -> bool {
        self.inlet.wants(signal)
    }

    /// Moves a replayed input's clock.
    pub async fn advance(&self, arrival: UnixNano) {
        self.inlet.advance(arrival).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lends_no_more_than_it_has_and_takes_everything_back() {
        let budget = Budget::new(100);
        let mut first = budget.try_acquire(60).expect("fits");
        assert!(budget.try_acquire(50).is_none());
        assert!(first.resize(90) && !first.resize(101));
        assert_eq!(budget.used(), 90);
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_attribute_has_one_slot() {
        let cx = Context::for_test("n");
        assert_eq!(cx.attribute_of_spans("a"), Slot(0));
        assert_eq!(cx.attribute("b"), Slot(1));
        assert_eq!(cx.shared().attributes_of_traces(), [Slot(1)]);
        assert_eq!(cx.attribute("a"), Slot(0));
        assert_eq!(cx.attribute_of_spans("a"), Slot(0));
        assert_eq!(cx.shared().attributes(), ["a", "b"]);
        assert_eq!(cx.shared().attributes_of_traces(), [Slot(0), Slot(1)]);
    }
}
