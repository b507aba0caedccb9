//! Python for recipes that change code: matching on the tree and edits that keep the file's own style.

mod generated;
mod imports;
mod instruments;
mod subject;

use backtrail_code::Parsed;
use backtrail_code::tree_sitter::Node;

pub(super) use super::code::{Edits, Target, callee, is_dotted, line_start, named, next_line, own};
pub(super) use generated::{body, place_of, split_imports};
pub(super) use imports::{module_of, with_imports};
pub(super) use instruments::Instruments;
pub(super) use subject::Subject;

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
}
