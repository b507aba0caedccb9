//! The gather and the global thread: slices are released in order, whole, when the watermark of every source passed them.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::time::{Slice, SliceGrid, Tick, UnixNano};
use tokio::sync::mpsc;

use super::checkpoint::{Keeper, Kept};
use super::plan::{GlobalEntry, Target};
use super::shard::Changes;
use super::stage::Stage;

/// What the global thread is sent.
pub(crate) enum GatherMessage {
    /// Data from a shard or the front.
    Batch(GlobalEntry, Batch),
    /// The source (a shard, or the front as the last index) will send no slice that ends at or before this time.
    Watermark { source: usize, watermark: UnixNano },
    /// Changed configurations; names of rebuilt nodes are sent back.
    Reconfigure(Changes, mpsc::Sender<Vec<String>>),
}

/// The global thread's state.
pub(crate) struct Gather {
    grid: SliceGrid,
    lateness: std::time::Duration,
    stage: Stage,
    exporters: Vec<mpsc::Sender<Batch>>,
    marks: Vec<UnixNano>,
    /// Parts of slices that are not complete yet, in the order they came.
    pending: BTreeMap<Slice, Vec<(GlobalEntry, Batch)>>,
    /// The next slice to close, once any was closed.
    next: Option<Slice>,
    /// The first slice that metrics may fall into: they come as they were received, so without it a graph that is sent
    /// nothing else would close nothing.
    raw_from: Option<Slice>,
    /// Keeps closed slices for a restart.
    keeper: Option<Keeper>,
}

/// A gap longer than this many slices is jumped instead of ticked through.
const LONG_GAP: u64 = 100_000;

impl Gather {
    pub(crate) fn new(
        grid: SliceGrid,
        lateness: std::time::Duration,
        stage: Stage,
        sources: usize,
        exporters: Vec<mpsc::Sender<Batch>>,
    ) -> Self {
        let marks = vec![UnixNano(0); sources];
        Self {
            grid,
            lateness,
            stage,
            exporters,
            marks,
            pending: BTreeMap::new(),
            next: None,
            raw_from: None,
            keeper: None,
        }
    }

    /// Tells the nodes the past, and keeps what comes from now on.
    pub(crate) fn remember(mut self, past: Vec<Kept>, keeper: Keeper) -> Self {
        let (mut slices, mut unknown) = (0, 0);
        for kept in past {
            unknown += self.stage.recall(kept.parts, self.tick_at(kept.slice));
            slices += 1;
        }
        keeper.recalled(slices, unknown);
        self.stage.keep_slices();
        self.keeper = Some(keeper);
        self
    }

    /// The tick that closes a slice.
    fn tick_at(&self, slice: Slice) -> Tick {
        let end = self.grid.end(slice);
        Tick { arrival: end.plus(self.lateness), watermark: end }
    }

    /// Runs until every source is gone; then the rest is released and everything closes.
    pub(crate) fn run(mut self, mut inbox: mpsc::Receiver<GatherMessage>) {
        while let Some(message) = inbox.blocking_recv() {
            match message {
                GatherMessage::Batch(entry, batch) => self.take(entry, batch),
                GatherMessage::Watermark { source, watermark } => {
                    self.marks[source] = self.marks[source].max(watermark);
                    let least = self.marks.iter().copied().min().unwrap_or_default();
                    if least != UnixNano::MAX {
                        self.release(least);
                    }
                }
                GatherMessage::Reconfigure(changes, done) => {
                    let rebuilt = self.stage.reconfigure(&changes);
                    let _ = done.blocking_send(rebuilt);
                }
            }
        }
        while let Some(&slice) = self.pending.keys().next_back() {
            self.release(self.grid.end(slice));
        }
        self.stage.tick(Tick::LAST);
        self.send();
    }

    fn take(&mut self, entry: GlobalEntry, batch: Batch) {
        let Some(slice) = slice_of(&batch.data) else {
            if self.raw_from.is_none() && matches!(batch.data, Data::Metrics(_)) {
                self.raw_from = Some(self.grid.slice(batch.arrival.minus(self.lateness)));
            }
            self.feed(entry, batch);
            return;
        };
        if self.next.is_some_and(|next| slice < next) {
            // Its source said that the slice was closed: a bug there. Counted where it is visible, never merged late.
            tracing::error!(slice = slice.0, "bug: a slice came after its watermark");
            return;
        }
        self.pending.entry(slice).or_default().push((entry, batch));
    }

    /// Closes every slice that ends at or before `watermark`: its parts merged, then a tick at its end. Ticks fall on
    /// slice borders only, so that neither batch sizes nor the number of shards can be seen from a global node.
    fn release(&mut self, watermark: UnixNano) {
        let seen = || self.pending.keys().copied().chain(self.raw_from).min();
        let Some(first) = self.next.or_else(seen) else { return };
        let mut slice = first;
        while self.grid.end(slice) <= watermark {
            for (entry, batch) in merge(self.pending.remove(&slice).unwrap_or_default()) {
                self.stage.observe(&batch);
                self.feed(entry, batch);
            }
            self.stage.tick(self.tick_at(slice));
            self.send();
            if let Some(keeper) = &self.keeper {
                keeper.keep(slice, self.stage.take_kept());
            }
            slice = self.after(slice, watermark);
            self.next = Some(slice);
        }
    }

