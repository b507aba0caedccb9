//! Recipe `timeout_within_deadline`: a timeout that outlives the caller wastes work that nobody waits for.

use backtrail_code::Language;

use super::load::Storm;
use super::needs::overrun;
use super::place::{find, words_of};
use super::{Found, draft_of_setting};
use crate::candidate::{Kind, Mechanism, Origin, Proposal};
use crate::context::Context;
use crate::settings::Setting;

/// Share of the caller's deadline that all attempts together may take; the rest is for the suspect's own work.
const SHARE: f64 = 0.8;
/// How much longer than usual a call may take before it is given up.
const ROOM: f64 = 1.5;
/// Calls that take this much longer than a timeout says are not bounded by it.
const OUTLASTS: f64 = 1.5;
/// How far a call that times out may be from the timeout.
const NEAR: f64 = 0.15;

pub(super) fn within_deadline(context: &Context) -> Found {
    let request = &context.request;
    let caller = overrun(request).ok_or("no caller gives up before the suspect does")?;
    if Storm::of(request).is_some() {
        return Err("calls are repeated: a shorter timeout does not end that".into());
    }
    let suspect = &request.suspect_ref.entity.service;
    let outgoing = request.telemetry_summary.load.iter().find(|load| load.from == *suspect);
    let callee = outgoing.map_or("", |load| load.to.as_str());
    let observed = outgoing.map_or(0.0, |load| load.p95_ms);
    let place = find(context, callee, |words, setting| {
        let named = words.iter().any(|word| matches!(word.as_str(), "timeout" | "deadline" | "timeouts"));
        named && millis(setting, observed).is_some()
    })?;
    let (now, unit) = millis(place.setting, observed).ok_or("the timeout has no unit that is known")?;
    if observed > OUTLASTS * now {
        return Err(format!(
            "{} does not bound the calls to {callee}: they take {observed:.0} ms (p95 at the caller)",
            place.says()
        ));
    }
    let attempts = outgoing.map_or(1.0, |load| (load.calls as f64 / load.requests.max(1) as f64).max(1.0));
    let deadline = caller.p95_ms;
    let value = unit.fitting(context, place.setting, SHARE * deadline / attempts);
    let mut computation = vec![
        format!(
            "{} gives up after {deadline:.0} ms ({} of {} calls failed) while {suspect} works for {:.0} ms (p95)",
            caller.from, caller.errors, caller.calls, caller.served_p95_ms
        ),
        format!("timeout = {SHARE} * deadline / attempts = {SHARE} * {deadline:.0} / {attempts:.2} = {value:.0} ms"),
    ];
    let usual = outgoing.map_or(0.0, |load| load.quiet_p95_ms);
    if usual > 0.0 {
        computation
            .push(format!("it must leave room for a usual call: {ROOM} * {usual:.0} ms = {:.0} ms", ROOM * usual));
        if value < ROOM * usual {
            return Err(format!(
                "no timeout both fits the caller's deadline and a usual call: {}",
                computation.join("; ")
            ));
        }
    }
    if value >= now || value < 1.0 {
        return Err(format!("{} is short enough already: {}", place.says(), computation.join("; ")));
    }
    let written = unit.write(value);
    let proposal = Proposal {
        recipe: "timeout_within_deadline".into(),
        tier: 1,
        kind: Kind::Config,
        origin: Origin::Recipe,
        title: format!("Set {} to {written}, within the deadline of {}", place.setting.name(), caller.from),
        why: vec![format!("it is set by {}, longer than {} waits", place.says(), caller.from)],
        computation,
        mechanism: Mechanism {
            metric: "server_duration_p95_ms".into(),
            now: format!("{:.0}", caller.served_p95_ms),
            claim: format!("below {deadline:.0}"),
        },
        risk: "a call that is slow and would have been in time for nobody fails earlier".into(),
        undo: format!("set it to {} again", place.setting.value),
        authors: Vec::new(),
        flag: String::new(),
        tests: Vec::new(),
    };
    draft_of_setting(&place, &written, proposal)
}

