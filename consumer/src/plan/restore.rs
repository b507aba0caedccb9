//! Recipes `restore_setting` and `flag`: values that a recent change set get back what they were before.

use super::Found;
use std::collections::BTreeSet;

use super::load::{Storm, is_saturated};
use super::needs::{Needs, complaints};
use super::place::{is_read, words, words_of};
use super::pool::is_too_small;
use super::revert::{distinct, short};
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::{ConfigFile, Context, has_word, names};
use crate::settings::{self, Setting};

/// Units of durations and sizes with what they are of the smallest.
const UNITS: [(&str, f64); 12] = [
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 6e4),
    ("min", 6e4),
    ("h", 36e5),
    ("d", 864e5),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];
/// Words of switches that protect something rather than show it.
const PROTECTS: [&str; 4] = ["jitter", "cache", "budget", "batch"];
/// A part of a value that is shorter is in many texts.
const SHORTEST: usize = 5;
/// Lines behind the place where code asks for a flag that belong to what is behind the flag.
const BEHIND: usize = 4;

/// A setting that a recent change gave another value, which it still has.
struct Changed<'a> {
    file: &'a ConfigFile,
    setting: &'a Setting,
    before: String,
    commit: String,
}

/// `restore_setting`: the suspect's code reads the setting, and it moved the way that makes the failure worse.
pub(super) fn setting(context: &Context) -> Found {
    let needs = Needs::of(&context.request);
    restore(context, "restore_setting", Kind::Config, |changed| {
        let worse = match magnitudes(changed.setting, &changed.before) {
            Some((before, now)) => {
                let pool = needs.pool && is_pool(changed.setting);
                needs.is_worse(&changed.setting.name(), before, now)
                    && ends_the_storm(context, changed.setting, before)
                    && (!pool || is_too_small(&context.request, now) && !is_too_small(&context.request, before))
            }
            None => is_named_by_the_failure(context, changed),
        };
        // A switch of a protection is none of a feature.
        let feature =
            is_flag(changed) && !words_of(changed.setting).iter().any(|word| PROTECTS.contains(&word.as_str()));
        worse && !feature && is_read(context, changed.setting)
    })
}

