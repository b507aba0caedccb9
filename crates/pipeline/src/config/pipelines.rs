//! `service.pipelines`: names to definitions and to each other, in an order in which data flows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::components::{Definitions, Section, valid_name};
use super::report::{Report, choices};
use super::tree::{Node, Pos, Step};
use crate::service::Service;

/// Pipelines of a file.
const MAX_PIPELINES: usize = 200;

/// A pipeline whose names are resolved.
pub(super) struct Pipeline {
    pub(super) name: String,
    pub(super) sources: Vec<Source>,
    pub(super) processors: Vec<Listed>,
    pub(super) exporters: Vec<Listed>,
    /// Part of it was wrong (and that was said): anything might reach what stands in it.
    pub(super) damaged: bool,
}

/// Where a pipeline takes its data from.
pub(super) enum Source {
    /// A receiver by id.
    Receiver(String),
    /// Another pipeline, by its index in the sorted list.
    Pipeline(usize),
}

/// A processor or exporter where a pipeline lists it.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) at: Pos,
}

/// A pipeline before it is sorted: its sources by name.
struct Draft<'a> {
    name: &'a str,
    at: Pos,
    receivers: Vec<Listed>,
    takes: Vec<Listed>,
    processors: Vec<Listed>,
    exporters: Vec<Listed>,
    damaged: bool,
    /// It names no receivers at all.
    bare: bool,
}

/// Resolves all pipelines; `None` when there is no order to go on with. `written` is the section as it stands in the
/// file, `tree` the same without what could not be parsed.
pub(super) fn read(
    service: &Service,
    written: Option<&Node>,
    tree: &Node,
    definitions: &Definitions,
    report: &mut Report<'_>,
) -> Option<Vec<Pipeline>> {
    let reader = Reader {
        service,
        written: written.and_then(|node| node.entry("pipelines")).map(|e| &e.node),
        tree,
        definitions,
    };
    reader.empty_pipelines(report);
    if service.pipelines.is_empty() {
        if report.problems.is_empty() {
            let (at, ..) = tree.follow(&[Step::Key("pipelines".to_owned())]);
            report.problem(
                at.unwrap_or(tree.at),
                "there are no pipelines",
                "add one: pipelines: { ingest: { receivers: [otlp], exporters: [debug] } }",
            );
        }
        return None;
    }
    if service.pipelines.len() > MAX_PIPELINES {
        report.problem(tree.at, format!("there are more than {MAX_PIPELINES} pipelines"), "join some of them");
        return None;
    }
    let drafts: BTreeMap<&str, Draft<'_>> =
        service.pipelines.keys().map(|name| (name.as_str(), reader.draft(name, report))).collect();
    unused(&drafts, definitions, report);
    let order = sorted(&drafts, report)?;
    dead_ends(&drafts, &order, report);
    Some(resolve(drafts, &order))
}

struct Reader<'a> {
    service: &'a Service,
    written: Option<&'a Node>,
    tree: &'a Node,
    definitions: &'a Definitions,
}

fn steps(name: &str, key: &str) -> [Step; 3] {
    [Step::Key("pipelines".to_owned()), Step::Key(name.to_owned()), Step::Key(key.to_owned())]
}

impl<'a> Reader<'a> {
    /// `keep:` with nothing behind it parses as "default", and yet it is a pipeline that somebody meant to write.
    fn empty_pipelines(&self, report: &mut Report<'_>) {
        for entry in self.written.map_or(&[][..], Node::entries) {
            if entry.node.is_null() {
                report.problem(
                    entry.at,
                    format!("pipeline '{}' is empty", entry.key),
                    "list its receivers and exporters",
                );
            }
        }
    }

