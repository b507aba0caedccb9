//! The first half of a report: what happened, to whom, when, and what is thought to be the cause.

use backtrail_model::patch_request::{EdgeLoad, PatchRequest};

use super::case::entry_id;
use super::prose::{listed, named, quoted};
use super::words::{number, percent, time};
use super::{Case, Section, words};
use crate::step::Step;
use crate::triage::Mapping;

/// Most items of a list from outside that are told one by one.
pub(super) const MOST_TOLD: usize = 20;

pub(super) fn summary(case: &Case) -> Section {
    let mut section = Section::new("Summary");
    let request = &case.chain.remediation.request;
    let decisive = entry_id(case.decisive());
    let (id, incident, service) = (named(case.id()), quoted(&request.incident), quoted(&request.service));
    let about =
        format!("Remediation {id} is about service {service} in revision {} of incident {incident}", request.revision);
    section.says(about, [entry_id(case.requested())]);
    section.says(format!("It {}", words::state(case.state())), [decisive.clone()]);
    if let Some(reason) = &case.chain.remediation.reason {
        section.says(format!("The reason in the journal: {}", quoted(reason)), [decisive]);
    }
    if let Some(tried) = case.chosen() {
        let (id, title) = (quoted(&tried.candidate.id), quoted(&tried.candidate.proposal.title));
        let verb = if case.chain.remediation.approved.is_some() { "approved" } else { "proposed" };
        let proved =
            case.entry(|step| matches!(step, Step::Verified { candidate, .. } if *candidate == tried.candidate.id));
        let planned = case.entry(|step| matches!(step, Step::Planned { .. }));
        let evidence: Vec<_> = planned.into_iter().chain(proved).map(entry_id).collect();
        section.says(format!("The {verb} patch is {id}: {title}"), evidence);
    }
    let (first, last) = (case.first(), case.last());
    let length = time(last.at_unix_nano.since(first.at_unix_nano));
    let text = format!("It began at {}, and its last entry is {length} younger", first.at_unix_nano);
    section.says(text, [entry_id(first), entry_id(last)]);
    section
}

pub(super) fn impact(case: &Case) -> Section {
    let mut section = Section::new("Impact");
    let r = || [case.request_id()];
    let Some(PatchRequest { problem, telemetry_summary, .. }) = &case.request else {
        section.says("The bytes of the request that the journal names are not kept: the impact is not known", r());
        return section;
    };
    if !problem.slo.is_empty() {
        section.says(format!("What is not met: {}", quoted(&problem.slo)), r());
    }
    let (endpoint, detector) = (&problem.endpoint, &problem.detector);
    let (route, service) = (quoted(&endpoint.route), quoted(&endpoint.service));
    section.says(format!("Users see it at {route} of service {service}"), r());
    let (observed, threshold) = (number(detector.observed), number(detector.threshold));
    let unit = if detector.unit.is_empty() { String::new() } else { format!(" (unit {})", quoted(&detector.unit)) };
    section.says(
        format!(
            "It was noticed by {}: {observed} was observed, {threshold} is the limit{unit}",
            quoted(detector.kind.name())
        ),
        r(),
    );
    let window = &problem.time_window;
    let (start, end) = (window.start_unix_nano, window.end_unix_nano);
    section.says(format!("The window is from {start} to {end}, {}", time(end.since(start))), r());
    if telemetry_summary.load.is_empty() {
        section.says("The request states no load of the suspect", r());
    }
    for load in telemetry_summary.load.iter().take(MOST_TOLD) {
        section.says(edge(load), r());
    }
    for step in telemetry_summary.critical_path.iter().take(MOST_TOLD) {
        let (route, service) = (quoted(&step.route), quoted(&step.service));
        let (p95, failed) = (number(step.p95_ms), percent(step.error_rate));
        section.says(
            format!("On the critical path: {route} of {service}, p95 {p95} ms, {failed} of the calls failed"),
            r(),
        );
    }
    section
}

fn edge(load: &EdgeLoad) -> String {
    let ms = |value: f64| if value > 0.0 { format!("{} ms", number(value)) } else { "not known".into() };
    let attempts = number(load.calls as f64 / load.requests.max(1) as f64);
    let failed = percent(load.errors as f64 / load.calls.max(1) as f64);
    format!(
        "In {} s {} made {} calls to {} for {} requests ({attempts} a request); {} of the calls failed ({failed}), {} \
         were served; p95 {} at the caller, {} at the callee, {} before the problem",
        number(load.seconds),
        quoted(&load.from),
        load.calls,
        quoted(&load.to),
        load.requests,
        load.errors,
        load.served,
        ms(load.p95_ms),
        ms(load.served_p95_ms),
        ms(load.quiet_p95_ms),
    )
}

