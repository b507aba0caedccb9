//! The configuration as it was written: a tree in which every key and value knows its place.

use serde_json::{Map, Value};

/// A place in the file (`source` 0) or in the n-th override (`source` n). Lines and columns count from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pos {
    pub(super) source: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Pos {
    /// The first character of the file.
    pub(super) const START: Self = Self { source: 0, line: 1, column: 1 };
}

/// A value and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) at: Pos,
    pub(super) value: Tree,
}

/// The three shapes of YAML.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Tree {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// Text, and what it means.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Scalar {
    /// The text after quotes were removed (and references filled in).
    pub(super) text: String,
    /// Not quoted, so that `5` is a number and `true` a truth.
    pub(super) plain: bool,
    /// What it means to serde.
    pub(super) value: Value,
    /// The text as written, when references were filled in: then `text` may be a secret and is never shown.
    pub(super) written: Option<String>,
}

/// One key of a map.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Pos,
    pub(super) node: Node,
}

/// One step down the tree.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    pub(super) fn new(at: Pos, value: Tree) -> Self {
        Self { at, value }
    }

    /// An empty value, as behind `otlp:`.
    pub(super) fn null(at: Pos) -> Self {
        Self::new(at, Tree::Scalar(Scalar { text: String::new(), plain: true, value: Value::Null, written: None }))
    }

    /// A value that did not come from YAML (an override).
    pub(super) fn from_json(at: Pos, json: &Value) -> Self {
        let value = match json {
            Value::Object(map) => Tree::Map(
                map.iter()
                    .map(|(key, value)| Entry { key: key.clone(), at, node: Self::from_json(at, value) })
                    .collect(),
            ),
            Value::Array(items) => Tree::List(items.iter().map(|item| Self::from_json(at, item)).collect()),
            scalar => {
                let text = scalar.as_str().map_or_else(|| scalar.to_string(), ToOwned::to_owned);
                Tree::Scalar(Scalar { text, plain: !scalar.is_string(), value: scalar.clone(), written: None })
            }
        };
        Self::new(at, value)
    }

    pub(super) fn json(&self) -> Value {
        match &self.value {
            Tree::Scalar(scalar) => scalar.value.clone(),
            Tree::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Tree::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.json())).collect::<Map<_, _>>())
            }
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Tree::Scalar(scalar) if scalar.value.is_null())
    }

    /// The keys of a map, in the order of the file; nothing for other shapes.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Tree::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Tree::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Follows `path` as far as it goes: the place of the last key (or item) found, the node there, and how many steps
    /// were taken.
    pub(super) fn follow(&self, path: &[Step]) -> (Option<Pos>, &Self, usize) {
        let (mut node, mut key) = (self, None);
        for (taken, step) in path.iter().enumerate() {
            let next = match (&node.value, step) {
                (Tree::Map(_), Step::Key(name)) => node.entry(name).map(|entry| (entry.at, &entry.node)),
                (Tree::List(items), Step::Index(index)) => items.get(*index).map(|item| (item.at, item)),
                _ => None,
            };
            let Some((at, below)) = next else { return (key, node, taken) };
            (key, node) = (Some(at), below);
        }
        (key, node, path.len())
    }

    /// The node at `path`.
    pub(super) fn at_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        let mut node = self;
        for step in path {
            node = match (&mut node.value, step) {
                (Tree::Map(entries), Step::Key(name)) => &mut entries.iter_mut().find(|e| e.key == *name)?.node,
                (Tree::List(items), Step::Index(index)) => items.get_mut(*index)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// Takes out what stands at `path`; `false` when nothing does.
    pub(super) fn remove(&mut self, path: &[Step]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let Some(parent) = self.at_mut(parents) else { return false };
        match (&mut parent.value, last) {
            (Tree::Map(entries), Step::Key(name)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *name);
                entries.len() < before
            }
            (Tree::List(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// Reads a written path such as `policies[2].latency.threshold_ms` or `exporters.parquet/v1.2.tables` against this
    /// tree: where keys hold dots, the longest key that exists wins.
    pub(super) fn steps(&self, path: &str) -> Vec<Step> {
        let (mut steps, mut node, mut rest) = (Vec::new(), Some(self), path);
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some((index, after)) = index(rest) {
                node = match node.map(|n| &n.value) {
                    Some(Tree::List(items)) => items.get(index),
                    _ => None,
                };
                steps.push(Step::Index(index));
                rest = after;
                continue;
            }
            let known = node.map_or(&[][..], Self::entries).iter().filter(|e| starts_with_key(rest, &e.key));
            let key = match known.max_by_key(|e| e.key.len()) {
                Some(entry) => entry.key.as_str(),
                None => &rest[..rest.find(['.', '[']).unwrap_or(rest.len()).max(1).min(rest.len())],
            };
            node = node.and_then(|n| n.entry(key)).map(|entry| &entry.node);
            steps.push(Step::Key(key.to_owned()));
            rest = &rest[key.len()..];
        }
        steps
    }
}

fn index(text: &str) -> Option<(usize, &str)> {
    let (digits, after) = text.strip_prefix('[')?.split_once(']')?;
    digits.parse().ok().map(|index| (index, after))
}

fn starts_with_key(text: &str, key: &str) -> bool {
    !key.is_empty() && text.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A path as people write it.
pub(super) fn written(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Index(index) => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }
    out
}
