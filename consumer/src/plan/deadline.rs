//! Recipe `deadline`: a call that waits for ever gets a timeout that follows from the window, behind a flag.

mod golang;
mod python;
mod unset;

use backtrail_code::Language;
use backtrail_model::patch_request::{EdgeLoad, PatchRequest};

use super::Found;
use super::code::Target;
use super::flags_file::with_flag;
use super::needs::overrun;
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::Context;

/// A callee that takes this much longer than before is what the time is lost on.
const SLOWER: f64 = 2.0;
/// How much longer than usual a call may take before it is given up.
const ROOM: f64 = 1.5;
/// Share of the caller's deadline that all attempts together may take; the rest is for the suspect's own work.
const SHARE: f64 = 0.8;

/// What the new code is made of.
#[derive(Clone, PartialEq, Debug)]
struct Values {
    flag: String,
    callee: String,
    /// A name for the counter: `checkout.tax.deadlines`.
    counter: String,
    timeout_s: f64,
}

/// What a language makes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    /// The line of the call, and what is called.
    line: usize,
    callee: String,
    /// The file with the new code.
    content: String,
    /// The generated file of tests, and the tests in it by their names there.
    test_path: String,
    test: String,
    tests: Vec<String>,
}

pub(super) use unset::unset;

/// The callee of the suspect that became slower than any other.
fn slow_callee(request: &PatchRequest) -> Result<&EdgeLoad, String> {
    let suspect = &request.suspect_ref.entity.service;
    let of_suspect = request.telemetry_summary.load.iter().filter(|load| load.from == *suspect);
    let slow = of_suspect.filter(|load| load.quiet_p95_ms > 0.0 && slowness(load) > SLOWER);
    let most = slow.max_by(|a, b| slowness(a).total_cmp(&slowness(b)));
    most.ok_or_else(|| "telemetry shows no callee that takes much longer than before".to_owned())
}

/// The recipe.
pub(super) fn missing(context: &Context) -> Found {
    let request = &context.request;
    let suspect = &request.suspect_ref.entity.service;
    let slow = slow_callee(request)?;
    let flag = request.constraints.patch_must_be_guarded_by_flag.clone();
    if flag.is_empty() || !flag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err("the request names no flag that the change could stand behind".into());
    }
    let (timeout_ms, computation) = timeout(slow, overrun(request))?;
    let values = Values {
        flag,
        callee: slow.to.clone(),
        counter: format!("{suspect}.{}.deadlines", slow.to),
        timeout_s: timeout_ms / 1000.0,
    };
    let mut why = Vec::new();
    for language in [Language::Python, Language::Go] {
        for target in Target::all(context, language) {
            match draft(context, &target, slow, &values, &computation) {
                Ok(draft) => return Ok(vec![draft]),
                Err(reason) => why.push(format!("{}: {reason}", target.qualified())),
            }
        }
    }
    if why.is_empty() {
        return Err("no suspect is a function of Python or Go, which is what this recipe can change".into());
    }
    Err(why.join("; "))
}

fn slowness(load: &EdgeLoad) -> f64 {
    load.p95_ms.max(load.served_p95_ms) / load.quiet_p95_ms.max(1.0)
}

/// The timeout in milliseconds, and how it comes about.
fn timeout(slow: &EdgeLoad, caller: Option<&EdgeLoad>) -> Result<(f64, Vec<String>), String> {
    let EdgeLoad { to, quiet_p95_ms: quiet, .. } = slow;
    let usual = (ROOM * quiet).round().max(1.0);
    let mut steps = vec![
        format!("{to} takes {:.0} ms (p95 at the caller), before {quiet:.0} ms", slow.p95_ms.max(slow.served_p95_ms)),
        format!("timeout = {ROOM} * usual = {ROOM} * {quiet:.0} = {usual:.0} ms"),
    ];
    let Some(caller) = caller else {
        steps.push("no caller is seen to give up: there is no deadline to keep within".into());
        return Ok((usual, steps));
    };
    let attempts = (slow.calls as f64 / slow.requests.max(1) as f64).max(1.0);
    let most = (SHARE * caller.p95_ms / attempts).floor();
    steps.push(format!(
        "at most {SHARE} * deadline of {} / attempts = {SHARE} * {:.0} / {attempts:.2} = {most:.0} ms",
        caller.from, caller.p95_ms
    ));
    if most < *quiet {
        return Err(format!("no timeout both fits the caller's deadline and a usual call: {}", steps.join("; ")));
    }
    Ok((usual.min(most), steps))
}

