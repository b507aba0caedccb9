//! Inner suspects: operations, calls, functions, files and frames, each kind ranked by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::spectra::{Element, ElementKind};
use backtrail_model::verdict::{Entity, Score, Suspect};

use crate::judge::{Case, Parts, TAIL};
use crate::nobody::is_nobody;
use crate::ochiai::Counts;
use crate::stats::settle;
use crate::versions::{named as named_version, versions};

/// An inner candidate before ranking.
struct Candidate {
    element: Element,
    counts: Counts,
    total: f64,
    parts: BTreeMap<String, f64>,
    formula: String,
}

/// All suspects: services, then the inner kinds. Services without any evidence are left out.
pub(crate) fn suspects(case: &Case<'_>) -> Vec<Suspect> {
    let mut out = services(case);
    let shares = shares(case);
    for kind in [ElementKind::Route, ElementKind::Edge, ElementKind::Function, ElementKind::File, ElementKind::Frame] {
        out.extend(rank(case, of_kind(case, kind, &shares)));
    }
    out.extend(crate::within::suspects(case));
    out
}

/// States the version and the commit of every suspect, where telemetry names one.
pub(crate) fn name_versions(case: &Case<'_>, suspects: &mut [Suspect]) {
    for suspect in suspects {
        let service = suspect.entity.service.as_str();
        let (before, now) = (versions(&case.baseline, service), versions(&case.window, service));
        if let Some((version, commit)) = named_version(&before, &now) {
            suspect.entity.version = version.to_string();
            suspect.entity.commit = commit.to_string();
        }
    }
}

/// An entity for an element.
pub(crate) fn entity(kind: ElementKind, service: &str, name: &str) -> Entity {
    let mut entity =
        Entity { kind: kind.name().into(), service: service.into(), name: name.into(), ..Entity::default() };
    match kind {
        ElementKind::Function => entity.function = name.into(),
        ElementKind::File => entity.file = name.into(),
        _ => {}
    }
    entity
}

fn services(case: &Case<'_>) -> Vec<Suspect> {
    let with_score = case.services.iter().filter(|(_, parts)| parts.total > 0.0);
    let candidates = with_score.map(|(service, parts)| Candidate {
        element: Element { kind: ElementKind::Service, service: Arc::clone(service), name: "".into() },
        counts: case.spectrum.service(service),
        total: parts.total,
        parts: named(parts),
        formula: formula(parts),
    });
    rank(case, candidates.collect())
}

