//! Sentences and numbers around the ranking: evidence for and against, what is ruled out, hops, impact, confidence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::histogram::{Histogram, lower_bound};
use backtrail_model::patch_request::{CriticalStep, DivergentSpan};
use backtrail_model::spectra::{ElementKind, Entry};
use backtrail_model::verdict::{Confidence, Hop, Impact, RuledOut, Suspect};

use crate::blocks::Stretch;
use crate::causal::passed_on;
use crate::edge_blame::{Pair, attempts_per_request};
use crate::inner::{entity, level};
use crate::judge::{Case, TAIL};
use crate::ochiai::short;
use crate::spectrum::UNIT;

pub(crate) use crate::findings::evidence;

/// Fewer traces than this in the window are named as a limit.
const FEW_TRACES: f64 = 50.0;

pub(crate) fn ms(nanos: f64) -> f64 {
    nanos / 1e6
}

/// The endpoint that was asked for, or the entry operation that lost most: failing traces first, then excess time.
pub(crate) fn endpoint(case: &Case<'_>) -> Option<Entry> {
    if case.options.endpoint.is_some() {
        return case.options.endpoint.clone();
    }
    let mut failing: BTreeMap<&Entry, (u64, u64)> = BTreeMap::new();
    for (_, part) in case.window.parts() {
        for (group, count) in &part.groups {
            let sums = failing.entry(&group.entry).or_default();
            sums.0 += if case.limits.fails(group) { *count } else { 0 };
            sums.1 += count;
        }
    }
    failing.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0))).map(|(entry, _)| entry.clone())
}

pub(crate) fn impact(case: &Case<'_>, endpoint: Option<&Entry>) -> Impact {
    let here = |entry: &Entry| endpoint.is_none_or(|endpoint| endpoint == entry);
    let latencies = |stretch: &Stretch<'_>| {
        let (mut histogram, mut failing) = (Histogram::new(), 0);
        for (_, part) in stretch.parts() {
            for (group, &count) in part.groups.iter().filter(|(group, _)| here(&group.entry)) {
                histogram.add(group.latency, count);
                failing += if case.limits.fails(group) { count } else { 0 };
            }
        }
        let traces = histogram.count() as f64 / UNIT;
        (traces, failing as f64 / UNIT, ms(histogram.quantile(0.95) as f64))
    };
    let (traces, failing, p95_ms) = latencies(&case.window);
    let (baseline_traces, _, baseline_p95_ms) = latencies(&case.baseline);
    let limit = endpoint.and_then(|entry| case.limits.of(entry));
    let over =
        limit.map_or_else(String::new, |b| format!(" (an error, or over {:.1} ms)", ms(lower_bound(b + 1) as f64)));
    let place = endpoint.map_or_else(|| "all endpoints".into(), |e| format!("{} {}", e.service, e.route));
    let share = 100.0 * failing / traces.max(1.0);
    let says = format!(
        "{} of {} requests to {place} fail ({share:.1} %){over}; p95 {p95_ms:.1} ms, was {baseline_p95_ms:.1} ms",
        short(failing),
        short(traces),
    );
    Impact { traces, failing, baseline_traces, p95_ms, baseline_p95_ms, says }
}

/// The level of the first suspect's score. Without significant evidence, or with a tie at the top, it is inconclusive.
pub(crate) fn confidence(case: &Case<'_>, suspects: &[Suspect]) -> Confidence {
    let mut services = suspects.iter().filter(|suspect| suspect.entity.kind == "service");
    let score = services.next().map_or(0.0, |first| first.score.total);
    let second = services.next().map_or(0.0, |second| second.score.total);
    let mut reasons = Vec::new();
    let mut level = level(case, score);
    if case.baseline.cells.is_empty() {
        (level, reasons) = ("inconclusive", vec!["there is no baseline to compare with".into()]);
    } else if score <= TAIL {
        level = "inconclusive";
        let tests = case.latency.findings.len();
        reasons.push(format!("none of {tests} latency tests and no error share passes its gate"));
    } else if second >= score {
        level = "inconclusive";
        reasons.push(format!("{score:.2} is the score of more than one service"));
    } else {
        reasons.push(format!("score {score:.2}, next {second:.2}"));
        if score < case.options.high {
            reasons.push(format!("under {:.2}, where quiet windows end", case.options.high));
        }
    }
    let traces = case.window.traces as f64 / UNIT;
    if traces < FEW_TRACES {
        reasons.push(format!("only {} traces in the window", short(traces)));
    }
    Confidence { level: level.into(), score, reasons }
}

