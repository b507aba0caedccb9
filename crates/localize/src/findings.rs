//! Evidence as sentences with numbers: one finding each, for or against a suspect.

use std::sync::Arc;

use backtrail_model::paths::{Chain, Event};
use backtrail_model::spectra::ElementKind;
use backtrail_model::verdict::{Entity, Evidence, Supports, Suspect};

use crate::errors::ErrorFinding;
use crate::explain::ms;
use crate::inner::entity;
use crate::judge::Case;
use crate::latency::Finding;
use crate::ochiai::short;
use crate::resource::says;
use crate::structure::Shift;
use crate::versions::{arrived, in_words, versions};

/// How many services are explained, and how many findings of one kind each.
const SERVICES: usize = 3;
const EACH: usize = 3;

/// Collects evidence for the first services, gives it ids and links it to the suspects (also to the inner ones that it
/// is about).
pub(crate) fn evidence(case: &Case<'_>, suspects: &mut [Suspect]) -> Vec<Evidence> {
    let services: Vec<String> = suspects
        .iter()
        .filter(|suspect| suspect.entity.kind == "service")
        .take(SERVICES)
        .map(|suspect| suspect.entity.service.clone())
        .collect();
    let mut out: Vec<Evidence> = Vec::new();
    for service in &services {
        let name: Arc<str> = service.as_str().into();
        let mut found = Vec::new();
        latency_evidence(case, &name, &mut found);
        error_evidence(case, &name, &mut found);
        structure_evidence(case, &name, &mut found);
        resource_evidence(case, &name, &mut found);
        edge_evidence(case, &name, &mut found);
        version_evidence(case, &name, &mut found);
        found.push(spectrum_evidence(case, &name));
        for mut item in found {
            // A gap is found at both of its ends: the same finding keeps one id.
            let known =
                out.iter().find(|old| old.kind == item.kind && old.about == item.about && old.says == item.says);
            let id = known.map_or_else(|| format!("e{}", out.len() + 1), |old| old.id.clone());
            for suspect in suspects.iter_mut() {
                let about = suspect.entity == item.about
                    || (suspect.entity.kind == "service" && suspect.entity.service == *service);
                if about && !suspect.why.contains(&id) {
                    suspect.why.push(id.clone());
                }
            }
            if known.is_none() {
                item.id = id;
                out.push(item);
            }
        }
    }
    out
}

fn item(kind: &str, supports: Supports, about: Entity, says: String) -> Evidence {
    Evidence { id: String::new(), kind: kind.into(), supports, about, says, reference: String::new() }
}

fn latency_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    let touches = |f: &&Finding| f.key.service == *service || f.key.callee.as_ref() == Some(service);
    let mut sick: Vec<&Finding> = case.latency.findings.iter().filter(touches).filter(|f| f.sick).collect();
    sick.sort_by(|a, b| b.excess_ns.total_cmp(&a.excess_ns).then_with(|| a.key.cmp(&b.key)));
    out.extend(
        sick.iter().take(EACH).map(|finding| item(kind_of(finding), Supports::For, about(finding), slower(finding))),
    );
    let healthy: Vec<&Finding> = case.latency.findings.iter().filter(touches).filter(|f| !f.sick).collect();
    let Some(most) = healthy.iter().max_by(|a, b| a.n.cmp(&b.n).then_with(|| b.key.cmp(&a.key))) else { return };
    let says = format!(
        "{} of {} latency tests of {service} are within their gate; the most frequent, {}, is at {:.2} ms over {} spans (normally {:.2} ms, z {:.1})",
        healthy.len(),
        healthy.len() + sick.len(),
        place(most),
        ms(most.mean_ns),
        most.n,
        ms(most.baseline_ns),
        most.z,
    );
    out.push(item(kind_of(most), Supports::Against, about(most), says));
}

fn kind_of(finding: &Finding) -> &'static str {
    if finding.key.callee.is_some() { "gap" } else { "self_time" }
}

fn about(finding: &Finding) -> Entity {
    match &finding.key.callee {
        Some(callee) => entity(ElementKind::Edge, &finding.key.service, callee),
        None => entity(ElementKind::Route, &finding.key.service, &finding.key.operation),
    }
}

fn place(finding: &Finding) -> String {
    let key = &finding.key;
    match &key.callee {
        Some(callee) => format!("the gap of {} from {} to {callee}", key.operation, key.service),
        None => format!("the self time of {} in {}", key.operation, key.service),
    }
}

fn slower(finding: &Finding) -> String {
    format!(
        "{} is {:.2} ms over {} spans, normally {:.2} ms over {}: {:.1} ms in excess, z {:.1}, G {:.1}, gate {:.1}",
        place(finding),
        ms(finding.mean_ns),
        finding.n,
        ms(finding.baseline_ns),
        finding.baseline_n,
        ms(finding.excess_ns),
        finding.z,
        finding.g,
        finding.gate,
    )
}

