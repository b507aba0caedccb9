//! `OpenAPI` 2 and 3: what a caller of before can no longer do, or no longer rely on.
//!
//! A request may be asked for less than before, an answer may hold more. Words for readers (descriptions, examples) are no
//! difference; whatever else differs and is not known here breaks.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Findings;

/// Deepest nesting of schemas that is followed: they may contain themselves.
const DEEPEST: usize = 24;
/// Members that only readers see.
const PROSE: [&str; 9] = [
    "description",
    "summary",
    "title",
    "example",
    "examples",
    "tags",
    "externalDocs",
    "operationId",
    "x-internal-note",
];
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Which way a schema's values go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the caller: more must be accepted, nothing more demanded.
    In,
    /// To the caller: nothing may be missing, nothing unknown come.
    Out,
}

struct Pair<'a> {
    before: &'a Value,
    after: &'a Value,
    findings: &'a mut Findings,
}

pub(super) fn compare(before: &Value, after: &Value, findings: &mut Findings) {
    let mut pair = Pair { before, after, findings };
    let known = ["paths", "components", "definitions", "parameters", "responses", "info", "tags", "externalDocs"];
    for name in names(before, after) {
        // Where it is served and how it is secured is no detail.
        if !known.contains(&name) && !PROSE.contains(&name) && before.get(name) != after.get(name) {
            pair.findings.breaks(format!("'{name}' differs"));
        }
    }
    pair.paths();
}

