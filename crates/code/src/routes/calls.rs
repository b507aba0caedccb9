//! Calls that register a handler: `router.get('/x', h)`, `http.HandleFunc("/x", h)`, `.route("/x", get(h))`.

use tree_sitter::Node;

use super::verb;
use crate::extract::{Extraction, Purpose};
use crate::function::Route;
use crate::walk::{line_of, literal, named_children};

fn arguments(node: Node<'_>) -> Vec<Node<'_>> {
    let list = node.child_by_field_name("arguments").map(named_children).unwrap_or_default();
    list.into_iter().filter(|argument| !argument.kind().contains("comment")).collect()
}

fn route(method: Option<String>, route: String, handler: &str, line: u32) -> Route {
    Route { function: None, handler: handler.split_whitespace().collect(), method, route, line }
}

/// Whether a node is a bare or dotted name, so that it can name a handler.
fn is_name(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "identifier"
            | "attribute"
            | "selector_expression"
            | "member_expression"
            | "scoped_identifier"
            | "member_access_expression"
    )
}

/// `path` (Django), `add_url_rule` (Flask), `add_api_route` (`FastAPI`), `add_get` (aiohttp).
pub(crate) fn python_call(x: &Extraction<'_>, node: Node<'_>, callee: Node<'_>) -> Vec<Route> {
    let name = match callee.kind() {
        "identifier" => x.text_of(callee),
        _ => x.field(callee, "attribute"),
    };
    let registers = match callee.kind() {
        "identifier" => matches!(name, "path" | "re_path"),
        _ => matches!(name, "add_url_rule" | "add_api_route" | "add_route") || name.starts_with("add_"),
    };
    if !registers {
        return Vec::new();
    }
    let arguments = arguments(node);
    let plain: Vec<_> = arguments.iter().copied().filter(|a| a.kind() != "keyword_argument").collect();
    let named = |wanted: &str| {
        let argument = arguments.iter().find(|a| a.kind() == "keyword_argument" && x.field(**a, "name") == wanted)?;
        argument.child_by_field_name("value")
    };
    let method = name.strip_prefix("add_").and_then(verb);
    let generic = matches!(name, "path" | "re_path" | "add_url_rule" | "add_api_route" | "add_route");
    if method.is_none() && !generic {
        return Vec::new();
    }
    let Some(path) = plain.first().and_then(|first| literal(*first, x.text)) else { return Vec::new() };
    let last = if name == "add_url_rule" { plain.get(2) } else { plain.get(1) };
    let handler = named("view_func").or_else(|| named("endpoint")).or(last.copied());
    match handler {
        Some(handler) if is_name(handler) => vec![route(method, path, x.text_of(handler), line_of(node))],
        Some(view) if view.kind() == "call" && x.field(view, "function").ends_with(".as_view") => {
            let class = x.field(view, "function").trim_end_matches(".as_view");
            vec![route(None, path, class, line_of(node))]
        }
        _ => Vec::new(),
    }
}

/// `http.HandleFunc`, `mux.Handle`, `r.GET`, `r.Get`, with `.Methods("GET")` behind it.
pub(crate) fn go_call<'t>(x: &mut Extraction<'t>, node: Node<'t>, callee: Node<'t>) -> Vec<Route> {
    let name = x.field(callee, "field");
    let arguments = arguments(node);
    if name == "Methods" {
        // The outer link of the chain is visited first, so it leaves its methods for the inner one.
        let methods = arguments.iter().filter_map(|argument| verb(&method_word(x, *argument))).collect();
        if let Some(inner) = callee.child_by_field_name("operand") {
            x.narrowed.insert(inner.id(), methods);
        }
        return Vec::new();
    }
    let handles = matches!(name, "HandleFunc" | "Handle");
    let method = verb(name);
    if !handles && method.is_none() || arguments.len() < 2 {
        return Vec::new();
    }
    let Some(mut path) = literal(arguments[0], x.text) else { return Vec::new() };
    let mut methods: Vec<Option<String>> = vec![method];
    if let Some((word, rest)) = path.clone().split_once(' ') {
        // The pattern of the standard library since 1.22: `GET /x`.
        methods = vec![verb(word)];
        rest.clone_into(&mut path);
    }
    if let Some(narrowed) = x.narrowed.remove(&node.id()).filter(|narrowed| !narrowed.is_empty()) {
        methods = narrowed.into_iter().map(Some).collect();
    }
    let mut handler = arguments[arguments.len() - 1];
    if !path.starts_with('/') {
        return Vec::new();
    }
    // `http.HandlerFunc(h)` and one layer of middleware `guard(h)`.
    if handler.kind() == "call_expression" {
        let wrapped = self::arguments(handler).into_iter().rev().find(|a| is_name(*a) || a.kind() == "func_literal");
        handler = wrapped.unwrap_or(handler);
    }
    register(x, node, handler, "func_literal", &methods, &path)
}

/// `http.MethodGet` or `"GET"`.
fn method_word(x: &Extraction<'_>, argument: Node<'_>) -> String {
    match literal(argument, x.text) {
        Some(word) => word,
        None => x.field(argument, "field").trim_start_matches("Method").to_owned(),
    }
}

