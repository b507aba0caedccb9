//! Which function answers which route: by decorators and annotations, and by calls that register a handler.

mod calls;

pub(crate) use calls::{csharp_call, go_call, python_call, rust_call, script_call};

use crate::function::{Attribute, Function};
use crate::language::Language;

/// A method in capitals (`None`: any) and a route.
pub(crate) type Endpoint = (Option<String>, String);

/// `GET` of `get`, `Get` or `GET`; `None` for every other word.
pub(crate) fn verb(word: &str) -> Option<String> {
    let upper = word.to_ascii_uppercase();
    matches!(upper.as_str(), "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS").then_some(upper)
}

/// Puts a route behind the prefix of its class.
fn join(prefix: &str, route: &str) -> String {
    let parts = [prefix, route].map(|part| part.trim_matches('/'));
    let joined = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
    format!("/{joined}")
}

/// The routes that attributes of a function declare, given the attributes of the types around it.
pub(crate) fn of_attributes(language: Language, own: &[Attribute], around: &[Attribute]) -> Vec<Endpoint> {
    match language {
        Language::Python => own.iter().flat_map(python).collect(),
        Language::Rust => own.iter().flat_map(rust).collect(),
        Language::Java => java(own, around),
        Language::CSharp => csharp(own, around),
        Language::TypeScript | Language::Tsx | Language::JavaScript => nest(own, around),
        Language::Go => Vec::new(),
    }
}

fn python(attribute: &Attribute) -> Vec<Endpoint> {
    let literals = attribute.literals();
    let Some(route) = literals.first().filter(|_| attribute.path.contains('.')) else { return Vec::new() };
    if attribute.path.starts_with("mock") || attribute.path.starts_with("pytest") {
        return Vec::new();
    }
    if let Some(method) = verb(attribute.name()) {
        return vec![(Some(method), route.clone())];
    }
    if attribute.name() == "websocket" {
        return vec![(Some("GET".to_owned()), route.clone())];
    }
    if !matches!(attribute.name(), "route" | "api_route") {
        return Vec::new();
    }
    let listed = attribute.arguments.split_once("methods").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    let listed = listed.split([']', ')', '}']).next().unwrap_or_default().to_owned();
    let methods: Vec<_> = Attribute { path: String::new(), arguments: listed }.literals();
    let methods: Vec<_> = methods.iter().filter_map(|method| verb(method)).collect();
    if methods.is_empty() {
        return vec![(Some("GET".to_owned()), route.clone())];
    }
    methods.into_iter().map(|method| (Some(method), route.clone())).collect()
}

fn rust(attribute: &Attribute) -> Vec<Endpoint> {
    let literals = attribute.literals();
    let Some(route) = literals.first().filter(|route| route.starts_with('/')) else { return Vec::new() };
    match verb(attribute.name()) {
        Some(method) => vec![(Some(method), route.clone())],
        None if attribute.name() == "route" => {
            literals[1..].iter().filter_map(|word| verb(word)).map(|method| (Some(method), route.clone())).collect()
        }
        None => Vec::new(),
    }
}

fn first_route(attributes: &[Attribute], names: &[&str]) -> Option<String> {
    let attribute = attributes.iter().rev().find(|attribute| names.contains(&attribute.name()))?;
    attribute.literals().into_iter().next()
}

fn java(own: &[Attribute], around: &[Attribute]) -> Vec<Endpoint> {
    let prefix = first_route(around, &["RequestMapping", "Path"]).unwrap_or_default();
    let mut found = Vec::new();
    for attribute in own {
        let route = attribute.literals().into_iter().next().unwrap_or_default();
        if let Some(method) = attribute.name().strip_suffix("Mapping").and_then(verb) {
            found.push((Some(method), join(&prefix, &route)));
        } else if attribute.name() == "RequestMapping" {
            let methods: Vec<_> =
                attribute.arguments.split("RequestMethod.").skip(1).filter_map(|rest| verb(word(rest))).collect();
            if methods.is_empty() {
                found.push((None, join(&prefix, &route)));
            }
            found.extend(methods.into_iter().map(|method| (Some(method), join(&prefix, &route))));
        } else if let Some(method) = verb(attribute.name()).filter(|method| attribute.name() == method) {
            let route = first_route(own, &["Path"]).unwrap_or_default();
            found.push((Some(method), join(&prefix, &route)));
        }
    }
    found
}

/// The word a text begins with.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

fn csharp(own: &[Attribute], around: &[Attribute]) -> Vec<Endpoint> {
    let prefix = first_route(around, &["Route", "RoutePrefix"]).unwrap_or_default();
    let mut found = Vec::new();
    for attribute in own {
        let Some(method) = attribute.name().strip_prefix("Http").and_then(verb) else { continue };
        let own_route = attribute.literals().into_iter().next().or_else(|| first_route(own, &["Route"]));
        let route = own_route.unwrap_or_default();
        // A route from the root takes no prefix.
        let absolute = route.starts_with('/') || route.starts_with("~/");
        let route = if absolute { join("", route.trim_start_matches('~')) } else { join(&prefix, &route) };
        found.push((Some(method), route));
    }
    found
}

fn nest(own: &[Attribute], around: &[Attribute]) -> Vec<Endpoint> {
    let Some(controller) = around.iter().rev().find(|attribute| attribute.name() == "Controller") else {
        return Vec::new();
    };
    let prefix = controller.literals().into_iter().next().unwrap_or_default();
    let with_method = own.iter().filter_map(|attribute| Some((verb(&attribute.path)?, attribute)));
    with_method
        .map(|(method, attribute)| {
            (Some(method), join(&prefix, &attribute.literals().into_iter().next().unwrap_or_default()))
        })
        .collect()
}

/// The one function of a file that a handler's text names.
pub(crate) fn handler_in(functions: &[Function], handler: &str) -> Option<usize> {
    let exact = |(_, function): &(usize, &Function)| function.qualified == handler;
    if let Some((place, _)) = functions.iter().enumerate().find(exact) {
        return Some(place);
    }
    let name = handler.rsplit(['.', ':']).next().unwrap_or_default();
    let mut named = functions.iter().enumerate().filter(|(_, function)| function.name == name);
    match (named.next(), named.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}