/// The cause in a sentence.
pub(crate) fn cause(case: &Case<'_>, suspects: &[Suspect], confidence: &Confidence) -> String {
    let Some(first) = suspects.first().filter(|_| confidence.level != "inconclusive") else {
        let why = confidence.reasons.first().map_or("no evidence", String::as_str);
        return format!("inconclusive, because {why}");
    };
    let service = &first.entity.service;
    let parts = case.services.get(service.as_str()).copied().unwrap_or_default();
    if parts.errors > 0.0 && parts.errors >= parts.latency && parts.errors >= parts.structure {
        let began = case.errors.findings.iter().filter(|f| f.sick && *f.service == **service);
        let operation = began.max_by(|a, b| a.excess.total_cmp(&b.excess)).map_or("", |f| &*f.operation);
        return format!("errors begin at {service}{}", place(operation));
    }
    if parts.resources >= parts.latency.max(parts.structure) {
        let sick = case.resources.findings.iter().filter(|finding| finding.sick && *finding.service == **service);
        let loudest = sick.max_by(|a, b| (a.z * a.factor).total_cmp(&(b.z * b.factor)));
        return loudest.map_or_else(
            || format!("{service} runs short of a resource"),
            |finding| format!("{service} runs short of a resource: {}", crate::resource::says(finding)),
        );
    }
    if parts.structure > parts.latency {
        return structure_says(case, service);
    }
    let of_service = case
        .latency
        .findings
        .iter()
        .filter(|f| f.sick && (*f.key.service == **service || f.key.callee.as_deref() == Some(service.as_str())));
    let Some(worst) = of_service.max_by(|a, b| a.excess_ns.total_cmp(&b.excess_ns)) else {
        return format!("{service} is slow");
    };
    match &worst.key.callee {
        Some(callee) => {
            let other = if **callee == **service { &worst.key.service } else { callee };
            format!(
                "{service} is slow on the way: calls between {other} and {service} lose time outside of their server"
            )
        }
        None => format!("{service} itself is slow{}", place(&worst.key.operation)),
    }
}

fn structure_says(case: &Case<'_>, service: &str) -> String {
    let Some(shift) = case.structure.shifts.iter().find(|shift| *shift.service == *service) else {
        return format!("{service} takes another path than before");
    };
    let (step, says) = (&shift.step, crate::findings::event_says);
    format!(
        "{service} takes another path than before: in {}{}, after {} comes {} instead of {}",
        step.entry,
        if *step.service == *service { String::new() } else { format!(" of {}", step.service) },
        says(&step.previous),
        says(&step.next),
        says(&shift.expected),
    )
}

fn place(operation: &str) -> String {
    if operation.is_empty() { String::new() } else { format!(" in {operation}") }
}

/// Services that look guilty by their plain spectrum or pass errors on, and why they are not accused.
pub(crate) fn ruled_out(case: &Case<'_>, suspects: &[Suspect]) -> Vec<RuledOut> {
    let Some(first) = suspects.first() else { return Vec::new() };
    let top = case.services.get(first.entity.service.as_str()).copied().unwrap_or_default();
    if top.evidence() <= 0.0 {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (service, parts) in case.services.iter().filter(|(service, _)| ***service != *first.entity.service) {
        let why = if let Some(culprit) = passes_on(case, service) {
            format!("its errors are explained by errors that begin at {culprit}")
        } else if parts.evidence() > 0.0 && parts.evidence() < top.evidence() / 2.0 {
            format!(
                "{:.2} against {:.2}: its excess is a small part of all, or hides in much normal time",
                parts.evidence(),
                top.evidence()
            )
        } else if parts.evidence() <= 0.0 && parts.ochiai >= top.ochiai && parts.ochiai > 0.0 {
            format!("in the failing traces (Ochiai {:.2}), but {}", parts.ochiai, healthy(case, service))
        } else {
            continue;
        };
        out.push((parts.ochiai, RuledOut { entity: entity(ElementKind::Service, service, ""), why }));
    }
    out.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.entity.cmp(&b.1.entity)));
    out.into_iter().map(|(_, ruled_out)| ruled_out).take(case.options.suspects).collect()
}

