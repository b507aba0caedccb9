//! Start, status, reload and ordered shutdown of a graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

use backtrail_model::data::Batch;
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::time::{SliceGrid, UnixNano};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::boards::{StatsBoard, Status};
use super::checkpoint::Store;
use super::exporters;
use super::front::{Front, ReceiverInlet};
use super::gather::Gather;
use super::plan::{Place, Plan, SLICES};
use super::reload::{self, ReloadError};
use super::shard::{self, ShardOutlets};
use super::stage::{Observe, Stage, StageNode};
use crate::config::Config;
use crate::context::{Context, Outlet, Shared, SharedOptions, Stop};
use crate::graph::{Graph, Part};
use crate::node::{Exporter, NodeError, Receiver, Watcher};
use crate::stats::NodeStats;

/// Sees what global nodes make: incidents, verdicts, patch requests, and the merged slices that they were made from.
/// Called on the global thread, so it must be quick.
pub type Tap = Box<dyn FnMut(&Batch) + Send>;

/// Batches that wait in front of a thread or an exporter before the sender has to wait too.
const CHANNEL: usize = 32;
/// How often live time moves.
const TICK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// Why a graph did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {source}")]
pub struct StartError {
    /// The node that could not be built or bound.
    pub node: String,
    /// Why.
    #[source]
    pub source: NodeError,
}

/// What a graph did, told when it is over.
#[derive(Debug)]
pub struct Report {
    /// Final counters.
    pub status: Status,
    /// What failed on the way, one line each.
    pub errors: Vec<String>,
    /// Whether everything was drained within the deadline.
    pub clean: bool,
}

/// Looks at and steers a running graph. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    state: AtomicU8,
    board: StatsBoard,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    graph: Mutex<Graph>,
    front: Mutex<Option<Arc<Front>>>,
}

const STATES: [&str; 4] = ["starting", "running", "draining", "stopped"];
const RUNNING: u8 = 1;
const DRAINING: u8 = 2;
const STOPPED: u8 = 3;

impl Handle {
    /// A snapshot of all counters.
    pub fn status(&self) -> Status {
        Status {
            state: STATES[self.inner.state.load(Ordering::Acquire) as usize].to_owned(),
            listening: self.inner.shared.listening.lock().clone(),
            nodes: self.inner.board.snapshot(),
        }
    }

    /// Whether the graph takes data now.
    pub fn ready(&self) -> bool {
        self.inner.state.load(Ordering::Acquire) == RUNNING
    }

    /// Begins the ordered shutdown.
    pub fn stop(&self) {
        self.inner.state.fetch_max(DRAINING, Ordering::AcqRel);
        self.inner.stop.send_replace(true);
    }

    /// What all nodes share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Puts a changed configuration into force: settings of processors, while listeners stay open and everything that
    /// can take its new settings live keeps its buffers. Names of the nodes that had to be rebuilt are returned.
    ///
    /// # Errors
    /// When the change needs a restart (nodes, edges, receivers, exporters or `service:` differ): nothing was changed.
    pub async fn reload(&self, config: &Config) -> Result<Vec<String>, ReloadError> {
        let front = self.inner.front.lock().clone().ok_or(ReloadError::NotRunning)?;
        let changes = reload::changes(&self.inner.graph.lock(), &config.graph)?;
        let rebuilt = front.reconfigure(&changes.front, &changes.shard, &changes.global).await;
        *self.inner.graph.lock() = config.graph.clone();
        Ok(rebuilt)
    }
}

/// A running graph.
pub struct Running {
    handle: Handle,
    receivers: JoinSet<(String, Result<(), NodeError>)>,
    exporters: JoinSet<(String, Result<(), NodeError>)>,
    watchers: JoinSet<()>,
    ticker: Option<tokio::task::JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    stop: Stop,
    gave_up: watch::Sender<bool>,
    timeout: std::time::Duration,
}

/// Builds every node, binds every receiver, and only then starts anything.
///
/// # Errors
/// The first node that cannot be built or bound. Nothing runs then, and nothing was written.
pub async fn start(config: Config, tap: Option<Tap>) -> Result<Running, StartError> {
    let builder = Builder::new(&config);
    let parts = builder.build(tap)?;
    parts.launch(config).await
}

struct Builder<'a> {
    graph: &'a Graph,
    plan: Plan,
    shared: Arc<Shared>,
    shards: usize,
    board: StatsBoard,
    checkpoint: bool,
}