/// How a duration is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Unit {
    /// A number, of which one is so many milliseconds.
    Number(f64),
    /// A number and this.
    Suffix(&'static str, f64),
}

impl Unit {
    /// Of a value's suffix, or of a word of the key where it has none.
    pub(super) fn of(suffix: &str, setting: &Setting) -> Option<Self> {
        match suffix {
            "ms" => Some(Self::Suffix("ms", 1.0)),
            "s" => Some(Self::Suffix("s", 1000.0)),
            "" => words_of(setting).iter().rev().find_map(|word| match word.as_str() {
                "ms" | "millis" | "milliseconds" | "msec" | "msecs" => Some(Self::Number(1.0)),
                "s" | "sec" | "secs" | "seconds" => Some(Self::Number(1000.0)),
                _ => None,
            }),
            _ => None,
        }
    }

    /// The most of these milliseconds that can be written where the setting stands: a whole number stays one, because who
    /// reads it may read whole numbers only.
    pub(super) fn fitting(self, context: &Context, setting: &Setting, millis: f64) -> f64 {
        let whole = setting.value.parse::<i64>().is_ok();
        let lenient = context.suspects.iter().any(|suspect| {
            let language = Language::of_path(&suspect.path);
            matches!(language, Some(Language::Python | Language::JavaScript | Language::TypeScript))
        });
        match self {
            Self::Number(one) if one > 1.0 && whole && (millis >= one || !lenient) => (millis / one).floor() * one,
            _ => millis.floor(),
        }
    }

    pub(super) fn write(self, millis: f64) -> String {
        match self {
            Self::Number(one) if one > 1.0 => format!("{}", (millis / one * 1000.0).floor() / 1000.0),
            Self::Number(one) => format!("{:.0}", millis / one),
            // A smaller unit of the same notation: 2s becomes 800ms.
            Self::Suffix(..) => format!("{millis:.0}ms"),
        }
    }
}

/// A duration setting in milliseconds, by the suffix of the value or a word of the key; none without a unit. Where neither
/// tells, calls that end just then do.
fn millis(setting: &Setting, observed: f64) -> Option<(f64, Unit)> {
    let value = setting.value.as_str();
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite())?;
    let suffix = &value[digits.len()..];
    let seen = |one: &f64| suffix.is_empty() && (number * one - observed).abs() < NEAR * observed;
    let unit = Unit::of(suffix, setting).or_else(|| [1.0, 1000.0].into_iter().find(seen).map(Unit::Number))?;
    let (Unit::Number(one) | Unit::Suffix(_, one)) = unit;
    Some((number * one, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Format, read};

    #[test]
    fn durations_are_read_and_written_in_their_unit() {
        for (text, wanted, written) in [
            ("timeout_ms: 5000", 5000.0, "400"),
            ("timeout_seconds: 2.5", 2500.0, "0.4"),
            ("timeout: 30s", 30_000.0, "400ms"),
            ("timeout: 300ms", 300.0, "400ms"),
            ("bank: {timeoutMillis: 9}", 9.0, "400"),
        ] {
            let settings = read(Format::Yaml, text).expect("readable");
            let (found, unit) = millis(&settings[0], 0.0).expect("a duration");
            assert!((found - wanted).abs() < 1e-9, "{text}");
            assert_eq!(unit.write(400.0), written, "{text}");
        }
        for text in ["timeout: 30", "timeout: 5m", "timeout: -5s", "timeout: soon"] {
            assert_eq!(millis(&read(Format::Yaml, text).expect("readable")[0], 0.0), None, "{text}");
        }
        let bare = read(Format::Yaml, "timeout: 30").expect("readable");
        assert_eq!(millis(&bare[0], 30_004.0), Some((30_000.0, Unit::Number(1000.0))), "calls end then");
        assert_eq!(millis(&bare[0], 12_000.0), None);
    }
}