/// Both values as numbers of the same kind. No limit at all is more than any; of a pause or a pool 0 is 0.
fn magnitudes(setting: &Setting, before: &str) -> Option<(f64, f64)> {
    let counts = words_of(setting).iter().any(|word| matches!(word.as_str(), "attempts" | "tries"));
    let truth = |value: &str| match value.to_lowercase().as_str() {
        "true" | "on" | "yes" => Some(1.0),
        "false" | "off" | "no" => Some(0.0),
        _ => None,
    };
    if let (Some(before), Some(now)) = (truth(before), truth(&setting.value)) {
        return Some((before, now));
    }
    let number = |value: &str| {
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: f64 = digits.parse().ok()?;
        let unit = &value[digits.len()..];
        let factor = match unit {
            "" => 1.0,
            unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        let limitless = unit.is_empty() && (number < 0.0 || counts && number == 0.0);
        Some((unit.is_empty(), if limitless { f64::INFINITY } else { number * factor }))
    };
    let ((plain, before), (also, now)) = (number(before)?, number(&setting.value)?);
    // A number that got a unit says nothing by its digits.
    (plain == also).then_some((before, now))
}

/// Whether the error or what is logged names the new value, and it did not come with the old one: a host, a path, a topic.
fn is_named_by_the_failure(context: &Context, changed: &Changed<'_>) -> bool {
    let summary = &context.request.telemetry_summary;
    let error = summary.divergent_span.iter().map(|span| span.error.as_str());
    let said: Vec<&str> = error.chain(complaints(summary)).collect();
    let parts = |value: &str| -> BTreeSet<String> {
        let parts = value.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')));
        parts
            .filter(|part| part.len() >= SHORTEST && !part.chars().all(|c| c.is_ascii_digit()))
            .map(str::to_owned)
            .collect()
    };
    let old = parts(&changed.before);
    parts(&changed.setting.value)
        .into_iter()
        .any(|part| !old.contains(&part) && said.iter().any(|said| has_word(said, &part)))
}

fn is_pool(setting: &Setting) -> bool {
    let timed = ["timeout", "deadline", "delay", "retry", "retries", "attempts"];
    !words_of(setting).iter().any(|word| timed.contains(&word.as_str()))
}

/// Whether the earlier value is enough by what the callee can bear: fewer repeats are not always few enough.
fn ends_the_storm(context: &Context, setting: &Setting, before: f64) -> bool {
    let Some(storm) = Storm::of(&context.request) else { return true };
    let words = words_of(setting);
    let is = |kind: &[&str]| words.iter().any(|word| kind.contains(&word.as_str()));
    if is(&["budget", "ratio"]) {
        return storm.budget().is_some_and(|(most, _)| before > 0.0 && before <= most.parse().unwrap_or(0.0));
    }
    if is(&["retries", "retry", "attempts", "tries"]) {
        return before <= (storm.allowed_retries().0 + u64::from(is(&["attempts", "tries"]))) as f64;
    }
    // Waiting longer between repeats thins them out and does not make them fewer. Chance was what kept them apart.
    is(&["jitter"])
}

/// `flag`: the suspect's code asks for the flag, and its name or new variant names what fails.
pub(super) fn flag(context: &Context) -> Found {
    let failing = failing(context);
    restore(context, "flag", Kind::Flag, |changed| {
        let named = words_of(changed.setting).into_iter().chain(words(&changed.setting.value));
        let is_it = named.filter(|word| !words(&changed.before).contains(word)).any(|word| failing.contains(&word));
        let Some(flag) = flag_name(changed.setting) else { return false };
        asks_for(context, flag) && (is_it || leads_to(context, flag))
    })
}

/// Whether what is behind the flag in the suspect's code calls what fails.
fn leads_to(context: &Context, flag: &str) -> bool {
    let request = &context.request;
    let suspect = &request.suspect_ref.entity.service;
    let own = words(suspect);
    let load = request.telemetry_summary.load.iter();
    let sick = load.filter(|load| load.from == *suspect && (load.errors > 0 || is_saturated(load)));
    let sick: BTreeSet<String> =
        sick.flat_map(|load| words(&load.to)).filter(|word| word.len() > 2 && !own.contains(word)).collect();
    let texts = context.suspects.iter().filter_map(|suspect| context.function_of(suspect));
    texts.into_iter().any(|(parsed, place)| {
        let lines: Vec<&str> = parsed.text_of_function(place).lines().collect();
        let asks = lines.iter().enumerate().filter(|(_, line)| names(line, flag)).map(|(at, _)| at);
        asks.into_iter()
            .any(|at| lines[at..].iter().take(BEHIND).flat_map(|line| words(line)).any(|word| sick.contains(&word)))
    })
}

/// Words for what fails below the suspect: callees that lose calls, and what the error says.
fn failing(context: &Context) -> BTreeSet<String> {
    let summary = &context.request.telemetry_summary;
    let suspect = &context.request.suspect_ref.entity.service;
    let sick = summary.load.iter().filter(|load| load.from == *suspect && (load.errors > 0 || is_saturated(load)));
    let error = summary.divergent_span.iter().map(|span| span.error.as_str());
    let said = sick.map(|load| load.to.as_str()).chain(complaints(summary)).chain(error).flat_map(words);
    // Words of the service's own name are in every flag of it.
    let own = words(suspect);
    said.filter(|word| word.len() > 2 && !own.contains(word)).collect()
}

fn restore(context: &Context, recipe: &str, kind: Kind, belongs: impl Fn(&Changed<'_>) -> bool) -> Found {
    let changed = changed(context);
    if changed.is_empty() {
        return Err("no recent change set another value in the service's configuration".into());
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for changed in changed.iter().filter(|changed| belongs(changed)) {
        // A value is put back alone: two that changed together are two candidates, and both together are the revert.
        let text = settings::set(changed.file.format, &changed.file.text, &changed.setting.keys, &changed.before);
        let Ok(text) = text else { continue };
        let edits = vec![FileEdit { path: changed.file.path.clone(), content: Some(text.into_bytes()) }];
        drafts.push(Draft { proposal: proposal(context, changed, recipe, kind), edits });
    }
    if drafts.is_empty() {
        let names: Vec<String> = changed.iter().map(|changed| changed.setting.name()).collect();
        return Err(format!("recent changes set {}, which the suspect does not depend on", names.join(", ")));
    }
    Ok(drafts)
}

fn proposal(context: &Context, changed: &Changed<'_>, recipe: &str, kind: Kind) -> Proposal {
    let (name, now) = (changed.setting.name(), &changed.setting.value);
    let log = context.mirror.log(&changed.commit, None, None, 1).unwrap_or_default();
    let authors = log.first().map(|log| format!("{} <{}>", log.author, log.mail)).into_iter().collect();
    Proposal {
        recipe: recipe.into(),
        tier: u8::from(kind == Kind::Config),
        kind,
        origin: Origin::Recipe,
        title: format!("Set {name} back to {}", changed.before),
        why: vec![format!(
            "{} set {}:{} {name} from {} to {now}",
            short(&changed.commit),
            changed.file.path,
            changed.setting.line,
            changed.before
        )],
        computation: Vec::new(),
        mechanism: Mechanism {
            metric: "error_rate".into(),
            now: String::new(),
            claim: "not above that of the concurrent baseline, and falls".into(),
        },
        risk: "the value was changed for a reason".into(),
        undo: format!("set it to {now} again"),
        authors,
        flag: String::new(),
        tests: Vec::new(),
    }
}

/// What recent changes set, newest first, each setting once.
fn changed(context: &Context) -> Vec<Changed<'_>> {
    let mut found: Vec<Changed<'_>> = Vec::new();
    for change in distinct(&context.request.recent_changes) {
        let Ok(commit) = context.mirror.resolve(&change.sha) else { continue };
        for file in &context.configs {
            for (setting, before) in written_before(context, file, &commit) {
                let known = found.iter().any(|one| one.file.path == file.path && one.setting.keys == setting.keys);
                if !known {
                    found.push(Changed { file, setting, before, commit: commit.clone() });
                }
            }
        }
    }
    found
}

/// Settings of a file that a commit gave the value that they still have, with the value before.
pub(super) fn written_before<'a>(context: &Context, file: &'a ConfigFile, commit: &str) -> Vec<(&'a Setting, String)> {
    let parents = context.mirror.parents(commit).unwrap_or_default();
    let read = |commit: &str| settings::read(file.format, &context.text_at(commit, &file.path)?).ok();
    let (Some(before), Some(after)) = (parents.first().and_then(|parent| read(parent)), read(commit)) else {
        return Vec::new();
    };
    let value = |settings: &[Setting], keys: &[String]| {
        settings.iter().find(|one| one.keys == keys).map(|one| one.value.clone())
    };
    let of = |setting: &'a Setting| {
        let (was, became) = (value(&before, &setting.keys)?, value(&after, &setting.keys)?);
        (was != became && became == setting.value).then_some((setting, was))
    };
    file.settings.iter().filter_map(of).collect()
}