/// Everything built, nothing running.
struct Parts {
    plan: Plan,
    shared: Arc<Shared>,
    board: StatsBoard,
    receivers: Vec<(Context, Box<dyn Receiver>)>,
    watchers: Vec<Box<dyn Watcher>>,
    front: Vec<Stage>,
    shards: Vec<Stage>,
    global: Stage,
    exporters: Vec<(Context, Box<dyn Exporter>)>,
    /// Counters of the checkpoint, if there is one.
    checkpoint: Option<Arc<NodeStats>>,
}

impl<'a> Builder<'a> {
    fn new(config: &'a Config) -> Self {
        let service = &config.service;
        let plan = Plan::new(&config.graph);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = if service.shards == 0 { cores } else { service.shards };
        let is_virtual = |n: &usize| matches!(&config.graph.nodes[*n].part, Part::Receiver(r) if r.virtual_clock());
        let shared = Shared::new(SharedOptions {
            grid: SliceGrid { origin: UnixNano(service.slice_origin), length: service.slice.0 },
            allowed_lateness: service.allowed_lateness.0,
            data_dir: service.data_dir.clone().into(),
            config_digest: config.digest.clone(),
            memory_limit: service.memory_limit.0,
            symbol_cap: service.max_symbols,
            virtual_clock: plan.receivers.iter().any(is_virtual),
        });
        let shards = if plan.shard.is_empty() { 0 } else { wanted };
        let mut board = StatsBoard::default();
        // Rows stand in the order of the graph, whatever is built first.
        for node in &config.graph.nodes {
            board.reserve(&node.name);
        }
        let checkpoint = service.checkpoint.enabled;
        Self { graph: &config.graph, plan, shared, shards, board, checkpoint }
    }

    fn context(&mut self, node: usize, shard: usize) -> Context {
        let stats = Arc::<NodeStats>::default();
        let name = &self.graph.nodes[node].name;
        self.board.add(name, Arc::clone(&stats));
        Context::new(name.as_str(), shard, stats, Arc::clone(&self.shared))
    }

    fn build(mut self, tap: Option<Tap>) -> Result<Parts, StartError> {
        let watchers = self.watchers()?;
        // One copy of the front stage for each thread that may run a receiver's task at a time.
        let copies = tokio::runtime::Handle::current().metrics().num_workers() + 1;
        let (front, shard, global) = (self.plan.front.clone(), self.plan.shard.clone(), self.plan.global.clone());
        let front = (0..copies).map(|copy| self.stage(&front, copy)).collect::<Result<_, _>>()?;
        let shards = (0..self.shards).map(|index| self.stage(&shard, index)).collect::<Result<_, _>>()?;
        let global = self.stage(&global, 0)?.observed(tap.map(observe));
        let mut receivers = Vec::new();
        for node in self.plan.receivers.clone() {
            let context = self.context(node, 0);
            if let Part::Receiver(config) = &self.graph.nodes[node].part {
                receivers.push((context.clone(), built(&context, config.build(&context))?));
            }
        }
        let mut exporters = Vec::new();
        for node in self.plan.exporters.clone() {
            let context = self.context(node, 0);
            if let Part::Exporter(config) = &self.graph.nodes[node].part {
                exporters.push((context.clone(), built(&context, config.build(&context))?));
            }
        }
        let checkpoint = self.remembers().then(|| {
            let stats = Arc::<NodeStats>::default();
            self.board.add("service.checkpoint", Arc::clone(&stats));
            stats
        });
        Ok(Parts {
            checkpoint,
            plan: self.plan,
            shared: self.shared,
            board: self.board,
            receivers,
            watchers,
            front,
            shards,
            global,
            exporters,
        })
    }

    /// Whether closed slices are kept for a restart: somebody learns from them, and time is the machine's.
    fn remembers(&self) -> bool {
        let learns = |node: &usize| {
            let part = &self.graph.nodes[*node].part;
            matches!(part, Part::Processor(config) if !config.accepts().common(SLICES).is_empty())
        };
        self.checkpoint && !self.shared.clock().is_virtual() && self.plan.global.iter().any(learns)
    }

    fn watchers(&mut self) -> Result<Vec<Box<dyn Watcher>>, StartError> {
        let mut watchers = Vec::new();
        for node in 0..self.graph.nodes.len() {
            let Part::Processor(config) = &self.graph.nodes[node].part else { continue };
            if config.watches() {
                let context = self.context(node, 0);
                let watcher = config.watcher(&context);
                let failed = |source| StartError { node: context.node().to_owned(), source };
                watchers.extend(watcher.map_err(failed)?);
            }
        }
        Ok(watchers)
    }

