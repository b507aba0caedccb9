//! The sections `receivers:`, `processors:` and `exporters:`: ids to parsed components.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::Part;
use crate::node::{Components, Configured, Exporter, Kind, Processor, Receiver, Scope};

use super::explain::{Reading, without_secret};
use super::report::{Report, choices, nearest};
use super::tree::{Node, Pos, Tree};

/// Characters of an id.
const MAX_ID: usize = 128;

/// The sections in the order of the file's shape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Section {
    Receivers,
    Processors,
    Exporters,
}

impl Section {
    pub(super) const ALL: [Self; 3] = [Self::Receivers, Self::Processors, Self::Exporters];

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Receivers => "receivers",
            Self::Processors => "processors",
            Self::Exporters => "exporters",
        }
    }

    /// One of them.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Receivers => "receiver",
            Self::Processors => "processor",
            Self::Exporters => "exporter",
        }
    }
}

/// A component that the file defines.
pub(super) struct Defined {
    /// Where its id stands.
    pub(super) at: Pos,
    /// Its settings as written, without those that are wrong.
    pub(super) tree: Node,
    /// The key of its kind, aliases resolved; empty for an unknown kind.
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    /// Without what is wrong with it. `None`: nothing can be said about its signals.
    pub(super) part: Option<Part>,
    /// Nothing is wrong with it.
    pub(super) sound: bool,
}

/// All components of a file, by section and id.
#[derive(Default)]
pub(super) struct Definitions {
    pub(super) by_id: BTreeMap<(Section, String), Defined>,
}

impl Definitions {
    pub(super) fn get(&self, section: Section, id: &str) -> Option<&Defined> {
        self.by_id.get(&(section, id.to_owned()))
    }

    /// The ids of a section whose kind is known.
    pub(super) fn ids(&self, section: Section) -> Vec<&str> {
        self.of(section).filter(|(_, defined)| !defined.kind.is_empty()).map(|(id, _)| id).collect()
    }

    /// Whether an undefined id is one whose definition has a wrong name (which was reported there).
    pub(super) fn is_misspelt(&self, section: Section, id: &str) -> bool {
        let unknown = self.of(section).filter(|(_, defined)| defined.kind.is_empty()).map(|(id, _)| id);
        self.get(section, id).is_none() && nearest(id, unknown).is_some()
    }

    fn of(&self, section: Section) -> impl Iterator<Item = (&str, &Defined)> {
        self.by_id.iter().filter(move |((at, _), _)| *at == section).map(|((_, id), defined)| (id.as_str(), defined))
    }

    /// The section in which an id is defined.
    pub(super) fn section_of(&self, id: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|&section| self.get(section, id).is_some())
    }
}

/// What the loader needs from a node type to treat the three tables alike.
trait NodeType {
    fn part(config: Box<dyn Configured<Self>>) -> Part;
}

impl NodeType for dyn Receiver {
    fn part(config: Box<dyn Configured<Self>>) -> Part {
        Part::Receiver(Arc::from(config))
    }
}

impl NodeType for dyn Processor {
    fn part(config: Box<dyn Configured<Self>>) -> Part {
        Part::Processor(Arc::from(config))
    }
}

impl NodeType for dyn Exporter {
    fn part(config: Box<dyn Configured<Self>>) -> Part {
        Part::Exporter(Arc::from(config))
    }
}

/// Reads the three sections.
pub(super) fn read(root: &Node, components: &Components, report: &mut Report<'_>) -> Definitions {
    let mut definitions = Definitions::default();
    for section in Section::ALL {
        let Some(entry) = root.entry(section.key()) else { continue };
        if entry.node.is_null() {
            continue;
        }
        let Tree::Map(entries) = &entry.node.value else {
            report.problem(
                entry.node.at,
                format!("'{}' must be a map of components", section.key()),
                format!("write '{}:' lines below it, indented", section.word()),
            );
            continue;
        };
        for entry in entries {
            let reader = Reader { components, section, id: &entry.key, at: entry.at };
            let defined = match section {
                Section::Receivers => reader.read(components.receivers, &entry.node, report),
                Section::Processors => reader.read(components.processors, &entry.node, report),
                Section::Exporters => reader.read(components.exporters, &entry.node, report),
            };
            definitions.by_id.insert((section, entry.key.clone()), defined);
        }
    }
    definitions
}

