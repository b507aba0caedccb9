//! Two versions of a file: what changed in meaning, and what callers elsewhere would notice.

mod api;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tree_sitter::Node;

pub use api::{ApiChange, ApiChangeKind, api_changes};

use crate::language::Language;
use crate::parse::Parsed;
use crate::walk::{Step, text_of, walk};

/// Functions by qualified name, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionChanges {
    /// Only in the new version.
    pub added: Vec<String>,
    /// Only in the old version.
    pub removed: Vec<String>,
    /// In both, with another meaning. A change in an inner function changes the outer one too.
    pub changed: Vec<String>,
}

impl FunctionChanges {
    /// Whether no function differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// The functions that differ in meaning: in the syntax tree without comments, white space and Python's docstrings.
/// Overloads of one name are compared together.
///
/// ```
/// use backtrail_code::{Language, changed_functions, parse};
/// let before = parse(Language::Go, "package a\nfunc f() int { return 1 }\nfunc g() {}\n")?;
/// let after = parse(Language::Go, "package a\n// one\nfunc f() int {\n\treturn 1\n}\nfunc h() {}\n")?;
/// let changes = changed_functions(&before, &after);
/// assert_eq!((changes.added, changes.removed, changes.changed), (vec!["h".into()], vec!["g".into()], vec![]));
/// # Ok::<(), backtrail_code::ParseError>(())
/// ```
pub fn changed_functions(before: &Parsed, after: &Parsed) -> FunctionChanges {
    let (old, new) = (meanings(before), meanings(after));
    let mut changes = FunctionChanges::default();
    for (name, meaning) in &new {
        match old.get(name) {
            None => changes.added.push(name.clone()),
            Some(was) if was != meaning => changes.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    changes.removed = old.into_keys().filter(|name| !new.contains_key(name)).collect();
    changes
}

/// Whether only comments, white space and Python's docstrings differ. Texts of two languages are never trivial.
pub fn is_trivial(before: &Parsed, after: &Parsed) -> bool {
    let whole = |parsed: &Parsed| meaning(parsed, parsed.tree().root_node());
    before.language() == after.language() && whole(before) == whole(after)
}

/// The meanings of all functions of one name, in order of their text: the order of overloads does not matter.
fn meanings(parsed: &Parsed) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, function) in parsed.functions().iter().enumerate() {
        let mut text: String = function
            .attributes
            .iter()
            .map(|attribute| format!("{}({})\0", attribute.path, attribute.arguments))
            .collect();
        text.push_str(&parsed.node_of(place).map(|node| meaning(parsed, node)).unwrap_or_default());
        found.entry(function.qualified.clone()).or_default().push(text);
    }
    for texts in found.values_mut() {
        texts.sort_unstable();
    }
    found
}

/// The tree as text: its kinds, its leaves, its nesting. The nesting must be in it, because in Python only the
/// white space, and in scripts only a line break, tells some programs apart.
fn meaning(parsed: &Parsed, root: Node<'_>) -> String {
    let (language, text) = (parsed.language(), parsed.text());
    let mut out = String::new();
    walk(root, |step| {
        match step {
            Step::Enter(node, _) if is_silent(language, node) => return false,
            Step::Enter(node, _) if node.child_count() == 0 || is_verbatim(node) => {
                out.push_str(text_of(node, text));
                out.push('\0');
                return false;
            }
            Step::Enter(node, _) => {
                out.push_str(node.kind());
                out.push('\u{1}');
            }
            Step::Leave(node) if is_silent(language, node) || node.child_count() == 0 || is_verbatim(node) => {}
            Step::Leave(_) => out.push('\u{2}'),
        }
        true
    });
    out
}

/// Literals are compared letter by letter: white space inside them counts.
fn is_verbatim(node: Node<'_>) -> bool {
    let kind = node.kind();
    node.is_named()
        && ["string", "char", "regex", "jsx_text"].iter().any(|part| kind.contains(part))
        && !kind.starts_with("concatenated")
}

fn is_silent(language: Language, node: Node<'_>) -> bool {
    node.is_extra() && node.kind().contains("comment") || language == Language::Python && is_docstring(node)
}

fn is_docstring(node: Node<'_>) -> bool {
    if node.kind() != "expression_statement" || node.named_child_count() != 1 {
        return false;
    }
    if node.named_child(0).is_none_or(|child| child.kind() != "string") {
        return false;
    }
    let Some(parent) = node.parent() else { return false };
    let holds = match parent.kind() {
        "module" => true,
        "block" => {
            parent.parent().is_some_and(|above| matches!(above.kind(), "function_definition" | "class_definition"))
        }
        _ => false,
    };
    // Only a few comments are passed over: a file of a million strings must not be looked through for each of them.
    let first = (0..20).filter_map(|place| parent.named_child(place)).find(|child| child.kind() != "comment");
    holds && first.is_some_and(|first| first.id() == node.id())
}
