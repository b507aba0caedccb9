//! A shard: a plain thread with its own copy of every `Trace` node, fed by a bounded channel.

use std::sync::Arc;

use backtrail_model::data::Batch;
use backtrail_model::time::{Tick, UnixNano};
use tokio::sync::mpsc;

use super::gather::GatherMessage;
use super::plan::Target;
use super::stage::{Change, Stage};

/// A set of changed processor configurations, by position in the stage.
pub(crate) type Changes = Arc<Vec<Change>>;

/// What a shard is sent.
pub(crate) enum ShardMessage {
    /// Data for a node.
    Batch(usize, Batch),
    /// Both clocks.
    Tick(Tick),
    /// Changed configurations; names of rebuilt nodes are sent back.
    Reconfigure(Changes, mpsc::Sender<Vec<String>>),
}

/// Where a shard sends what leaves it.
pub(crate) struct ShardOutlets {
    pub(crate) index: usize,
    pub(crate) gather: Option<mpsc::Sender<GatherMessage>>,
    pub(crate) exporters: Vec<mpsc::Sender<Batch>>,
}

/// Runs a shard until its channel closes; then everything open is closed.
pub(crate) fn run(mut stage: Stage, mut inbox: mpsc::Receiver<ShardMessage>, outlets: &ShardOutlets) {
    let mut last_mark = UnixNano(0);
    while let Some(message) = inbox.blocking_recv() {
        match message {
            ShardMessage::Batch(node, batch) => {
                stage.feed(node, batch);
                outlets.send(&mut stage);
            }
            ShardMessage::Tick(tick) => {
                let mark = stage.tick(tick);
                outlets.send(&mut stage);
                if mark > last_mark {
                    last_mark = mark;
                    outlets.watermark(mark);
                }
            }
            ShardMessage::Reconfigure(changes, done) => {
                let rebuilt = stage.reconfigure(&changes);
                // The one who asked may be gone (shutdown): then nobody needs the names.
                let _ = done.blocking_send(rebuilt);
            }
        }
    }
    stage.tick(Tick::LAST);
    outlets.send(&mut stage);
    outlets.watermark(UnixNano::MAX);
}

impl ShardOutlets {
    fn send(&self, stage: &mut Stage) {
        while let Some((target, batch)) = stage.pop() {
            // A closed channel means that the receiving side died; dropping the batch fails its ack.
            match target {
                Target::Exporter(exporter) => drop(self.exporters[exporter].blocking_send(batch)),
                Target::Global(entry) => {
                    if let Some(gather) = &self.gather {
                        drop(gather.blocking_send(GatherMessage::Batch(entry, batch)));
                    }
                }
                Target::Local(_) | Target::Shards(_) => tracing::error!("bug: a shard cannot send to the front"),
            }
        }
    }

    fn watermark(&self, watermark: UnixNano) {
        if let Some(gather) = &self.gather {
            drop(gather.blocking_send(GatherMessage::Watermark { source: self.index, watermark }));
        }
    }
}
