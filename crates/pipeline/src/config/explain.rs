//! serde's words turned into ours, with the place in the file and a remedy.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::report::{Report, choices};
use super::tree::{Node, Pos, Step, Tree, written};
use super::yaml::resolve;

/// Mistakes reported of one component; a list of thousands of wrong items needs no thousand messages.
const MAX_MISTAKES: usize = 100;

/// Parses one part of the configuration. What is wrong in it is reported and taken out, and the rest parsed again, until
/// nothing is wrong: so all mistakes come out, and a value to go on with where that is possible.
pub(super) struct Reading<'a> {
    /// The part as written; mistakes are taken out of it.
    pub(super) tree: Node,
    /// How messages name it: `processor 'ochiai'`.
    pub(super) name: String,
    /// Where messages about the whole of it point.
    pub(super) at: Pos,
    /// The defaults, as examples.
    pub(super) defaults: &'a Value,
    /// Hints for keys that people bring from elsewhere: the key and what to do.
    pub(super) known_elsewhere: &'static [(&'static str, &'static str)],
    /// Paths that were taken out; `list[*]` for an item of a list.
    pub(super) removed: Vec<String>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(tree: Node, name: String, at: Pos, defaults: &'a Value) -> Self {
        Self { tree, name, at, defaults, known_elsewhere: &[], removed: Vec::new() }
    }

    /// Whether a mistake at `path` only follows from what was taken out at or below it.
    pub(super) fn is_consequence(&self, path: &str) -> bool {
        self.removed.iter().any(|removed| {
            removed
                .strip_prefix(path)
                .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Takes out what stands at `path`.
    fn take_out(&mut self, path: &[Step]) -> bool {
        let gone = written(path);
        self.removed.retain(|removed| !removed.starts_with(&gone));
        self.removed.push(match path.split_last() {
            Some((Step::Index(_), list)) => format!("{}[*]", written(list)),
            _ => gone,
        });
        self.tree.remove(path)
    }

    /// The value, if there is one, and whether it is the whole of what was written.
    pub(super) fn parse<T>(
        &mut self,
        parse: impl Fn(Value) -> Result<T, serde_path_to_error::Error<serde_json::Error>>,
        report: &mut Report<'_>,
    ) -> (Option<T>, bool) {
        let mut mistakes = 0;
        for attempt in 0.. {
            let error = match parse(self.tree.json()) {
                Ok(value) => return (Some(value), self.removed.is_empty()),
                Err(error) => error,
            };
            let path = self.steps(error.path());
            let message = error.inner().to_string();
            if attempt < MAX_MISTAKES * 2 && self.repaired(&path, &message) {
                continue;
            }
            mistakes += 1;
            if mistakes > MAX_MISTAKES {
                report.problem(self.at, format!("{} has more mistakes than these", self.name), "mend the others first");
                break;
            }
            let out = self.explain(path, &message, report);
            if out.is_empty() || !self.take_out(&out) {
                break;
            }
        }
        (None, false)
    }

    /// The steps of serde's path as far as the tree has them: a variant that is plain text is no step.
    fn steps(&self, path: &Path) -> Vec<Step> {
        let mut steps = Vec::new();
        for segment in path {
            let step = match segment {
                Segment::Seq { index } => Step::Index(*index),
                Segment::Map { key } | Segment::Enum { variant: key } => Step::Key(key.clone()),
                Segment::Unknown => break,
            };
            steps.push(step);
            if self.tree.follow(&steps).2 < steps.len() {
                steps.pop();
                if !matches!(segment, Segment::Enum { .. }) {
                    break;
                }
            }
        }
        steps
    }

    /// What is no mistake: an empty value means the default, and a reference that filled in digits may mean text.
    fn repaired(&mut self, path: &[Step], message: &str) -> bool {
        let Some(node) = self.tree.at_mut(path) else { return false };
        if let Tree::Scalar(scalar) = &mut node.value
            && scalar.written.is_some()
            && !scalar.value.is_string()
            && message.starts_with("invalid type")
            && message.contains("expected a string")
        {
            scalar.value = Value::String(scalar.text.clone());
            return true;
        }
        let unset = is_unset(node);
        let null = message.starts_with("invalid type: null") || message.starts_with("invalid type: unit value");
        if null && node.is_null() && matches!(path.last(), Some(Step::Key(_))) {
            // What its reference could not fill in was reported, and is not missing as well.
            return if unset { self.take_out(path) } else { self.tree.remove(path) };
        }
        false
    }

    /// Reports one mistake, unless it follows from another; returns the path to take out before the next attempt.
    fn explain(&self, mut path: Vec<Step>, message: &str, report: &mut Report<'_>) -> Vec<Step> {
        if let Some(rest) = message.strip_prefix("unknown field `") {
            self.unknown_key(&mut path, rest, report);
        } else if self.is_consequence(&written(&path)) || is_unset(self.tree.follow(&path).1) {
            // Said already.
        } else if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            let (at, ..) = self.tree.follow(&path);
            let place = match written(&path) {
                whole if whole.is_empty() => self.name.clone(),
                part => format!("'{part}' of {}", self.name),
            };
            report.problem(
                at.unwrap_or(self.at),
                format!("key '{key}' is missing in {place}"),
                format!("add '{key}:'"),
            );
        } else {
            self.wrong_value(&path, message, report);
        }
        path
    }

    fn unknown_key(&self, path: &mut Vec<Step>, rest: &str, report: &mut Report<'_>) {
        let (key, rest) = rest.split_once('`').unwrap_or((rest, ""));
        if path.last() != Some(&Step::Key(key.to_owned())) {
            path.push(Step::Key(key.to_owned()));
            if self.tree.follow(path).2 < path.len() {
                path.pop();
            }
        }
        let (at, ..) = self.tree.follow(path);
        let parent = written(&path[..path.len().saturating_sub(1)]);
        let place = if parent.is_empty() { self.name.clone() } else { format!("'{parent}' of {}", self.name) };
        let elsewhere = self.known_elsewhere.iter().find(|(known, _)| *known == key && parent.is_empty());
        let hint = match elsewhere {
            Some((_, hint)) => (*hint).to_owned(),
            None => choices(key, "valid keys", &ticked(rest)),
        };
        report.problem(at.unwrap_or(self.at), format!("unknown key '{key}' in {place}"), hint);
    }

    fn wrong_value(&self, path: &[Step], message: &str, report: &mut Report<'_>) {
        let (_, node, taken) = self.tree.follow(path);
        let at = if taken == 0 { self.at } else { node.at };
        let name = match written(path) {
            whole if whole.is_empty() => self.name.clone(),
            key => format!("'{key}' of {}", self.name),
        };
        let hidden = node.scalar().and_then(|scalar| scalar.written.as_deref());
        let example = self.example(path);
        let (message, hint) = if let Some(rest) = message.strip_prefix("invalid type: ") {
            wrong_type(&name, path, rest, hidden, example)
        } else if let Some(rest) = message.strip_prefix("invalid value: ") {
            out_of_range(&name, rest, hidden)
        } else if let Some(rest) = message.strip_prefix("unknown variant `") {
            let (value, rest) = rest.split_once('`').unwrap_or((rest, ""));
            let shown = hidden.unwrap_or(value);
            (format!("{name} cannot be '{shown}'"), choices(value, "valid values", &ticked(rest)))
        } else {
            // A message of the type itself: "what is wrong; how to mend it".
            let (what, hint) = message.split_once("; ").unwrap_or((message, ""));
            let hint = if hint.is_empty() {
                example.unwrap_or_else(|| "see the reference".to_owned())
            } else {
                hint.to_owned()
            };
            (format!("{name}: {what}"), hint)
        };
        report.problem(at, without_secret(node, &message), without_secret(node, &hint));
    }

    /// "such as window: 15m": the default at this path.
    fn example(&self, path: &[Step]) -> Option<String> {
        let mut value = self.defaults;
        for step in path {
            value = match step {
                Step::Key(key) => value.get(key)?,
                Step::Index(_) => value.get(0)?,
            };
        }
        let key = path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })?;
        let text = match value {
            Value::String(text) if !text.is_empty() && text != "***" => text.clone(),
            Value::Bool(_) => value.to_string(),
            Value::Number(number) if number.as_f64() != Some(0.0) => value.to_string(),
            Value::Array(items) if !items.is_empty() => value.to_string(),
            _ => return None,
        };
        Some(if matches!(path.last(), Some(Step::Index(_))) {
            format!("such as {text}")
        } else {
            format!("such as {key}: {text}")
        })
    }
}

