//! What a candidate reaches: the functions that it changes or that read what it sets, who calls them, the routes that lead
//! there, the objectives that these are held to, and their share of the traffic.
//!
//! What is not known is said, and why: telemetry counts requests per edge, objectives stand in the request alone.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_code::{Caller, Endpoint, FunctionId, Language, changed_functions, parse};
use backtrail_model::patch_request::{EdgeLoad, PatchRequest};
use backtrail_policy::{FileKind, kind_of};
use serde::{Deserialize, Serialize};

use crate::candidate::FileEdit;
use crate::context::{Context, names};
use crate::plan::last_name;
use crate::settings::{self, Format};

/// Most names of each kind.
const MOST_NAMED: usize = 20;

/// What a candidate reaches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    /// Functions that it changes, or that read a setting that it changes: `path name`.
    pub functions: Vec<String>,
    /// Functions that call them, directly or not.
    pub callers: Vec<String>,
    /// Routes that lead to them.
    pub endpoints: Vec<String>,
    /// Tests that exercise them.
    pub tests: Vec<String>,
    /// Objectives that the service's callers are held to.
    pub slos: Vec<String>,
    /// How much of the service's traffic takes part, with the arithmetic.
    pub traffic: Vec<String>,
    /// What is not known, and why.
    pub unknown: Vec<String>,
}

impl Impact {
    /// Whether nothing was computed: of candidates from before there was an impact.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The impact of edits.
pub fn of(context: &Context, edits: &[FileEdit]) -> Impact {
    let mut changed = Changed::default();
    for edit in edits {
        changed.take(context, edit);
    }
    let ids: Vec<FunctionId> = changed.functions.iter().copied().collect();
    let reached = context.index.impact(&ids);
    let named = |callers: &[Caller]| -> Vec<String> {
        callers.iter().take(MOST_NAMED).map(|caller| context.index.label(caller.function)).collect()
    };
    let endpoint = |one: &Endpoint| format!("{} {}", one.method.as_deref().unwrap_or("any"), one.route);
    let mut endpoints: Vec<String> = reached.endpoints.iter().map(endpoint).collect();
    endpoints.dedup();
    endpoints.truncate(MOST_NAMED);
    let mut impact = Impact {
        functions: ids.iter().map(|id| context.index.label(*id)).chain(changed.new).take(MOST_NAMED).collect(),
        callers: named(&reached.callers),
        endpoints,
        tests: named(&reached.tests),
        unknown: changed.unknown,
        ..Impact::default()
    };
    if impact.functions.is_empty() {
        impact.unknown.push("which functions it changes: none is known in the files that it touches".into());
    } else if impact.endpoints.is_empty() {
        impact.unknown.push("which routes lead there: none is seen in the code".into());
    }
    objectives(&context.request, &mut impact);
    let suspect: BTreeSet<FunctionId> = context.suspects.iter().filter_map(|suspect| context.id_of(suspect)).collect();
    let of_suspect = ids.iter().any(|id| suspect.contains(id))
        || reached.callers.iter().any(|caller| suspect.contains(&caller.function))
        || context
            .index
            .impact(&suspect.iter().copied().collect::<Vec<_>>())
            .callers
            .iter()
            .any(|caller| ids.contains(&caller.function));
    traffic(&context.request, of_suspect, &mut impact);
    impact
}

#[derive(Default)]
struct Changed {
    functions: BTreeSet<FunctionId>,
    /// Functions that there are only with the change.
    new: Vec<String>,
    unknown: Vec<String>,
}

impl Changed {
    fn take(&mut self, context: &Context, edit: &FileEdit) {
        let after = edit.content.as_deref().and_then(|content| std::str::from_utf8(content).ok()).unwrap_or("");
        let kind = kind_of(&edit.path);
        match (Language::of_path(&edit.path), Format::of_path(&edit.path)) {
            (Some(language), _) if kind == FileKind::Source => self.take_code(context, language, &edit.path, after),
            (None, Some(format)) if kind == FileKind::Config => self.take_settings(context, format, &edit.path, after),
            _ => {}
        }
    }

    fn take_code(&mut self, context: &Context, language: Language, path: &str, after: &str) {
        let empty = || parse(language, "");
        let before = context.sources.get(path).cloned().map_or_else(empty, Ok);
        let (Ok(before), Ok(after)) = (before, parse(language, after)) else {
            self.unknown.push(format!("which functions of {path} it changes: it cannot be parsed"));
            return;
        };
        let changes = changed_functions(&before, &after);
        for name in changes.changed.iter().chain(&changes.removed) {
            let function = before.functions().iter().find(|function| function.qualified == *name);
            self.functions.extend(function.and_then(|function| context.index.at(path, function.name_line)));
        }
        self.new.extend(changes.added.iter().map(|name| format!("{path} {name} (new)")));
    }

