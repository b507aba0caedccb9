//! Steps, states and times in words.

use std::time::Duration;

use super::prose::{named, quoted};
use crate::candidate::Kind;
use crate::state::State;
use crate::step::Step;

/// Most characters of a name.
const MOST_NAME: usize = 64;

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
            let (files, places) = (context.files as usize, context.suspects.len());
            format!("the code was read: {}, {}", counted(files, "file"), counted(places, "suspect place"))
        }
        Step::Planned { candidates, left_out } => {
            let (made, not) = (counted(candidates.len(), "candidate"), counted(left_out.len(), "recipe"));
            format!("the plan was made: {made}, {not} left out")
        }
        Step::NoSafePatch { missing } => {
            format!("nothing safe could be done, {} missing", counted(missing.len(), "thing"))
        }
        Step::PolicyPassed { candidate, .. } => format!("the policy allowed to try {}", quoted(candidate)),
        Step::Applied { candidate, .. } => {
            format!("{} was applied, and taking it back gave the deployed commit again", quoted(candidate))
        }
        Step::Verified { candidate, .. } => format!("{} was proved", quoted(candidate)),
        Step::CandidateRefused { candidate, by, why } => {
            format!("{} was refused by {}, for {}", quoted(candidate), quoted(by), counted(why.len(), "reason"))
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

/// What a state means, said of a remediation.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Received => "is taken in",
        State::Triaged => "is mapped to its code",
        State::ContextReady => "has its code read",
        State::Planned => "is planned, with candidates still to be tried",
        State::Verified => "has a patch that is proved, and waits for an approval",
        State::Attested => "has ended: a patch is proved, approved and signed",
        State::NoSafePatch => "has ended: nothing safe can be done",
        State::Refused => "has ended: no candidate passed policy and tests",
        State::Rejected => "has ended: who may approve said no",
        State::Expired => "has ended: the request was too old",
        State::Superseded => "has ended: a newer revision took its place",
        State::Resolved => "has ended: the incident was over",
        State::Cancelled => "was ended by the operator",
    }
}

/// A name such as a recipe's, where nothing quotes it; what is no name is `other`.
pub(super) fn identifier(text: &str) -> &str {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !text.is_empty() && text.len() <= MOST_NAME && text.bytes().all(is_part) { text } else { "other" }
}

/// `1 test`, `2 tests`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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
        assert_eq!((counted(1, "test"), counted(2, "test")), ("1 test".into(), "2 tests".into()));
        assert_eq!((number(0.01), number(40.0), percent(0.125)), ("0.01".into(), "40".into(), "12.5 %".into()));
    }
}