/// Whether a reference here has no value.
fn is_unset(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.value.is_null() && !resolve(&scalar.text).is_null())
}

/// What references filled in may be a secret: the reference is shown in its place.
pub(super) fn without_secret(node: &Node, message: &str) -> String {
    match node.scalar() {
        Some(scalar) if !scalar.text.is_empty() => match &scalar.written {
            Some(written) => message.replace(&scalar.text, written),
            None => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

/// The words between backticks.
fn ticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn wrong_type(
    name: &str,
    path: &[Step],
    rest: &str,
    hidden: Option<&str>,
    example: Option<String>,
) -> (String, String) {
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "something else"));
    let is_list = expected == "a sequence";
    let (expected, advice) = expectation(expected);
    let found = hidden.map_or_else(|| shown(found), |written| format!("'{written}'"));
    let hint = match path.last() {
        // One item without its brackets is the usual reason.
        Some(Step::Key(key)) if is_list && found.starts_with('\'') => {
            format!("write {key}: [{}]", found.trim_matches('\''))
        }
        _ => example.unwrap_or_else(|| advice.to_owned()),
    };
    (format!("{name} must be {expected}, not {found}"), hint)
}

fn out_of_range(name: &str, rest: &str, hidden: Option<&str>) -> (String, String) {
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "another value"));
    if expected == "map with a single key" {
        return (format!("{name} must name exactly one choice"), "keep one key below it".to_owned());
    }
    let found = hidden.map_or_else(|| shown(found), |written| format!("'{written}'"));
    let hint = match range(expected) {
        Some(range) => format!("write a whole number {range}"),
        None => format!("write {}", expectation(expected).0),
    };
    (format!("{name} cannot be {found}"), hint)
}

