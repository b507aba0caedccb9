//! YAML text to a positioned tree. Bounded in size, depth and expansion, so that no file can exhaust the loader.

use std::collections::HashMap;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::report::Report;
use super::tree::{Entry, Node, Pos, Scalar, Tree};

/// Bytes of a configuration file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Maps and lists inside each other.
const MAX_DEPTH: usize = 64;
/// Values in all, aliases counted as often as they stand: ends the billion laughs.
const MAX_VALUES: usize = 100_000;
/// Keys of one map: looking for repeated ones takes the square of it.
const MAX_KEYS: usize = 5_000;

/// Reads one document. Problems are reported; `None` when nothing useful could be read.
pub(super) fn parse(text: &str, report: &mut Report<'_>) -> Option<Node> {
    if text.len() > MAX_BYTES {
        report.problem(
            Pos::START,
            format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len()),
            "split it, or keep large lists in files of their own",
        );
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder { report, stack: Vec::new(), anchors: HashMap::new(), values: 0, root: None };
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => builder.syntax(&error, text)?,
        }
    }
    if builder.root.is_none() {
        builder.report.problem(Pos::START, "the file is empty", "copy pipeline.yaml, or one of examples/");
    }
    builder.root
}

/// A map or list that is not closed yet.
struct Open {
    at: Pos,
    anchor: usize,
    tree: Tree,
    /// A key that waits for its value.
    key: Option<(String, Pos)>,
    /// Values of `<<`, taken over once all keys of the map are known.
    merges: Vec<(Node, Pos)>,
}

struct Builder<'r, 'f> {
    report: &'r mut Report<'f>,
    stack: Vec<Open>,
    /// Anchored nodes with their number of values.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    root: Option<Node>,
}

fn pos(span: &Span) -> Pos {
    Pos { source: 0, line: span.start.line().max(1), column: span.start.col() + 1 }
}

