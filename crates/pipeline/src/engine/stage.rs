//! A chain (or small DAG) of processors that runs inside one thread, with no channel between its nodes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backtrail_model::data::Batch;
use backtrail_model::signal::Signals;
use backtrail_model::time::{Tick, UnixNano};

use super::plan::{Route, Target};
use crate::context::Context;
use crate::emit::Emit;
use crate::node::{Configured, NodeError, Processor, Reconfigured};

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
}

/// A changed processor: its position in the stage and its new configuration.
pub(crate) type Change = (usize, Arc<dyn Configured<dyn Processor>>);

/// Sees each batch that a node emits, with the signals the node itself accepts.
pub(crate) type Observe = Box<dyn FnMut(&Batch, Signals) + Send>;

impl Stage {
    pub(crate) fn new(nodes: Vec<StageNode>) -> Self {
        Self { nodes, queue: VecDeque::new(), emitted: VecDeque::new(), outbox: VecDeque::new(), observe: None }
    }

    pub(crate) fn observed(mut self, observe: Option<Observe>) -> Self {
        self.observe = observe;
        self
    }

    /// Feeds a batch to a node and runs until nothing waits inside.
    pub(crate) fn feed(&mut self, node: usize, batch: Batch) {
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
        let stats = Arc::clone(node.context.stats());
        stats.accept(items);
        let mut hold = UnixNano::MAX;
        let result = node.processor.process(batch, &mut Emit::new(&mut self.emitted, &stats, arrival, &mut hold));
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
            let stats = Arc::clone(node.context.stats());
            let mut hold = UnixNano::MAX;
            let now = Tick { arrival: tick.arrival, watermark };
            let result = node.processor.tick(now, &mut Emit::new(&mut self.emitted, &stats, tick.arrival, &mut hold));
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
            if let Some(observe) = &mut self.observe {
                observe(&batch, node.accepts);
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