    fn take_settings(&mut self, context: &Context, format: Format, path: &str, after: &str) {
        let read = |text: &str| -> BTreeMap<Vec<String>, String> {
            let settings = settings::read(format, text).unwrap_or_default();
            settings.into_iter().map(|setting| (setting.keys, setting.value)).collect()
        };
        let before =
            context.configs.iter().find(|config| config.path == path).map_or("", |config| config.text.as_str());
        let (before, after) = (read(before), read(after));
        let keys: BTreeSet<&Vec<String>> = before.keys().chain(after.keys()).collect();
        for keys in keys.into_iter().filter(|keys| before.get(*keys) != after.get(*keys)) {
            let name = last_name(keys);
            let mut readers = 0;
            for (path, parsed) in context.sources.iter().filter(|(path, _)| kind_of(path) == FileKind::Source) {
                for (place, function) in parsed.functions().iter().enumerate() {
                    if names(parsed.text_of_function(place), name) {
                        readers += 1;
                        self.functions.extend(context.index.at(path, function.name_line));
                    }
                }
            }
            if readers == 0 {
                self.unknown.push(format!("what reads {}: no function of the service names it", keys.join(".")));
            }
        }
    }
}

fn objectives(request: &PatchRequest, impact: &mut Impact) {
    let problem = &request.problem;
    let place = format!("{} {}", problem.endpoint.service, problem.endpoint.route);
    if problem.slo.is_empty() {
        impact.unknown.push(format!("objectives: the request states none of {}", place.trim()));
    } else {
        impact.slos.push(format!("{} ({})", problem.slo, place.trim()));
        impact.unknown.push("further objectives: neither the request nor ownership.yaml states any".into());
    }
}

fn traffic(request: &PatchRequest, of_suspect: bool, impact: &mut Impact) {
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let comes: Vec<&EdgeLoad> = load.iter().filter(|load| load.to == *suspect && load.requests > 0).collect();
    let all: u64 = comes.iter().map(|load| load.requests).sum();
    if all == 0 {
        impact.unknown.push(format!("the share of traffic: telemetry counts no requests to {suspect}"));
        return;
    }
    for load in &comes {
        let share = percent(load.requests, all);
        let EdgeLoad { from, requests, seconds, .. } = load;
        impact.traffic.push(format!("{from}: {requests} of {all} requests to {suspect} in {seconds:.0} s ({share})"));
    }
    let goes: Vec<&EdgeLoad> = load.iter().filter(|load| load.from == *suspect && load.requests > 0).collect();
    match goes.as_slice() {
        [one] if of_suspect => {
            let share = percent(one.requests.min(all), all);
            impact.traffic.push(format!(
                "it takes part in {share} of them at most: {} requests to {} / {all} requests to {suspect}",
                one.requests, one.to
            ));
        }
        [] => impact
            .unknown
            .push("which of these requests take part: telemetry counts them per edge, not per route".into()),
        _ if !of_suspect => {
            impact
                .unknown
                .push("which of these requests take part: telemetry names other functions than it changes".into());
        }
        several => {
            for one in several {
                let share = percent(one.requests.min(all), all);
                impact.traffic.push(format!("{share} of them reach {} ({} requests)", one.to, one.requests));
            }
            impact
                .unknown
                .push("through which of these calls it is reached: telemetry counts per edge, not per function".into());
        }
    }
}

fn percent(part: u64, of: u64) -> String {
    format!("{:.0} %", 100.0 * part as f64 / of.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::request;

    fn edge(from: &str, to: &str, requests: u64) -> EdgeLoad {
        EdgeLoad {
            from: from.into(),
            to: to.into(),
            seconds: 600.0,
            requests,
            calls: requests,
            errors: 0,
            served: requests,
            p95_ms: 1.0,
            served_p95_ms: 1.0,
            quiet_p95_ms: 1.0,
        }
    }

    fn impact(load: Vec<EdgeLoad>, of_suspect: bool) -> Impact {
        let mut request: PatchRequest = serde_json::from_value(request("i", 1, "pay")).expect("a request");
        request.telemetry_summary.load = load;
        let mut impact = Impact::default();
        traffic(&request, of_suspect, &mut impact);
        impact
    }

    #[test]
    fn the_share_of_traffic_is_that_of_the_edge_and_said_to_be_a_bound() {
        let found = impact(vec![edge("web", "pay", 300), edge("app", "pay", 100), edge("pay", "bank", 100)], true);
        assert_eq!(
            found.traffic,
            [
                "web: 300 of 400 requests to pay in 600 s (75 %)",
                "app: 100 of 400 requests to pay in 600 s (25 %)",
                "it takes part in 25 % of them at most: 100 requests to bank / 400 requests to pay"
            ]
        );
        assert!(found.unknown.is_empty());
        let many = impact(vec![edge("web", "pay", 10), edge("pay", "bank", 900)], true);
        assert!(many.traffic[1].contains("100 % of them at most"), "{many:?}");
    }

    #[test]
    fn what_telemetry_does_not_count_is_said_and_not_guessed() {
        assert!(impact(vec![edge("pay", "bank", 10)], true).unknown[0].contains("counts no requests to pay"));
        assert!(impact(vec![edge("web", "pay", 10)], true).unknown[0].contains("per edge, not per route"));
        let other = impact(vec![edge("web", "pay", 10), edge("pay", "bank", 5)], false);
        assert!(other.unknown[0].contains("other functions than it changes"), "{other:?}");
        let two = impact(vec![edge("web", "pay", 10), edge("pay", "bank", 5), edge("pay", "db", 9)], true);
        assert_eq!((two.traffic.len(), two.unknown.len()), (3, 1));
    }
}
