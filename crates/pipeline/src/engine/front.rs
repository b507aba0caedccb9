//! In front of the shards: stateless nodes in the receiver's own task, the exchange, and the clocks of the inputs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backtrail_model::data::{Batch, Data};
use backtrail_model::ids::TraceId;
use backtrail_model::log::LogBatch;
use backtrail_model::signal::Signal;
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::{Tick, UnixNano};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::gather::GatherMessage;
use super::plan::{Route, Target};
use super::shard::{Changes, ShardMessage};
use super::stage::Stage;
use crate::context::{Inlet, Sending, Shared};

/// What all receivers of a graph send into.
pub(crate) struct Front {
    /// Copies of the front stage; a send takes one for the time of a call. Writers of the lock are reloads: they pause
    /// the exchange while no send is under way.
    pub(crate) pool: tokio::sync::RwLock<Mutex<Vec<Stage>>>,
    pub(crate) shards: Vec<mpsc::Sender<ShardMessage>>,
    pub(crate) gather: Option<mpsc::Sender<GatherMessage>>,
    pub(crate) exporters: Vec<mpsc::Sender<Batch>>,
    pub(crate) shared: Arc<Shared>,
    /// Arrival clock of each replayed input.
    pub(crate) clocks: Vec<AtomicU64>,
    /// The last tick that was sent; ticks go out one at a time and never backwards.
    pub(crate) ticked: tokio::sync::Mutex<UnixNano>,
    /// Fired when a thread behind is gone: nothing can be taken any more.
    pub(crate) stop: watch::Sender<bool>,
}

/// One receiver's way in.
pub(crate) struct ReceiverInlet {
    pub(crate) front: Arc<Front>,
    pub(crate) input: usize,
    pub(crate) routes: Vec<Route>,
}

impl Inlet for ReceiverInlet {
    fn send(&self, batch: Batch) -> Sending<'_> {
        Box::pin(self.front.send(&self.routes, batch))
    }

    fn wants(&self, signal: Signal) -> bool {
        self.routes.iter().any(|route| route.signals.has(signal))
    }

    fn advance(&self, arrival: UnixNano) -> Sending<'_> {
        Box::pin(self.front.advance(self.input, arrival))
    }
}

impl Front {
    async fn send(&self, routes: &[Route], batch: Batch) {
        let mut leaving = Vec::new();
        {
            let pool = self.pool.read().await;
            // There is a copy for every thread that can be here at a time, so the pool runs dry only for an instant.
            let mut stage = loop {
                if let Some(stage) = pool.lock().pop() {
                    break stage;
                }
                tokio::task::yield_now().await;
            };
            stage.enter(routes, batch);
            while let Some(out) = stage.pop() {
                leaving.push(out);
            }
            pool.lock().push(stage);
        }
        for (target, batch) in leaving {
            self.dispatch(target, batch).await;
        }
    }

    async fn dispatch(&self, target: Target, batch: Batch) {
        let taken = match target {
            Target::Exporter(exporter) => self.exporters[exporter].send(batch).await.is_ok(),
            Target::Shards(node) => self.exchange(node, batch).await,
            Target::Global(entry) => match &self.gather {
                Some(gather) => gather.send(GatherMessage::Batch(entry, batch)).await.is_ok(),
                None => false,
            },
            Target::Local(_) => false,
        };
        if !taken {
            tracing::error!("a pipeline thread is gone: stopping");
            self.stop.send_replace(true);
        }
    }

    /// Sends each shard its part of a batch: one message a shard.
    async fn exchange(&self, node: usize, batch: Batch) -> bool {
        if self.shards.len() == 1 {
            return self.shards[0].send(ShardMessage::Batch(node, batch)).await.is_ok();
        }
        let Some(parts) = split(&batch.data, self.shards.len(), &self.shared.symbols) else {
            return self.shards[0].send(ShardMessage::Batch(node, batch)).await.is_ok();
        };
        let parts: Vec<(usize, Vec<u32>)> =
            parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()).collect();
        let mut ok = true;
        let last = parts.len().saturating_sub(1);
        let mut ack = Some(batch.ack);
        for (i, (shard, part)) in parts.into_iter().enumerate() {
            let share = if i == last { ack.take() } else { ack.clone() };
            let Some(ack) = share else { break };
            let data = match &batch.data {
                Data::Logs(logs, _) => Data::Logs(Arc::clone(logs), Some(part.into())),
                Data::Spans(spans, _) => Data::Spans(Arc::clone(spans), Some(part.into())),
                _ => break,
            };
            let message = ShardMessage::Batch(node, Batch { data, arrival: batch.arrival, ack });
            ok &= self.shards[shard].send(message).await.is_ok();
        }
        if let Some(ack) = ack {
            // Nothing in it: an empty request is a success.
            ack.delivered();
        }
        ok
    }

    /// A replayed input's clock moves: the graph's clock is the least of them.
    async fn advance(&self, input: usize, arrival: UnixNano) {
        let Some(clock) = self.clocks.get(input) else { return };
        clock.fetch_max(arrival.0, Ordering::AcqRel);
        let least = UnixNano(self.clocks.iter().map(|c| c.load(Ordering::Acquire)).min().unwrap_or(0));
        if least != UnixNano::MAX {
            self.shared.clock().advance(least);
            self.tick(least).await;
        }
    }

    /// An input has ended: it holds back nobody any more.
    pub(crate) async fn finish(&self, input: usize) {
        self.advance(input, UnixNano::MAX).await;
    }

    /// Sends the tick of arrival time `now` to every shard.
    pub(crate) async fn tick(&self, now: UnixNano) {
        let mut last = self.ticked.lock().await;
        if now <= *last {
            return;
        }
        *last = now;
        let watermark = now.minus(self.shared.allowed_lateness);
        for shard in &self.shards {
            let tick = Tick { arrival: now, watermark };
            drop(shard.send(ShardMessage::Tick(tick)).await);
        }
        if let Some(gather) = &self.gather {
            drop(gather.send(GatherMessage::Watermark { source: self.shards.len(), watermark }).await);
        }
    }

    /// Puts changed configurations into force while the exchange is paused; names of rebuilt nodes are returned.
    pub(crate) async fn reconfigure(&self, front: &Changes, shard: &Changes, global: &Changes) -> Vec<String> {
        let pool = self.pool.write().await;
        let mut rebuilt: Vec<String> = pool.lock().iter_mut().flat_map(|stage| stage.reconfigure(front)).collect();
        let (tx, mut rx) = mpsc::channel(self.shards.len() + 1);
        if !shard.is_empty() {
            for sender in &self.shards {
                drop(sender.send(ShardMessage::Reconfigure(Arc::clone(shard), tx.clone())).await);
            }
        }
        if let (Some(gather), false) = (&self.gather, global.is_empty()) {
            drop(gather.send(GatherMessage::Reconfigure(Arc::clone(global), tx.clone())).await);
        }
        drop(tx);
        while let Some(names) = rx.recv().await {
            rebuilt.extend(names);
        }
        rebuilt.sort();
        rebuilt.dedup();
        rebuilt
    }
}

