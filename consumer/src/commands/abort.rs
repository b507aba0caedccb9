//! `backtrail-consumer abort`: the operator ends a remediation.

use serde_json::json;

use super::{existing, now, one};
use crate::cli::{Abort, Exit, Failure, Out};
use crate::state::State;
use crate::step::Step;

/// Most characters of the reason.
const MOST_WHY: usize = 2000;

/// Runs the command. The work is taken away from whoever is at it; a running consumer writes the evidence, or the next.
pub(crate) fn run(args: &Abort, out: &mut Out) -> Result<Exit, Failure> {
    if args.why.chars().count() > MOST_WHY {
        return Err(Failure::usage(format!("--why has more than {MOST_WHY} characters"), "say it shorter"));
    }
    let mut store = existing(&args.data)?;
    let row = one(&store, &args.id)?;
    let ended = store.transact(|tx| {
        let chain = tx.chain(&row.id)?;
        if chain.remediation.state.is_terminal() {
            return Ok(Some(chain.remediation.state));
        }
        let lease = tx.seize(&chain.remediation.request.event_id, now())?;
        tx.append(&lease, &row.id, &Step::Cancelled { why: args.why.clone() }, now())?;
        tx.count("aborted")?;
        Ok(None)
    })?;
    if let Some(state) = ended {
        return Err(anyhow::anyhow!("{} has ended already: {}", row.id, state.name()).into());
    }
    if args.json {
        out.json(&json!({ "id": row.id, "state": State::Cancelled }))?;
    } else {
        out.line(&format!("{} is cancelled", row.id))?;
    }
    Ok(Exit::Ok)
}