impl Builder<'_, '_> {
    /// Takes an event; `None` ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = pos(&span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.report.problem(at, "a second document starts here", "keep one document in a file");
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let scalar = self.scalar(at, text.into_owned(), plain, tag.as_deref());
                self.finish(Node::new(at, Tree::Scalar(scalar)), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Tree::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(at, anchor, Tree::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let mut open = self.stack.pop()?;
                if let Tree::Map(entries) = &mut open.tree {
                    for (from, at) in &open.merges {
                        merge(entries, from, *at, self.report);
                    }
                }
                self.finish(Node::new(open.at, open.tree), open.anchor)
            }
            Event::Alias(id) => self.alias(at, id),
            _ => Some(()),
        }
    }

    fn open(&mut self, at: Pos, anchor: usize, tree: Tree) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            self.report.problem(at, format!("more than {MAX_DEPTH} levels inside each other"), "flatten this part");
            return None;
        }
        self.stack.push(Open { at, anchor, tree, key: None, merges: Vec::new() });
        Some(())
    }

    fn alias(&mut self, at: Pos, id: usize) -> Option<()> {
        let Some((node, values)) = self.anchors.get(&id) else {
            self.report.problem(at, "this alias stands inside its own anchor", "write the value out");
            return None;
        };
        let (mut node, values) = (node.clone(), *values);
        self.count(at, values)?;
        if depth(&node) + self.stack.len() > MAX_DEPTH {
            self.report.problem(at, format!("more than {MAX_DEPTH} levels inside each other"), "flatten this part");
            return None;
        }
        // A mistake in an aliased value is shown where it is used; the keys below keep the place of their text.
        node.at = at;
        self.finish(node, 0)
    }

    fn count(&mut self, at: Pos, values: usize) -> Option<()> {
        self.values += values;
        if self.values > MAX_VALUES {
            self.report.problem(
                at,
                format!("more than {MAX_VALUES} values, aliases counted each time"),
                "use fewer anchors and aliases",
            );
            return None;
        }
        Some(())
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.count(node.at, 1)?;
        if anchor > 0 {
            let values = size(&node);
            self.anchors.insert(anchor, (node.clone(), values));
            // The stored copy is memory, too.
            self.count(node.at, values)?;
        }
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match (&mut parent.tree, parent.key.take()) {
            (Tree::List(items), _) => items.push(node),
            (Tree::Map(_), Some((key, at))) if key == "<<" => parent.merges.push((node, at)),
            (Tree::Map(entries), Some((key, at))) => {
                if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                    let hint = format!("it stands first on line {}; keep one of them", first.at.line);
                    self.report.problem(at, format!("key '{key}' stands twice"), hint);
                } else if entries.len() >= MAX_KEYS {
                    self.report.problem(at, format!("more than {MAX_KEYS} keys in one map"), "split it");
                    return None;
                } else {
                    entries.push(Entry { key, at, node });
                }
            }
            (Tree::Map(_), None) => {
                let text = if let Tree::Scalar(scalar) = node.value {
                    scalar.text
                } else {
                    self.report.problem(node.at, "a key must be text", "quote it if it begins with [ or {");
                    String::new()
                };
                parent.key = Some((text, node.at));
            }
            (Tree::Scalar(_), _) => {}
        }
        Some(())
    }

    fn scalar(&mut self, at: Pos, text: String, plain: bool, tag: Option<&Tag>) -> Scalar {
        let plain = match tag.map(|tag| (tag, tag.core_suffix())) {
            None => plain,
            Some((_, Some("str"))) => false,
            Some((_, Some("null" | "bool" | "int" | "float"))) => true,
            Some((tag, _)) => {
                let name = tag.original();
                self.report.problem(at, format!("tag '{name}' has no meaning here"), "leave the tag out");
                plain
            }
        };
        let value = if plain { resolve(&text) } else { Value::String(text.clone()) };
        Scalar { text, plain, value, written: None }
    }

    fn syntax(&mut self, error: &ScanError, text: &str) -> Option<()> {
        let marker = error.marker();
        let at = Pos { source: 0, line: marker.line().max(1), column: marker.col() + 1 };
        let info = error.info();
        let info = info.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        let line = text.lines().nth(at.line - 1).unwrap_or_default();
        let hint = if line.contains("${") {
            "inside [ ] and { } a reference needs quotes: \"${env:NAME}\""
        } else if info.contains("tab") {
            "indent with spaces"
        } else {
            "look at the indentation, the quotes and the colons of this line and the one before"
        };
        self.report.problem(at, format!("this is not YAML: {info}"), hint);
        None
    }
}

/// `<<: *defaults`: keys that the map does not state itself are taken over.
fn merge(entries: &mut Vec<Entry>, from: &Node, at: Pos, report: &mut Report<'_>) {
    let maps: Vec<&Node> = match &from.value {
        Tree::List(items) => items.iter().collect(),
        _ => vec![from],
    };
    for map in maps {
        if !matches!(map.value, Tree::Map(_)) {
            report.problem(at, "'<<' takes a map or a list of maps", "write <<: *name, where &name marks a map");
            return;
        }
        for entry in map.entries() {
            if !entries.iter().any(|known| known.key == entry.key) {
                entries.push(entry.clone());
            }
        }
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Tree::Scalar(_) => 0,
        Tree::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Tree::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Tree::Scalar(_) => 0,
        Tree::List(items) => items.iter().map(size).sum(),
        Tree::Map(entries) => entries.iter().map(|entry| 1 + size(&entry.node)).sum(),
    }
}

/// What unquoted text means in YAML 1.2: null, truth, number or text. Numbers with leading zeros stay text, because
/// they are identifiers more often than numbers.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x").filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return u64::from_str_radix(hex, 16).map_or_else(|_| Value::from(text), Value::from);
    }
    if let Some(octal) = text.strip_prefix("0o").filter(|o| o.bytes().all(|b| (b'0'..=b'7').contains(&b))) {
        return u64::from_str_radix(octal, 8).map_or_else(|_| Value::from(text), Value::from);
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !numeric || padded {
        return Value::from(text);
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = unsigned.parse::<u64>() {
        return Value::from(number);
    }
    if let Ok(number) = unsigned.parse::<i64>() {
        return Value::from(number);
    }
    match unsigned.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::from(number),
        _ => Value::from(text),
    }
}
