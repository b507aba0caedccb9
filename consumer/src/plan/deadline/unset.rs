//! Recipe `timeout_unset`: a timeout that is configured as "none" gets a value. It is configuration alone and needs no flag:
//! the setting is the switch.

use backtrail_model::patch_request::EdgeLoad;

use super::{slow_callee, timeout};
use crate::candidate::{Kind, Mechanism, Origin, Proposal};
use crate::context::Context;
use crate::plan::needs::overrun;
use crate::plan::place::find;
use crate::plan::timeout::Unit;
use crate::plan::{Found, draft_of_setting};
use crate::settings::Setting;

/// The recipe.
pub(in crate::plan) fn unset(context: &Context) -> Found {
    let request = &context.request;
    let slow = slow_callee(request)?;
    let caller = overrun(request).ok_or("no caller gives up before the suspect does")?;
    let place = find(context, &slow.to, |words, setting| {
        words.iter().any(|word| matches!(word.as_str(), "timeout" | "deadline")) && none(setting).is_some()
    })?;
    let unit = none(place.setting).ok_or("the timeout has no unit that is known")?;
    let (most, computation) = timeout(slow, Some(caller))?;
    let value = unit.fitting(context, place.setting, most);
    if value <= slow.quiet_p95_ms {
        return Err(format!("{} cannot be written as short as {most:.0} ms", place.says()));
    }
    let written = unit.write(value);
    let EdgeLoad { to, p95_ms, .. } = slow;
    let proposal = Proposal {
        recipe: "timeout_unset".into(),
        tier: 1,
        kind: Kind::Config,
        origin: Origin::Recipe,
        title: format!("Set {} to {written}: calls to {to} had no end", place.setting.name()),
        why: vec![format!("{} means none, and calls to {to} take {p95_ms:.0} ms (p95)", place.says())],
        computation,
        mechanism: Mechanism {
            metric: "client_duration_p95_ms".into(),
            now: format!("{p95_ms:.0}"),
            claim: format!("at most {value:.0}"),
        },
        risk: format!("a call to {to} that is slow and would have been in time fails"),
        undo: format!("set it to {} again", place.setting.value),
        authors: Vec::new(),
        flag: String::new(),
        tests: Vec::new(),
    };
    draft_of_setting(&place, &written, proposal)
}

/// The unit of a duration that is zero or less: no end at all.
fn none(setting: &Setting) -> Option<Unit> {
    let value = setting.value.as_str();
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok()?;
    (number <= 0.0).then(|| Unit::of(&value[digits.len()..], setting)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Format, read};

    #[test]
    fn zero_and_less_mean_no_end() {
        for (text, written) in
            [("tax_timeout_ms=0", Some("240")), ("timeout=0s", Some("240ms")), ("timeout_seconds=-1", Some("0.24"))]
        {
            let settings = read(Format::Properties, text).expect("readable");
            assert_eq!(none(&settings[0]).map(|unit| unit.write(240.0)).as_deref(), written, "{text}");
        }
        for text in ["timeout_ms=5", "timeout=0", "timeout=none"] {
            assert_eq!(none(&read(Format::Properties, text).expect("readable")[0]), None, "{text}");
        }
    }
}
