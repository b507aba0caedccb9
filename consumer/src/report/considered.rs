//! The second half of a report: what was considered, what became of it, and what is left to be done.

use super::case::entry_id;
use super::happened::MOST_TOLD;
use super::prose::{block, listed, named, quoted};
use super::words::{counted, time};
use super::{Case, Measures, Part, Section, words};
use crate::candidate::{Proof, Stage};
use crate::impact::Impact;
use crate::journal::Entry;
use crate::state::{State, Tried};
use crate::step::Step;
use crate::triage::Missing;

/// Most reasons of one refusal.
const MOST_REASONS: usize = 20;

fn planned(case: &Case) -> Option<&Entry> {
    case.entry(|step| matches!(step, Step::Planned { .. }))
}

pub(super) fn candidates(case: &Case) -> Section {
    let mut section = Section::new("What was considered");
    let Some(planned) = planned(case) else {
        section.says("No candidate was made", [entry_id(case.decisive())]);
        return section;
    };
    for tried in &case.chain.remediation.candidates {
        candidate(&mut section, case, tried, &entry_id(planned));
    }
    section
}

fn candidate(section: &mut Section, case: &Case, tried: &Tried, planned: &str) {
    let (candidate, proposal) = (&tried.candidate, &tried.candidate.proposal);
    let j = || [planned.to_owned()];
    section.about(format!("{}: {}", quoted(&candidate.id), quoted(&proposal.title)), j());
    let (kind, origin, recipe) = (words::kind(proposal.kind), proposal.origin.name(), quoted(&proposal.recipe));
    section.says(format!("It is {kind}, of tier {}, by {origin} {recipe}", proposal.tier), j());
    for (what, lines) in [("What speaks for it", &proposal.why), ("Computed", &proposal.computation)] {
        for line in lines.iter().take(MOST_TOLD) {
            section.says(format!("{what}: {}", quoted(line)), j());
        }
    }
    let mechanism = &proposal.mechanism;
    let now =
        if mechanism.now.is_empty() { "is not known now".into() } else { format!("is {} now", quoted(&mechanism.now)) };
    section.says(
        format!("It is judged by {}, which {now}; the claim: {}", quoted(&mechanism.metric), quoted(&mechanism.claim)),
        j(),
    );
    section.says(format!("The risk: {}", quoted(&proposal.risk)), j());
    section.says(format!("How it is taken back: {}", quoted(&proposal.undo)), j());
    if !proposal.flag.is_empty() {
        section.says(format!("It is switched on by the flag {}", quoted(&proposal.flag)), j());
    }
    let diff = [planned.to_owned(), case.artifact_id(&candidate.diff)];
    section.says(format!("It changes {} lines of {}", candidate.lines, listed(&candidate.files)), diff);
    impact(section, &candidate.impact, planned);
    outcome(section, case, tried);
}

fn impact(section: &mut Section, impact: &Impact, planned: &str) {
    let j = || [planned.to_owned()];
    for (what, names) in [
        ("It changes what these do", &impact.functions),
        ("They are called by", &impact.callers),
        ("Routes that lead there", &impact.endpoints),
        ("Tests that exercise them", &impact.tests),
    ] {
        if !names.is_empty() {
            section.says(format!("{what}: {}", listed(names)), j());
        }
    }
    for (what, lines) in
        [("Objective", &impact.slos), ("Traffic", &impact.traffic), ("Not known of its impact", &impact.unknown)]
    {
        for line in lines {
            section.says(format!("{what}: {}", quoted(line)), j());
        }
    }
}

fn outcome(section: &mut Section, case: &Case, tried: &Tried) {
    let id = &tried.candidate.id;
    let of = |step: &Step| match step {
        Step::PolicyPassed { candidate, .. }
        | Step::Applied { candidate, .. }
        | Step::Verified { candidate, .. }
        | Step::CandidateRefused { candidate, .. } => candidate == id,
        Step::Planned { .. } => true,
        _ => false,
    };
    let j: Vec<String> = case.entry(of).into_iter().map(entry_id).collect();
    match &tried.stage {
        Stage::Planned => section.says("It was not tried", j),
        Stage::PolicyPassed => section.says("The policy allows to try it; it was not applied", j),
        Stage::Applied { .. } => section.says("It was applied and taken back; its tests have no result", j),
        Stage::Verified { .. } => section.says("It is proved", j),
        Stage::Refused { by, why } => {
            section.says(format!("It was refused by {}, for {}", quoted(by), counted(why.len(), "reason")), j.clone());
            for reason in why.iter().take(MOST_REASONS) {
                section.says(format!("A reason: {}", quoted(reason)), j.clone());
            }
        }
    }
}

