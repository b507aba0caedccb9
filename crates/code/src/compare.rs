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
    let text = parsed.text();
    let python = parsed.language() == Language::Python;
    let mut out = String::new();
    // The open nodes, each with whether its children may still begin with a docstring.
    let mut open: Vec<(Node<'_>, bool)> = Vec::new();
    walk(root, |step| {
        match step {
            Step::Enter(node, _) if node.is_extra() && node.kind().contains("comment") => return false,
            Step::Enter(node, _) => {
                let may_document = open.last_mut().is_some_and(|(_, first)| std::mem::take(first));
                if may_document && is_bare_string(node) {
                    return false;
                }
                if node.child_count() == 0 || is_verbatim(node) {
                    out.push_str(text_of(node, text));
                    out.push('\0');
                    return false;
                }
                let kind = node.kind();
                let of_definition = open
                    .last()
                    .is_some_and(|(above, _)| matches!(above.kind(), "function_definition" | "class_definition"));
                open.push((node, python && (kind == "module" || kind == "block" && of_definition)));
                out.push_str(kind);
                out.push('\u{1}');
            }
            Step::Leave(node) if open.last().is_some_and(|(innermost, _)| innermost.id() == node.id()) => {
                open.pop();
                out.push('\u{2}');
            }
            Step::Leave(_) => {}
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

/// A statement that is a string and nothing else; the first of a Python module, class or function documents it.
fn is_bare_string(node: Node<'_>) -> bool {
    node.kind() == "expression_statement"
        && node.named_child_count() == 1
        && node.named_child(0).is_some_and(|child| child.kind() == "string")
}
