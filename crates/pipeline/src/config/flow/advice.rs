//! What to put before a node that receives nothing: found in the tables, by the default configuration of each kind.

use backtrail_model::signal::{Signal, Signals};
use serde_json::Value;

use crate::node::{Components, Scope};

/// A processor of the table with the signals of its defaults.
struct Candidate {
    name: &'static str,
    scope: Scope,
    accepts: Signals,
    emits: Signals,
}

/// A hint for a node that accepts `wanted` where only `present` arrives.
pub(super) fn remedy(components: &Components, wanted: Signals, present: Signals, pipeline: &str) -> String {
    let chain = chain(&candidates(components), wanted, present);
    if !chain.is_empty() {
        return format!("put {} before it in pipeline '{pipeline}'", chain.join(", then "));
    }
    let receivers: Vec<&str> = components
        .receivers
        .iter()
        .filter(|kind| (kind.parse)(Value::Null).is_ok_and(|config| !config.emits().common(wanted).is_empty()))
        .map(|kind| kind.name)
        .collect();
    if !receivers.is_empty() {
        return format!(
            "add a receiver of {} to pipeline '{pipeline}': {}",
            super::or_list(wanted),
            receivers.join(", ")
        );
    }
    let arrives = if present.is_empty() { "nothing".to_owned() } else { present.to_string() };
    format!("only {arrives} arrives here; take it out of pipeline '{pipeline}' or put it behind what makes its input")
}

fn candidates(components: &Components) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = components
        .processors
        .iter()
        .filter_map(|kind| {
            let config = (kind.parse)(Value::Null).ok()?;
            Some(Candidate { name: kind.name, scope: kind.scope, accepts: config.accepts(), emits: config.emits() })
        })
        .collect();
    // The earlier stages first, so that a chain never runs backwards through the scopes.
    candidates.sort_by_key(|candidate| candidate.scope);
    candidates
}

/// The shortest chain of processors that makes one of `wanted` out of `present`.
fn chain(candidates: &[Candidate], wanted: Signals, present: Signals) -> Vec<&'static str> {
    // For each signal that could be made: who makes it, and out of which signal.
    let mut made: Vec<(Signal, &Candidate, Signal)> = Vec::new();
    let mut available = present;
    while available.common(wanted).is_empty() {
        let mut next = available;
        for candidate in candidates {
            let Some(from) = candidate.accepts.common(available).iter().next() else { continue };
            // What it only observes comes out when it goes in; the rest is its own work.
            for signal in candidate.emits.without(candidate.accepts).without(next).iter() {
                made.push((signal, candidate, from));
                next = next.and(Signals::of(&[signal]));
            }
        }
        if next == available {
            return Vec::new();
        }
        available = next;
    }
    let mut names = Vec::new();
    let mut goal = available.common(wanted).iter().next();
    while let Some((_, candidate, from)) = goal.and_then(|goal| made.iter().find(|(signal, ..)| *signal == goal)) {
        names.insert(0, candidate.name);
        goal = Some(*from);
    }
    names
}