fn error_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    let mut sick: Vec<&ErrorFinding> =
        case.errors.findings.iter().filter(|finding| finding.service == *service && finding.sick).collect();
    sick.sort_by(|a, b| b.excess.total_cmp(&a.excess).then_with(|| a.operation.cmp(&b.operation)));
    for finding in sick.iter().take(EACH) {
        let says = format!(
            "{} of {} executions of {} in {service} fail without a failed child, normally {:.2} %: {:.1} in excess, G {:.1}, gate {:.1}",
            short(finding.errors),
            short(finding.executions),
            finding.operation,
            100.0 * finding.baseline_share,
            finding.excess,
            finding.g,
            finding.gate,
        );
        out.push(item("errors", Supports::For, entity(ElementKind::Route, service, &finding.operation), says));
    }
    for (caller, lost) in &case.errors.unexplained {
        let calls = lost.iter().find(|(callee, _)| callee == service).map(|(_, calls)| *calls);
        let accused = case.errors.scores.contains_key(service);
        if let Some(calls) = calls.filter(|_| accused) {
            let silent = case.errors.silent.get(&(Arc::clone(caller), Arc::clone(service)));
            let unanswered = silent.map_or_else(String::new, |silent| {
                format!("; {} calls got no answer where {service} used to answer", short(silent.round()))
            });
            let says = format!(
                "{} failed calls from {caller} to {service} are explained by no error at {service} or below{unanswered}",
                short(calls)
            );
            out.push(item("errors", Supports::For, entity(ElementKind::Edge, caller, service), says));
        }
    }
    if sick.is_empty() && !case.errors.findings.is_empty() && !case.errors.scores.contains_key(service) {
        let says = format!("no significant excess of errors begins at {service}");
        out.push(item("errors", Supports::Against, entity(ElementKind::Service, service, ""), says));
    }
}

fn structure_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    for shift in case.structure.shifts.iter().filter(|shift| shift.service == *service) {
        let kind = if shift.step.chain == Chain::Logs { "log" } else { "structure" };
        let about = entity(ElementKind::Route, &shift.step.service, &shift.step.entry);
        out.push(item(kind, Supports::For, about, shift_says(shift)));
    }
}

/// A shift as a sentence.
pub(crate) fn shift_says(shift: &Shift) -> String {
    let step = &shift.step;
    format!(
        "in {} of {}, after {} comes {} in {:.1} % of the traces, normally in {:.1} %; what used to come is {} (G {:.1})",
        step.entry,
        step.service,
        event_says(&step.previous),
        event_says(&step.next),
        100.0 * shift.now,
        100.0 * shift.before,
        event_says(&shift.expected),
        shift.g,
    )
}

/// An event in words.
pub(crate) fn event_says(event: &Event) -> String {
    match (&*event.name, &event.callee) {
        (Event::BEGIN, _) => "the beginning".into(),
        (Event::END, _) => "the end".into(),
        (name, Some(callee)) => format!("the call {name} to {} {}", callee.service, callee.route),
        (name, None) => name.into(),
    }
}

fn resource_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    let own = || case.resources.findings.iter().filter(|finding| finding.service == *service);
    let mut sick: Vec<_> = own().filter(|finding| finding.sick).collect();
    sick.sort_by(|a, b| (b.z * b.factor).total_cmp(&(a.z * a.factor)).then_with(|| a.name.cmp(&b.name)));
    let about = || Entity { kind: "resource".into(), service: service.to_string(), ..Entity::default() };
    out.extend(sick.iter().take(EACH).map(|finding| item("resource", Supports::For, about(), says(finding))));
    let judged = own().count();
    if sick.is_empty() && judged > 0 {
        let says = format!("none of the {judged} resource series of {service} left its quiet range");
        out.push(item("resource", Supports::Against, about(), says));
    }
}

fn edge_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    let into = case.now.pairs.iter().filter(|((_, callee), pair)| callee == service && pair.counts.errors > 0);
    let worst = into.max_by(|a, b| a.1.blame.total_cmp(&b.1.blame).then_with(|| b.0.cmp(a.0)));
    let Some(((caller, _), pair)) = worst.filter(|(_, pair)| pair.blame > 0.0) else { return };
    let calls = pair.counts.calls as f64;
    let breaker = 100.0 * pair.counts.breaker as f64 / calls;
    let from = if caller.is_empty() { "outside" } else { caller };
    let says = format!(
        "edge blame {:.3}: {:.1} % of the calls from {from} fail, {breaker:.1} % were answered by a breaker or fallback, {:.2} attempts per request",
        pair.blame,
        100.0 * pair.error_share(),
        crate::edge_blame::attempts_per_request(&pair.counts),
    );
    out.push(item("edge_blame", Supports::For, entity(ElementKind::Edge, caller, service), says));
}

fn version_evidence(case: &Case<'_>, service: &Arc<str>, out: &mut Vec<Evidence>) {
    let (before, now) = (versions(&case.baseline, service), versions(&case.window, service));
    for version in arrived(&before, &now).into_iter().take(EACH) {
        let was: Vec<String> = before.iter().map(in_words).collect();
        let says = format!("{service} runs {} in the window, and ran {} before it", in_words(version), was.join(", "));
        out.push(item("version", Supports::For, entity(ElementKind::Service, service, ""), says));
    }
}

fn spectrum_evidence(case: &Case<'_>, service: &Arc<str>) -> Evidence {
    let counts = case.spectrum.service(service);
    let share = |with: f64, without: f64| if with + without > 0.0 { 100.0 * with / (with + without) } else { 0.0 };
    let (failing, passing) = (share(counts.ef, counts.nf), share(counts.ep, counts.np));
    let supports = if failing > passing { Supports::For } else { Supports::Against };
    let says = format!(
        "{service} is in {failing:.1} % of the failing and {passing:.1} % of the passing traces; Ochiai {}",
        counts.formula()
    );
    item("spectrum", supports, entity(ElementKind::Service, service, ""), says)
}
