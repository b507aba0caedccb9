//! Finds rules that call themselves. Rego forbids them, this engine follows them until the stack ends, and nothing can
//! catch that: a user's file with such a rule must not be asked even once.
//!
//! The search reads words, not scopes, and so refuses a little too much: a local variable that is called as a rule
//! counts as a call of it.

use std::collections::{BTreeMap, BTreeSet};

use super::SHIPPED;
use crate::error::Problem;
use crate::lint::{rego_bodies, rego_words};

/// A rule and where its first body stands; a shipped rule has no place.
#[derive(Default)]
struct Rule<'t> {
    place: Option<(&'t str, usize, usize)>,
    calls: BTreeSet<&'t str>,
}

/// Names that stand for the package as a whole: what is asked through them, or through a text, is not known here.
const WHOLE: &[&str] = &["data", "data.backtrail", "data.backtrail.patch"];

pub(super) fn find(files: &[(String, String)]) -> Vec<Problem> {
    let shipped = SHIPPED.iter().map(|(name, text)| (*name, *text, false));
    let users = files.iter().map(|(name, text)| (name.as_str(), text.as_str(), true));
    let mut problems = Vec::new();
    let mut rules: BTreeMap<&str, Rule<'_>> = BTreeMap::new();
    for (file, text, own) in shipped.chain(users) {
        for (line, column, word) in rego_words(text) {
            // `package backtrail.patch` has no `data` before it.
            if own && WHOLE.contains(&word) {
                problems.push(problem(
                    (file, line, column),
                    format!("'{word}' holds the rules themselves: a rule may call itself through it"),
                    "name the rule, as my_rule, or the data, as data.my_limits",
                ));
            }
        }
        for (head, words) in rego_bodies(text) {
            let rule = rules.entry(head.name).or_default();
            rule.place = rule.place.or(own.then_some((file, head.line, head.column)));
            rule.calls.extend(words.into_iter().flat_map(names));
        }
    }
    for (name, rule) in &rules {
        if let Some(place) = rule.place.filter(|_| reaches(&rules, name)) {
            let message = format!("rule '{name}' calls itself, perhaps through others");
            problems.push(problem(place, message, "break the circle; rename a variable that is called as a rule"));
        }
    }
    problems
}

/// What a word may call: its first part, or any part below `data`.
fn names(word: &str) -> Vec<&str> {
    let mut parts = word.split('.');
    match parts.next() {
        Some("input") | None => Vec::new(),
        Some("data") => parts.collect(),
        // The second part may be a rule of a library that is imported.
        Some(first) => std::iter::once(first).chain(parts.next()).collect(),
    }
}

fn reaches(rules: &BTreeMap<&str, Rule<'_>>, start: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = rules[start].calls.iter().copied().collect();
    while let Some(name) = open.pop() {
        if name == start {
            return true;
        }
        if let Some(rule) = rules.get(name).filter(|_| seen.insert(name)) {
            open.extend(rule.calls.iter().copied());
        }
    }
    false
}

fn problem((file, line, column): (&str, usize, usize), message: String, hint: &str) -> Problem {
    Problem { file: file.to_owned(), line, column, message, hint: hint.to_owned() }
}
