//! Recipes for retry storms: a budget for retries, then fewer of them. Both are configuration.

use super::load::Storm;
use super::place::{Place, find};
use super::{Found, draft_of_setting};
use crate::candidate::{Draft, Kind, Mechanism, Origin, Proposal};
use crate::context::Context;

/// `retry_budget`: a share of the requests that may be repeated.
pub(super) fn budget(context: &Context) -> Found {
    let storm = storm(context)?;
    let place = find(context, &storm.callee, |words, setting| {
        let retry = words.iter().any(|word| matches!(word.as_str(), "retry" | "retries"));
        let share = words.iter().any(|word| matches!(word.as_str(), "budget" | "ratio" | "quota"));
        retry && share && setting.value.parse::<f64>().is_ok_and(|value| (0.0..=100.0).contains(&value))
    })?;
    let Some((value, says)) = storm.budget() else {
        return Err(
            "the requests alone take all that the callee can serve: no budget for retries is small enough".into()
        );
    };
    let now: f64 = place.setting.value.parse().unwrap_or(0.0);
    // 0 is how a budget is switched off.
    if now > 0.0 && now <= value.parse().unwrap_or(0.0) {
        return Err(format!("{} is small enough already", place.says()));
    }
    draft(&place, &storm, "retry_budget", &value, says)
}

/// `retry_count`: fewer attempts.
pub(super) fn count(context: &Context) -> Found {
    let storm = storm(context)?;
    let place = find(context, &storm.callee, |words, setting| {
        let counts = words.last().is_some_and(|word| is_count(word))
            || words.iter().any(|word| word == "max") && words.iter().any(|word| is_count(word));
        let share = words.iter().any(|word| matches!(word.as_str(), "budget" | "ratio" | "delay" | "ms" | "seconds"));
        counts && !share && setting.value.parse::<i64>().is_ok_and(|value| value >= -1)
    })?;
    let (retries, says) = storm.allowed_retries();
    let attempts =
        super::place::words_of(place.setting).iter().any(|word| matches!(word.as_str(), "attempts" | "tries"));
    let value = retries + u64::from(attempts);
    let now: i64 = place.setting.value.parse().unwrap_or(0);
    // No attempt at all would be no call: then it says that there is no limit. Below zero it always does.
    let limitless = now < 0 || attempts && now == 0;
    if !limitless && now.unsigned_abs() <= value {
        return Err(format!("{} is small enough already: {says}", place.says()));
    }
    let says = if attempts { format!("{says}; attempts = retries + 1 = {value}") } else { says };
    draft(&place, &storm, "retry_count", &value.to_string(), says)
}

fn is_count(word: &str) -> bool {
    matches!(word, "retries" | "retry" | "attempts" | "tries" | "redeliveries")
}

fn storm(context: &Context) -> Result<Storm, String> {
    Storm::of(&context.request).ok_or_else(|| "telemetry shows no repeated calls of the suspect".into())
}

fn draft(place: &Place<'_>, storm: &Storm, recipe: &str, value: &str, says: String) -> Result<Vec<Draft>, String> {
    let mut computation = storm.steps.clone();
    computation.push(says);
    let proposal = Proposal {
        recipe: recipe.into(),
        tier: 1,
        kind: Kind::Config,
        origin: Origin::Recipe,
        title: format!("Set {} to {value} for calls to {}", place.setting.name(), storm.callee),
        why: vec![
            format!("each request becomes {:.2} calls to {}", storm.attempts, storm.callee),
            format!("it is set by {}", place.says()),
        ],
        computation,
        mechanism: Mechanism {
            metric: "attempts_per_request".into(),
            now: format!("{:.2}", storm.attempts),
            claim: "falls, from the first request on".into(),
        },
        risk: "a request that a repeat would have saved fails at once; it does not depend on more than this setting"
            .into(),
        undo: format!("set it to {} again", place.setting.value),
        authors: Vec::new(),
        flag: String::new(),
        tests: Vec::new(),
    };
    draft_of_setting(place, value, proposal)
}