    fn after(&self, slice: Slice, watermark: UnixNano) -> Slice {
        let next = Slice(slice.0 + 1);
        let target = self.pending.keys().next().copied().unwrap_or_else(|| self.grid.slice(watermark));
        if target.0 > next.0 + LONG_GAP { target } else { next }
    }

    fn feed(&mut self, entry: GlobalEntry, batch: Batch) {
        match entry {
            GlobalEntry::Node(node) => self.stage.feed(node, batch),
            GlobalEntry::Exporter(exporter) => self.export(exporter, batch),
        }
        self.send();
    }

    fn send(&mut self) {
        while let Some((target, batch)) = self.stage.pop() {
            if let Target::Exporter(exporter) = target {
                self.export(exporter, batch);
            } else {
                tracing::error!("bug: the global thread sends to exporters only");
            }
        }
    }

    fn export(&self, exporter: usize, batch: Batch) {
        // A closed channel means that the exporter died; dropping the batch fails its ack.
        drop(self.exporters[exporter].blocking_send(batch));
    }
}

fn slice_of(data: &Data) -> Option<Slice> {
    match data {
        Data::Edges(edges) => Some(edges.slice),
        Data::Spectra(spectra) => Some(spectra.slice),
        Data::LogMotifs(motifs) => Some(motifs.slice),
        Data::MetricWindows(metrics) => Some(metrics.slice),
        _ => None,
    }
}