pub(super) fn left_out(case: &Case) -> Section {
    let mut section = Section::new("What was left out, and why");
    for entry in &case.chain.entries {
        let j = || [entry_id(entry)];
        let left_out = match &entry.step {
            Step::Planned { left_out, .. } => left_out.as_slice(),
            Step::NoSafePatch { missing } => {
                for one in missing.iter().filter(|one| !matches!(one, Missing::Recipe { .. })) {
                    section.says(format!("Missing: {}", quoted(&one.to_string())), j());
                }
                missing
                    .iter()
                    .find_map(
                        |one| if let Missing::Recipe { left_out } = one { Some(left_out.as_slice()) } else { None },
                    )
                    .unwrap_or_default()
            }
            Step::ContextReady { context } => {
                for skipped in context.skipped.iter().take(MOST_TOLD) {
                    section.says(format!("Not read: {}", quoted(skipped)), j());
                }
                &[]
            }
            _ => &[],
        };
        for one in left_out {
            section.says(format!("No candidate by {}: {}", quoted(&one.recipe), quoted(&one.why)), j());
        }
    }
    let target = case.request.as_ref().and_then(|request| request.target.as_ref());
    for one in target.iter().flat_map(|target| target.left_out.iter()).take(MOST_TOLD) {
        let (what, why) = (quoted(&one.what), quoted(&one.why));
        section.says(format!("The request leaves out {what}: {why}"), [case.request_id()]);
    }
    if section.parts.is_empty() {
        section.says("The journal names nothing that was left out", [entry_id(case.last())]);
    }
    section
}

pub(super) fn tests(case: &Case) -> Section {
    let mut section = Section::new("Tests and isolation");
    for entry in &case.chain.entries {
        match &entry.step {
            Step::Verified { candidate, proof } => {
                section.about(format!("{} is proved", quoted(candidate)), [entry_id(entry)]);
                proved(&mut section, case, proof, &entry_id(entry));
            }
            Step::CandidateRefused { candidate, by, .. } if by == "tests" => {
                let text = format!("{} did not pass; its isolation is not in the journal", quoted(candidate));
                section.says(text, [entry_id(entry)]);
            }
            _ => {}
        }
    }
    if section.parts.is_empty() {
        section.says("The journal names no test that was run", [entry_id(case.last())]);
    }
    section
}

fn proved(section: &mut Section, case: &Case, proof: &Proof, entry: &str) {
    let both = || [entry.to_owned(), case.artifact_id(&proof.report)];
    let (before, after) = (proof.before, proof.after);
    section.says(
        format!(
            "The repository's own tests: {} passed and {} failed before, {} passed and {} failed with it",
            before.passed, before.failed, after.passed, after.failed
        ),
        both(),
    );
    if proof.added.is_empty() {
        section.says("It adds no test", both());
    } else {
        let (count, names) = (counted(proof.added.len(), "test"), listed(proof.added.iter().take(MOST_TOLD)));
        let text = format!("It adds {count}, failing without it and passing {} times with it: {names}", proof.repeats);
        section.says(text, both());
    }
    let coverage = if proof.coverage.is_empty() { "not measured".into() } else { proof.coverage.says() };
    section.says(format!("Coverage of the changed lines: {}", quoted(&coverage)), both());
    let report = case.artifact(&proof.report).and_then(|report| serde_json::from_slice(report).ok());
    details(section, report.unwrap_or_default(), &case.artifact_id(&proof.report));
    match proof.isolated.as_slice() {
        [] => section.says("Nothing kept the tests apart from the rest of the machine", both()),
        isolated => section.says(format!("The tests were kept apart in: {}", listed(isolated)), both()),
    }
    for one in &proof.not_isolated {
        section.says(format!("NOT isolated: {}", quoted(one)), both());
    }
    if proof.not_isolated.is_empty() {
        section.says("The journal names nothing in which they were not kept apart", both());
    }
    let policy = format!("The policy {} allows it with these results", quoted(&proof.policy));
    section.says(policy, [entry.to_owned(), case.artifact_id(&proof.policy_input)]);
}

/// What the report of the tests says beyond the journal.
#[expect(clippy::needless_pass_by_value, reason = "it is read here and nowhere else")]
fn details(section: &mut Section, report: serde_json::Value, id: &str) {
    for (field, what) in
        [("suites", "Run as"), ("failing_still", "Failed before and with it"), ("flaky", "Passed and failed by chance")]
    {
        let names = report[field].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> =
            names.iter().take(MOST_TOLD).filter_map(|name| name.as_str()).map(String::from).collect();
        if !names.is_empty() {
            section.says(format!("{what}: {}", listed(&names)), [id.to_owned()]);
        }
    }
}

pub(super) fn approval(case: &Case) -> Section {
    let mut section = Section::new("Approval");
    for entry in &case.chain.entries {
        let j = || [entry_id(entry)];
        match &entry.step {
            Step::Approved { approval } => {
                let (by, candidate) = (named(&approval.by), quoted(&approval.candidate));
                section.says(format!("{by} approved {candidate} at {}", entry.at_unix_nano), j());
                let diff = [entry_id(entry), case.artifact_id(&approval.diff)];
                match approval.holds(case.id()) {
                    Ok(consent) => section.says(
                        format!(
                            "The signature is under exactly this diff; it was given at {} and could be used until {}",
                            consent.at_unix_nano, consent.expires_unix_nano
                        ),
                        diff,
                    ),
                    Err(why) => section.says(format!("THE SIGNATURE DOES NOT HOLD: {}", quoted(&why)), diff),
                }
            }
            Step::Rejected { by, why } => section.says(format!("{} said no: {}", named(by), quoted(why)), j()),
            _ => {}
        }
    }
    if section.parts.is_empty() {
        let waits = case.state() == State::Verified;
        section.says(if waits { "Nobody has decided yet" } else { "Nobody was asked" }, [entry_id(case.decisive())]);
    }
    section
}