/// Whether the setting says which variant of a flag is in force (flagd: `flags.NAME.defaultVariant` or `.state`).
fn is_flag(changed: &Changed<'_>) -> bool {
    flag_name(changed.setting).is_some()
}

fn flag_name(setting: &Setting) -> Option<&str> {
    let keys: Vec<&str> = setting.keys.iter().map(String::as_str).collect();
    match keys.as_slice() {
        ["flags", name, "defaultVariant" | "state"] => Some(name),
        [.., section, name] if SECTIONS.contains(section) => (!words_of(setting).is_empty()).then_some(*name),
        [.., section, name, state] if SECTIONS.contains(section) && STATES.contains(state) => Some(name),
        // A switch beside other settings: it is named as one and has a value of one.
        [.., name] if is_switch(setting) => Some(name),
        _ => None,
    }
}

/// Sections of switches, and the key of one's state.
const SECTIONS: [&str; 10] = [
    "flags",
    "flag",
    "features",
    "feature",
    "feature_flags",
    "featureFlags",
    "feature-flags",
    "toggles",
    "switches",
    "experiments",
];
const STATES: [&str; 8] = ["enabled", "on", "active", "default", "value", "state", "defaultValue", "default_value"];

fn is_switch(setting: &Setting) -> bool {
    let named = setting.keys.last().is_some_and(|last| {
        words(last)
            .iter()
            .any(|word| ["feature", "flag", "enable", "enabled", "toggle", "use"].contains(&word.as_str()))
    });
    named && ["true", "false", "on", "off", "yes", "no"].contains(&setting.value.to_lowercase().as_str())
}

/// Whether the suspect's own code names the flag.
fn asks_for(context: &Context, flag: &str) -> bool {
    context.suspects.iter().any(|suspect| match context.function_of(suspect) {
        // Often in the constructor, or as a constant beside the function.
        Some((parsed, _)) => names(parsed.text(), flag),
        None => context.sources.get(&suspect.path).is_some_and(|parsed| names(parsed.text(), flag)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Format, read};

    #[test]
    fn values_are_compared_with_their_units_and_no_limit_is_the_most() {
        for (text, before, expected) in [
            ("ttl=300ms", "5m", Some((300_000.0, 300.0))),
            ("ttl=300ms", "300000", None),
            ("max_attempts=0", "2", Some((2.0, f64::INFINITY))),
            ("pool.size=0", "2", Some((2.0, 0.0))),
            ("retries=-1", "2", Some((2.0, f64::INFINITY))),
            ("host=a", "b", None),
        ] {
            let settings = read(Format::Properties, text).expect("readable");
            assert_eq!(magnitudes(&settings[0], before), expected, "{text}");
        }
    }

    #[test]
    fn flags_are_known_in_the_ways_that_they_are_written() {
        for (format, text, name) in [
            (Format::Json, r#"{"flags": {"a-b": {"defaultVariant": "on"}}}"#, Some("a-b")),
            (Format::Json, r#"{"features": {"a-b": {"on": true}}}"#, Some("a-b")),
            (Format::Properties, "feature.async-mail.enabled=true", Some("async-mail")),
            (Format::Yaml, "toggles: {fast: true}", Some("fast")),
            (Format::Env, "USE_VECTOR=true", Some("USE_VECTOR")),
            (Format::Env, "USE_VECTOR=7", None),
            (Format::Yaml, "cache: {size: 7}", None),
        ] {
            let settings = read(format, text).expect("readable");
            assert_eq!(flag_name(&settings[0]), name, "{text}");
        }
    }
}
