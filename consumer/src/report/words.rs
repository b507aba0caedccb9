//! Steps, states and times in words.

use std::time::Duration;

use super::prose::{named, quoted};
use crate::candidate::Kind;
use crate::state::State;
use crate::step::Step;

/// What a step is, in one line.
pub(super) fn of(step: &Step) -> String {
    match step {
        Step::Received { request } => {
            format!("the request of revision {} came (event {})", request.revision, quoted(&request.event_id))
        }
        Step::Merged { request } => {
            format!(
                "a newer request, of revision {}, took its place (event {})",
                request.revision,
                quoted(&request.event_id)
            )
        }
        Step::Triaged { .. } => "the suspect was mapped to its code".into(),
        Step::ContextReady { context } => {
            format!("the code was read: {} files, {} suspect places", context.files, context.suspects.len())
        }
        Step::Planned { candidates, left_out } => {
            format!("the plan was made: {} candidates, {} recipes left out", candidates.len(), left_out.len())
        }
        Step::NoSafePatch { missing } => format!("nothing safe could be done, {} things are missing", missing.len()),
        Step::PolicyPassed { candidate, .. } => format!("the policy allowed to try {}", quoted(candidate)),
        Step::Applied { candidate, .. } => format!("{} was applied, and taking it back was tried", quoted(candidate)),
        Step::Verified { candidate, .. } => format!("{} was proved", quoted(candidate)),
        Step::CandidateRefused { candidate, by, why } => {
            format!("{} was refused by {}, {} reasons", quoted(candidate), quoted(by), why.len())
        }
        Step::Approved { approval } => format!("{} approved {}", named(&approval.by), quoted(&approval.candidate)),
        Step::Rejected { by, .. } => format!("{} said no", named(by)),
        Step::Expired { .. } => "the request was too old to act on".into(),
        Step::Superseded { revision, .. } => format!("revision {revision} of the incident took its place"),
        Step::Resolved { revision } => format!("the incident was over, says its revision {revision}"),
        Step::Cancelled { .. } => "the operator ended it".into(),
        Step::Intended { .. } => "the evidence was about to be sealed".into(),
        Step::Happened { observed: false, .. } => "the evidence was sealed".into(),
        Step::Happened { observed: true, .. } => "the evidence was found sealed after a restart".into(),
    }
}

/// What a state means.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Received => "taken in",
        State::Triaged => "mapped to its code",
        State::ContextReady => "at the point where the code was read",
        State::Planned => "planned, with candidates still to be tried",
        State::Verified => "proved, and waits for an approval",
        State::Attested => "ended: a patch is proved, approved and signed",
        State::NoSafePatch => "ended: nothing safe can be done",
        State::Refused => "ended: no candidate passed policy and tests",
        State::Rejected => "ended: who may approve said no",
        State::Expired => "ended: the request was too old",
        State::Superseded => "ended: a newer revision took its place",
        State::Resolved => "ended: the incident was over",
        State::Cancelled => "ended by the operator",
    }
}

/// What kind of change it is.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Revert => "an earlier state that comes back",
        Kind::Flag => "a flag that is switched",
        Kind::Config => "a setting with another value",
        Kind::Code => "a change of code behind a flag",
    }
}

/// A length of time as people say it.
pub(super) fn time(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..60 => format!("{:.1} s", length.as_millis() as f64 / 1000.0),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A number without needless digits.
pub(super) fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    rounded.to_string()
}

/// A share as percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_units_that_fit() {
        for (millis, said) in [(350, "350 ms"), (3210, "3.2 s"), (250_000, "4 min 10 s"), (7_500_000, "2 h 5 min")] {
            assert_eq!(time(Duration::from_millis(millis)), said);
        }
        assert_eq!(time(Duration::from_hours(74)), "3 d 2 h");
        assert_eq!((number(0.01), number(40.0), percent(0.125)), ("0.01".into(), "40".into(), "12.5 %".into()));
    }
}
