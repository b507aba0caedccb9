//! A chain (or small DAG) of processors that runs inside one thread, with no channel between its nodes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backtrail_model::data::Batch;
use backtrail_model::signal::Signals;
use backtrail_model::time::{Tick, UnixNano};

use super::checkpoint::Part;
use super::plan::{Route, Target};
use crate::context::Context;
use crate::emit::Emit;
use crate::node::{Configured, NodeError, Processor, Reconfigured};
use crate::stats::NodeStats;

/// One processor of a stage.
pub(crate) struct StageNode {
    pub(crate) context: Context,
    pub(crate) accepts: Signals,
    pub(crate) routes: Vec<Route>,
    /// Whether data enters here from another stage: then the stage's own watermark counts for it too.
    pub(crate) sources: Vec<usize>,
    pub(crate) processor: Box<dyn Processor>,
}

/// Processors of one thread in topological order, and what waits between them.
pub(crate) struct Stage {
    nodes: Vec<StageNode>,
    queue: VecDeque<(usize, Batch)>,
    emitted: VecDeque<Batch>,
    /// Batches that leave the stage, in order.
    outbox: VecDeque<(Target, Batch)>,
    /// Called with what a node emits (the global stage's tap).
    observe: Option<Observe>,
    /// Closed slices since the last [`Stage::take_kept`], if they are wanted.
    kept: Option<Vec<Part>>,
    /// Counts what is recalled: it was counted when it happened.
    recalled: Option<Arc<NodeStats>>,
}

/// A changed processor: its position in the stage and its new configuration.
pub(crate) type Change = (usize, Arc<dyn Configured<dyn Processor>>);

/// Sees each batch that a node emits, with the signals the node itself accepts.
pub(crate) type Observe = Box<dyn FnMut(&Batch, Signals) + Send>;

impl Stage {
    pub(crate) fn new(nodes: Vec<StageNode>) -> Self {
        Self {
            nodes,
            queue: VecDeque::new(),
            emitted: VecDeque::new(),
            outbox: VecDeque::new(),
            observe: None,
            kept: None,
            recalled: None,
        }
    }

    pub(crate) fn observed(mut self, observe: Option<Observe>) -> Self {
        self.observe = observe;
        self
    }

    /// Keeps closed slices from now on.
    pub(crate) fn keep_slices(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// Takes what was kept.
    pub(crate) fn take_kept(&mut self) -> Vec<Part> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Tells the nodes a slice of before a restart. They learn from it as they did then; what leaves the stage leaves
    /// nothing behind, and no counter moves. Parts of nodes that are gone are left out: how many.
    pub(crate) fn recall(&mut self, parts: Vec<Part>, tick: Tick) -> u64 {
        self.recalled = Some(Arc::default());
        let mut unknown = 0;
        for part in parts {
            let Some(at) = self.nodes.iter().position(|node| node.context.node() == part.node) else {
                unknown += 1;
                continue;
            };
            let made = part.made;
            let batch = Batch::derived(part.into_data(), tick.arrival);
            if made {
                route(&self.nodes[at].routes, batch, &mut self.queue, &mut self.outbox);
                self.drain();
            } else {
                self.feed(at, batch);
            }
        }
        self.tick(tick);
        self.outbox.clear();
        self.recalled = None;
        unknown
    }

    /// Feeds a batch to a node and runs until nothing waits inside.
    pub(crate) fn feed(&mut self, node: usize, batch: Batch) {
        if let Some(kept) = self.kept.as_mut().filter(|_| self.recalled.is_none()) {
            kept.extend(Part::new(self.nodes[node].context.node(), false, &batch.data));
        }
        self.queue.push_back((node, batch));
        self.drain();
    }

    /// Routes a batch that comes from outside along the given routes, then runs.
    pub(crate) fn enter(&mut self, routes: &[Route], batch: Batch) {
        route(routes, batch, &mut self.queue, &mut self.outbox);
        self.drain();
    }

    /// Shows the tap a batch that comes from outside.
    pub(crate) fn observe(&mut self, batch: &Batch) {
        if let Some(observe) = &mut self.observe {
            observe(batch, Signals::NONE);
        }
    }

    /// Takes the next batch that leaves the stage.
    pub(crate) fn pop(&mut self) -> Option<(Target, Batch)> {
        self.outbox.pop_front()
    }

    fn drain(&mut self) {
        while let Some((at, batch)) = self.queue.pop_front() {
            self.process(at, batch);
        }
    }

    fn process(&mut self, at: usize, batch: Batch) {
        let node = &mut self.nodes[at];
        if !node.accepts.has(batch.data.signal()) {
            route(&node.routes, batch, &mut self.queue, &mut self.outbox);
            return;
        }
        let (items, arrival) = (batch.data.items(), batch.arrival);
        let stats = Arc::clone(self.recalled.as_ref().unwrap_or(node.context.stats()));
        stats.accept(items);
        let mut hold = UnixNano::MAX;
        let mut out = Emit::new(&mut self.emitted, &stats, arrival, &mut hold).recalling(self.recalled.is_some());
        let result = node.processor.process(batch, &mut out);
        stats.held.store(node.processor.held(), Ordering::Relaxed);
        if let Err(error) = result {
            self.emitted.clear();
            let node = node.context.node();
            let reason = if let NodeError::Rejected { reason, .. } = error { reason } else { "error" };
            stats.drop_items(reason, items);
            tracing::warn!(node, %error, dropped = items, "batch rejected");
        }
        self.route_emitted(at);
    }

    /// Gives every node the tick, in topological order; what a node emits reaches the nodes behind it before their own
    /// tick. Returns the watermark that holds behind the stage.
    pub(crate) fn tick(&mut self, tick: Tick) -> UnixNano {
        let mut marks = Vec::with_capacity(self.nodes.len());
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            let before = node.sources.iter().map(|&source: &usize| marks[source]).min();
            let watermark = before.unwrap_or(UnixNano::MAX).min(tick.watermark);
            let stats = Arc::clone(self.recalled.as_ref().unwrap_or(node.context.stats()));
            let mut hold = UnixNano::MAX;
            let now = Tick { arrival: tick.arrival, watermark };
            let mut out =
                Emit::new(&mut self.emitted, &stats, tick.arrival, &mut hold).recalling(self.recalled.is_some());
            let result = node.processor.tick(now, &mut out);
            stats.held.store(node.processor.held(), Ordering::Relaxed);
            if let Err(error) = result {
                tracing::warn!(node = node.context.node(), %error, "tick failed");
            }
            marks.push(if tick.is_last() { UnixNano::MAX } else { watermark.min(hold) });
            self.route_emitted(at);
            self.drain();
        }
        marks.into_iter().min().unwrap_or(tick.watermark)
    }

