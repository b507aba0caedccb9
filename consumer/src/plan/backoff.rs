//! Recipe `backoff_jitter`: what is sent again is spread out by chance and bounded, behind a flag.
//!
//! Waiting alone does not end a storm: every request still becomes as many calls, a little later. So the recipe bounds the
//! attempts as well, each request's by their number and all requests' together by a share.

mod golang;
mod python;
mod trial;

use backtrail_code::Language;

use super::Found;
use super::code::Target;
use super::flags_file::with_flag;
use super::load::Storm;
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::Context;

/// The first pause is as long as a usual call, within these: milliseconds.
const SHORTEST_MS: f64 = 50.0;
const LONGEST_MS: f64 = 1000.0;
const UNKNOWN_MS: f64 = 100.0;
/// The bound of a pause doubles so often at most.
const DOUBLED: f64 = 4.0;
/// Retries that a burst of failures may take at once.
const BURST: u64 = 10;
/// Retries of one request where the share is what bounds them: three attempts are usual at most.
const USUAL_RETRIES: u64 = 2;

/// What the new code is made of.
#[derive(Clone, PartialEq, Debug)]
struct Values {
    flag: String,
    callee: String,
    /// A name for the counter: `pay.retries.spread`.
    counter: String,
    base_s: f64,
    cap_s: f64,
    /// Retries of one request.
    retries: u64,
    /// Retries of all requests as a share of these, as it is written.
    share: String,
    burst: u64,
}

/// What a language makes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    /// The line of the loop, and what it does.
    line: usize,
    says: String,
    /// The file with the new code.
    content: String,
    /// The generated file of tests, and the tests in it by their names there.
    test_path: String,
    test: String,
    tests: Vec<String>,
}

