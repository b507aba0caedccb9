//! Pipelines to nodes: what reaches each node, whether it can work with that, and what must be put in between.

use std::collections::BTreeMap;

use backtrail_model::signal::{Signal, Signals};

use super::components::{Defined, Definitions, Section};
use super::pipelines::{Listed, Pipeline, Source};
use super::report::Report;
use super::tree::Pos;
use crate::graph::{Graph, GraphNode, Part, passed_on};
use crate::node::{Components, Scope};

mod advice;
mod implied;

/// A node while the graph is being made.
struct Draft {
    id: String,
    section: Section,
    /// Key of its kind.
    kind: &'static str,
    pipeline: Option<String>,
    scope: Scope,
    /// `None`: broken, and reported.
    part: Option<Part>,
    /// Nodes before it.
    before: Vec<usize>,
    /// What reaches it.
    input: Signals,
    /// What it sends on.
    output: Signals,
    /// Something before it is broken: more might reach it than is known.
    unsure: bool,
    /// A node behind the gather stands before it (or it is one): which.
    gathered: Option<usize>,
}

struct Wiring<'a, 'r, 'f> {
    definitions: &'a Definitions,
    components: &'a Components,
    report: &'r mut Report<'f>,
    nodes: Vec<Draft>,
    /// Nodes at the end of each pipeline.
    ends: Vec<Vec<usize>>,
    receivers: BTreeMap<String, usize>,
    exporters: BTreeMap<String, usize>,
}

/// Makes the graph; `None` when a component is broken (which was reported).
pub(super) fn wire(
    pipelines: &[Pipeline],
    definitions: &Definitions,
    components: &Components,
    report: &mut Report<'_>,
) -> Option<Graph> {
    let mut wiring = Wiring {
        definitions,
        components,
        report,
        nodes: Vec::new(),
        ends: Vec::new(),
        receivers: BTreeMap::new(),
        exporters: BTreeMap::new(),
    };
    for pipeline in pipelines {
        wiring.pipeline(pipeline);
    }
    wiring.clocks();
    wiring.finish()
}

