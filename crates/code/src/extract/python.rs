//! What Python's nodes mean.

use tree_sitter::Node;

use super::{Definition, Extraction, Scope, Verdict, folded};
use crate::function::{Attribute, Parameter, TestKind};
use crate::routes;
use crate::walk::{line_of, named_children};

pub(super) fn enter<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Verdict {
    match node.kind() {
        "decorator" => {
            x.pending.push((node, Attribute::of_text(x.text_of(node))));
            // The calls inside run when the module loads; they are the module's, so look inside.
            (None, true)
        }
        "class_definition" => {
            let (attributes, ..) = x.take_pending(node);
            let name = x.field(node, "name").to_owned();
            let public = !name.starts_with('_');
            (Some(Scope::Type { name, public, contract: false, attributes }), true)
        }
        "function_definition" => (Some(function(x, node)), true),
        "call" => {
            if let Some(callee) = node.child_by_field_name("function") {
                x.call(callee, line_of(node));
                let found = routes::python_call(x, node, callee);
                x.found.routes.extend(found);
            }
            (None, true)
        }
        _ => (None, true),
    }
}

fn function<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (attributes, start, start_line) = x.take_pending(node);
    let name = x.field(node, "name").to_owned();
    let dunder = name.starts_with("__") && name.ends_with("__");
    let in_test_class = match x.direct_type() {
        Some(Scope::Type { name, .. }) => name.starts_with("Test") || name.ends_with("Test") || name.ends_with("Tests"),
        _ => x.scopes.is_empty(),
    };
    let test = (name.starts_with("test") && in_test_class).then(|| {
        let given = attributes.iter().any(|a| a.name() == "given" && a.path != "pytest.given");
        if given { TestKind::Property } else { TestKind::Unit }
    });
    let public = (dunder || !name.starts_with('_')) && x.in_public();
    let parameters = node.child_by_field_name("parameters").map(|list| parameters(x, list)).unwrap_or_default();
    x.define(Definition {
        node,
        name_line: line_of(node.child_by_field_name("name").unwrap_or(node)),
        name,
        start,
        start_line,
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public,
        test,
        attributes,
    })
}

fn parameters(x: &Extraction<'_>, list: Node<'_>) -> Vec<Parameter> {
    let mut found = Vec::new();
    let mut keyword_only = false;
    for node in named_children(list) {
        let mut name = x.field(node, "name").to_owned();
        let mut variadic = false;
        match node.kind() {
            "keyword_separator" => {
                keyword_only = true;
                continue;
            }
            "identifier" | "tuple_pattern" => x.text_of(node).clone_into(&mut name),
            "default_parameter" | "typed_default_parameter" => {}
            "typed_parameter" => {
                let inner = node.named_child(0).unwrap_or(node);
                variadic = inner.kind() != "identifier";
                x.text_of(inner).trim_start_matches('*').clone_into(&mut name);
            }
            "list_splat_pattern" | "dictionary_splat_pattern" => {
                variadic = true;
                x.text_of(node).trim_start_matches('*').clone_into(&mut name);
            }
            _ => continue,
        }
        let kind = node.child_by_field_name("type").map(|kind| folded(x.text_of(kind)));
        let optional = variadic || node.child_by_field_name("value").is_some();
        found.push(Parameter { name, kind, optional, variadic, keyword_only });
        // What follows `*rest` can only be given by name.
        keyword_only |= variadic;
    }
    found
}