/// Adds up the parts of one slice: one batch an entry and kind. Sums are integers and maps are ordered, so the order of
/// the parts cannot be seen.
fn merge(parts: Vec<(GlobalEntry, Batch)>) -> Vec<(GlobalEntry, Batch)> {
    let mut merged: Vec<(GlobalEntry, Batch)> = Vec::new();
    for (entry, part) in parts {
        let signal = part.data.signal();
        let known = merged.iter_mut().find(|(at, batch)| *at == entry && batch.data.signal() == signal);
        match (known.map(|(_, batch)| &mut batch.data), &part.data) {
            (Some(Data::Edges(sum)), Data::Edges(part)) => Arc::make_mut(sum).merge(part),
            (Some(Data::Spectra(sum)), Data::Spectra(part)) => Arc::make_mut(sum).merge(part),
            (Some(Data::LogMotifs(sum)), Data::LogMotifs(part)) => Arc::make_mut(sum).merge(part),
            (Some(Data::MetricWindows(sum)), Data::MetricWindows(part)) => Arc::make_mut(sum).merge(part),
            _ => merged.push((entry, part)),
        }
    }
    merged.sort_by_key(|(entry, batch)| (*entry, batch.data.signal()));
    merged
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backtrail_model::data::RawBatch;
    use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
    use backtrail_model::signal::{Signal, Signals};
    use parking_lot::Mutex;

    use std::sync::atomic::Ordering;

    use super::*;
    use crate::context::Context;
    use crate::emit::Emit;
    use crate::engine::checkpoint::Store;
    use crate::engine::plan::Route;
    use crate::engine::stage::StageNode;
    use crate::node::{NodeError, Processor};
    use crate::service::Checkpoint;
    use crate::stats::NodeStats;

    fn part(slice: u64, count: u64) -> (GlobalEntry, Batch) {
        let mut motifs = LogMotifSlice::new(Slice(slice));
        let key = MotifKey { service: "a".into(), template: "a#1".into(), severity: 9 };
        let time = UnixNano(count);
        motifs.add(key, MotifCounts { count, in_traces: 0, first: time, last: time, example: "x".into() });
        (GlobalEntry::Exporter(0), Batch::derived(Data::LogMotifs(Arc::new(motifs)), UnixNano(0)))
    }

    #[test]
    fn the_parts_of_a_slice_of_log_motifs_become_one() {
        assert_eq!(slice_of(&part(7, 1).1.data), Some(Slice(7)));
        let merged = merge(vec![part(7, 1), part(7, 4), part(7, 2)]);
        let [(_, Batch { data: Data::LogMotifs(sum), .. })] = &merged[..] else { panic!("one slice") };
        let counts = sum.motifs.values().next().expect("a motif");
        assert_eq!((counts.count, counts.first.0, counts.last.0), (7, 1, 4));
    }

    /// Notes what it is given and told.
    struct Watcher(Arc<Mutex<Vec<String>>>);

    impl Processor for Watcher {
        fn process(&mut self, batch: Batch, _: &mut Emit<'_>) -> Result<(), NodeError> {
            self.0.lock().push(batch.data.signal().to_string());
            Ok(())
        }

        fn tick(&mut self, now: Tick, _: &mut Emit<'_>) -> Result<(), NodeError> {
            self.0.lock().push((now.watermark.0 / 1_000_000_000).to_string());
            Ok(())
        }
    }

    #[test]
    fn metrics_alone_are_ticked_from_the_first_slice_that_they_may_fall_into() {
        let seen = Arc::default();
        let node = StageNode {
            context: Context::for_test("watcher"),
            accepts: Signals::of(&[Signal::Metrics]),
            routes: Vec::new(),
            sources: Vec::new(),
            processor: Box::new(Watcher(Arc::clone(&seen))),
        };
        let grid = SliceGrid { origin: UnixNano(0), length: Duration::from_secs(15) };
        let mut gather = Gather::new(grid, Duration::from_secs(10), Stage::new(vec![node]), 1, Vec::new());
        gather.release(UnixNano(60_000_000_000));
        let metrics = Data::Metrics(RawBatch { buf: bytes::Bytes::new(), items: 1, permit: None });
        gather.take(GlobalEntry::Node(0), Batch::derived(metrics, UnixNano(100_000_000_000)));
        gather.release(UnixNano(125_000_000_000));
        assert_eq!(*seen.lock(), ["metrics", "105", "120"]);
    }

    /// Makes a slice of edges of each slice of motifs, and notes what it learns and whether that is the past.
    struct Learner(Arc<Mutex<Vec<String>>>);

    impl Processor for Learner {
        fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
            let slice = slice_of(&batch.data).expect("a slice");
            self.0.lock().push(format!(
                "{} {}{}",
                slice.0,
                batch.data.signal(),
                if out.is_recall() { " again" } else { "" }
            ));
            if matches!(batch.data, Data::LogMotifs(_)) {
                out.derive(Data::Edges(Arc::new(backtrail_model::edges::EdgeSlice::new(slice))));
            }
            out.pass(batch);
            Ok(())
        }
    }

    /// A gather with nodes that learn.
    struct School {
        gather: Gather,
        seen: Arc<Mutex<Vec<String>>>,
        stats: [Arc<NodeStats>; 2],
        left: mpsc::Receiver<Batch>,
    }

    /// A node that makes edges, one that sees both, and an exporter behind them.
    fn school(dir: &std::path::Path) -> School {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let both = Signals::of(&[Signal::LogMotifs, Signal::Edges]);
        let node = |name: &str, accepts, target| {
            let (context, seen) = (Context::for_test_in(name, dir), Arc::clone(&seen));
            let routes = vec![Route { signals: both, target }];
            StageNode { context, accepts, routes, sources: Vec::new(), processor: Box::new(Learner(seen)) }
        };
        let maker = node("maker", Signals::of(&[Signal::LogMotifs]), Target::Local(1));
        let judge = node("judge", both, Target::Exporter(0));
        let stats = [&maker, &judge].map(|node| Arc::clone(node.context.stats()));
        let (tx, left) = mpsc::channel(100);
        let grid = maker.context.grid();
        let gather = Gather::new(grid, Duration::from_secs(10), Stage::new(vec![maker, judge]), 1, vec![tx]);
        School { gather, seen, stats, left }
    }

    #[test]
    fn a_restart_tells_the_nodes_the_past_again_and_nothing_of_it_leaves() {
        let dir = tempfile::tempdir().expect("a folder");
        let cx = Context::for_test_in("x", dir.path());
        let run = |slices: std::ops::Range<u64>| {
            let School { gather, seen, stats, mut left } = school(dir.path());
            let counters = Arc::<NodeStats>::default();
            let mut store = Store::open(&Checkpoint::default(), cx.shared(), Arc::clone(&counters)).expect("opens");
            let past = store.read(UnixNano(110 * 15_000_000_000));
            let (keeper, write) = store.start();
            let mut gather = gather.remember(past, keeper);
            let told = stats.iter().map(|stats| stats.accepted.load(Ordering::Relaxed)).sum::<u64>();
            assert!(told == 0 && left.try_recv().is_err(), "the past leaves nothing behind");
            for slice in slices {
                let (_, batch) = part(slice, 1);
                gather.take(GlobalEntry::Node(0), batch);
                gather.release(cx.grid().end(Slice(slice)).plus(Duration::from_secs(1)));
            }
            drop(gather);
            write();
            let left = std::iter::from_fn(|| left.try_recv().ok()).count();
            (std::mem::take(&mut *seen.lock()), left, counters)
        };
        let (first, left, counters) = run(100..102);
        let of = |slice: u64| ["log_motifs", "edges", "log_motifs"].map(|signal| format!("{slice} {signal}"));
        assert_eq!(first.len(), 6, "{first:?}");
        assert!(of(100).iter().all(|line| first.contains(line)), "{first:?}");
        assert_eq!((left, counters.sent.load(Ordering::Relaxed)), (6, 2));
        let (second, left, counters) = run(105..106);
        let again: Vec<String> = first.iter().map(|line| format!("{line} again")).collect();
        let (mut told, mut known) = (second[..6].to_vec(), again);
        told.sort();
        known.sort();
        assert_eq!(told, known);
        assert!(second[6..].iter().all(|line| line.starts_with("105 ") && !line.ends_with("again")), "{second:?}");
        assert_eq!((left, counters.notes()["recalled_slices"]), (3, 2));
    }
}