    fn route_emitted(&mut self, at: usize) {
        let node = &self.nodes[at];
        while let Some(batch) = self.emitted.pop_front() {
            let made = Part::new(node.context.node(), true, &batch.data);
            let made = made.filter(|_| !node.accepts.has(batch.data.signal()));
            if self.recalled.is_some() {
                // The slices that a node made then are told as they were then.
                if made.is_some() {
                    continue;
                }
            } else {
                if let Some(observe) = &mut self.observe {
                    observe(&batch, node.accepts);
                }
                if let Some(kept) = &mut self.kept {
                    kept.extend(made);
                }
            }
            route(&node.routes, batch, &mut self.queue, &mut self.outbox);
        }
    }

    /// Puts changed configurations into force. Names of the nodes that had to be rebuilt are returned.
    pub(crate) fn reconfigure(&mut self, changed: &[Change]) -> Vec<String> {
        let mut rebuilt = Vec::new();
        for (at, config) in changed {
            let node = &mut self.nodes[*at];
            if node.processor.reconfigure(config.as_any()) == Reconfigured::Live {
                continue;
            }
            let lost = node.processor.held();
            match config.build(&node.context) {
                Ok(processor) => {
                    node.context.stats().drop_items("rebuilt", lost);
                    node.processor = processor;
                    node.context.stats().held.store(0, Ordering::Relaxed);
                    rebuilt.push(node.context.node().to_owned());
                }
                Err(error) => tracing::error!(node = node.context.node(), %error, "kept the old configuration"),
            }
        }
        rebuilt
    }
}

/// Sends shares of a batch along every route that carries its signal; the last one gets the batch itself. A batch that
/// no route wants has done its work: it counts as delivered.
fn route(routes: &[Route], batch: Batch, queue: &mut VecDeque<(usize, Batch)>, outbox: &mut VecDeque<(Target, Batch)>) {
    let signal = batch.data.signal();
    let mut wanted = routes.iter().filter(|route| route.signals.has(signal)).peekable();
    if wanted.peek().is_none() {
        batch.ack.delivered();
        return;
    }
    let mut batch = Some(batch);
    while let Some(route) = wanted.next() {
        let share = if wanted.peek().is_some() { batch.clone() } else { batch.take() };
        let Some(share) = share else { return };
        match route.target {
            Target::Local(node) => queue.push_back((node, share)),
            target => outbox.push_back((target, share)),
        }
    }
}