fn passes_on(case: &Case<'_>, service: &Arc<str>) -> Option<Arc<str>> {
    let failing = case.now.pairs.iter().any(|((_, callee), pair)| callee == service && pair.counts.errors > 0);
    if failing { passed_on(&case.now, &case.errors.origins, service) } else { None }
}

fn healthy(case: &Case<'_>, service: &Arc<str>) -> String {
    let own =
        case.latency.findings.iter().filter(|f| f.key.service == *service || f.key.callee.as_ref() == Some(service));
    let (tests, z) = own.fold((0, f64::NEG_INFINITY), |(n, z), finding| (n + 1, finding.z.max(z)));
    if tests == 0 {
        return "no test of its own speaks against it".into();
    }
    format!("none of its {tests} latency tests is significant (largest z {z:.1}) and no excess of errors begins there")
}

/// Hops: every sick edge, and all edges of the first suspect.
pub(crate) fn propagation(case: &Case<'_>, suspects: &[Suspect]) -> Vec<Hop> {
    let first = suspects.first().filter(|first| first.score.total > TAIL).map(|first| first.entity.service.as_str());
    let slow = crate::latency::sick_edges(&case.latency.findings);
    let gate = crate::stats::universal_threshold(case.now.pairs.len());
    let mut hops = Vec::new();
    for (key, pair) in &case.now.pairs {
        let before = case.before.pairs.get(key);
        let failing = errors_rose(pair, before, gate);
        let sick = failing || slow.contains(key);
        let near = first.is_some_and(|first| *key.0 == *first || *key.1 == *first);
        if !sick && !near {
            continue;
        }
        hops.push(Hop {
            from: key.0.to_string(),
            to: key.1.to_string(),
            calls: pair.counts.calls as f64 / UNIT,
            errors: pair.counts.errors as f64 / UNIT,
            p95_ms: pair.p95_ms(),
            baseline_p95_ms: before.map_or(0.0, Pair::p95_ms),
            retries: pair.counts.retries as f64 / UNIT,
            attempts_per_request: attempts_per_request(&pair.counts),
            sick,
        });
    }
    hops
}

/// Whether an edge fails significantly more often than before. An edge that was not there before did not fail.
fn errors_rose(pair: &Pair, before: Option<&Pair>, gate: f64) -> bool {
    let counts =
        |pair: &Pair| (pair.counts.errors.min(pair.counts.calls) as f64 / UNIT, pair.counts.calls as f64 / UNIT);
    let (f, n) = counts(pair);
    let (k, m) = before.map_or((0.0, 0.0), counts);
    f > 0.0 && (m <= 0.0 || (f / n > k / m && crate::stats::g_test(k, m, f, n) > gate))
}

/// The critical path: from the endpoint along the edges that hold most of it.
pub(crate) fn critical_steps(case: &Case<'_>, endpoint: Option<&Entry>) -> Vec<CriticalStep> {
    let Some(entry) = endpoint else { return Vec::new() };
    let (mut at, mut route) = (Arc::clone(&entry.service), Arc::clone(&entry.route));
    let (mut seen, mut steps) = (BTreeSet::new(), Vec::new());
    let mut incoming = case.now.pairs.get(&(Arc::from(""), Arc::clone(&at)));
    while seen.insert(Arc::clone(&at)) {
        steps.push(CriticalStep {
            service: at.to_string(),
            route: route.to_string(),
            p95_ms: incoming.map_or_else(|| impact(case, endpoint).p95_ms, Pair::p95_ms),
            error_rate: incoming.map_or(0.0, Pair::error_share),
        });
        let onward = case.now.pairs.iter().filter(|(key, pair)| key.0 == at && pair.counts.critical_ns > 0);
        let next = onward.max_by(|a, b| a.1.counts.critical_ns.cmp(&b.1.counts.critical_ns).then_with(|| b.0.cmp(a.0)));
        let Some(((_, callee), pair)) = next else { break };
        (at, incoming, route) = (Arc::clone(callee), Some(pair), Arc::clone(&pair.main_route));
    }
    steps
}