/// The kind's key of an id: `parquet` of `parquet/windows`.
fn kind_key(id: &str) -> &str {
    id.split_once('/').map_or(id, |(kind, _)| kind)
}

/// Whether an id or pipeline name can be written everywhere: in lists, metrics, file names.
pub(super) fn valid_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    parts.len() <= 2 && name.len() <= MAX_ID && parts.iter().all(|part| !part.is_empty() && part.chars().all(plain))
}

/// All keys of a table.
pub(super) fn names<N: ?Sized>(kinds: &[Kind<N>]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name).collect()
}

pub(super) fn kind_named<'k, N: ?Sized>(kinds: &'k [Kind<N>], key: &str) -> Option<&'k Kind<N>> {
    kinds.iter().find(|kind| kind.name == key || kind.aliases.contains(&key))
}

struct Reader<'a> {
    components: &'a Components,
    section: Section,
    id: &'a str,
    at: Pos,
}

impl Reader<'_> {
    fn read<N: ?Sized + NodeType>(&self, kinds: &'static [Kind<N>], node: &Node, report: &mut Report<'_>) -> Defined {
        let (id, word) = (self.id, self.section.word());
        let broken = |kind, scope| Defined { at: self.at, tree: node.clone(), kind, scope, part: None, sound: false };
        if !valid_name(id) {
            report.problem(
                self.at,
                format!("'{id}' is no valid id"),
                "write type or type/name, with letters, digits and _ - . only",
            );
            return broken("", Scope::Stateless);
        }
        let Some(kind) = kind_named(kinds, kind_key(id)) else {
            report.problem(self.at, format!("unknown {word} '{}'", kind_key(id)), self.unknown_hint(&names(kinds)));
            return broken("", Scope::Stateless);
        };
        let defaults = (kind.defaults)();
        let at = if node.is_null() { self.at } else { node.at };
        let mut reading = Reading::new(node.clone(), format!("{word} '{id}'"), at, &defaults);
        let (config, whole) = reading.parse(kind.parse, report);
        let mut sound = whole;
        if let Some(config) = &config {
            for finding in config.check() {
                sound &= !self.found(&reading, &finding, report);
            }
        }
        // The signals of a receiver or processor hardly depend on its settings, so its wiring is judged all the same.
        // What an exporter accepts is a setting: without it, nothing is known.
        let known = sound || self.section != Section::Exporters;
        let part = config.filter(|_| known).map(N::part);
        Defined { at: self.at, tree: reading.tree, kind: kind.name, scope: kind.scope, part, sound }
    }

    /// Reports a finding of the component's own check, unless it follows from what was taken out because it is wrong.
    /// Returns whether it was reported.
    fn found(&self, reading: &Reading<'_>, finding: &crate::Finding, report: &mut Report<'_>) -> bool {
        if reading.is_consequence(&finding.path) {
            return false;
        }
        let steps = reading.tree.steps(&finding.path);
        let (key, node, taken) = reading.tree.follow(&steps);
        let at = match key {
            _ if taken == 0 => self.at,
            Some(key) if taken < steps.len() => key,
            _ => node.at,
        };
        let message = format!("{} '{}': {}", self.section.word(), self.id, finding.message);
        report.problem(at, without_secret(node, &message), without_secret(node, &finding.hint));
        true
    }

    fn unknown_hint(&self, known: &[&str]) -> String {
        let key = kind_key(self.id);
        let tables = [
            (Section::Receivers, kind_named(self.components.receivers, key).is_some()),
            (Section::Processors, kind_named(self.components.processors, key).is_some()),
            (Section::Exporters, kind_named(self.components.exporters, key).is_some()),
        ];
        match tables.into_iter().find(|&(_, has)| has) {
            Some((section, _)) => {
                let article = if section == Section::Exporters { "an" } else { "a" };
                format!("'{key}' is {article} {}; move it to '{}'", section.word(), section.key())
            }
            None => choices(key, &format!("known {}", self.section.key()), known),
        }
    }
}
