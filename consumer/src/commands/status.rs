//! `backtrail-consumer status`: what waits, what was decided, whether the journals are intact.

use std::collections::BTreeMap;

use serde_json::json;

use super::{existing, now};
use crate::cli::{Exit, Failure, Out, Status};

/// Most remediations that are listed.
const MOST_LISTED: u64 = 50;

/// Runs the command. A journal that was changed is a problem that was found.
pub(crate) fn run(args: &Status, out: &mut Out) -> Result<Exit, Failure> {
    let store = existing(&args.data)?;
    let inbox = store.inbox(now())?;
    let states: BTreeMap<_, _> = store.by_state()?.into_iter().collect();
    let rows = store.remediations(MOST_LISTED)?;
    let letters = store.dead_letters()?.len();
    let counters: BTreeMap<_, _> = store.counters()?.into_iter().collect();
    let tampered: Vec<_> = store.tampered()?.iter().map(ToString::to_string).collect();
    let exit = if tampered.is_empty() { Exit::Ok } else { Exit::Problem };
    if args.json {
        out.json(&json!({ "inbox": inbox, "states": states, "remediations": rows, "dead_letters": letters,
            "counters": counters, "tampered": tampered }))?;
        return Ok(exit);
    }
    out.line(&format!(
        "inbox: {} waiting ({} after a failure, {} in work), {} done, {} dead",
        inbox.waiting, inbox.retrying, inbox.leased, inbox.done, inbox.dead
    ))?;
    let states: Vec<_> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    out.line(&format!("remediations: {}", if states.is_empty() { "none".into() } else { states.join(", ") }))?;
    for row in &rows {
        out.line(&format!(
            "  {}  {:<13}  {}, incident {}, revision {}",
            row.id, row.state, row.service, row.incident, row.revision
        ))?;
    }
    out.line(&format!("dead letters: {letters}"))?;
    let counters: Vec<_> = counters.iter().map(|(name, n)| format!("{name} {n}")).collect();
    out.line(&format!("counted: {}", counters.join(", ")))?;
    for wrong in &tampered {
        out.line(&format!("TAMPERED: {wrong}"))?;
    }
    Ok(exit)
}