/// Indices of a batch's records by shard, in order. `None` for what is not split.
fn split(data: &Data, shards: usize, symbols: &Symbols) -> Option<Vec<Vec<u32>>> {
    match data {
        Data::Spans(batch, selected) => {
            let shard = |index: usize| batch.trace_ids[index].shard(shards);
            Some(parts(batch.records.len(), selected.as_deref(), shards, shard))
        }
        Data::Logs(batch, selected) => {
            Some(parts(batch.records.len(), selected.as_deref(), shards, shards_of_logs(batch, shards, symbols)))
        }
        _ => None,
    }
}

fn parts(
    count: usize,
    selected: Option<&[u32]>,
    shards: usize,
    mut shard_of: impl FnMut(usize) -> usize,
) -> Vec<Vec<u32>> {
    let mut parts: Vec<Vec<u32>> = vec![Vec::with_capacity(count / shards + 8); shards];
    let mut put = |index: u32| parts[shard_of(index as usize)].push(index);
    match selected {
        Some(selected) => selected.iter().copied().for_each(&mut put),
        None => (0..count as u32).for_each(&mut put),
    }
    parts
}

/// A log record goes where its trace is; one without a trace by the name of its service.
fn shards_of_logs<'a>(batch: &'a LogBatch, shards: usize, symbols: &'a Symbols) -> impl FnMut(usize) -> usize + 'a {
    // Records of a service lie together, so its name is asked for once in a row of them.
    let mut known: Option<(Symbol, usize)> = None;
    move |index| {
        let record = &batch.records[index];
        if record.trace_id.is_valid() {
            return record.trace_id.shard(shards);
        }
        match known {
            Some((service, shard)) if service == record.service => shard,
            _ => {
                let name = symbols.resolve(SymbolKind::Service, record.service);
                let shard = TraceId::shard_of_name(&name, shards);
                known = Some((record.service, shard));
                shard
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use backtrail_model::log::LogRecord;

    use super::*;

    fn logs(symbols: &Symbols, services: &[&str]) -> LogBatch {
        let mut batch = LogBatch::default();
        for (n, name) in services.iter().enumerate() {
            let service = symbols.intern(SymbolKind::Service, name);
            let trace_id = TraceId((n as u128 + 1).to_be_bytes());
            batch.records.push(LogRecord { service, trace_id, ..LogRecord::default() });
            batch.records.push(LogRecord { service, ..LogRecord::default() });
        }
        batch
    }

    #[test]
    fn a_log_record_goes_to_its_trace_or_to_the_shard_of_its_service() {
        let symbols = Symbols::new(100);
        let batch = Arc::new(logs(&symbols, &["cart", "payment", "cart", "shop"]));
        for shards in [2, 3, 8] {
            let parts = split(&Data::Logs(Arc::clone(&batch), None), shards, &symbols).expect("logs are split");
            for (shard, part) in parts.iter().enumerate() {
                assert!(part.is_sorted());
                for &index in part {
                    let record = &batch.records[index as usize];
                    let name = symbols.resolve(SymbolKind::Service, record.service);
                    let by_name = TraceId::shard_of_name(&name, shards);
                    let expected = if index % 2 == 0 { record.trace_id.shard(shards) } else { by_name };
                    assert_eq!(shard, expected, "record {index} of {shards} shards");
                }
            }
            assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 8);
        }
    }

    #[test]
    fn only_the_selected_records_are_split() {
        let symbols = Symbols::new(100);
        let batch = Arc::new(logs(&symbols, &["cart", "payment"]));
        let parts = split(&Data::Logs(batch, Some(Arc::from([1, 3]))), 4, &symbols).expect("logs are split");
        let mut indices = parts.concat();
        indices.sort_unstable();
        assert_eq!(indices, [1, 3]);
    }
}
