//! Finding the setting that a repair is about.

use std::collections::BTreeSet;

use backtrail_code::Language;

use crate::context::Context;
use crate::settings::{Format, Setting};

/// Frameworks of Java that read their own settings: no code of the service names these.
const FRAMEWORKS: [&str; 5] = ["spring", "quarkus", "micronaut", "resilience4j", "server"];

/// A setting of the suspect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a str,
    pub(crate) format: Format,
    pub(crate) text: &'a str,
    pub(crate) setting: &'a Setting,
}

impl Place<'_> {
    pub(crate) fn says(&self) -> String {
        format!("{}:{} {} = {}", self.path, self.setting.line, self.setting.name(), self.setting.value)
    }
}

/// The one setting that `is` right and that belongs to the suspect: its name occurs in the suspect's file or, if none
/// does, in code beside it. Among several the ones that name the `callee` are meant. None or several: says so.
pub(crate) fn find<'a>(
    context: &'a Context,
    callee: &str,
    is: impl Fn(&[String], &Setting) -> bool,
) -> Result<Place<'a>, String> {
    let mut found: Vec<Place<'a>> = Vec::new();
    for file in &context.configs {
        for setting in &file.settings {
            if is(&words_of(setting), setting) {
                found.push(Place { path: &file.path, format: file.format, text: &file.text, setting });
            }
        }
    }
    if found.is_empty() {
        return Err("no such setting in the service's configuration files".into());
    }
    let all = found.clone();
    narrow(&mut found, |place| context.suspect_mentions(last(place.setting)));
    narrow(&mut found, |place| is_read(context, place.setting));
    if !found.iter().any(|place| is_read(context, place.setting)) {
        let names: Vec<String> = all.iter().map(Place::says).collect();
        return Err(format!("no code of the service reads {}", names.join(", ")));
    }
    let of_callee: BTreeSet<String> = words(callee).into_iter().collect();
    narrow(&mut found, |place| words_of(place.setting).iter().any(|word| of_callee.contains(word)));
    match found.as_slice() {
        [one] if is_of_another(context, callee, one.setting) => Err(format!("{} is about another service", one.says())),
        [one] => Ok(*one),
        several => {
            let names: Vec<String> = several.iter().map(Place::says).collect();
            Err(format!("it is not clear which setting is meant: {}", names.join(", ")))
        }
    }
}

/// Whether code of the service reads a setting: it names it, or the framework does that the setting belongs to.
pub(crate) fn is_read(context: &Context, setting: &Setting) -> bool {
    let of_framework = setting.keys.first().is_some_and(|first| FRAMEWORKS.contains(&first.as_str()));
    let java = || context.sources.values().any(|parsed| parsed.language() == Language::Java);
    context.code_mentions(last(setting)) || of_framework && java()
}

/// Whether a setting names another callee of the suspect and not this one.
fn is_of_another(context: &Context, callee: &str, setting: &Setting) -> bool {
    let request = &context.request;
    let suspect = &request.suspect_ref.entity.service;
    let named = words_of(setting);
    // What both services are called by tells them not apart.
    let own: BTreeSet<String> = words(callee).into_iter().chain(words(suspect)).collect();
    let mut others = request.telemetry_summary.load.iter().filter(|load| load.from == *suspect && load.to != callee);
    !words(callee).iter().any(|word| named.contains(word))
        && others.any(|load| words(&load.to).iter().any(|word| named.contains(word) && !own.contains(word)))
}

/// Leaves those that `keep` says, unless that is none.
fn narrow(found: &mut Vec<Place<'_>>, keep: impl Fn(&Place<'_>) -> bool) {
    if found.iter().any(&keep) {
        found.retain(keep);
    }
}

/// The last key that is a name: what code would read.
pub(crate) fn last(setting: &Setting) -> &str {
    super::last_name(&setting.keys)
}

/// The words of all keys, lower case.
pub(crate) fn words_of(setting: &Setting) -> Vec<String> {
    setting.keys.iter().flat_map(|key| words(key)).collect()
}

/// The words of a name in any of the usual cases.
///
/// `maxRetries`, `MAX_RETRIES` and `max-retries` are `max`, `retries`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let hump = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if hump || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("one at least").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words_in_every_case() {
        for name in ["maxRetries", "MAX_RETRIES", "max-retries", "max.retries", "MaxRetries"] {
            assert_eq!(words(name), ["max", "retries"], "{name}");
        }
        assert_eq!(words("timeoutMs2"), ["timeout", "ms2"]);
    }
}