/// The test of the first suspect that differs most from its baseline.
pub(crate) fn divergent_span(case: &Case<'_>, suspects: &[Suspect]) -> Option<DivergentSpan> {
    let service = &suspects.first().filter(|first| first.score.total > TAIL)?.entity.service;
    // Who repeats its own calls is as much a suspect as who is called again and again.
    let edges = case.now.pairs.iter().filter(|(key, _)| *key.0 == **service || *key.1 == **service);
    let retries = edges.map(|(_, pair)| pair.counts.retries).sum::<u64>() as f64 / UNIT;
    let span = |operation: &str, error: String| {
        Some(DivergentSpan { service: service.clone(), operation: operation.into(), error, retries })
    };
    let failing = case.errors.findings.iter().filter(|finding| finding.sick && *finding.service == **service);
    if let Some(worst) = failing.max_by(|a, b| a.excess.total_cmp(&b.excess)) {
        let error = format!("{} of {} executions fail", short(worst.errors), short(worst.executions));
        return span(&worst.operation, error);
    }
    let touches = |key: &backtrail_model::spectra::TestKey| {
        *key.service == **service || key.callee.as_deref() == Some(service.as_str())
    };
    let slow = case.latency.findings.iter().filter(|finding| finding.sick && touches(&finding.key));
    if let Some(worst) = slow.max_by(|a, b| a.excess_ns.total_cmp(&b.excess_ns)) {
        let what = worst.key.callee.as_ref().map_or_else(|| "self time".into(), |callee| format!("gap to {callee}"));
        let (now, was) = (ms(worst.mean_ns), ms(worst.baseline_ns));
        return span(&worst.key.operation, format!("{what} {now:.2} ms, normally {was:.2} ms"));
    }
    let shift = case.structure.shifts.iter().find(|shift| *shift.service == **service)?;
    span(&shift.step.entry, crate::findings::shift_says(shift))
}

/// What limits the judgement.
pub(crate) fn limits(case: &Case<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if case.resources.findings.is_empty() {
        out.push("no metrics of resources: a shortage shows only as slowness".to_owned());
    }
    if !case.structure.with_logs {
        out.push(
            "no log statements within traces: a fault that changes neither calls nor times stays unseen".to_owned(),
        );
    }
    if case.structure.unordered > 0.0 {
        out.push(format!(
            "{} traces were past the cap of paths: the order of their events is unknown",
            short(case.structure.unordered)
        ));
    }
    let overflow = case.spectrum.overflow;
    if overflow > 0.0 {
        out.push(format!(
            "{} traces were past the cap of signatures and touch nothing in the spectrum",
            short(overflow)
        ));
    }
    if case.options.sampled_share < 1.0 {
        out.push(format!("upstream samplers let {:.1} % of the traffic through", 100.0 * case.options.sampled_share));
    }
    if case.now.pairs.is_empty() {
        out.push("no edges: errors are charged where they began, and hops are missing".into());
    }
    let blocks = case.options.cuts.iter().max().copied().unwrap_or(0);
    if case.baseline.cells.len() < blocks {
        out.push(format!(
            "the baseline has {} slices with traffic, fewer than {blocks} blocks",
            case.baseline.cells.len()
        ));
    }
    let virtual_nodes: Vec<&str> =
        case.now.pairs.iter().filter(|(_, pair)| !pair.instrumented).map(|(key, _)| &*key.1).collect();
    if !virtual_nodes.is_empty() {
        let names: BTreeSet<&str> = virtual_nodes.into_iter().collect();
        let names: Vec<&str> = names.into_iter().take(5).collect();
        out.push(format!("not instrumented, so judged from their callers only: {}", names.join(", ")));
    }
    out
}