/// The recipe.
pub(super) fn jitter(context: &Context) -> Found {
    let storm = Storm::of(&context.request).ok_or("telemetry shows no repeated calls of the suspect")?;
    let flag = context.request.constraints.patch_must_be_guarded_by_flag.clone();
    if flag.is_empty() || !flag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err("the request names no flag that the change could stand behind".into());
    }
    let load = &context.request.telemetry_summary.load;
    let suspect = &context.request.suspect_ref.entity.service;
    let quiet = load.iter().find(|load| load.from == *suspect && load.to == storm.callee);
    let quiet = quiet.map_or(0.0, |load| load.quiet_p95_ms);
    let (values, computation) = values(suspect, quiet, &storm, flag)?;
    let mut why = Vec::new();
    for language in [Language::Python, Language::Go] {
        for target in Target::all(context, language) {
            match draft(context, &target, &storm, &values, &computation) {
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

fn values(suspect: &str, quiet: f64, storm: &Storm, flag: String) -> Result<(Values, Vec<String>), String> {
    let mut steps = storm.steps.clone();
    let (allowed, says) = storm.allowed_retries();
    steps.push(says);
    let (share, says) = storm.budget().ok_or(
        "the requests alone take all that the callee can serve: no retries are few enough, however they are spread out",
    )?;
    let retries = if allowed == 0 { USUAL_RETRIES } else { allowed };
    if allowed == 0 {
        steps.push(format!(
            "not every request can have a retry; {retries} retries of one request are allowed while all together stay within a share"
        ));
    }
    steps.push(says);
    let base = if quiet > 0.0 { quiet.clamp(SHORTEST_MS, LONGEST_MS) } else { UNKNOWN_MS }.round();
    steps.push(if quiet > 0.0 {
        format!(
            "first pause = up to a usual call of {quiet:.0} ms (p95 before), within {SHORTEST_MS} and {LONGEST_MS} ms: {base} ms"
        )
    } else {
        format!("first pause = up to {base} ms: how long a usual call takes is not known")
    });
    let cap = DOUBLED * base;
    steps.push(format!("pause before retry n = random between 0 and min({cap}, {base} * 2^n) ms, n from 0"));
    let callee = storm.callee.clone();
    let counter = format!("{suspect}.{callee}.spread_retries");
    let (base_s, cap_s) = (base / 1000.0, cap / 1000.0);
    Ok((Values { flag, callee, counter, base_s, cap_s, retries, share, burst: BURST }, steps))
}

fn draft(
    context: &Context,
    target: &Target<'_>,
    storm: &Storm,
    values: &Values,
    computation: &[String],
) -> Result<Draft, String> {
    let change = match target.parsed.language() {
        Language::Go => golang::change(context, target, values)?,
        _ => python::change(context, target, values)?,
    };
    let Change { line, says: loops, content, test_path, test, tests } = change;
    if context.sources.contains_key(&test_path) {
        return Err(format!("{test_path} is there already"));
    }
    let mut edits = vec![
        FileEdit { path: target.path.to_owned(), content: Some(content.into_bytes()) },
        FileEdit { path: test_path.clone(), content: Some(test.into_bytes()) },
    ];
    let (of_flag, says) = with_flag(context, &values.flag);
    edits.extend(of_flag);
    let Values { base_s, cap_s, retries, share, .. } = values;
    let proposal = Proposal {
        recipe: "backoff_jitter".into(),
        tier: 2,
        kind: Kind::Code,
        origin: Origin::Recipe,
        title: format!("Bound and spread out what {} sends to {} again", target.qualified(), storm.callee),
        why: vec![
            format!("each request becomes {:.2} calls to {}", storm.attempts, storm.callee),
            format!("{}:{line} {loops}", target.path),
            says,
        ],
        computation: computation.to_vec(),
        mechanism: Mechanism {
            metric: "attempts_per_request".into(),
            now: format!("{:.2}", storm.attempts),
            claim: format!("at most 1 + {share} over many requests, from the first request with the flag on"),
        },
        risk: format!(
            "a request that a further repeat would have saved fails; one that is repeated waits up to {cap_s} s longer ({retries} times at most, from {base_s} s)"
        ),
        undo: format!("switch {} off", values.flag),
        authors: Vec::new(),
        flag: values.flag.clone(),
        tests: tests.iter().map(|test| format!("{test_path}::{test}")).collect(),
    };
    Ok(Draft { proposal, edits })
}

/// The one loop that can be changed; why not, if there is none or more than one.
fn the_only<T>(loops: impl Iterator<Item = Result<Option<T>, String>>, none: &str, several: &str) -> Result<T, String> {
    let (mut found, mut why) = (Vec::new(), None);
    for one in loops {
        match one {
            Ok(one) => found.extend(one),
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    match (found.pop(), why) {
        (Some(one), None) if found.is_empty() => Ok(one),
        (None, Some(why)) => Err(why),
        (None, None) => Err(none.to_owned()),
        _ => Err(several.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_and_repeats_stay_within_their_bounds(
            quiet in 0.0..20_000.0_f64, attempts in 1.2..30.0_f64, saturated in any::<bool>(), u in 0.01..1.5_f64,
        ) {
            let utilization = saturated.then_some(u);
            let storm = Storm { callee: "bank".into(), attempts, utilization, steps: Vec::new() };
            if let Ok((values, _)) = values("pay", quiet, &storm, "f".into()) {
                let Values { base_s, cap_s, retries, share, .. } = values;
                prop_assert!((0.05..=1.0).contains(&base_s) && (cap_s - 4.0 * base_s).abs() < 1e-9);
                prop_assert!((1..=2).contains(&retries), "{retries} retries");
                let share: f64 = share.parse().expect("a number");
                prop_assert!((0.01..=0.1).contains(&share), "{share}");
                // All requests together ask the callee for no more than it can serve.
                prop_assert!(utilization.is_none_or(|u| u * (1.0 + share) < 1.0));
            } else {
                prop_assert!(utilization.is_some_and(|u| u > 0.98), "only where there is no room at all");
            }
        }
    }
}