    fn stage(&mut self, nodes: &[usize], shard: usize) -> Result<Stage, StartError> {
        let mut stage = Vec::new();
        for &node in nodes {
            let context = self.context(node, shard);
            let Part::Processor(config) = &self.graph.nodes[node].part else { continue };
            let sources =
                self.graph.incoming(node).filter_map(|edge| nodes.iter().position(|&n| n == edge.from)).collect();
            stage.push(StageNode {
                accepts: config.accepts(),
                routes: self.plan.routes[node].clone(),
                sources,
                processor: built(&context, config.build(&context))?,
                context,
            });
        }
        Ok(Stage::new(stage))
    }
}

fn built<N: ?Sized>(context: &Context, node: Result<Box<N>, NodeError>) -> Result<Box<N>, StartError> {
    node.map_err(|source| StartError { node: context.node().to_owned(), source })
}

/// The tap sees a batch once: where it is made, not where it is passed on.
fn observe(mut tap: Tap) -> Observe {
    const SHOWN: Signals = SLICES.and(Signals::of(&[Signal::Incidents, Signal::Verdicts, Signal::PatchRequests]));
    Box::new(move |batch, accepts| {
        let signal = batch.data.signal();
        if SHOWN.has(signal) && !accepts.has(signal) {
            tap(batch);
        }
    })
}

impl Parts {
    async fn launch(mut self, config: Config) -> Result<Running, StartError> {
        for (context, receiver) in &mut self.receivers {
            let bound = receiver.bind().await;
            bound.map_err(|source| StartError { node: context.node().to_owned(), source })?;
        }
        let (stop_tx, stop) = Stop::new();
        let (gave_up, given) = watch::channel(false);
        let mut exporter_tasks = JoinSet::new();
        let mut exporter_senders = Vec::new();
        for (context, exporter) in self.exporters {
            let (tx, rx) = mpsc::channel(CHANNEL);
            exporter_senders.push(tx);
            let given = given.clone();
            exporter_tasks.spawn(async move {
                let name = context.node().to_owned();
                (name, exporters::run(exporter, context, rx, given).await)
            });
        }
        let mut threads = Vec::new();
        let shards = self.shards.len();
        let gather = self.plan.has_gather().then(|| {
            let (tx, rx) = mpsc::channel(CHANNEL * shards.max(1));
            let (grid, lateness) = (self.shared.grid, self.shared.allowed_lateness);
            let mut gather = Gather::new(grid, lateness, self.global, shards + 1, exporter_senders.clone());
            let stats = self.checkpoint.take();
            let store = stats.and_then(|stats| Store::open(&config.service.checkpoint, &self.shared, stats));
            if let Some(mut store) = store {
                let past = store.read(self.shared.clock().now());
                let (keeper, write) = store.start();
                // Joined after the global thread, which hands it the last slices.
                threads.push(thread("checkpoint".to_owned(), write));
                gather = gather.remember(past, keeper);
            }
            threads.push(thread("global".to_owned(), move || gather.run(rx)));
            tx
        });
        let mut shard_senders = Vec::new();
        for (index, stage) in self.shards.into_iter().enumerate() {
            let (tx, rx) = mpsc::channel(CHANNEL);
            shard_senders.push(tx);
            let outlets = ShardOutlets { index, gather: gather.clone(), exporters: exporter_senders.clone() };
            threads.push(thread(format!("shard-{index}"), move || shard::run(stage, rx, &outlets)));
        }
        let front = Arc::new(Front {
            pool: tokio::sync::RwLock::new(Mutex::new(self.front)),
            shards: shard_senders,
            gather,
            exporters: exporter_senders,
            clocks: (0..self.receivers.len()).map(|_| AtomicU64::new(0)).collect(),
            ticked: tokio::sync::Mutex::new(UnixNano(0)),
            stop: stop_tx.clone(),
            shared: Arc::clone(&self.shared),
        });
        let mut receivers = JoinSet::new();
        for (input, (context, receiver)) in self.receivers.into_iter().enumerate() {
            let routes = self.plan.routes[self.plan.receivers[input]].clone();
            let inlet = Arc::new(ReceiverInlet { front: Arc::clone(&front), input, routes });
            let outlet = Outlet::new(inlet, Arc::clone(context.stats()));
            let (front, stop) = (Arc::clone(&front), stop.clone());
            receivers.spawn(async move {
                let result = receiver.run(outlet, stop).await;
                if front.shared.clock().is_virtual() {
                    front.finish(input).await;
                }
                (context.node().to_owned(), result)
            });
        }
        let mut watchers = JoinSet::new();
        for watcher in self.watchers {
            watchers.spawn(watcher.run());
        }
        let ticker = (!self.shared.clock().is_virtual()).then(|| ticker(Arc::clone(&front)));
        let handle = Handle {
            inner: Arc::new(Inner {
                state: AtomicU8::new(RUNNING),
                board: self.board,
                shared: self.shared,
                stop: stop_tx,
                graph: Mutex::new(config.graph),
                front: Mutex::new(Some(front)),
            }),
        };
        Ok(Running {
            handle,
            receivers,
            exporters: exporter_tasks,
            watchers,
            ticker,
            threads,
            stop,
            gave_up,
            timeout: config.service.shutdown_timeout.0,
        })
    }
}