pub(super) fn diff(case: &Case) -> Section {
    let mut section = Section::new("The diff");
    let Some(Tried { candidate, .. }) = case.chosen() else {
        section.says("There is no approved or proposed patch", [entry_id(case.decisive())]);
        return section;
    };
    let evidence = || planned(case).into_iter().map(entry_id).chain([case.artifact_id(&candidate.diff)]);
    let Some(diff) = case.artifact(&candidate.diff) else {
        section.says(format!("The diff of {} is not kept", quoted(&candidate.id)), evidence());
        return section;
    };
    let (text, redacted) = block(&String::from_utf8_lossy(diff));
    section.says(format!("The diff of {}, {} lines", quoted(&candidate.id), candidate.lines), evidence());
    if redacted > 0 {
        section.says(format!("{redacted} values in it are replaced here; the artifact has them"), evidence());
    }
    section.parts.push(Part::Lines(text));
    section
}

pub(super) fn next(case: &Case) -> Section {
    let mut section = Section::new("What to do next");
    let decisive = || [entry_id(case.decisive())];
    let text = match case.state() {
        State::Received | State::Triaged | State::ContextReady | State::Planned => {
            "Nothing: the consumer goes on by itself while it runs"
        }
        State::Verified => "Read the diff, and approve or reject it before the request is too old",
        State::Attested => "Roll the patch out in steps, and watch the metric that it is judged by",
        State::NoSafePatch => "Supply what is missing, and submit the request again, or repair it by hand",
        State::Refused => "Read why each candidate was refused; what is left is a repair by hand",
        State::Rejected => "Repair it by hand; why it was rejected is in the section on the approval",
        State::Expired => "See whether the problem lasts: a newer revision of the incident begins anew",
        State::Superseded => "Read the remediation of the newer revision",
        State::Resolved => "Find out what ended the problem: no patch of this remediation did",
        State::Cancelled => "Nothing follows by itself: submit the request again, or repair it by hand",
    };
    section.says(text, decisive());
    if let (State::Attested, Some(tried)) = (case.state(), case.chosen()) {
        let mechanism = &tried.candidate.proposal.mechanism;
        let j = || planned(case).into_iter().map(entry_id);
        let (metric, claim) = (quoted(&mechanism.metric), quoted(&mechanism.claim));
        section.says(format!("The metric to watch is {metric}; the claim: {claim}"), j());
        section
            .says(format!("If the claim does not hold, take it back: {}", quoted(&tried.candidate.proposal.undo)), j());
    }
    for tried in &case.chain.remediation.candidates {
        if let Stage::Verified { proof } = &tried.stage
            && !proof.not_isolated.is_empty()
        {
            let is_it =
                |step: &Step| matches!(step, Step::Verified { candidate, .. } if *candidate == tried.candidate.id);
            let text =
                format!("Run the tests of {} once more where everything is isolated", quoted(&tried.candidate.id));
            section.says(text, case.entry(is_it).into_iter().map(entry_id).collect::<Vec<_>>());
        }
    }
    section
}

pub(super) fn metrics(case: &Case, measures: &Measures) -> Section {
    let mut section = Section::new("Metrics");
    let begin = entry_id(case.first());
    let first = |is: fn(&Step) -> bool| case.chain.entries.iter().find(|entry| is(&entry.step));
    for (what, first) in [
        ("plan", first(|step| matches!(step, Step::Planned { .. }))),
        ("proof", first(|step| matches!(step, Step::Verified { .. }))),
        ("approval", first(|step| matches!(step, Step::Approved { .. }))),
    ] {
        match first {
            Some(entry) => {
                let length = time(entry.at_unix_nano.since(case.first().at_unix_nano));
                section.says(format!("Time to {what}: {length}"), [begin.clone(), entry_id(entry)]);
            }
            None => section.says(format!("Time to {what}: there is none"), [entry_id(case.last())]),
        }
    }
    match (case.chosen(), measures.patch_lines) {
        (Some(tried), Some(lines)) => {
            let without = measures.patch_lines_without_tests;
            let without = without.map_or("not known".into(), |lines| lines.to_string());
            section.says(
                format!("Size of the patch: {lines} lines added and removed, {without} without tests"),
                [case.artifact_id(&tried.candidate.diff)],
            );
        }
        _ => section.says("Size of the patch: there is none", [entry_id(case.decisive())]),
    }
    section
}
