//! One walk over a tree that collects functions, calls and routes; each language says what its nodes mean.

mod curly;
mod go;
mod python;
mod rust;
mod script;

use std::collections::HashMap;
use std::ops::Range;

use tree_sitter::{Node, Tree};

use crate::function::{Attribute, Call, Function, Parameter, Route, TestKind};
use crate::language::Language;
use crate::routes;
use crate::walk::{Step, head, line_of, tail, text_of, walk};

/// How much of a callee's text is kept.
const MAX_CALLEE: usize = 160;
/// How much of a name is kept. Longer ones are no code of people, and every member repeats the name of its type.
const MAX_NAME: usize = 400;
/// How many attributes of one definition are kept.
const MAX_ATTRIBUTES: usize = 50;

/// What one walk finds.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) functions: Vec<Function>,
    pub(crate) calls: Vec<Call>,
    pub(crate) routes: Vec<Route>,
}

/// What surrounds the node that the walk stands at.
pub(crate) enum Scope {
    /// A namespace or inline module.
    Namespace(String),
    /// A class, trait, interface, `impl` block or a group of tests.
    Type { name: String, public: bool, contract: bool, attributes: Vec<Attribute> },
    /// A function, by its place.
    Function(usize),
}

/// A function as its language's rules see it.
pub(crate) struct Definition<'t> {
    pub(crate) node: Node<'t>,
    pub(crate) name: String,
    pub(crate) name_line: u32,
    pub(crate) start: Range<usize>,
    pub(crate) start_line: u32,
    /// The holder as it is written in the qualified name, when the scopes do not tell: `(*T)`.
    pub(crate) holder: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Node<'t>>,
    pub(crate) public: bool,
    pub(crate) test: Option<TestKind>,
    pub(crate) attributes: Vec<Attribute>,
}

/// What an anonymous function is for, found at the call that takes it.
pub(crate) struct Purpose<'t> {
    pub(crate) title: String,
    pub(crate) test: Option<TestKind>,
    /// A group of tests is no function of its own.
    pub(crate) group: bool,
    /// The declaration it stands in, which is then its text.
    pub(crate) within: Option<Node<'t>>,
    pub(crate) public: bool,
}

impl Purpose<'_> {
    /// An anonymous function that answers a route.
    pub(crate) fn handler(title: String) -> Self {
        Self { title, test: None, group: false, within: None, public: false }
    }
}

/// The state of the walk.
pub(crate) struct Extraction<'t> {
    pub(crate) language: Language,
    pub(crate) text: &'t str,
    pub(crate) found: Found,
    pub(crate) scopes: Vec<(usize, Scope)>,
    /// Attributes that stand before their function as nodes of their own, with where the first one starts.
    pub(crate) pending: Vec<(Node<'t>, Attribute)>,
    /// Anonymous functions with a purpose, by node.
    pub(crate) purposes: HashMap<usize, Purpose<'t>>,
    /// Names a script exports.
    pub(crate) exported: Vec<String>,
    /// The package of the whole file.
    pub(crate) package: Option<String>,
    /// HTTP methods narrowed by a later link of a chain, by the node of the registration.
    pub(crate) narrowed: HashMap<usize, Vec<String>>,
}

/// What a language says about a node: a scope to open, and whether to look inside.
pub(crate) type Verdict = (Option<Scope>, bool);

/// Collects everything from a tree.
pub(crate) fn extract(language: Language, text: &str, tree: &Tree) -> Found {
    let mut extraction = Extraction {
        language,
        text,
        found: Found::default(),
        scopes: Vec::new(),
        pending: Vec::new(),
        purposes: HashMap::new(),
        exported: Vec::new(),
        package: None,
        narrowed: HashMap::new(),
    };
    if language.is_script() {
        script::exports(&mut extraction, tree.root_node());
    }
    walk(tree.root_node(), |step| match step {
        Step::Enter(node, field) => {
            let (scope, inside) = match language {
                Language::Python => python::enter(&mut extraction, node),
                Language::Go => go::enter(&mut extraction, node),
                Language::Rust => rust::enter(&mut extraction, node),
                Language::Java | Language::CSharp => curly::enter(&mut extraction, node),
                Language::TypeScript | Language::Tsx | Language::JavaScript => {
                    script::enter(&mut extraction, node, field)
                }
            };
            if let Some(scope) = scope {
                extraction.scopes.push((node.id(), scope));
            }
            inside
        }
        Step::Leave(node) => {
            if extraction.scopes.last().is_some_and(|(owner, _)| *owner == node.id()) {
                extraction.scopes.pop();
            }
            false
        }
    });
    finish(extraction.found)
}

/// What can only be said once every function is known.
fn finish(mut found: Found) -> Found {
    for call in &found.calls {
        let generated =
            ["quick.Check", "quick.CheckEqual", "fc.assert", "fc.check", "fc.property", "Prop.ForAll", "Check.Quick"];
        if generated.iter().any(|name| call.callee == *name || call.callee.starts_with(&format!("{name}<"))) {
            let mut place = call.caller;
            while let Some(function) = place.and_then(|place| found.functions.get_mut(place)) {
                if function.test.is_some() {
                    function.test = Some(TestKind::Property);
                }
                place = function.inside;
            }
        }
    }
    for route in &mut found.routes {
        if route.function.is_none() {
            route.function = routes::handler_in(&found.functions, &route.handler);
        }
    }
    found
}