fn thread(name: String, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name).spawn(run).expect("the system can start a thread")
}

#[expect(clippy::disallowed_methods, reason = "the engine is who spawns")]
fn ticker(front: Arc<Front>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(TICK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            timer.tick().await;
            front.tick(front.shared.clock().now()).await;
        }
    })
}

impl Running {
    /// A handle for other tasks.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// A snapshot of all counters.
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// What all nodes share.
    pub fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
    }

    /// Begins the ordered shutdown.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Waits until all inputs have ended or the graph was stopped, then until everything is drained: receivers stop,
    /// channels close along the edges, every processor gets its last tick, exporters flush. From a stop on there is one
    /// deadline for all of it.
    pub async fn wait(mut self) -> Report {
        let mut errors = Vec::new();
        let mut stop = self.stop.clone();
        let mut clean = true;
        loop {
            tokio::select! {
                ended = self.receivers.join_next() => match ended {
                    Some(result) => self.note(result, &mut errors),
                    None => break,
                },
                () = stop.wait() => break,
            }
        }
        let stopped = stop.is_set();
        self.handle.inner.state.fetch_max(DRAINING, Ordering::AcqRel);
        if stopped {
            let timeout = self.timeout;
            if tokio::time::timeout(timeout, self.drain(&mut errors)).await.is_err() {
                clean = false;
                errors.push(format!("shutdown_timeout of {timeout:?} passed; what is left in 'held' is given up"));
                self.gave_up.send_replace(true);
                self.receivers.abort_all();
                self.exporters.abort_all();
            }
        } else {
            self.drain(&mut errors).await;
        }
        self.handle.inner.state.store(STOPPED, Ordering::Release);
        Report { status: self.handle.status(), errors, clean }
    }

    fn note(&self, ended: Result<(String, Result<(), NodeError>), tokio::task::JoinError>, errors: &mut Vec<String>) {
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((node, Err(error))) => {
                tracing::error!(node, %error, "receiver failed: stopping");
                errors.push(format!("{node}: {error}"));
                self.handle.stop();
            }
            Err(error) => {
                errors.push(format!("a receiver died: {error}"));
                self.handle.stop();
            }
        }
    }

    async fn drain(&mut self, errors: &mut Vec<String>) {
        while let Some(result) = self.receivers.join_next().await {
            self.note(result, errors);
        }
        self.watchers.shutdown().await;
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
            // Aborted on purpose; waiting makes sure that its share of the front is gone.
            let _ = ticker.await;
        }
        // The last share of the front: now the shards' channels close, then the gather's, then the exporters'.
        drop(self.handle.inner.front.lock().take());
        for thread in self.threads.drain(..).rev() {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                errors.push(format!("thread {name} died"));
            }
        }
        while let Some(ended) = self.exporters.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((node, Err(error))) => errors.push(format!("{node}: {error}")),
                Err(error) => errors.push(format!("an exporter died: {error}")),
            }
        }
    }
}

/// Where a processor's node stands, for a reload.
pub(crate) fn place_of(plan: &Plan, node: usize) -> Option<(Place, usize)> {
    let at = |list: &[usize], place| list.iter().position(|&n| n == node).map(|i| (place, i));
    at(&plan.front, Place::Front).or_else(|| at(&plan.shard, Place::Shard)).or_else(|| at(&plan.global, Place::Global))
}