pub(super) fn timeline(case: &Case) -> Section {
    let mut section = Section::new("Timeline");
    let begin = case.first().at_unix_nano;
    for entry in &case.chain.entries {
        let (at, since) = (entry.at_unix_nano, time(entry.at_unix_nano.since(begin)));
        section.says(format!("{at}, {since} in: {}", words::of(&entry.step)), [entry_id(entry)]);
    }
    section
}

pub(super) fn cause(case: &Case) -> Section {
    let mut section = Section::new("Cause");
    match &case.request {
        Some(request) => suspicion(&mut section, request, &case.request_id()),
        None => section.says("The request is not kept, so what telemetry suspects is not known", [case.request_id()]),
    }
    for entry in &case.chain.entries {
        let j = || [entry_id(entry)];
        match &entry.step {
            Step::Triaged { mapping } => {
                let Mapping { repository, commit, team, .. } = mapping;
                let team = if team.is_empty() {
                    "nobody is named as its owner".into()
                } else {
                    format!("it is owned by {}", quoted(team))
                };
                section.says(format!("The code is {} at commit {}; {team}", quoted(repository), quoted(commit)), j());
            }
            Step::ContextReady { context } => {
                for suspect in context.suspects.iter().take(MOST_TOLD) {
                    section.says(format!("A place in the code that it leads to: {}", quoted(suspect)), j());
                }
                for (what, names) in
                    [("It is called by", &context.callers), ("Routes that lead to it:", &context.endpoints)]
                {
                    if !names.is_empty() {
                        let more = names.len().saturating_sub(MOST_TOLD);
                        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                        section.says(format!("{what} {}{more}", listed(names.iter().take(MOST_TOLD))), j());
                    }
                }
                section.says(format!("Tests that exercise it: {}", context.tests.len()), j());
            }
            _ => {}
        }
    }
    section
}

/// What telemetry says of the cause.
fn suspicion(section: &mut Section, request: &PatchRequest, id: &str) {
    let r = || [id.to_owned()];
    let suspect = &request.suspect_ref;
    let entity = &suspect.entity;
    let name = if entity.name.is_empty() { String::new() } else { format!(" {}", quoted(&entity.name)) };
    let (kind, service) = (quoted(&entity.kind), quoted(&entity.service));
    section.says(format!("The suspect: service {service}, {kind}{name}"), r());
    for (what, stated) in [
        ("version", &entity.version),
        ("deployed commit", &entity.commit),
        ("file", &entity.file),
        ("function", &entity.function),
    ] {
        if !stated.is_empty() {
            section.says(format!("Its {what} is {}", quoted(stated)), r());
        }
    }
    if let Some(line) = entity.line {
        section.says(format!("Its line is {line}"), r());
    }
    let (score, confidence) = (number(suspect.score), quoted(&suspect.confidence));
    section.says(
        format!("Its score is {score} of 1, the confidence {confidence}: telemetry ranks it first, which is no proof"),
        r(),
    );
    match &request.telemetry_summary.divergent_span {
        Some(span) => {
            let (operation, service, error) = (quoted(&span.operation), quoted(&span.service), quoted(&span.error));
            let retries = number(span.retries);
            section.says(
                format!("Failing traffic differs from passing traffic at {operation} of {service}: {error}, {retries} retries"),
                r(),
            );
        }
        None => section.says("The request names no span at which failing traffic differs", r()),
    }
    for motif in request.telemetry_summary.log_motifs.iter().take(MOST_TOLD) {
        let (level, message) = (quoted(&motif.level), quoted(&motif.message));
        let place = if motif.file.is_empty() { String::new() } else { format!(" in {}", quoted(&motif.file)) };
        let expected = number(motif.expected);
        section.says(
            format!(
                "A log statement that goes with it: {level} {message}{place}, {} times, {expected} expected",
                motif.count
            ),
            r(),
        );
    }
    if request.recent_changes.is_empty() {
        section.says("The request names no recent change", r());
    }
    for change in request.recent_changes.iter().take(MOST_TOLD) {
        let (sha, author, ts) = (quoted(&change.sha), quoted(&change.author), quoted(&change.ts));
        let (lines, file) = (quoted(&change.lines), quoted(&change.file));
        section.says(format!("A recent change: {sha} by {author} at {ts}, lines {lines} of {file}"), r());
    }
}