impl Pair<'_> {
    fn paths(&mut self) {
        let (before, after) = (&self.before["paths"], &self.after["paths"]);
        for path in names(before, after) {
            match (before.get(path), after.get(path)) {
                (Some(_), None) => self.findings.breaks(format!("{path} is gone")),
                (None, Some(_)) => self.findings.adds(path.to_owned()),
                (Some(before), Some(after)) => self.path(path, before, after),
                (None, None) => {}
            }
        }
    }

    fn path(&mut self, path: &str, before: &Value, after: &Value) {
        for name in names(before, after) {
            let place = format!("{} {path}", name.to_uppercase());
            match (before.get(name), after.get(name)) {
                (Some(_), None) if METHODS.contains(&name) => self.findings.breaks(format!("{place} is gone")),
                (None, Some(_)) if METHODS.contains(&name) => self.findings.adds(place),
                (Some(one), Some(other)) if METHODS.contains(&name) => {
                    self.operation(&place, (one, before), (other, after));
                }
                // Parameters of the path are compared with those of each operation.
                _ if name == "parameters" || PROSE.contains(&name) => {}
                (one, other) if one != other => self.findings.breaks(format!("{path}: '{name}' differs")),
                _ => {}
            }
        }
    }

    fn operation(&mut self, place: &str, before: (&Value, &Value), after: (&Value, &Value)) {
        self.parameters(place, before, after);
        let (before, after) = (before.0, after.0);
        let (one, other) = (before.get("requestBody"), after.get("requestBody"));
        match (one, other) {
            (None, Some(body)) if is_true(self.resolved_after(body).get("required")) => {
                self.findings.breaks(format!("{place} demands a body"));
            }
            (None, Some(_)) => self.findings.adds(format!("{place}: a body")),
            (Some(_), None) => self.findings.breaks(format!("{place} takes no body any more")),
            (Some(one), Some(other)) => {
                let (one, other) = (self.resolved_before(one), self.resolved_after(other));
                if !is_true(one.get("required")) && is_true(other.get("required")) {
                    self.findings.breaks(format!("{place} demands a body"));
                }
                self.content(&format!("{place} body"), &one, &other, Way::In);
            }
            (None, None) => {}
        }
        self.responses(place, &before["responses"], &after["responses"]);
        let known = ["parameters", "requestBody", "responses"];
        for name in names(before, after) {
            if !known.contains(&name) && !PROSE.contains(&name) && before.get(name) != after.get(name) {
                self.findings.breaks(format!("{place}: '{name}' differs"));
            }
        }
    }

    fn parameters(&mut self, place: &str, before: (&Value, &Value), after: (&Value, &Value)) {
        let of = |pair: (&Value, &Value), resolve: &dyn Fn(&Value) -> Value| -> Vec<Value> {
            let list = |value: &Value| value["parameters"].as_array().cloned().unwrap_or_default();
            list(pair.1).iter().chain(&list(pair.0)).map(resolve).collect()
        };
        let old = of(before, &|value| self.resolved_before(value));
        let new = of(after, &|value| self.resolved_after(value));
        let key = |value: &Value| (value["in"].to_string(), value["name"].to_string());
        for one in &old {
            let name = one["name"].as_str().unwrap_or("?");
            match new.iter().rev().find(|other| key(other) == key(one)) {
                None => self.findings.breaks(format!("{place}: the parameter '{name}' is gone")),
                Some(other) => {
                    if !is_true(one.get("required")) && is_true(other.get("required")) {
                        self.findings.breaks(format!("{place} demands the parameter '{name}'"));
                    }
                    let at = format!("{place} parameter '{name}'");
                    match (one.get("schema"), other.get("schema")) {
                        (Some(one), Some(other)) => self.schema(&at, one, other, Way::In, 0),
                        // OpenAPI 2: the parameter is its own schema.
                        _ => self.schema(&at, one, other, Way::In, 0),
                    }
                }
            }
        }
        for other in new.iter().filter(|other| !old.iter().any(|one| key(one) == key(other))) {
            let name = other["name"].as_str().unwrap_or("?");
            if is_true(other.get("required")) {
                self.findings.breaks(format!("{place} demands the parameter '{name}'"));
            } else {
                self.findings.adds(format!("{place}: the parameter '{name}'"));
            }
        }
    }

    fn responses(&mut self, place: &str, before: &Value, after: &Value) {
        for status in names(before, after) {
            match (before.get(status), after.get(status)) {
                (Some(_), None) => self.findings.breaks(format!("{place}: the answer {status} is gone")),
                (None, Some(_)) => self.findings.adds(format!("{place}: the answer {status}")),
                (Some(one), Some(other)) => {
                    let (one, other) = (self.resolved_before(one), self.resolved_after(other));
                    let at = format!("{place} answer {status}");
                    match (one.get("schema"), other.get("schema")) {
                        (Some(one), Some(other)) => self.schema(&at, one, other, Way::Out, 0),
                        (None, None) => {}
                        _ => self.findings.breaks(format!("{at}: it has a schema on one side only")),
                    }
                    self.content(&at, &one, &other, Way::Out);
                }
                (None, None) => {}
            }
        }
    }

    fn content(&mut self, place: &str, before: &Value, after: &Value, way: Way) {
        let (before, after) = (&before["content"], &after["content"]);
        for kind in names(before, after) {
            match (before.get(kind), after.get(kind)) {
                (Some(_), None) => self.findings.breaks(format!("{place}: {kind} is gone")),
                (None, Some(_)) => self.findings.adds(format!("{place}: {kind}")),
                (Some(one), Some(other)) => match (one.get("schema"), other.get("schema")) {
                    (Some(one), Some(other)) => self.schema(place, one, other, way, 0),
                    (None, None) => {}
                    _ => self.findings.breaks(format!("{place}: {kind} has a schema on one side only")),
                },
                (None, None) => {}
            }
        }
    }

    fn schema(&mut self, place: &str, before: &Value, after: &Value, way: Way, depth: usize) {
        let (before, after) = (self.resolved_before(before), self.resolved_after(after));
        if depth > DEEPEST {
            return;
        }
        for name in names(&before, &after) {
            let (one, other) = (before.get(name), after.get(name));
            match name {
                "properties" => self.properties(place, (&before, &after), way, depth),
                "required" => self.required(place, &before, &after, way),
                "enum" => self.choices(place, one, other, way),
                "items" => match (one, other) {
                    (Some(one), Some(other)) => self.schema(&format!("{place}[]"), one, other, way, depth + 1),
                    _ => self.findings.breaks(format!("{place}: 'items' is on one side only")),
                },
                "name" | "in" | "schema" => {}
                "nullable" if is_true(one) != is_true(other) && is_true(other) == (way == Way::In) => {
                    self.findings.adds(format!("{place} may be null"));
                }
                _ if PROSE.contains(&name) || one == other => {}
                _ => self.findings.breaks(format!("{place}: '{name}' differs")),
            }
        }
    }

    fn properties(&mut self, place: &str, schemas: (&Value, &Value), way: Way, depth: usize) {
        let (before, after) = (&schemas.0["properties"], &schemas.1["properties"]);
        for name in names(before, after) {
            match (before.get(name), after.get(name)) {
                (Some(_), None) => self.findings.breaks(format!("{place}: '{name}' is gone")),
                // Whether it is demanded is what 'required' says.
                (None, Some(_)) => self.findings.adds(format!("{place}: '{name}'")),
                (Some(one), Some(other)) => self.schema(&format!("{place}.{name}"), one, other, way, depth + 1),
                (None, None) => {}
            }
        }
    }

    fn required(&mut self, place: &str, before: &Value, after: &Value, way: Way) {
        let set = |value: &Value| -> BTreeSet<String> {
            let list = value["required"].as_array().into_iter().flatten();
            list.filter_map(|name| name.as_str()).map(str::to_owned).collect()
        };
        let (old, new) = (set(before), set(after));
        match way {
            Way::In => new.difference(&old).for_each(|name| self.findings.breaks(format!("{place} demands '{name}'"))),
            Way::Out => {
                old.difference(&new).for_each(|name| self.findings.breaks(format!("{place}: '{name}' may be missing")));
            }
        }
    }

    fn choices(&mut self, place: &str, before: Option<&Value>, after: Option<&Value>, way: Way) {
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned();
        let (Some(old), Some(new)) = (list(before), list(after)) else {
            self.findings.breaks(format!("{place}: its choices are bounded on one side only"));
            return;
        };
        for gone in old.iter().filter(|one| !new.contains(one)) {
            match way {
                Way::In => self.findings.breaks(format!("{place}: {gone} is no choice any more")),
                Way::Out => self.findings.adds(format!("{place}: {gone} does not come any more")),
            }
        }
        for added in new.iter().filter(|one| !old.contains(one)) {
            match way {
                Way::In => self.findings.adds(format!("{place}: the choice {added}")),
                Way::Out => self.findings.breaks(format!("{place}: {added} may come, which no caller knows")),
            }
        }
    }

    fn resolved_before(&self, value: &Value) -> Value {
        resolved(self.before, value)
    }

    fn resolved_after(&self, value: &Value) -> Value {
        resolved(self.after, value)
    }
}

