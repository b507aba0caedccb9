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

/// Names that stand for rules as a whole: what is asked through them is not known before it is asked.
const WHOLE: &[&str] = &["data", "data.backtrail", "data.backtrail.patch"];

pub(super) fn find(files: &[(String, String)]) -> Vec<Problem> {
    let shipped = SHIPPED.iter().map(|(name, text)| (*name, *text, false));
    let users = files.iter().map(|(name, text)| (name.as_str(), text.as_str(), true));
    let mut whole: BTreeSet<String> = WHOLE.iter().map(|&name| name.to_owned()).collect();
    whole.extend(files.iter().filter_map(|(_, text)| Some(format!("data.{}", package(text)?))));
    let mut problems = Vec::new();
    let mut rules: BTreeMap<&str, Rule<'_>> = BTreeMap::new();
    for (file, text, own) in shipped.chain(users) {
        let imports = imports(text);
        if own {
            problems.extend(whole_packages(file, text, &whole, &imports));
        }
        for (head, words) in rego_bodies(text) {
            // `a.b if ...` is a part of `a`.
            let rule = rules.entry(first(head.name)).or_default();
            rule.place = rule.place.or(own.then_some((file, head.line, head.column)));
            rule.calls.extend(words.into_iter().flat_map(|word| names(word, &imports)));
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

/// Uses of a package as a value: `package backtrail.patch` has no `data` before it, an import of a library names it.
fn whole_packages(file: &str, text: &str, whole: &BTreeSet<String>, imports: &BTreeMap<&str, &str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut before = "";
    for (line, column, word) in rego_words(text) {
        let imported = before == "import" && !WHOLE.contains(&word);
        let alias = !matches!(before, "import" | "as") && imports.get(word).is_some_and(|path| whole.contains(*path));
        if (whole.contains(word) && !imported) || alias {
            let message = format!("'{word}' holds rules as a whole: a rule may call itself through it");
            let hint = "name the rule, as my_rule, or the data, as data.my_limits";
            problems.push(problem((file, line, column), message, hint));
        }
        before = word;
    }
    problems
}

fn package(text: &str) -> Option<&str> {
    let words = rego_words(text);
    let at = words.iter().position(|(_, _, word)| *word == "package")?;
    Some(words.get(at + 1)?.2)
}

/// What a file imports, by the name that it has there.
fn imports(text: &str) -> BTreeMap<&str, &str> {
    let words: Vec<&str> = rego_words(text).into_iter().map(|(_, _, word)| word).collect();
    let mut found = BTreeMap::new();
    for (i, _) in words.iter().enumerate().filter(|(_, word)| **word == "import") {
        let Some(path) = words.get(i + 1) else { continue };
        let alias = match (words.get(i + 2), words.get(i + 3)) {
            (Some(&"as"), Some(alias)) => alias,
            _ => path.rsplit('.').next().unwrap_or(path),
        };
        found.insert(alias, *path);
    }
    found
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// What a word may call: its first part, or any part below `data`, written out or imported.
fn names<'t>(word: &'t str, imports: &BTreeMap<&str, &'t str>) -> Vec<&'t str> {
    let path = imports.get(first(word)).copied().unwrap_or_default();
    match first(word) {
        "input" => Vec::new(),
        "data" => word.split('.').skip(1).collect(),
        _ if path.starts_with("data.") => path.split('.').chain(word.split('.')).collect(),
        first => vec![first],
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
