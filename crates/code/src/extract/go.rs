//! What Go's nodes mean.

use tree_sitter::Node;

use super::{Definition, Extraction, Scope, Verdict, folded};
use crate::function::{Parameter, TestKind};
use crate::routes;
use crate::walk::{line_of, named_children};

pub(super) fn enter<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Verdict {
    match node.kind() {
        "package_clause" => {
            x.package = node.named_child(0).map(|name| x.text_of(name).to_owned());
            (None, false)
        }
        "function_declaration" | "method_declaration" => (Some(function(x, node)), true),
        "func_literal" => match x.purposes.remove(&node.id()) {
            Some(purpose) => {
                let list = node.child_by_field_name("parameters");
                let definition = Definition {
                    node,
                    name: purpose.title,
                    name_line: line_of(node),
                    start: node.byte_range(),
                    start_line: line_of(node),
                    holder: None,
                    parameters: list.map(|list| parameters(x, list)).unwrap_or_default(),
                    body: node.child_by_field_name("body"),
                    public: false,
                    test: purpose.test,
                    attributes: Vec::new(),
                };
                (Some(x.define(definition)), true)
            }
            None => (None, true),
        },
        "call_expression" => {
            if let Some(callee) = node.child_by_field_name("function") {
                x.call(callee, line_of(callee_name(callee)));
                let found = routes::go_call(x, node, callee);
                x.found.routes.extend(found);
            }
            (None, true)
        }
        _ => (None, true),
    }
}

/// The last name of a chain: where the call really stands when a chain runs over several lines.
fn callee_name(callee: Node<'_>) -> Node<'_> {
    callee.child_by_field_name("field").unwrap_or(callee)
}

fn function<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let name = x.field(node, "name").to_owned();
    let exported = |name: &str| name.chars().next().is_some_and(char::is_uppercase);
    let holder = node.child_by_field_name("receiver").map(|list| receiver(x, list));
    let base = holder.as_deref().map(|h| h.trim_matches(['(', ')', '*']).to_owned());
    let parameters = node.child_by_field_name("parameters").map(|list| parameters(x, list)).unwrap_or_default();
    let takes = |kind: &str| parameters.first().and_then(|p| p.kind.as_deref()) == Some(kind);
    let test = match name.as_str() {
        n if n.starts_with("Test") && takes("*testing.T") => Some(TestKind::Unit),
        n if n.starts_with("Fuzz") && takes("*testing.F") => Some(TestKind::Property),
        _ => None,
    };
    let public = exported(&name) && base.as_deref().is_none_or(exported) && test.is_none();
    x.define(Definition {
        node,
        name_line: line_of(node),
        name,
        start: node.byte_range(),
        start_line: line_of(node),
        holder,
        parameters,
        body: node.child_by_field_name("body"),
        public,
        test,
        attributes: Vec::new(),
    })
}

/// `(*T)` or `T`, type parameters dropped, as the runtime writes it.
fn receiver(x: &Extraction<'_>, list: Node<'_>) -> String {
    let kind = named_children(list).first().map(|p| x.field(*p, "type")).unwrap_or_default();
    let (pointer, base) = match kind.trim().strip_prefix('*') {
        Some(base) => (true, base),
        None => (false, kind),
    };
    let base = base.split('[').next().unwrap_or(base).trim();
    if pointer { format!("(*{base})") } else { base.to_owned() }
}

fn parameters(x: &Extraction<'_>, list: Node<'_>) -> Vec<Parameter> {
    let mut found = Vec::new();
    for node in named_children(list) {
        let variadic = node.kind() == "variadic_parameter_declaration";
        if !variadic && node.kind() != "parameter_declaration" {
            continue;
        }
        let kind = Some(folded(x.field(node, "type")));
        let names: Vec<_> = node.children_by_field_name("name", &mut node.walk()).map(|n| x.text_of(n)).collect();
        let names = if names.is_empty() { vec!["_"] } else { names };
        for name in names {
            let (name, kind) = (name.to_owned(), kind.clone());
            found.push(Parameter { name, kind, optional: variadic, variadic, keyword_only: false });
        }
    }
    found
}
