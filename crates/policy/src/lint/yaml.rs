//! YAML documents as trees that know their lines. Bounded in depth and size; aliases are not expanded.

use serde_saphyr::granit_parser::{Event, Options, Parser, Span};

use super::At;

/// Maps and lists inside each other.
const MAX_DEPTH: usize = 64;
/// Values of one file.
const MAX_VALUES: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    value: Tree,
}

#[derive(Clone, Debug)]
enum Tree {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A value by its path, as `&["spec", "metrics"]`.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Self> {
        let Some((key, rest)) = path.split_first() else { return Some(self) };
        let Tree::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key))?.1.get(rest)
    }

    /// The place of a key, for findings about what stands under it.
    pub(super) fn key(&self, key: &str) -> Option<At> {
        let Tree::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(name, _)| name.at)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        self.text()?.trim().trim_end_matches('%').parse().ok()
    }

    /// Items of a list; nothing for other values.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Tree::List(items) => items,
            _ => &[],
        }
    }

    /// Values of a map and items of a list.
    pub(super) fn children(&self) -> Vec<&Self> {
        match &self.value {
            Tree::Text(_) => Vec::new(),
            Tree::List(items) => items.iter().collect(),
            Tree::Map(entries) => entries.iter().map(|(_, value)| value).collect(),
        }
    }

    /// Every value with this key, however deep.
    pub(super) fn all<'n>(&'n self, key: &str, found: &mut Vec<&'n Self>) {
        found.extend(self.get(&[key]));
        for child in self.children() {
            child.all(key, found);
        }
    }
}

/// Reads all documents of a file.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, (At, String)> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader { open: Vec::new(), documents: Vec::new(), values: 0 };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            let info = error.info();
            let said = info.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
            (At { line: marker.line().max(1), column: marker.col() + 1 }, said)
        })?;
        reader.event(event, &span)?;
    }
    Ok(reader.documents)
}

struct Reader {
    /// Maps and lists that are not closed; a map's key waits for its value.
    open: Vec<(Node, Option<Node>)>,
    documents: Vec<Node>,
    values: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), (At, String)> {
        let at = At { line: span.start.line().max(1), column: span.start.col() + 1 };
        let tree = match event {
            Event::Scalar(text, ..) => Tree::Text(text.into_owned()),
            Event::Alias(_) => Tree::Text(String::new()),
            Event::SequenceStart(..) => return self.begin(at, Tree::List(Vec::new())),
            Event::MappingStart(..) => return self.begin(at, Tree::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((node, _)) = self.open.pop() {
                    self.finish(node);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err((at, format!("more than {MAX_VALUES} values")));
        }
        self.finish(Node { at, value: tree });
        Ok(())
    }

    fn begin(&mut self, at: At, value: Tree) -> Result<(), (At, String)> {
        if self.open.len() >= MAX_DEPTH {
            return Err((at, format!("more than {MAX_DEPTH} levels inside each other")));
        }
        self.open.push((Node { at, value }, None));
        Ok(())
    }

    fn finish(&mut self, node: Node) {
        let Some((parent, key)) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        match (&mut parent.value, key.take()) {
            (Tree::List(items), _) => items.push(node),
            (Tree::Map(entries), Some(name)) => entries.push((name, node)),
            (Tree::Map(_), None) => *key = Some(node),
            (Tree::Text(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let text = "a: 1\n---\nspec:\n  list:\n    - name: x\n      query: |\n        sum(x)\n    - 12%\n";
        let documents = documents(text).expect("yaml");
        assert_eq!(documents.len(), 2);
        let list = documents[1].get(&["spec", "list"]).expect("there").items();
        assert_eq!(list[0].get(&["name"]).map(|node| node.at), Some(At { line: 5, column: 13 }));
        assert_eq!(list[0].get(&["query"]).map(|node| (node.at.line, node.text())), Some((7, Some("sum(x)\n"))));
        assert_eq!(list[1].number(), Some(12.0));
    }

    #[test]
    fn bad_and_deep_text_is_an_error_with_its_place() {
        assert_eq!(documents("a: [1\nb: 2").expect_err("open list").0.line, 2);
        let deep = documents(&"- ".repeat(100)).expect_err("deep").1;
        assert!(deep.contains("64 levels"), "{deep}");
    }
}
