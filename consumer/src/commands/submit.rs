//! `backtrail-consumer submit`: an event by hand.

use serde_json::json;

use super::{now, read_at_most};
use crate::cli::{Exit, Failure, Out, Submit};
use crate::event::{Event, MOST_BYTES, enveloped};
use crate::redaction;
use crate::store::Store;

/// Runs the command. What cannot be used is refused here, where somebody sees it, and is no dead letter.
pub(crate) fn run(args: &Submit, out: &mut Out) -> Result<Exit, Failure> {
    let document = read_at_most(&args.file, MOST_BYTES as u64)?;
    let in_file = |refusal| anyhow::Error::new(refusal).context(format!("{}", args.file.display()));
    let bytes = enveloped(&document).map_err(in_file)?;
    let redactor = redaction::with_denied(args.deny_values.as_deref(), &[]).map_err(Failure::config)?;
    let bytes = crate::intake::clean(&redactor, bytes);
    let event = Event::parse(&bytes).map_err(in_file)?;
    let mut store = Store::open(&args.data.data_dir)?;
    let new = store.transact(|tx| tx.insert(&event.id, &bytes, now()))?;
    if args.json {
        out.json(&json!({ "event": event.id, "new": new }))?;
    } else if new {
        out.line(&format!("event {} waits in the inbox", event.id))?;
    } else {
        out.line(&format!("event {} is there already", event.id))?;
    }
    Ok(Exit::Ok)
}