    fn draft(&self, name: &'a str, report: &mut Report<'_>) -> Draft<'a> {
        let [pipelines, key, _] = steps(name, "");
        let at = self.tree.follow(&[pipelines, key]).0.unwrap_or(self.tree.at);
        if !valid_name(name) {
            let hint = "write a name such as ingest or traces/2, with letters, digits and _ - . only";
            report.problem(at, format!("'{name}' is no valid pipeline name"), hint);
        }
        let before = report.problems.len();
        let config = &self.service.pipelines[name];
        let (mut receivers, mut takes) = (Vec::new(), Vec::new());
        for listed in self.listed(name, "receivers", &config.receivers, report) {
            match self.source(name, &listed, report) {
                Some(Section::Receivers) => receivers.push(listed),
                Some(_) => takes.push(listed),
                None => {}
            }
        }
        let processors = self.listed(name, "processors", &config.processors, report);
        let exporters = self.listed(name, "exporters", &config.exporters, report);
        for (section, list) in [(Section::Processors, &processors), (Section::Exporters, &exporters)] {
            for listed in list {
                self.defined(name, section, listed, report);
            }
        }
        let misspelt = |section, ids: &[String]| ids.iter().any(|id| self.definitions.is_misspelt(section, id));
        let damaged = report.problems.len() > before
            || self.is_damaged(name)
            || misspelt(Section::Receivers, &config.receivers)
            || misspelt(Section::Processors, &config.processors)
            || misspelt(Section::Exporters, &config.exporters);
        let bare = config.receivers.is_empty() && !damaged;
        if bare {
            report.problem(at, format!("pipeline '{name}' has no receivers"), self.receivers_hint(name));
        }
        Draft { name, at, receivers, takes, processors, exporters, damaged, bare }
    }

    fn receivers_hint(&self, name: &str) -> String {
        let mut names = self.definitions.ids(Section::Receivers);
        names.extend(self.service.pipelines.keys().map(String::as_str).filter(|other| *other != name));
        format!("list receivers or other pipelines under 'receivers': {}", names.join(", "))
    }

    /// Whether something that was written in this pipeline could not be parsed.
    fn is_damaged(&self, name: &str) -> bool {
        let written = self.written.and_then(|node| node.entry(name)).map(|entry| entry.node.json());
        let [pipelines, key, _] = steps(name, "");
        let kept = self.tree.follow(&[pipelines, key]).1.json();
        stated(written.unwrap_or_default()) != stated(kept)
    }

    /// The entries of a list with their places; a repeated one is reported and left out.
    fn listed(&self, pipeline: &str, key: &str, ids: &[String], report: &mut Report<'_>) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let mut path = steps(pipeline, key).to_vec();
            path.push(Step::Index(index));
            let at = self.tree.follow(&path).1.at;
            if listed.iter().any(|known| known.id == *id) {
                report.problem(
                    at,
                    format!("'{id}' stands twice in '{key}' of pipeline '{pipeline}'"),
                    "keep one of them",
                );
            } else {
                listed.push(Listed { id: id.clone(), at });
            }
        }
        listed
    }

    /// What an entry of `receivers:` names: a receiver, a pipeline (`Processors` stands for it), or nothing.
    fn source(&self, pipeline: &str, listed: &Listed, report: &mut Report<'_>) -> Option<Section> {
        let id = listed.id.as_str();
        let is_pipeline = self.service.pipelines.contains_key(id);
        match (self.definitions.get(Section::Receivers, id).is_some(), is_pipeline) {
            (true, true) => {
                report.problem(
                    listed.at,
                    format!("'{id}' is both a receiver and a pipeline"),
                    "give the pipeline another name",
                );
                None
            }
            (true, false) => Some(Section::Receivers),
            (false, true) => Some(Section::Processors),
            // A pipeline that could not be parsed was reported where it stands.
            (false, false) if self.written.is_some_and(|node| node.entry(id).is_some()) => None,
            (false, false) if self.definitions.is_misspelt(Section::Receivers, id) => None,
            (false, false) => {
                let mut known = self.definitions.ids(Section::Receivers);
                known.extend(self.service.pipelines.keys().map(String::as_str).filter(|name| *name != pipeline));
                known.dedup();
                let hint = match self.definitions.section_of(id) {
                    Some(section) => {
                        format!("'{id}' is listed under '{}'; a receiver or pipeline belongs here", section.key())
                    }
                    None => choices(id, "receivers and pipelines", &known),
                };
                report.problem(listed.at, format!("pipeline '{pipeline}' names an undefined receiver '{id}'"), hint);
                None
            }
        }
    }

    fn defined(&self, pipeline: &str, section: Section, listed: &Listed, report: &mut Report<'_>) {
        let id = listed.id.as_str();
        if self.definitions.get(section, id).is_some() || self.definitions.is_misspelt(section, id) {
            return;
        }
        let word = section.word();
        let hint = match self.definitions.section_of(id) {
            Some(Section::Receivers) => format!("'{id}' is a receiver; list it under 'receivers'"),
            Some(other) => format!("'{id}' is defined under '{0}'; list it under '{0}' here, too", other.key()),
            None if self.service.pipelines.contains_key(id) => {
                format!("'{id}' is a pipeline; it takes data by naming '{pipeline}' under its own 'receivers'")
            }
            None => {
                let choices = choices(id, &format!("defined {}", section.key()), &self.definitions.ids(section));
                if choices.starts_with("did you mean") {
                    choices
                } else {
                    format!("add '{id}:' to section '{}'; {choices}", section.key())
                }
            }
        };
        report.problem(listed.at, format!("pipeline '{pipeline}' names an undefined {word} '{id}'"), hint);
    }
}