fn draft(
    context: &Context,
    target: &Target<'_>,
    slow: &EdgeLoad,
    values: &Values,
    computation: &[String],
) -> Result<Draft, String> {
    let change = match target.parsed.language() {
        Language::Go => golang::change(context, target, values)?,
        _ => python::change(context, target, values)?,
    };
    let Change { line, callee, content, test_path, test, tests } = change;
    if context.sources.contains_key(&test_path) {
        return Err(format!("{test_path} is there already"));
    }
    let mut edits = vec![
        FileEdit { path: target.path.to_owned(), content: Some(content.into_bytes()) },
        FileEdit { path: test_path.clone(), content: Some(test.into_bytes()) },
    ];
    let (of_flag, says) = with_flag(context, &values.flag);
    edits.extend(of_flag);
    let proposal = Proposal {
        recipe: "deadline".into(),
        tier: 2,
        kind: Kind::Code,
        origin: Origin::Recipe,
        title: format!("Wait at most {} s for {} in {}", values.timeout_s, slow.to, target.qualified()),
        why: vec![format!("{}:{line} calls {callee} without a timeout", target.path), says],
        computation: computation.to_vec(),
        mechanism: Mechanism {
            metric: "client_duration_p95_ms".into(),
            now: format!("{:.0}", slow.p95_ms.max(slow.served_p95_ms)),
            claim: format!("at most {:.0}", values.timeout_s * 1000.0),
        },
        risk: format!("a call to {} that is slow and would have been in time fails", slow.to),
        undo: format!("switch {} off", values.flag),
        authors: Vec::new(),
        flag: values.flag.clone(),
        tests: tests.iter().map(|test| format!("{test_path}::{test}")).collect(),
    };
    Ok(Draft { proposal, edits })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::load::tests::load;
    use super::*;

    proptest! {
        #[test]
        fn a_timeout_is_never_shorter_than_a_usual_call_nor_longer_than_the_caller_waits(
            quiet in 1.0..5000.0_f64, deadline in 1.0..60_000.0_f64, calls in 1..400_u64, gives_up in any::<bool>(),
        ) {
            let slow = EdgeLoad { p95_ms: 90_000.0, quiet_p95_ms: quiet, calls, ..load(100, 100, 90) };
            let caller = EdgeLoad { p95_ms: deadline, ..load(100, 100, 10) };
            if let Ok((value, _)) = timeout(&slow, gives_up.then_some(&caller)) {
                prop_assert!(value >= quiet.floor() && value <= (ROOM * quiet).round().max(1.0));
                let attempts = (calls as f64 / 100.0).max(1.0);
                prop_assert!(!gives_up || value * attempts <= SHARE * deadline);
            }
        }
    }

    #[test]
    fn the_timeout_leaves_room_for_a_usual_call_within_the_callers_deadline() {
        let slow = EdgeLoad { p95_ms: 9000.0, quiet_p95_ms: 80.0, ..load(100, 100, 90) };
        assert!((timeout(&slow, None).expect("no deadline").0 - 120.0).abs() < 1e-9);
        let caller = |p95_ms| EdgeLoad { p95_ms, ..load(100, 100, 10) };
        assert!((timeout(&slow, Some(&caller(2000.0))).expect("fits").0 - 120.0).abs() < 1e-9);
        let (value, steps) = timeout(&slow, Some(&caller(130.0))).expect("fits");
        assert!((value - 104.0).abs() < 1e-9, "{steps:?}");
        assert!(timeout(&slow, Some(&caller(90.0))).is_err_and(|why| why.contains("0.8 * 90 / 1.00 = 72")));
    }
}