/// Routes for a handler that is a name, or an anonymous function that becomes one named after its route.
fn register<'t>(
    x: &mut Extraction<'t>,
    node: Node<'t>,
    handler: Node<'t>,
    anonymous: &str,
    methods: &[Option<String>],
    path: &str,
) -> Vec<Route> {
    let written = if is_name(handler) {
        x.text_of(handler).to_owned()
    } else if anonymous.split(' ').any(|kind| kind == handler.kind()) {
        let method = methods.first().and_then(Option::as_deref).unwrap_or("ANY");
        let title = format!("{method} {path}");
        x.purposes.insert(handler.id(), Purpose::handler(title.clone()));
        title
    } else {
        return Vec::new();
    };
    methods
        .iter()
        .map(|method| route(method.clone(), path.to_owned(), &written, line_of(node)).named(&written))
        .collect()
}

impl Route {
    /// Titles of anonymous handlers have a blank in them, which must stay.
    fn named(mut self, handler: &str) -> Self {
        handler.clone_into(&mut self.handler);
        self
    }
}

/// axum's `.route("/x", get(h).post(g))` and actix's `.route("/x", web::get().to(h))`.
pub(crate) fn rust_call(x: &Extraction<'_>, node: Node<'_>, callee: Node<'_>) -> Vec<Route> {
    let arguments = arguments(node);
    if x.field(callee, "field") != "route" || arguments.len() != 2 {
        return Vec::new();
    }
    let Some(path) = literal(arguments[0], x.text) else { return Vec::new() };
    let mut found = Vec::new();
    let mut link = Some(arguments[1]);
    let mut to: Option<Node<'_>> = None;
    while let Some(call) = link.filter(|node| node.kind() == "call_expression") {
        let Some(function) = call.child_by_field_name("function") else { break };
        let name = match function.kind() {
            "field_expression" => x.field(function, "field"),
            _ => x.text_of(function).rsplit("::").next().unwrap_or_default(),
        };
        let handler = self::arguments(call).first().copied();
        if name == "to" {
            to = handler;
        } else if let Some(handler) = handler.or(to).filter(|handler| is_name(*handler))
            && (name == "any" || verb(name).is_some())
        {
            found.push(route(verb(name), path.clone(), x.text_of(handler), line_of(node)));
        }
        link = function.child_by_field_name("value");
    }
    found.reverse();
    found
}

/// Objects whose `get` asks another service and answers none.
const CLIENTS: [&str; 12] =
    ["axios", "http", "https", "client", "request", "supertest", "api", "agent", "cy", "nock", "cache", "$http"];

/// express, koa, fastify, hono: `router.get('/x', guard, h)` and `app.route('/x').get(h)`.
pub(crate) fn script_call<'t>(x: &mut Extraction<'t>, node: Node<'t>, callee: Node<'t>) -> Vec<Route> {
    let Some(object) = callee.child_by_field_name("object") else { return Vec::new() };
    let name = x.field(callee, "property");
    let method = match name {
        "all" | "use" => None,
        "del" => Some("DELETE".to_owned()),
        _ => match verb(name) {
            Some(method) => Some(method),
            None => return Vec::new(),
        },
    };
    let arguments = arguments(node);
    let Some(last) = arguments.last().copied() else { return Vec::new() };
    let path = match literal(arguments[0], x.text) {
        Some(path) if arguments.len() >= 2 && name != "use" => path,
        None => match chained_path(x, object) {
            Some(path) => path,
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let base = x.text_of(object).rsplit('.').next().unwrap_or_default();
    if !path.starts_with(['/', '*']) || CLIENTS.contains(&base) || x.text_of(object).starts_with("request(") {
        return Vec::new();
    }
    register(x, node, last, "arrow_function function_expression", &[method], &path)
}

/// The route of `app.route('/x')` below a chain of `.get(h).post(g)`.
fn chained_path(x: &Extraction<'_>, mut object: Node<'_>) -> Option<String> {
    while object.kind() == "call_expression" {
        let callee = object.child_by_field_name("function")?;
        if x.field(callee, "property") == "route" {
            return arguments(object).first().and_then(|first| literal(*first, x.text));
        }
        object = callee.child_by_field_name("object")?;
    }
    None
}

/// ASP.NET's minimal registration: `app.MapGet("/x", h)`.
pub(crate) fn csharp_call<'t>(x: &mut Extraction<'t>, node: Node<'t>, callee: Node<'t>) -> Vec<Route> {
    let Some(method) = x.field(callee, "name").strip_prefix("Map").and_then(verb) else { return Vec::new() };
    let arguments: Vec<_> = arguments(node).iter().filter_map(|argument| argument.named_child(0)).collect();
    let [path, handler, ..] = arguments.as_slice() else { return Vec::new() };
    let Some(path) = literal(*path, x.text) else { return Vec::new() };
    register(x, node, *handler, "lambda_expression", &[Some(method)], &path)
}
