//! Recipes `restore_setting` and `flag`: values that a recent change set get back what they were before.

use super::Found;
use std::collections::BTreeSet;

use super::load::{Storm, is_saturated};
use super::needs::{Needs, complaints};
use super::place::{last, words, words_of};
use super::pool::is_too_small;
use super::revert::{distinct, short};
use crate::candidate::{Draft, FileEdit, Kind, Mechanism, Origin, Proposal};
use crate::context::{ConfigFile, Context, has_word};
use crate::settings::{self, Setting};

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
        let number = |value: &str| value.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<f64>().ok();
        let worse = match (number(&changed.before), number(&changed.setting.value)) {
            (Some(before), Some(now)) => {
                let pool = needs.pool && is_pool(changed.setting);
                needs.is_worse(&changed.setting.name(), before, now)
                    && ends_the_storm(context, changed.setting, before)
                    && (!pool || is_too_small(&context.request, now) && !is_too_small(&context.request, before))
            }
            _ => false,
        };
        worse && !is_flag(changed) && context.code_mentions(last(changed.setting))
    })
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
    // Waiting longer between repeats thins them out and does not make them fewer.
    false
}

/// `flag`: the suspect's code asks for the flag, and its name or new variant names what fails.
pub(super) fn flag(context: &Context) -> Found {
    let failing = failing(context);
    restore(context, "flag", Kind::Flag, |changed| {
        let named = words_of(changed.setting).into_iter().chain(words(&changed.setting.value));
        let is_it = named.filter(|word| !words(&changed.before).contains(word)).any(|word| failing.contains(&word));
        is_it && flag_name(changed.setting).is_some_and(|flag| asks_for(context, flag))
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
        [.., section, name] if matches!(*section, "flags" | "features" | "feature_flags" | "featureFlags") => {
            (!words_of(setting).is_empty()).then_some(*name)
        }
        _ => None,
    }
}

/// Whether the suspect's own code names the flag.
fn asks_for(context: &Context, flag: &str) -> bool {
    context.suspects.iter().any(|suspect| match context.function_of(suspect) {
        // Often in the constructor, or as a constant beside the function.
        Some((parsed, _)) => has_word(parsed.text(), flag),
        None => context.sources.get(&suspect.path).is_some_and(|parsed| has_word(parsed.text(), flag)),
    })
}