fn range(expected: &str) -> Option<&'static str> {
    Some(match expected {
        "u8" => "from 0 to 255",
        "u16" => "from 0 to 65535",
        "u32" => "from 0 to 4294967295",
        "u64" | "usize" => "of 0 or more",
        "i8" => "from -128 to 127",
        "i16" => "from -32768 to 32767",
        "i32" => "from -2147483648 to 2147483647",
        "a nonzero u8" => "from 1 to 255",
        "a nonzero u16" => "from 1 to 65535",
        "a nonzero u32" => "from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "of 1 or more",
        _ => return None,
    })
}

/// serde's name of a type in our words, and what to write.
fn expectation(expected: &str) -> (&str, &'static str) {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            ("a whole number", "write it without quotes and unit, such as 10")
        }
        "f32" | "f64" => ("a number", "write it without quotes and unit, such as 0.5"),
        "a boolean" => ("true or false", "write true or false without quotes"),
        "a string" | "string" => ("text", "put it into quotes"),
        "a sequence" => ("a list", "write [a, b] or one '- ' line for each item"),
        "a map" => ("a map of keys and values", "write 'key: value' lines below it, indented"),
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged") => {
            ("a map of keys and values", "write 'key: value' lines below it, indented")
        }
        _ if expected.starts_with("enum ") || expected.starts_with("string or map") => {
            ("one of the named choices", "see the reference for the choices")
        }
        _ => (expected, "see the reference"),
    }
}

/// serde's description of what it found (a string in quotes, a number between backticks, "map") as we write it.
fn shown(found: &str) -> String {
    if let Some(text) = found.strip_prefix("string ") {
        let text = text.trim_matches('"');
        let short: String = text.chars().take(60).collect();
        return format!("'{short}{}'", if short.len() < text.len() { "..." } else { "" });
    }
    match found {
        "map" => "a map".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" | "unit value" => "nothing".to_owned(),
        _ => match ticked(found).first() {
            Some(value) => (*value).to_owned(),
            None => found.to_owned(),
        },
    }
}