/// A pipeline's settings without those that were left empty.
fn stated(pipeline: Value) -> Value {
    match pipeline {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

/// Defined and yet in no pipeline: allowed, because people switch parts off that way.
fn unused(drafts: &BTreeMap<&str, Draft<'_>>, definitions: &Definitions, report: &mut Report<'_>) {
    let mut used: BTreeSet<(Section, &str)> = BTreeSet::new();
    for draft in drafts.values() {
        used.extend(draft.receivers.iter().map(|listed| (Section::Receivers, listed.id.as_str())));
        used.extend(draft.processors.iter().map(|listed| (Section::Processors, listed.id.as_str())));
        used.extend(draft.exporters.iter().map(|listed| (Section::Exporters, listed.id.as_str())));
    }
    for ((section, id), defined) in &definitions.by_id {
        if !used.contains(&(*section, id.as_str())) {
            report.warning(
                defined.at,
                format!("{} '{id}' is in no pipeline", section.word()),
                format!("list it under '{}' of a pipeline, or remove it", section.key()),
            );
        }
    }
}

/// Pipelines so that each comes after those that it takes data from; a circle is reported, and there is no order.
fn sorted<'a>(drafts: &BTreeMap<&'a str, Draft<'a>>, report: &mut Report<'_>) -> Option<Vec<&'a str>> {
    let mut order: Vec<&str> = Vec::new();
    let mut circles = 0;
    for name in drafts.keys() {
        let mut path = Vec::new();
        visit(name, drafts, &mut path, &mut order, &mut circles, report);
    }
    (circles == 0).then_some(order)
}

fn visit<'a>(
    name: &'a str,
    drafts: &BTreeMap<&'a str, Draft<'a>>,
    path: &mut Vec<&'a str>,
    order: &mut Vec<&'a str>,
    circles: &mut usize,
    report: &mut Report<'_>,
) {
    let Some(draft) = drafts.get(name) else { return };
    if order.contains(&name) {
        return;
    }
    path.push(draft.name);
    for taken in &draft.takes {
        let Some((&next, _)) = drafts.get_key_value(taken.id.as_str()) else { continue };
        if let Some(start) = path.iter().position(|on_path| *on_path == next) {
            *circles += 1;
            // Data flows against the direction of the search.
            let mut circle: Vec<&str> = path[start..].iter().rev().copied().collect();
            circle.insert(0, next);
            report.problem(
                taken.at,
                format!("pipelines feed each other in a circle: {}", circle.join(" -> ")),
                format!("take '{}' out of the receivers of pipeline '{name}'", taken.id),
            );
        } else {
            visit(next, drafts, path, order, circles, report);
        }
    }
    path.pop();
    order.push(draft.name);
}

/// Pipelines that nothing reaches, and pipelines that reach nothing.
fn dead_ends(drafts: &BTreeMap<&str, Draft<'_>>, order: &[&str], report: &mut Report<'_>) {
    let taken: BTreeSet<&str> =
        drafts.values().flat_map(|draft| &draft.takes).map(|listed| listed.id.as_str()).collect();
    let mut dry: BTreeSet<&str> = BTreeSet::new();
    for name in order {
        let draft = &drafts[name];
        if draft.bare {
            dry.insert(name);
        } else if let Some(first) = draft.takes.first()
            && draft.receivers.is_empty()
            && !draft.damaged
            && draft.takes.iter().all(|listed| dry.contains(listed.id.as_str()))
        {
            dry.insert(name);
            report.problem(
                draft.at,
                format!("no receiver leads to pipeline '{name}'"),
                format!("add a receiver to pipeline '{}'", first.id),
            );
        }
        if draft.exporters.is_empty() && !taken.contains(name) && !draft.damaged {
            report.problem(
                draft.at,
                format!("pipeline '{name}' leads nowhere: it has no exporters and no pipeline takes its output"),
                format!("list exporters in it, or name '{name}' under the receivers of another pipeline"),
            );
        }
    }
}

fn resolve<'a>(mut drafts: BTreeMap<&'a str, Draft<'a>>, order: &[&'a str]) -> Vec<Pipeline> {
    let mut pipelines: Vec<Pipeline> = Vec::with_capacity(order.len());
    for name in order {
        let Some(draft) = drafts.remove(name) else { continue };
        let mut sources: Vec<Source> = draft.receivers.into_iter().map(|listed| Source::Receiver(listed.id)).collect();
        for listed in draft.takes {
            // Every source comes before, because the order is sorted.
            if let Some(index) = pipelines.iter().position(|before| before.name == listed.id) {
                sources.push(Source::Pipeline(index));
            }
        }
        let Draft { name, processors, exporters, damaged, bare, .. } = draft;
        pipelines.push(Pipeline { name: name.to_owned(), sources, processors, exporters, damaged: damaged || bare });
    }
    pipelines
}
