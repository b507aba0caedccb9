//! Processors that another one needs before it: put in where they are missing, compared where they stand.

use serde_json::{Map, Value};

use super::super::components::{Defined, Section, kind_named};
use super::super::pipelines::{Listed, Pipeline};
use super::super::tree::{Pos, Step};
use super::Wiring;
use crate::graph::Part;
use crate::node::{Configured, Implied, Processor};

impl Wiring<'_, '_, '_> {
    /// Looks after what `defined` implies, before it is added behind `ends`.
    pub(super) fn imply(&mut self, pipeline: &Pipeline, listed: &Listed, defined: &Defined, ends: &mut Vec<usize>) {
        let Some(Part::Processor(config)) = &defined.part else { return };
        let Some(implied) = config.implies() else { return };
        let standing = self.ancestors(ends).into_iter().rev().find(|&index| {
            self.nodes[index].section == Section::Processors && self.nodes[index].kind == implied.component
        });
        if let Some(index) = standing {
            if let Some(part) = self.nodes[index].part.clone() {
                let owner = self.nodes[index].id.clone();
                self.compare(&implied, &part.json(), &owner, listed, defined);
            }
            return;
        }
        let (input, unsure) = self.reaching(ends);
        if unsure || !input.common(config.accepts()).is_empty() {
            return;
        }
        if let Some(part) = self.implied_part(&implied, listed, defined) {
            let scope = kind_named(self.components.processors, implied.component).map(|kind| kind.scope);
            let scope = scope.unwrap_or(defined.scope);
            *ends = vec![self.processor(pipeline, implied.component, implied.component, scope, Some(part), ends)];
        }
    }

    /// The implied processor: as the file defines it under its plain key, or with its defaults and the stated settings.
    fn implied_part(&mut self, implied: &Implied, listed: &Listed, defined: &Defined) -> Option<Part> {
        if let Some(own) = self.definitions.get(Section::Processors, implied.component) {
            let part = own.part.clone()?;
            self.report.warnings.retain(|warning| (warning.line, warning.column) != (own.at.line, own.at.column));
            self.compare(implied, &part.json(), implied.component, listed, defined);
            return Some(part);
        }
        let part = self.parsed(implied).map(|config| Part::Processor(config.into()));
        if part.is_none() {
            self.report.problem(
                listed.at,
                format!("processor '{}' needs '{}' before it", listed.id, implied.component),
                format!("put '{}' before it in the pipeline", implied.component),
            );
        }
        part
    }

    fn parsed(&self, implied: &Implied) -> Option<Box<dyn Configured<dyn Processor>>> {
        let kind = kind_named(self.components.processors, implied.component)?;
        (kind.parse)(Value::Object(implied.settings.clone())).ok()
    }

    /// Each setting that `defined` states must have the value that the standing processor has.
    fn compare(&mut self, implied: &Implied, standing: &Value, owner: &str, listed: &Listed, defined: &Defined) {
        // A setting that was taken out because it is wrong has its default here, which nobody wrote.
        if !defined.sound || !self.definitions.get(Section::Processors, owner).is_none_or(|own| own.sound) {
            return;
        }
        // Through the type and back, so that 1000ms and 1s are the same.
        let stated: Map<String, Value> = match self.parsed(implied).map(|config| config.json()) {
            Some(Value::Object(map)) => map,
            _ => implied.settings.clone(),
        };
        for key in implied.settings.keys() {
            let (Some(ours), Some(theirs)) = (stated.get(key), standing.get(key)) else { continue };
            if ours == theirs {
                continue;
            }
            let (ours, theirs) = (plain(ours), plain(theirs));
            let steps = [Step::Key(key.clone())];
            let (_, node, taken) = defined.tree.follow(&steps);
            let at: Pos = if taken == 1 { node.at } else { defined.at };
            self.report.problem(
                at,
                format!(
                    "processor '{}' states {key}: {ours}, but processor '{owner}' before it has {key}: {theirs}",
                    listed.id
                ),
                format!("write the same value in both, or leave '{key}' out of '{}'", listed.id),
            );
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
