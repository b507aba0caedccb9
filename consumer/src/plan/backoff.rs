//! Recipe `backoff_jitter`: what is sent again is spread out by chance and bounded, behind a flag.
//!
//! Waiting alone does not end a storm: every request still becomes as many calls, a little later. So the recipe bounds the
//! attempts as well, each request's by their number and all requests' together by a share.

mod python;
mod trial;

use super::Found;
use super::flags_file::with_flag;
use super::load::Storm;
use super::python::{Instruments, Subject, Target, module_of};
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

/// The recipe.
pub(super) fn jitter(context: &Context) -> Found {
    let storm = Storm::of(&context.request).ok_or("telemetry shows no repeated calls of the suspect")?;
    let flag = context.request.constraints.patch_must_be_guarded_by_flag.clone();
    if flag.is_empty() || !flag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err("the request names no flag that the change could stand behind".into());
    }
    let (values, computation) = values(context, &storm, flag)?;
    let targets = Target::all(context);
    if targets.is_empty() {
        return Err("no suspect is a function of Python, which is what this recipe can change".into());
    }
    let mut why = Vec::new();
    for target in &targets {
        match draft(context, target, &storm, &values, &computation) {
            Ok(draft) => return Ok(vec![draft]),
            Err(reason) => why.push(format!("{}: {reason}", target.qualified())),
        }
    }
    Err(why.join("; "))
}

fn values(context: &Context, storm: &Storm, flag: String) -> Result<(Values, Vec<String>), String> {
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
    let load = &context.request.telemetry_summary.load;
    let suspect = &context.request.suspect_ref.entity.service;
    let quiet = load.iter().find(|load| load.from == *suspect && load.to == storm.callee);
    let quiet = quiet.map_or(0.0, |load| load.quiet_p95_ms);
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
    let retry = python::Retry::find(target)?;
    let instruments = Instruments::find(context, target)?;
    let subject = Subject::find(context, target)?;
    let changed = python::edited(target, &retry, &instruments, values)?;
    let module = module_of(context, target.path);
    let test = trial::text(&module, target, &retry, &instruments, &subject, values)?;
    let name = format!("test_{}_{}_backoff.py", stem(target.path), target.name().trim_matches('_'));
    let folder = subject.from.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let test_path = format!("{folder}{name}");
    if context.sources.contains_key(&test_path) {
        return Err(format!("{test_path} is there already"));
    }
    let mut edits = vec![
        FileEdit { path: target.path.to_owned(), content: Some(changed.into_bytes()) },
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
            format!("{}:{} {}", target.path, retry.line, retry.says()),
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
        tests: trial::TESTS.iter().map(|test| format!("{test_path}::{test}")).collect(),
    };
    Ok(Draft { proposal, edits })
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".py").unwrap_or(name)
}
