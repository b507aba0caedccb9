//! Runs a policy over fixtures: inputs with the answer that is expected.
//!
//! A fixture is `<rule>/allowed*.json` or `<rule>/denied*.json`, and says only how its input differs from `base.json`
//! of the same folder (or from the shipped one): `merge` is a merge patch after RFC 7386, `set` gives values by JSON
//! pointer (`null` is a value here), `remove` takes values out. `denied` names the exact rules that must deny; without
//! it, that is the rule of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::decision::Decision;
use crate::error::{Error, Problem};
use crate::policy::Policy;

/// The shipped input that fixtures start from: a patch that is allowed, after its tests.
pub const BASE: &str = include_str!("../fixtures/base.json");

/// Fixtures of one folder.
const MAX_FIXTURES: usize = 5_000;
/// Bytes of one fixture.
const MAX_BYTES: u64 = 1 << 20;

/// What a fixture says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    /// For people who read it.
    #[serde(default, rename = "why")]
    _why: String,
    #[serde(default)]
    merge: Option<Value>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    denied: BTreeSet<String>,
}

/// The answer that a fixture expects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// No denial at all.
    Allowed,
    /// Denials by exactly these rules.
    Denied(BTreeSet<String>),
}

/// One fixture and its outcome.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// The rule that it is about: the name of its folder.
    pub rule: String,
    /// The whole input.
    pub input: Value,
    /// What it expects.
    pub expected: Expected,
    /// What the policy says.
    pub decision: Decision,
}

impl Case {
    /// Whether the policy says what is expected.
    pub fn passed(&self) -> bool {
        match &self.expected {
            Expected::Allowed => self.decision.allow,
            Expected::Denied(rules) => {
                let denied: BTreeSet<&String> = self.decision.denials.iter().map(|denial| &denial.rule).collect();
                !self.decision.allow && denied == rules.iter().collect()
            }
        }
    }

    /// What was expected and what was said, on one line.
    pub fn told(&self) -> String {
        let said: BTreeSet<&str> = self.decision.denials.iter().map(|denial| denial.rule.as_str()).collect();
        let said = if said.is_empty() { "allowed".to_owned() } else { format!("denied by {}", listed(said)) };
        let expected = match &self.expected {
            Expected::Allowed => "allowed".to_owned(),
            Expected::Denied(rules) => format!("denied by {}", listed(rules.iter().map(String::as_str))),
        };
        format!("{}: expected {expected}, got {said}", self.path.display())
    }
}

fn listed<'a>(rules: impl IntoIterator<Item = &'a str>) -> String {
    rules.into_iter().collect::<Vec<_>>().join(", ")
}

/// Outcomes of all fixtures of a folder, in the order of their paths.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every fixture.
    pub cases: Vec<Case>,
}

impl Report {
    /// Fixtures on which the policy says something else.
    pub fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| !case.passed())
    }

    /// Rules of `rules` without an allowed or without a denied fixture, with what they lack.
    pub fn uncovered<'a>(&self, rules: &[&'a str]) -> Vec<(&'a str, &'static str)> {
        let mut lacking = Vec::new();
        for rule in rules {
            let of_rule = || self.cases.iter().filter(|case| case.rule == *rule);
            if !of_rule().any(|case| case.expected == Expected::Allowed) {
                lacking.push((*rule, "allowed"));
            }
            let denies = |case: &Case| matches!(&case.expected, Expected::Denied(rules) if rules.contains(&case.rule));
            if !of_rule().any(denies) {
                lacking.push((*rule, "denied"));
            }
        }
        lacking
    }
}

/// Runs a policy over the fixtures of a folder.
///
/// # Errors
/// Every fixture that can not be understood, and a folder without any.
pub fn test_dir(policy: &Policy, dir: &Path) -> Result<Report, Error> {
    let base_file = dir.join("base.json");
    let base = if base_file.exists() { text(&base_file)? } else { BASE.to_owned() };
    let base: Value = serde_json::from_str(&base).map_err(|error| rejected(&base_file, &error.to_string()))?;
    let mut problems = Vec::new();
    let mut cases = Vec::new();
    for path in fixtures(dir)? {
        match case(policy, &base, &path) {
            Ok(case) => cases.push(case),
            Err(Error::Rejected(found)) => problems.extend(found),
            Err(error) => return Err(error),
        }
    }
    if cases.is_empty() && problems.is_empty() {
        let hint = "write <rule>/allowed.json and <rule>/denied.json into it";
        problems.push(Problem::of_file(&dir.display().to_string(), "no fixture in it", hint));
    }
    if problems.is_empty() { Ok(Report { cases }) } else { Err(Error::Rejected(problems)) }
}