impl Wiring<'_, '_, '_> {
    fn pipeline(&mut self, pipeline: &Pipeline) {
        let mut ends: Vec<usize> = Vec::new();
        for source in &pipeline.sources {
            match source {
                Source::Receiver(id) => ends.extend(self.receiver(id)),
                Source::Pipeline(index) => ends.extend(self.ends[*index].iter().copied()),
            }
        }
        ends.sort_unstable();
        ends.dedup();
        for listed in &pipeline.processors {
            let Some(defined) = self.definitions.get(Section::Processors, &listed.id) else {
                self.stand_in(pipeline, listed, &mut ends);
                continue;
            };
            self.imply(pipeline, listed, defined, &mut ends);
            let index = self.processor(pipeline, &listed.id, defined.kind, defined.scope, defined.part.clone(), &ends);
            self.judge(pipeline, listed, index);
            ends = vec![index];
        }
        for listed in &pipeline.exporters {
            self.exporter(pipeline, listed, &ends);
        }
        self.ends.push(ends);
    }

    fn receiver(&mut self, id: &str) -> Option<usize> {
        if let Some(&index) = self.receivers.get(id) {
            return Some(index);
        }
        let defined = self.definitions.get(Section::Receivers, id)?;
        let output = defined.part.as_ref().map_or(Signals::NONE, Part::emits);
        self.nodes.push(Draft {
            id: id.to_owned(),
            section: Section::Receivers,
            kind: defined.kind,
            pipeline: None,
            scope: defined.scope,
            part: defined.part.clone(),
            before: Vec::new(),
            input: Signals::NONE,
            output,
            unsure: defined.part.is_none(),
            gathered: None,
        });
        self.receivers.insert(id.to_owned(), self.nodes.len() - 1);
        Some(self.nodes.len() - 1)
    }

    fn processor(
        &mut self,
        pipeline: &Pipeline,
        id: &str,
        kind: &'static str,
        scope: Scope,
        part: Option<Part>,
        before: &[usize],
    ) -> usize {
        let (input, mut unsure) = self.reaching(before);
        unsure |= part.is_none() || pipeline.damaged;
        let output = part.as_ref().map_or(input, |part| passed_on(part.accepts(), part.emits(), input));
        let index = self.nodes.len();
        let earlier = before.iter().find_map(|&node| self.nodes[node].gathered);
        self.nodes.push(Draft {
            id: id.to_owned(),
            section: Section::Processors,
            kind,
            pipeline: Some(pipeline.name.clone()),
            scope,
            part,
            before: before.to_vec(),
            input,
            output,
            unsure,
            gathered: earlier.or((scope == Scope::Global).then_some(index)),
        });
        index
    }

    /// An undefined processor: what follows it must not be judged by its absence.
    fn stand_in(&mut self, pipeline: &Pipeline, listed: &Listed, ends: &mut Vec<usize>) {
        *ends = vec![self.processor(pipeline, &listed.id, "", Scope::Stateless, None, ends)];
    }

    fn exporter(&mut self, pipeline: &Pipeline, listed: &Listed, ends: &[usize]) {
        let Some(defined) = self.definitions.get(Section::Exporters, &listed.id) else { return };
        let (input, unsure) = self.reaching(ends);
        let index = match self.exporters.get(&listed.id) {
            Some(&index) => index,
            None => self.new_exporter(&listed.id, defined),
        };
        let node = &mut self.nodes[index];
        node.before.extend(ends.iter().copied().filter(|end| !node.before.contains(end)).collect::<Vec<_>>());
        node.input = node.input.and(input);
        let Some(part) = &node.part else { return };
        let accepts = part.accepts();
        if !unsure && !pipeline.damaged && !accepts.is_empty() && accepts.common(input).is_empty() {
            self.starved(pipeline, listed, Section::Exporters, accepts, input);
        }
    }

    fn new_exporter(&mut self, id: &str, defined: &Defined) -> usize {
        self.nodes.push(Draft {
            id: id.to_owned(),
            section: Section::Exporters,
            kind: defined.kind,
            pipeline: None,
            scope: defined.scope,
            part: defined.part.clone(),
            before: Vec::new(),
            input: Signals::NONE,
            output: Signals::NONE,
            unsure: false,
            gathered: None,
        });
        self.exporters.insert(id.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// What the given nodes send on together, and whether that is all that is known.
    fn reaching(&self, before: &[usize]) -> (Signals, bool) {
        before.iter().fold((Signals::NONE, false), |(signals, unsure), &index| {
            (signals.and(self.nodes[index].output), unsure || self.nodes[index].unsure)
        })
    }

    /// Signals and threads of a processor that was just added.
    fn judge(&mut self, pipeline: &Pipeline, listed: &Listed, index: usize) {
        let node = &self.nodes[index];
        let Some(part) = &node.part else { return };
        let (accepts, input, unsure) = (part.accepts(), node.input, node.unsure);
        if let Some(gather) = node.gathered.filter(|_| node.scope == Scope::Trace) {
            let gather = &self.nodes[gather];
            let place = match &gather.pipeline {
                Some(name) if *name != pipeline.name => format!(" of pipeline '{name}'"),
                _ => String::new(),
            };
            let message =
                format!("processor '{}' runs after a gather: '{}'{place} before it has one copy", listed.id, gather.id);
            let hint = format!("put '{}' before '{}', or into a pipeline of its own", listed.id, gather.id);
            self.report.problem(listed.at, message, hint);
        }
        if !unsure && !accepts.is_empty() && accepts.common(input).is_empty() {
            self.starved(pipeline, listed, Section::Processors, accepts, input);
            // Said once is enough: what follows is judged as if it worked.
            self.nodes[index].unsure = true;
        }
    }

    fn starved(&mut self, pipeline: &Pipeline, listed: &Listed, section: Section, accepts: Signals, input: Signals) {
        let message = format!("{} '{}' receives no {}", section.word(), listed.id, or_list(accepts));
        let hint = advice::remedy(self.components, accepts, input, &pipeline.name);
        self.report.problem(listed.at, message, hint);
    }

    /// Live and replayed time cannot run in one graph.
    fn clocks(&mut self) {
        let clock = |id: &String| match &self.definitions.get(Section::Receivers, id)?.part {
            Some(Part::Receiver(config)) => Some(config.virtual_clock()),
            _ => None,
        };
        let live = self.receivers.keys().find(|id| clock(id) == Some(false));
        let replayed: Vec<&String> = self.receivers.keys().filter(|id| clock(id) == Some(true)).collect();
        let Some(live) = live else { return };
        for id in replayed {
            let at = self.definitions.get(Section::Receivers, id).map_or(Pos::START, |defined| defined.at);
            self.report.problem(
                at,
                format!("receiver '{id}' replays time while receiver '{live}' receives live"),
                "keep them in files of their own: one process has one clock",
            );
        }
    }

    /// All nodes that lead to one.
    fn ancestors(&self, ends: &[usize]) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let mut open = ends.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                open.extend(&self.nodes[index].before);
            }
        }
        (0..seen.len()).filter(|&index| seen[index]).collect()
    }

    fn finish(self) -> Option<Graph> {
        let mut times: BTreeMap<(Section, &str), usize> = BTreeMap::new();
        for node in &self.nodes {
            *times.entry((node.section, &node.id)).or_default() += 1;
        }
        let names: Vec<String> = self
            .nodes
            .iter()
            .map(|node| match &node.pipeline {
                Some(pipeline) if times[&(node.section, node.id.as_str())] > 1 => {
                    format!("{}.{}@{pipeline}", node.section.key(), node.id)
                }
                _ => format!("{}.{}", node.section.key(), node.id),
            })
            .collect();
        let links: Vec<(usize, usize)> = self
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(to, node)| node.before.iter().map(move |&from| (from, to)))
            .collect();
        let nodes: Option<Vec<GraphNode>> = self
            .nodes
            .into_iter()
            .zip(names)
            .map(|(node, name)| {
                let Draft { id, pipeline, scope, part, .. } = node;
                Some(GraphNode { name, id, pipeline, scope, part: part? })
            })
            .collect();
        // Pipelines are in order of flow, so that the nodes cannot form a circle.
        Graph::connect(nodes?, &links).ok()
    }
}

/// "traces", "spans or traces", "spans, traces or logs".
fn or_list(signals: Signals) -> String {
    let names: Vec<&str> = signals.iter().map(Signal::name).collect();
    match names.split_last() {
        None => "signals".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