/// What a local reference means; one that leads nowhere, or in a circle, stays as it is.
fn resolved(document: &Value, value: &Value) -> Value {
    let mut found = value;
    for _ in 0..DEEPEST {
        let Some(target) = found.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#')) else {
            break;
        };
        let Some(next) = document.pointer(target) else { break };
        found = next;
    }
    found.clone()
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or(false)
}

/// The members of both, each once, in order.
fn names<'a>(before: &'a Value, after: &'a Value) -> BTreeSet<&'a str> {
    let of = |value: &'a Value| value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    of(before).chain(of(after)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = r##"
openapi: 3.0.3
info: { title: orders, version: "1" }
paths:
  /orders/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
    get:
      summary: An order
      parameters: [{ name: full, in: query, schema: { type: boolean } }]
      responses:
        "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
    post:
      requestBody: { content: { application/json: { schema: { $ref: "#/components/schemas/New" } } } }
      responses: { "201": { description: made } }
components:
  schemas:
    New: { type: object, required: [sku], properties: { sku: { type: string }, kind: { type: string, enum: [a, b] } } }
    Order:
      type: object
      required: [id]
      properties: { id: { type: string }, state: { type: string, enum: [open, paid] }, parent: { $ref: "#/components/schemas/Order" } }
"##;

    fn changed(from: &str, to: &str) -> Findings {
        let text = API.replace(from, to);
        assert_ne!(text, API, "{from}");
        let parse = |text: &str| super::super::document(text).expect("a document");
        let mut findings = Findings::default();
        compare(&parse(API), &parse(&text), &mut findings);
        findings
    }

    #[test]
    fn what_a_caller_relies_on_may_not_go() {
        for (from, to, why) in [
            ("    get:\n", "    put:\n", "GET /orders/{id} is gone"),
            ("/orders/{id}:", "/order/{id}:", "/orders/{id} is gone"),
            ("name: full, in: query,", "name: full, in: query, required: true,", "demands the parameter 'full'"),
            ("name: full,", "name: all,", "the parameter 'full' is gone"),
            ("schema: { type: boolean }", "schema: { type: string }", "'type' differs"),
            ("\"201\":", "\"202\":", "the answer 201 is gone"),
            ("required: [sku]", "required: [sku, kind]", "demands 'kind'"),
            ("enum: [a, b]", "enum: [a]", "\"b\" is no choice any more"),
            ("enum: [open, paid]", "enum: [open, paid, lost]", "may come, which no caller knows"),
            ("required: [id]", "required: []", "'id' may be missing"),
            ("id: { type: string }, state", "number: { type: string }, state", "'id' is gone"),
            ("requestBody: {", "requestBody: { required: true,", "demands a body"),
            ("info:", "servers: [{ url: http://other }]\ninfo:", "'servers' differs"),
        ] {
            let findings = changed(from, to);
            assert!(findings.breaking.iter().any(|one| one.contains(why)), "{to}: {findings:?}");
        }
    }

    #[test]
    fn what_is_only_more_breaks_nothing() {
        for (from, to) in [
            ("    get:\n", "    delete: { responses: { \"204\": { description: gone } } }\n    get:\n"),
            ("summary: An order", "summary: One order"),
            ("name: full,", "name: lang, in: query, schema: { type: string } }, { name: full,"),
            ("enum: [a, b]", "enum: [a, b, c]"),
            ("enum: [open, paid]", "enum: [open]"),
            ("{ id: { type: string }, state", "{ at: { type: string }, id: { type: string }, state"),
            ("required: [id]", "required: [id, state]"),
            ("version: \"1\"", "version: \"2\""),
        ] {
            let findings = changed(from, to);
            assert!(findings.breaking.is_empty(), "{to}: {findings:?}");
        }
        assert!(changed("enum: [a, b]", "enum: [a, b, c]").additions[0].contains("the choice \"c\""));
    }
}
