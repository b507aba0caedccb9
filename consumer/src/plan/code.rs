//! Code for recipes that change it, of any language: the suspect function, its nodes, and edits by bytes.

use std::ops::Range;

use backtrail_code::tree_sitter::Node;
use backtrail_code::{Language, Parsed};

use crate::context::{Context, Suspect};

/// A function that is suspected.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) parsed: &'a Parsed,
    /// Its place in [`Parsed::functions`].
    pub(super) place: usize,
}

impl<'a> Target<'a> {
    /// The suspects that are functions of a language, most suspicious first.
    pub(super) fn all(context: &'a Context, language: Language) -> Vec<Self> {
        let target = |suspect: &'a Suspect| {
            let (parsed, place) = context.function_of(suspect)?;
            (parsed.language() == language).then_some(Self { path: &suspect.path, parsed, place })
        };
        context.suspects.iter().filter_map(target).collect()
    }

    pub(super) fn name(&self) -> &'a str {
        &self.parsed.functions()[self.place].name
    }

    pub(super) fn qualified(&self) -> &'a str {
        &self.parsed.functions()[self.place].qualified
    }

    pub(super) fn holder(&self) -> Option<&'a str> {
        self.parsed.functions()[self.place].holder.as_deref()
    }

    /// The function's own nodes, in the order of the text.
    pub(super) fn nodes(&self) -> Vec<Node<'a>> {
        self.parsed.node_of(self.place).map(own).unwrap_or_default()
    }
}

/// A node and all below it, in the order of the text, without functions and classes that are written inside.
pub(super) fn own(root: Node<'_>) -> Vec<Node<'_>> {
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(node) = open.pop() {
        found.push(node);
        let nested = matches!(node.kind(), "function_definition" | "class_definition" | "lambda" | "func_literal");
        if node == root || !nested {
            let mut children = named(node);
            children.reverse();
            open.append(&mut children);
        }
    }
    found
}

/// The named children of a node, comments left out.
pub(super) fn named(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

/// What a call calls, as written.
pub(super) fn callee<'a>(parsed: &'a Parsed, call: Node<'_>) -> &'a str {
    call.child_by_field_name("function").map_or("", |function| parsed.text_of(function))
}

/// Whether a text is names with dots between.
pub(super) fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Changes of a text by its bytes.
#[derive(Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub(super) fn replace(&mut self, bytes: Range<usize>, with: impl Into<String>) {
        self.0.push((bytes, with.into()));
    }

    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// The text with all of them; those at the same place in the order in which they were made.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(bytes, _)| bytes.start);
        let (mut changed, mut done) = (String::with_capacity(text.len()), 0);
        for (bytes, with) in self.0 {
            changed.push_str(text.get(done..bytes.start).unwrap_or_default());
            changed.push_str(&with);
            done = bytes.end.max(done);
        }
        changed.push_str(text.get(done..).unwrap_or_default());
        changed
    }
}

/// Where the line of a byte begins, and its white space.
pub(super) fn line_start(text: &str, at: usize) -> (usize, &str) {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = &text[start..];
    (start, &line[..line.len() - line.trim_start_matches([' ', '\t']).len()])
}

/// Where the line after that of a byte begins.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_at_one_place_keep_their_order() {
        let mut edits = Edits::default();
        edits.replace(2..3, "x");
        edits.insert(1, "1");
        edits.insert(1, "2");
        assert_eq!(edits.apply("abcd"), "a12bxd");
    }
}
