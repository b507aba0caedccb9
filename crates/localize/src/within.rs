//! Inside a suspect service: which stretch of its code, its network or which of its resources. Source: FUSION.md,
//! "Fusion and inner level".

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::metrics::Family;
use backtrail_model::paths::{Chain, Event};
use backtrail_model::verdict::{Entity, Score, Suspect};

use crate::findings::event_says;
use crate::inner::level;
use crate::judge::Case;
use crate::stats::settle;
use crate::structure::Region;

/// The name of what lies between a service and those that call it.
pub const NETWORK: &str = "network";

/// Code regions (kind `code`) and resources (kind `resource`) of every service with evidence, each kind ranked by itself.
///
/// The candidates of a service are its code (`C`), its network (`L a (1 - M)`, with `a` the share of gaps in its excess)
/// and its resources (`M` by family; for the processor `max(M, L (1 - a))`); each scores `score(s)` times its part of the largest of them. Code regions
/// share the code's score out by how many traces they are charged for.
pub(crate) fn suspects(case: &Case<'_>) -> Vec<Suspect> {
    let (mut code, mut resources) = (Vec::new(), Vec::new());
    for (service, parts) in &case.services {
        let (l, m) = (parts.latency, parts.resources);
        let a = case.latency.edge_share.get(service).copied().unwrap_or(0.0);
        let mut kinds = resources_of(case, service, l * (1.0 - a));
        kinds.push((NETWORK, l * a * (1.0 - m)));
        let top = kinds.iter().map(|(_, kind)| *kind).fold(parts.structure, f64::max);
        if top <= 0.0 {
            continue;
        }
        let scored = |kind: f64, share: f64| settle(parts.total * kind / top * share);
        if parts.structure > 0.0 {
            let share_of = |share| scored(parts.structure, share);
            code.extend(regions(case, service, share_of, parts.structure / top, parts.total));
        }
        for (name, kind) in kinds.into_iter().filter(|(_, kind)| *kind > 0.0) {
            let parts = [("service", parts.total), ("kind", settle(kind / top)), ("resources", m), ("gaps", a)];
            resources.push(suspect(case, entity("resource", service, name), scored(kind, 1.0), &parts));
        }
    }
    let mut out = ranked(case, code);
    out.extend(ranked(case, resources));
    out
}

/// The regions of a service; those that describe the same stretch under several entry operations are one.
fn regions(case: &Case<'_>, service: &Arc<str>, scored: impl Fn(f64) -> f64, kind: f64, total: f64) -> Vec<Suspect> {
    let mut best: BTreeMap<(&Event, &Event), (&Region, f64)> = BTreeMap::new();
    for (region, &weight) in case.structure.regions.iter().filter(|(region, _)| region.service == *service) {
        let known = best.entry((&region.before, &region.expected)).or_insert((region, 0.0));
        if weight > known.1 {
            *known = (region, weight);
        }
    }
    let most = best.values().map(|(_, weight)| *weight).fold(0.0, f64::max);
    let one = |(region, weight): (&Region, f64)| {
        let share = weight / most;
        let parts = [("service", total), ("kind", settle(kind)), ("share", settle(share))];
        suspect(case, region_entity(region), scored(share), &parts)
    };
    if most > 0.0 { best.into_values().map(one).collect() } else { Vec::new() }
}

fn region_entity(region: &Region) -> Entity {
    let name = format!("{} -> {}", short(&region.before), short(&region.expected));
    let mut entity = entity("code", &region.service, &name);
    if region.chain == Chain::Logs {
        // A statement with a code location says where it stands.
        let at = [&region.before, &region.expected].into_iter().find_map(|event| event.name.rsplit_once('#'));
        if let Some((place, line)) = at {
            place.clone_into(&mut entity.function);
            entity.line = line.parse().ok();
        }
    }
    entity
}

fn short(event: &Event) -> String {
    match &*event.name {
        name @ (Event::BEGIN | Event::END) => name.to_owned(),
        _ => event_says(event),
    }
}

/// What part M knows of each resource of the service. Excess self time without a metric is processor time: nothing
/// else of a service that is slow by itself is seen.
fn resources_of(case: &Case<'_>, service: &Arc<str>, own_time: f64) -> Vec<(&'static str, f64)> {
    let mut found: BTreeMap<&'static str, f64> = BTreeMap::from([("cpu", own_time)]);
    for (family, scores) in &case.resources.families {
        let score = scores.get(service).copied().unwrap_or(0.0);
        let best = found.entry(name_of(*family)).or_default();
        *best = score.max(*best);
    }
    found.into_iter().filter(|(_, score)| *score > 0.0).collect()
}

const fn name_of(family: Family) -> &'static str {
    match family {
        Family::Cpu => "cpu",
        Family::Memory => "memory",
        Family::Pools => "pool",
        Family::Queues => "queue",
        Family::Threads => "threads",
        Family::Requests => "requests",
        Family::Other => "other",
    }
}

fn entity(kind: &str, service: &str, name: &str) -> Entity {
    Entity { kind: kind.into(), service: service.into(), name: name.into(), ..Entity::default() }
}

fn suspect(case: &Case<'_>, entity: Entity, total: f64, parts: &[(&str, f64)]) -> Suspect {
    let service: Arc<str> = entity.service.as_str().into();
    let counts = case.spectrum.service(&service);
    let shown: Vec<String> = parts.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    let factors: Vec<String> =
        shown.iter().filter(|part| !part.starts_with("resources") && !part.starts_with("gaps")).cloned().collect();
    Suspect {
        rank: 0,
        confidence: level(case, total).into(),
        score: Score {
            total,
            parts: parts.iter().map(|&(name, value)| (name.into(), value)).collect(),
            formula: format!("{} = {total:.3}", factors.join(" * ")),
        },
        counts: counts.into(),
        ochiai: counts.formula(),
        why: Vec::new(),
        entity,
    }
}

/// Best first; equal scores share a rank, names decide only the order of output.
fn ranked(case: &Case<'_>, mut suspects: Vec<Suspect>) -> Vec<Suspect> {
    suspects.retain(|suspect| suspect.score.total > 0.0);
    suspects.sort_by(|a, b| b.score.total.total_cmp(&a.score.total).then_with(|| a.entity.cmp(&b.entity)));
    let scores: Vec<f64> = suspects.iter().map(|suspect| suspect.score.total).collect();
    for suspect in &mut suspects {
        suspect.rank = scores.partition_point(|score| *score > suspect.score.total) as u32 + 1;
    }
    suspects.truncate(case.options.suspects);
    suspects
}
