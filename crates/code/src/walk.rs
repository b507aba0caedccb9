//! Walking a tree without recursion, so that a file of ten thousand brackets costs no stack.

use tree_sitter::Node;

/// Where the walk stands.
#[derive(Clone, Copy)]
pub(crate) enum Step<'t> {
    /// Before the children, with the field this node fills in its parent.
    Enter(Node<'t>, Option<&'static str>),
    /// After the children, or at once when the visitor did not want them.
    Leave(Node<'t>),
}

/// Visits `root` and everything below it. The answer to `Enter` says whether to go into the children;
/// the answer to `Leave` is ignored.
pub(crate) fn walk<'t>(root: Node<'t>, mut visit: impl FnMut(Step<'t>) -> bool) {
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if visit(Step::Enter(node, cursor.field_name())) && cursor.goto_first_child() {
            continue;
        }
        visit(Step::Leave(node));
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
            visit(Step::Leave(cursor.node()));
        }
    }
}

/// The text of a node; empty when the tree and the text do not belong together.
pub(crate) fn text_of<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or_default()
}

/// The first line of a node, counted from 1.
pub(crate) fn line_of(node: Node<'_>) -> u32 {
    node.start_position().row as u32 + 1
}

/// The named children, collected because a cursor cannot be held while its nodes are looked into.
pub(crate) fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk()).collect()
}

/// The first child of this kind.
pub(crate) fn child_of_kind<'t>(node: Node<'t>, kind: &str) -> Option<Node<'t>> {
    node.children(&mut node.walk()).find(|child| child.kind() == kind)
}

/// The value of a plain string literal of any of the languages; `None` for everything else.
pub(crate) fn literal(node: Node<'_>, text: &str) -> Option<String> {
    let plain = matches!(
        node.kind(),
        "string"
            | "string_literal"
            | "interpreted_string_literal"
            | "raw_string_literal"
            | "verbatim_string_literal"
            | "template_string"
    );
    plain.then(|| unquote(text_of(node, text)))
}

/// Takes prefix (`r`, `b`, `@`) and quotes off a literal.
pub(crate) fn unquote(text: &str) -> String {
    let start = text.find(['"', '\'', '`']).unwrap_or(0);
    text[start..].trim_matches(['"', '\'', '`', '#']).to_owned()
}

/// Cuts from the front to at most `limit` bytes, never inside a character.
pub(crate) fn tail(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Cuts from the end to at most `limit` bytes, never inside a character.
pub(crate) fn head(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
