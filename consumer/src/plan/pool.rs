//! Recipe `pool_size`: a pool that is smaller than what is in flight makes requests wait for each other.

use super::load::is_saturated;
use super::needs::Needs;
use backtrail_model::patch_request::{EdgeLoad, PatchRequest};

use super::place::find;
use super::{Found, draft_of_setting};
use crate::candidate::{Kind, Mechanism, Origin, Proposal};
use crate::context::Context;

/// Room above what is in flight at the 95th percentile.
const ROOM: f64 = 1.5;
/// A pool grows by this factor at most: more is a question of capacity, for people.
const MOST_GROWTH: f64 = 16.0;

/// Uses in the window, a second, and at a time by Little's law. What wants a connection comes in, whether or not it gets
/// one: the calls into the suspect.
fn in_flight(request: &PatchRequest, held: &EdgeLoad) -> (u64, f64, f64) {
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let wanted = load.iter().filter(|load| load.to == *suspect).map(|load| load.calls).sum::<u64>().max(held.calls);
    let rate = wanted as f64 / held.seconds;
    (wanted, rate, rate * held.served_p95_ms.max(1.0) / 1000.0)
}

/// Whether a pool of this size is smaller than what is in flight: a larger one that runs dry is not given back to.
pub(super) fn is_too_small(request: &PatchRequest, size: f64) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    let held = request.telemetry_summary.load.iter().filter(|load| load.from == *suspect).max_by_key(|load| load.calls);
    held.is_some_and(|held| held.seconds > 0.0 && !is_saturated(held) && size < ROOM * in_flight(request, held).2)
}

pub(super) fn size(context: &Context) -> Found {
    let request = &context.request;
    if !Needs::of(request).pool {
        return Err("telemetry does not speak of a pool that ran out".into());
    }
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let held = load.iter().filter(|load| load.from == *suspect).max_by_key(|load| load.calls);
    let Some(held) = held.filter(|held| held.seconds > 0.0) else {
        return Err("the load on what the pool is for is not known".into());
    };
    if is_saturated(held) {
        return Err(format!("{} is saturated: a larger pool would make it worse", held.to));
    }
    let place = find(context, &held.to, |words, setting| {
        let any = |kind: &[&str]| words.iter().any(|word| kind.contains(&word.as_str()));
        let pool =
            any(&["pool", "connections", "connection", "conns", "sessions", "leases", "slots", "permits", "workers"]);
        let bound = any(&["size", "max", "maximum", "limit", "capacity", "keep", "count"])
            || words
                .last()
                .is_some_and(|word| matches!(word.as_str(), "connections" | "conns" | "sessions" | "workers"));
        pool && bound && setting.value.parse::<u64>().is_ok_and(|value| value > 0)
    })?;
    let (wanted, rate, in_flight) = in_flight(request, held);
    let value = (ROOM * in_flight).ceil();
    let now: u64 = place.setting.value.parse().unwrap_or(1);
    let computation = vec![
        format!(
            "{wanted} uses in {:.0} s = {rate:.1} a second, {:.0} ms each (p95 of {})",
            held.seconds, held.served_p95_ms, held.to
        ),
        format!("in flight (Little's law) = {rate:.1} * {:.3} s = {in_flight:.1}", held.served_p95_ms / 1000.0),
        format!("size = ceil({ROOM} * {in_flight:.1}) = {value:.0}"),
    ];
    if value <= now as f64 {
        return Err(format!("{} is large enough: {}", place.says(), computation.join("; ")));
    }
    if value > MOST_GROWTH * now as f64 {
        return Err(format!(
            "{} would have to grow more than {MOST_GROWTH}-fold: {}",
            place.says(),
            computation.join("; ")
        ));
    }
    let proposal = Proposal {
        recipe: "pool_size".into(),
        tier: 1,
        kind: Kind::Config,
        origin: Origin::Recipe,
        title: format!("Raise {} to {value:.0}", place.setting.name()),
        why: vec![format!("requests wait for {}", place.says()), format!("{} has room", held.to)],
        computation,
        mechanism: Mechanism {
            metric: "pool_wait_ms".into(),
            now: String::new(),
            claim: "falls to next to nothing".into(),
        },
        risk: format!("{} gets up to {value:.0} calls at a time", held.to),
        undo: format!("set it to {now} again"),
        authors: Vec::new(),
        flag: String::new(),
        tests: Vec::new(),
    };
    draft_of_setting(&place, &format!("{value:.0}"), proposal)
}