fn named(parts: &Parts) -> BTreeMap<String, f64> {
    let named = [
        ("latency", parts.latency),
        ("errors", parts.errors),
        ("structure", parts.structure),
        ("resources", parts.resources),
        ("ochiai", parts.ochiai),
        ("edge_blame", parts.edge_blame),
        ("tail", parts.tail),
    ];
    named.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

fn formula(parts: &Parts) -> String {
    format!(
        "{:.3} * max(latency {:.3}, errors {:.3}, structure {:.3}, resources {:.3}) + {TAIL} * tail {:.3} = {:.3}",
        1.0 - TAIL,
        parts.latency,
        parts.errors,
        parts.structure,
        parts.resources,
        parts.tail,
        parts.total
    )
}

/// How much of its service's significant excess an element carries, 0 to 1, over all parts.
fn shares(case: &Case<'_>) -> BTreeMap<Element, f64> {
    let mut gains: BTreeMap<Element, f64> = BTreeMap::new();
    let mut add = |part: f64, kind, service: &Arc<str>, name: &Arc<str>, gain: f64| {
        let element = Element { kind, service: Arc::clone(service), name: Arc::clone(name) };
        *gains.entry(element).or_default() += part * gain;
    };
    let latency: f64 = case.latency.findings.iter().map(|finding| finding.excess_ns).sum();
    let score = |service: &Arc<str>| case.services.get(service).copied().unwrap_or_default();
    for finding in case.latency.findings.iter().filter(|finding| finding.excess_ns > 0.0) {
        let (key, gain) = (&finding.key, finding.excess_ns / latency);
        add(score(&key.service).latency, ElementKind::Route, &key.service, &key.operation, gain);
        if let Some(callee) = &key.callee {
            let ends = score(&key.service).latency.max(score(callee).latency);
            add(ends, ElementKind::Edge, &key.service, callee, gain);
        }
    }
    let errors: f64 = case.errors.findings.iter().map(|finding| finding.excess).sum();
    for finding in case.errors.findings.iter().filter(|finding| finding.excess > 0.0) {
        let gain = finding.excess / errors;
        add(score(&finding.service).errors, ElementKind::Route, &finding.service, &finding.operation, gain);
        for (callee, _) in case.errors.unexplained.get(&finding.service).into_iter().flatten() {
            add(score(callee).errors, ElementKind::Edge, &finding.service, callee, gain);
        }
    }
    for shift in &case.structure.shifts {
        let part = score(&shift.service).structure;
        if shift.step.service == shift.service {
            add(part, ElementKind::Route, &shift.service, &shift.step.entry, shift.weight);
        } else if let Some(callee) = &shift.step.previous.callee {
            add(part, ElementKind::Route, &shift.service, &callee.route, shift.weight);
        }
        if let Some(callee) = &shift.expected.callee {
            add(part, ElementKind::Edge, &shift.step.service, &callee.service, shift.weight);
        }
    }
    let mut most: BTreeMap<Arc<str>, BTreeMap<ElementKind, f64>> = BTreeMap::new();
    for (element, gain) in &gains {
        let most = most.entry(Arc::clone(&element.service)).or_default().entry(element.kind).or_default();
        *most = most.max(*gain);
    }
    gains.retain(|_, gain| *gain > 0.0);
    for (element, gain) in &mut gains {
        *gain /= most[&element.service][&element.kind];
    }
    gains
}

/// Candidates of one kind: `0.999 score(service) * (share or Ochiai) + 0.001 Ochiai`. Routes and edges have evidence of
/// their own; functions, files and frames are judged by their spectrum.
fn of_kind(case: &Case<'_>, kind: ElementKind, shares: &BTreeMap<Element, f64>) -> Vec<Candidate> {
    let own = matches!(kind, ElementKind::Route | ElementKind::Edge);
    let by_spectrum = |service: &Arc<str>| {
        if own { 0.0 } else { (1.0 - TAIL) * case.services.get(service).map_or(0.0, Parts::evidence) }
    };
    // A share only adds to a score, so whoever is among the best is so by its spectrum, or has a share.
    let mut elements: BTreeMap<&Element, Counts> =
        case.spectrum.best(kind, case.options.suspects, by_spectrum).into_iter().collect();
    for element in shares.keys().filter(|element| element.kind == kind) {
        elements.entry(element).or_insert_with(|| case.spectrum.element(element));
    }
    let candidate = |(element, counts): (&Element, Counts)| {
        let ends = [&element.service, &element.name].map(|name| case.services.get(name).map_or(0.0, Parts::evidence));
        let service = if kind == ElementKind::Edge { ends[0].max(ends[1]) } else { ends[0] };
        let ochiai = counts.score();
        let share = shares.get(element).copied().unwrap_or(0.0);
        let weight = if own { share } else { share.max(ochiai) };
        let total = settle((1.0 - TAIL) * service * weight + TAIL * ochiai);
        let parts = [("service", service), ("share", share), ("ochiai", ochiai)];
        Candidate {
            element: element.clone(),
            counts,
            total,
            parts: parts.into_iter().map(|(name, value)| (name.into(), settle(value))).collect(),
            formula: format!(
                "{:.3} * service {service:.3} * {} {weight:.3} + {TAIL} * ochiai {ochiai:.3} = {total:.3}",
                1.0 - TAIL,
                if own || share >= ochiai { "share" } else { "ochiai" },
            ),
        }
    };
    elements.into_iter().map(candidate).filter(|candidate| candidate.total > 0.0).collect()
}

/// Ranks candidates: best first, equal scores share a rank, names decide only the order of output.
fn rank(case: &Case<'_>, mut candidates: Vec<Candidate>) -> Vec<Suspect> {
    candidates.retain(|candidate| !is_nobody(&candidate.element.service));
    candidates.sort_by(|a, b| b.total.total_cmp(&a.total).then_with(|| a.element.cmp(&b.element)));
    let scores: Vec<f64> = candidates.iter().map(|candidate| candidate.total).collect();
    let suspect = |candidate: Candidate| {
        let better = scores.partition_point(|score| *score > candidate.total);
        Suspect {
            rank: better as u32 + 1,
            entity: entity(candidate.element.kind, &candidate.element.service, &candidate.element.name),
            confidence: level(case, candidate.total).into(),
            score: Score { total: candidate.total, parts: candidate.parts, formula: candidate.formula },
            counts: candidate.counts.into(),
            ochiai: candidate.counts.formula(),
            why: Vec::new(),
        }
    };
    candidates.into_iter().map(suspect).take(case.options.suspects).collect()
}

/// high, medium, low, or none for a score that the tail alone makes.
pub(crate) fn level(case: &Case<'_>, score: f64) -> &'static str {
    match score {
        score if score >= case.options.high => "high",
        score if score >= case.options.medium => "medium",
        score if score > TAIL => "low",
        _ => "none",
    }
}
