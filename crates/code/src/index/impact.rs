//! What a change of some functions reaches.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Caller, Certainty, FunctionId, Index};

/// A route that reaches a changed function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The HTTP method; `None` for any.
    pub method: Option<String>,
    /// The route as registered.
    pub route: String,
    /// The function that answers it.
    pub handler: FunctionId,
    /// Calls from the handler to the nearest changed function; 0 when the handler itself changes.
    pub distance: u32,
    /// The weakest call on that way.
    pub certainty: Certainty,
}

/// Everything that a change reaches, nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Functions that are no tests.
    pub callers: Vec<Caller>,
    /// Routes.
    pub endpoints: Vec<Endpoint>,
    /// Tests, those that change themselves included.
    pub tests: Vec<Caller>,
}

impl Index {
    /// The tests that reach a function, nearest first.
    pub fn tests_of(&self, function: FunctionId) -> Vec<Caller> {
        let mut found = self.callers(function);
        found.retain(|caller| self.is_test(caller.function));
        found
    }

    /// What a change of these functions reaches by calls. A function that is handed over as a value is not followed.
    pub fn impact(&self, changed: &[FunctionId]) -> Impact {
        let reached = self.reaching(changed);
        let own = changed.iter().filter_map(|id| {
            let line = self.function(*id)?.name_line;
            Some(Caller { function: *id, line, distance: 0, certainty: Certainty::Sure })
        });
        let all: Vec<Caller> = own.chain(reached).collect();
        let (tests, others): (Vec<_>, Vec<_>) = all.iter().copied().partition(|caller| self.is_test(caller.function));
        let callers = others.into_iter().filter(|caller| caller.distance > 0).collect();
        Impact { callers, endpoints: self.endpoints(&all), tests }
    }

    fn endpoints(&self, reached: &[Caller]) -> Vec<Endpoint> {
        let by_function: HashMap<FunctionId, &Caller> =
            reached.iter().map(|caller| (caller.function, caller)).collect();
        let mut found = Vec::new();
        for (handler, method, route, sure) in self.routes() {
            if let Some(caller) = by_function.get(&handler) {
                let certainty = caller.certainty.min(sure);
                found.push(Endpoint { method, route, handler, distance: caller.distance, certainty });
            }
        }
        found.sort_by(|a, b| (a.distance, &a.route, &a.method).cmp(&(b.distance, &b.route, &b.method)));
        found
    }

    /// Every route with a handler in the index.
    fn routes(&self) -> Vec<(FunctionId, Option<String>, String, Certainty)> {
        let mut found = Vec::new();
        for (file, indexed) in self.files.iter().enumerate() {
            for route in &indexed.routes {
                let handlers = match route.function {
                    Some(function) => {
                        vec![(FunctionId { file: file as u32, function: function as u32 }, Certainty::Sure)]
                    }
                    None => self.handlers_elsewhere(&route.handler),
                };
                let of_route =
                    handlers.into_iter().map(|(id, sure)| (id, route.method.clone(), route.route.clone(), sure));
                found.extend(of_route);
            }
        }
        found
    }

    /// Handlers in another file than the registration: the name, or the methods of a class-based view.
    fn handlers_elsewhere(&self, handler: &str) -> Vec<(FunctionId, Certainty)> {
        let name = handler.rsplit(['.', ':']).next().unwrap_or_default();
        let mut ids = self.by_name.get(name).cloned().unwrap_or_default();
        if ids.is_empty() {
            let of_view = |id: &FunctionId| {
                let verbs = ["get", "post", "put", "patch", "delete", "head", "options", "dispatch"];
                self.function(*id)
                    .is_some_and(|f| f.holder.as_deref() == Some(name) && verbs.contains(&f.name.as_str()))
            };
            return self.functions().filter(of_view).map(|id| (id, Certainty::Unique)).collect();
        }
        ids.truncate(8);
        let certainty = if ids.len() == 1 { Certainty::Unique } else { Certainty::Ambiguous };
        ids.into_iter().map(|id| (id, certainty)).collect()
    }

    fn is_test(&self, id: FunctionId) -> bool {
        self.function(id).is_some_and(|function| function.test.is_some())
    }
}