impl<'t> Extraction<'t> {
    pub(crate) fn text_of(&self, node: Node<'_>) -> &'t str {
        text_of(node, self.text)
    }

    /// The text of a field of a node, empty when there is none.
    pub(crate) fn field(&self, node: Node<'_>, name: &str) -> &'t str {
        node.child_by_field_name(name).map(|child| text_of(child, self.text)).unwrap_or_default()
    }

    pub(crate) fn inside_function(&self) -> Option<usize> {
        self.scopes.iter().rev().find_map(|(_, scope)| match scope {
            Scope::Function(place) => Some(*place),
            _ => None,
        })
    }

    /// The innermost type, unless a function stands between.
    pub(crate) fn direct_type(&self) -> Option<&Scope> {
        match self.scopes.last() {
            Some((_, scope @ Scope::Type { .. })) => Some(scope),
            _ => None,
        }
    }

    /// Whether every type around here is public and no function is.
    pub(crate) fn in_public(&self) -> bool {
        self.scopes.iter().all(|(_, scope)| match scope {
            Scope::Namespace(_) => true,
            Scope::Type { public, .. } => *public,
            Scope::Function(_) => false,
        })
    }

    /// Attributes of the type directly around here.
    fn type_attributes(&self) -> &[Attribute] {
        match self.direct_type() {
            Some(Scope::Type { attributes, .. }) => attributes,
            _ => &[],
        }
    }

    fn namespace(&self) -> Option<String> {
        let parts = self.package.iter().map(String::as_str).chain(self.scopes.iter().filter_map(|(_, s)| match s {
            Scope::Namespace(name) => Some(name.as_str()),
            _ => None,
        }));
        let joined = parts.collect::<Vec<_>>().join(self.language.separator());
        (!joined.is_empty()).then_some(joined)
    }

    /// Adds a function and gives the scope it opens.
    pub(crate) fn define(&mut self, definition: Definition<'t>) -> Scope {
        let mut parts: Vec<&str> = Vec::new();
        let mut holder = None;
        for (_, scope) in &self.scopes {
            match scope {
                Scope::Namespace(_) => {}
                Scope::Type { name, .. } => {
                    parts.push(name);
                    holder = Some(name.clone());
                }
                Scope::Function(place) => {
                    // What a function holds begins from that function's own name.
                    parts.clear();
                    parts.push(&self.found.functions[*place].qualified);
                    holder = None;
                }
            }
        }
        if let Some(written) = &definition.holder {
            parts.push(written);
            holder = Some(written.trim_matches(['(', ')', '*']).to_owned());
        }
        parts.push(&definition.name);
        let qualified = head(&parts.join(self.language.separator()), MAX_NAME).to_owned();
        let place = self.found.functions.len();
        let endpoints = routes::of_attributes(self.language, &definition.attributes, self.type_attributes());
        for (method, route) in endpoints {
            let controller = controller(holder.as_deref());
            let route = route.replace("[controller]", &controller).replace("[action]", &definition.name);
            let (handler, line) = (qualified.clone(), definition.name_line);
            self.found.routes.push(Route { function: Some(place), handler, method, route, line });
        }
        self.found.functions.push(Function {
            name: head(&definition.name, MAX_NAME).to_owned(),
            qualified,
            holder: holder.map(|holder| head(&holder, MAX_NAME).to_owned()),
            namespace: self.namespace().map(|namespace| head(&namespace, MAX_NAME).to_owned()),
            start_line: definition.start_line,
            name_line: definition.name_line,
            end_line: end_line(definition.node),
            bytes: definition.start.start..definition.node.end_byte(),
            body: definition.body.map(|body| body.byte_range()),
            parameters: definition.parameters,
            public: definition.public,
            test: definition.test,
            attributes: definition.attributes,
            inside: self.inside_function(),
        });
        Scope::Function(place)
    }

    /// Adds a call of what this node names.
    pub(crate) fn call(&mut self, callee: Node<'_>, line: u32) {
        self.call_text(self.text_of(callee), line);
    }

    pub(crate) fn call_text(&mut self, callee: &str, line: u32) {
        let callee: String = tail(callee, MAX_CALLEE).split_whitespace().collect();
        let plain = without_generics(&callee);
        let name = plain.rsplit(['.', ':', '>']).next().unwrap_or_default().trim_end_matches(['?', '!']);
        if name.chars().next().is_some_and(|first| first.is_alphabetic() || matches!(first, '_' | '$' | '#' | '@')) {
            let name = name.to_owned();
            self.found.calls.push(Call { caller: self.inside_function(), callee, name, line });
        }
    }

    /// Takes the attributes waiting for a definition, with the place where it then starts.
    pub(crate) fn take_pending(&mut self, node: Node<'t>) -> (Vec<Attribute>, Range<usize>, u32) {
        let first = self.pending.first().map_or(node, |(first, _)| *first);
        let waiting = std::mem::take(&mut self.pending).into_iter().take(MAX_ATTRIBUTES);
        let attributes = waiting.map(|(_, attribute)| attribute).collect();
        (attributes, first.start_byte()..node.end_byte(), line_of(first))
    }
}

/// Last line of a node, counted from 1. A node that ends with the line break ends on the line before it.
fn end_line(node: Node<'_>) -> u32 {
    let end = node.end_position();
    let row = if end.column == 0 && end.row > node.start_position().row { end.row - 1 } else { end.row };
    row as u32 + 1
}

fn controller(holder: Option<&str>) -> String {
    let name = holder.unwrap_or_default();
    name.strip_suffix("Controller").unwrap_or(name).to_lowercase()
}

/// Drops a trailing `<...>` (or `::<...>`) of a callee.
fn without_generics(callee: &str) -> &str {
    if !callee.ends_with('>') {
        return callee;
    }
    let mut depth = 0usize;
    for (at, c) in callee.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return callee[..at].trim_end_matches(':');
                }
            }
            _ => {}
        }
    }
    callee
}

/// White space folded, so that a type reads the same however it is laid out.
pub(crate) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
