//! The task of one exporter: takes batches, retries what is away, drops what can never be taken, flushes on a timer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backtrail_model::data::Batch;
use tokio::sync::{mpsc, watch};

use crate::context::Context;
use crate::node::{Exporter, NodeError};

const FLUSH_EVERY: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// A batch that could not be delivered for so long is given up, so that one dead target cannot stop a graph for ever.
const GIVE_UP_AFTER: Duration = Duration::from_mins(5);

/// Runs an exporter until its channel closes, then flushes it for the last time.
///
/// # Errors
/// The last flush's error: data is where `Exporter::held` says, not where it should be.
pub(crate) async fn run(
    mut exporter: Box<dyn Exporter>,
    context: Context,
    mut inbox: mpsc::Receiver<Batch>,
    mut gave_up: watch::Receiver<bool>,
) -> Result<(), NodeError> {
    let mut timer = tokio::time::interval(FLUSH_EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = inbox.recv() => match batch {
                Some(batch) => take(&mut exporter, &context, batch, &mut gave_up).await,
                None => break,
            },
            _ = timer.tick() => {
                if let Err(error) = exporter.flush(false).await {
                    tracing::warn!(node = context.node(), %error, "flush failed; will try again");
                }
                context.stats().held.store(exporter.held(), Ordering::Relaxed);
            }
        }
    }
    let result = exporter.flush(true).await;
    context.stats().held.store(exporter.held(), Ordering::Relaxed);
    result
}

async fn take(exporter: &mut Box<dyn Exporter>, context: &Context, batch: Batch, gave_up: &mut watch::Receiver<bool>) {
    let stats = context.stats();
    let items = batch.data.items();
    stats.accept(items);
    let (mut wait, mut waited) = (FIRST_RETRY, Duration::ZERO);
    loop {
        match exporter.export(&batch).await {
            Ok(()) => {
                batch.ack.delivered();
                break;
            }
            Err(error @ NodeError::Unavailable { .. }) if waited < GIVE_UP_AFTER && !*gave_up.borrow() => {
                tracing::warn!(node = context.node(), %error, retry_in = ?wait, "not delivered");
                stats.note("retries", 1);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = gave_up.wait_for(|&given| given) => {}
                }
                waited += wait;
                wait = (wait * 2).min(LONGEST_RETRY);
            }
            Err(error) => {
                let rejected = matches!(error, NodeError::Rejected { .. });
                let reason = if let NodeError::Rejected { reason, .. } = error { reason } else { "unavailable" };
                stats.drop_items(reason, items);
                tracing::warn!(node = context.node(), %error, dropped = items, "batch dropped");
                if rejected {
                    batch.ack.rejected();
                } else {
                    batch.ack.failed();
                }
                break;
            }
        }
    }
    stats.held.store(exporter.held(), Ordering::Relaxed);
}
