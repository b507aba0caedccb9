//! Changes that break callers who cannot be seen.

use serde::{Deserialize, Serialize};

use crate::function::{Function, Parameter};
use crate::language::Language;
use crate::parse::Parsed;

/// How a public function became unusable for those who call it as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiChangeKind {
    /// It is gone, or no longer public.
    Removed,
    /// A call that was right no longer is; the text says which parameter and why.
    Parameters(String),
}

/// One break of the public interface of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiChange {
    /// The qualified name.
    pub function: String,
    /// Its line in the old version, counted from 1.
    pub line: u32,
    /// What happened to it.
    pub kind: ApiChangeKind,
}

/// The public functions of `before` that `after` removes or changes in a way that breaks callers.
///
/// A new parameter with a default at the end is compatible where the language has defaults (Python, TypeScript,
/// JavaScript, C#); Go, Java and Rust have none. Types count as written where the language checks them.
///
/// ```
/// use backtrail_code::{Language, api_changes, parse};
/// let before = parse(Language::Python, "def pay(order, cents):\n    ...\n")?;
/// let after = parse(Language::Python, "def pay(order, cents, timeout=2.0):\n    ...\n")?;
/// assert!(api_changes(&before, &after).is_empty());
/// let after = parse(Language::Python, "def pay(order, cents, timeout):\n    ...\n")?;
/// assert_eq!(api_changes(&before, &after)[0].function, "pay");
/// # Ok::<(), backtrail_code::ParseError>(())
/// ```
pub fn api_changes(before: &Parsed, after: &Parsed) -> Vec<ApiChange> {
    let mut changes = Vec::new();
    for old in before.functions().iter().filter(|function| function.public && function.test.is_none()) {
        let heirs = after.functions().iter().filter(|new| new.public && new.qualified == old.qualified);
        let breaks: Vec<_> = heirs.map(|new| incompatible(before.language(), old, new)).collect();
        // One overload that still takes the old call is enough.
        if breaks.iter().any(Option::is_none) {
            continue;
        }
        let kind = match breaks.into_iter().flatten().next() {
            Some(reason) => ApiChangeKind::Parameters(reason),
            None => ApiChangeKind::Removed,
        };
        changes.push(ApiChange { function: old.qualified.clone(), line: old.name_line, kind });
    }
    changes
}

/// Why a call of `old` may not fit `new`; `None` when every one does.
fn incompatible(language: Language, old: &Function, new: &Function) -> Option<String> {
    let positional = |function: &Function| -> Vec<Parameter> {
        function.parameters.iter().filter(|p| !p.keyword_only && !p.variadic).cloned().collect()
    };
    let (was, is) = (positional(old), positional(new));
    for (place, parameter) in was.iter().enumerate() {
        let Some(now) = is.get(place) else {
            if takes_any(new) && !is_typed(language) {
                continue;
            }
            return Some(format!("parameter '{}' is gone", parameter.name));
        };
        if let Some(reason) = differs(language, parameter, now) {
            return Some(reason);
        }
    }
    if let Some(extra) = is.get(was.len()..).and_then(|rest| rest.iter().find(|p| !may_be_added(language, p))) {
        return Some(format!("parameter '{}' is new and callers do not give it", extra.name));
    }
    let variadics = |function: &Function| function.parameters.iter().filter(|p| p.variadic).count();
    if variadics(new) < variadics(old) || is_strict(language) && variadics(new) != variadics(old) {
        return Some("it takes another number of arguments".to_owned());
    }
    keyword_breaks(old, new)
}

/// Parameters given only by name: none may go, none may become or be newly required.
fn keyword_breaks(old: &Function, new: &Function) -> Option<String> {
    let is_named = |p: &&Parameter| p.keyword_only && !p.variadic;
    let accepts = |name: &str| new.parameters.iter().find(|p| p.name == name && !p.variadic);
    for parameter in old.parameters.iter().filter(is_named) {
        match accepts(&parameter.name) {
            None if !takes_any(new) => return Some(format!("parameter '{}' is gone", parameter.name)),
            Some(now) if parameter.optional && !now.optional => {
                return Some(format!("parameter '{}' has lost its default", parameter.name));
            }
            _ => {}
        }
    }
    let had = |name: &str| old.parameters.iter().any(|p| p.name == name);
    let fresh = new.parameters.iter().filter(is_named).find(|p| !p.optional && !had(&p.name));
    fresh.map(|p| format!("parameter '{}' is new and callers do not give it", p.name))
}

fn differs(language: Language, old: &Parameter, new: &Parameter) -> Option<String> {
    // Callers write names where the language has named arguments.
    let named = matches!(language, Language::Python | Language::CSharp);
    if named && old.name != new.name {
        return Some(format!("parameter '{}' is now '{}'", old.name, new.name));
    }
    if old.optional && !new.optional {
        return Some(format!("parameter '{}' has lost its default", old.name));
    }
    if is_typed(language) && old.kind != new.kind {
        let show = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "no type".to_owned());
        return Some(format!("parameter '{}' was {} and is {}", old.name, show(&old.kind), show(&new.kind)));
    }
    None
}

/// Languages that check types before anything runs.
fn is_typed(language: Language) -> bool {
    !matches!(language, Language::Python | Language::JavaScript)
}

/// Languages without default values: the list of parameters is part of the type.
fn is_strict(language: Language) -> bool {
    matches!(language, Language::Go | Language::Java | Language::Rust)
}

/// In JavaScript a parameter that is not given is `undefined` and may still be required by what the function does.
fn may_be_added(language: Language, parameter: &Parameter) -> bool {
    parameter.optional && !is_strict(language)
}

fn takes_any(function: &Function) -> bool {
    function.parameters.iter().any(|parameter| parameter.variadic)
}
