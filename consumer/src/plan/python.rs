//! Python for recipes that change code: matching on the tree and edits that keep the file's own style.

mod generated;
mod imports;
mod instruments;
mod subject;

use std::ops::Range;

use backtrail_code::tree_sitter::Node;
use backtrail_code::{Language, Parsed};

use crate::context::{Context, Suspect};

pub(super) use generated::{body, place_of, split_imports};
pub(super) use imports::{module_of, with_imports};
pub(super) use instruments::Instruments;
pub(super) use subject::Subject;

/// A Python function that is suspected.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) parsed: &'a Parsed,
    /// Its place in [`Parsed::functions`].
    pub(super) place: usize,
}

impl<'a> Target<'a> {
    /// The suspects that are Python functions, most suspicious first.
    pub(super) fn all(context: &'a Context) -> Vec<Self> {
        let target = |suspect: &'a Suspect| {
            let (parsed, place) = context.function_of(suspect)?;
            (parsed.language() == Language::Python).then_some(Self { path: &suspect.path, parsed, place })
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
        let nested = matches!(node.kind(), "function_definition" | "class_definition" | "lambda");
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

/// The call that a statement is, alone or with its result given to a name.
pub(super) fn call_of(statement: Node<'_>) -> Option<Node<'_>> {
    let inner = match statement.kind() {
        "expression_statement" | "return_statement" => named(statement).into_iter().next()?,
        "with_statement" => {
            let clause = named(statement).into_iter().find(|child| child.kind() == "with_clause")?;
            named(clause).into_iter().next()?.child_by_field_name("value")?
        }
        _ => return None,
    };
    let inner = match inner.kind() {
        "assignment" => inner.child_by_field_name("right")?,
        "as_pattern" => named(inner).into_iter().next()?,
        _ => inner,
    };
    (inner.kind() == "call").then_some(inner)
}

/// Whether a text is names with dots between.
pub(super) fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// How a file is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Style {
    indent: String,
    single_quotes: bool,
    crlf: bool,
}

impl Style {
    pub(super) fn of(text: &str) -> Self {
        let indented = text.lines().find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
        let indent = indented.map_or("    ", |line| &line[..line.len() - line.trim_start().len()]);
        // A continued line may be the first that is indented, and further in than a block is.
        let indent = if indent.len() > 4 && !indent.starts_with('\t') { "    " } else { indent };
        let (double, single) = (text.matches('"').count(), text.matches('\'').count());
        Self { indent: indent.to_owned(), single_quotes: single > double, crlf: text.contains("\r\n") }
    }

    /// A text of four spaces and double quotes in this style; `base` stands before every line.
    pub(super) fn dress(&self, base: &str, text: &str) -> String {
        let mut dressed = String::new();
        for line in text.lines() {
            let rest = line.trim_start_matches(' ');
            if !rest.is_empty() {
                dressed.push_str(base);
                dressed.push_str(&self.indent.repeat((line.len() - rest.len()) / 4));
                // Three double quotes are a docstring, whose style is the same everywhere.
                let single = self.single_quotes && !rest.contains("\"\"\"") && !rest.contains('\'');
                dressed.push_str(&if single { rest.replace('"', "'") } else { rest.to_owned() });
            }
            dressed.push_str(if self.crlf { "\r\n" } else { "\n" });
        }
        dressed
    }
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

/// Where definitions may be put that come before the function: before the first class or function of the file.
pub(super) fn before_definitions(parsed: &Parsed) -> Option<usize> {
    let kinds = ["class_definition", "function_definition", "decorated_definition"];
    let first = named(parsed.tree().root_node()).into_iter().find(|node| kinds.contains(&node.kind()))?;
    // A comment right above belongs to it.
    let mut at = first.start_byte();
    while let Some(comment) = parsed.text()[..at].trim_end_matches([' ', '\t']).strip_suffix('\n') {
        let (start, _) = line_start(parsed.text(), comment.len());
        if !comment[start..].trim_start().starts_with('#') {
            break;
        }
        at = start;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_style_of_its_file() {
        let style = Style::of("def f():\r\n\tprint('x')\r\n");
        assert_eq!(style.dress("\t", "if a:\n    b(\"c\")\n"), "\tif a:\r\n\t\tb('c')\r\n");
        let style = Style::of("def f():\n  print(\"x\")\n");
        assert_eq!(style.dress("", "if a:\n    b(\"c\")\n\nd\n"), "if a:\n  b(\"c\")\n\nd\n");
    }

    #[test]
    fn edits_at_one_place_keep_their_order() {
        let mut edits = Edits::default();
        edits.replace(2..3, "x");
        edits.insert(1, "1");
        edits.insert(1, "2");
        assert_eq!(edits.apply("abcd"), "a12bxd");
    }
}