fn fixtures(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for folder in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        found.extend(entries(&folder)?.into_iter().filter(json));
        if found.len() > MAX_FIXTURES {
            return Err(rejected(dir, &format!("more than {MAX_FIXTURES} fixtures")));
        }
    }
    Ok(found)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let unavailable = |source| Error::Unavailable { path: dir.to_owned(), source };
    let read = std::fs::read_dir(dir).map_err(unavailable)?;
    let mut paths: Vec<PathBuf> =
        read.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unavailable)?;
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let unavailable = |source| Error::Unavailable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unavailable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unavailable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(rejected(path, &format!("more than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn rejected(path: &Path, message: &str) -> Error {
    Error::Rejected(vec![Problem::of_file(&path.display().to_string(), message, "")])
}

fn case(policy: &Policy, base: &Value, path: &Path) -> Result<Case, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rule = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let fixture: Fixture =
        serde_json::from_str(&text(path)?).map_err(|error| rejected(path, &format!("no fixture: {error}")))?;
    let expected = match (name.starts_with("allowed"), name.starts_with("denied"), fixture.denied.is_empty()) {
        (true, _, true) => Expected::Allowed,
        (true, _, false) => return Err(rejected(path, "an allowed fixture names rules in 'denied'")),
        (_, true, true) => Expected::Denied(BTreeSet::from([rule.clone()])),
        (_, true, false) => Expected::Denied(fixture.denied.clone()),
        _ => return Err(rejected(path, "the name begins neither with 'allowed' nor with 'denied'")),
    };
    let input = fixture.input(base).map_err(|message| rejected(path, &message))?;
    let decision = policy.decide(&input);
    Ok(Case { path: path.to_owned(), rule, input, expected, decision })
}

impl Fixture {
    fn input(&self, base: &Value) -> Result<Value, String> {
        let mut input = base.clone();
        if let Some(patch) = &self.merge {
            merge(&mut input, patch);
        }
        for (pointer, value) in &self.set {
            set(&mut input, pointer, value).ok_or_else(|| format!("nothing holds {pointer}"))?;
        }
        for pointer in &self.remove {
            remove(&mut input, pointer).ok_or_else(|| format!("there is no {pointer} to remove"))?;
        }
        Ok(input)
    }
}

/// RFC 7386: objects are merged, `null` removes, everything else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn holder<'v>(input: &'v mut Value, pointer: &str) -> Option<(&'v mut Value, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    Some((input.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

/// `-` as the last part appends to a list.
fn set(input: &mut Value, pointer: &str, value: &Value) -> Option<()> {
    let (parent, last) = holder(input, pointer)?;
    match parent {
        Value::Object(members) => {
            members.insert(last, value.clone());
        }
        Value::Array(items) if last == "-" => items.push(value.clone()),
        Value::Array(items) => *items.get_mut(last.parse::<usize>().ok()?)? = value.clone(),
        _ => return None,
    }
    Some(())
}

fn remove(input: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, last) = holder(input, pointer)?;
    match parent {
        Value::Object(members) => members.remove(&last),
        Value::Array(items) => {
            let index = last.parse::<usize>().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of RFC 7386, appendix A.
    #[test]
    fn merges_as_the_standard_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!([1]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} + {patch}");
        }
    }

    #[test]
    fn sets_and_removes_by_pointer() {
        let mut value = json!({"a": [{"b": 1}]});
        assert_eq!(set(&mut value, "/a/0/b", &Value::Null), Some(()));
        assert_eq!(set(&mut value, "/a/-", &json!(2)), Some(()));
        assert_eq!(value, json!({"a": [{"b": null}, 2]}));
        assert_eq!(remove(&mut value, "/a/0/b"), Some(Value::Null));
        assert_eq!(remove(&mut value, "/a/7"), None);
        assert_eq!(set(&mut value, "/x/y", &json!(1)), None);
    }
}
