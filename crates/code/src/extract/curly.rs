//! What the nodes of Java and C# mean; the two differ in names more than in shape.

use tree_sitter::Node;

use super::{Definition, Extraction, Scope, Verdict, folded};
use crate::function::{Attribute, Parameter, TestKind};
use crate::language::Language;
use crate::routes;
use crate::walk::{child_of_kind, line_of, named_children};

pub(super) fn enter<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Verdict {
    match node.kind() {
        "package_declaration" => {
            let name = named_children(node).into_iter().find(|n| n.kind().ends_with("identifier"));
            x.package = name.map(|name| x.text_of(name).to_owned());
            (None, false)
        }
        "file_scoped_namespace_declaration" => {
            x.package = Some(x.field(node, "name").to_owned());
            (None, true)
        }
        "namespace_declaration" => (Some(Scope::Namespace(x.field(node, "name").to_owned())), true),
        "class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "record_declaration"
        | "struct_declaration"
        | "record_struct_declaration"
        | "annotation_type_declaration" => {
            let contract = node.kind() == "interface_declaration";
            let name = x.field(node, "name").to_owned();
            let public = is_public(x, node);
            (Some(Scope::Type { name, public, contract, attributes: attributes(x, node) }), true)
        }
        "method_declaration"
        | "constructor_declaration"
        | "compact_constructor_declaration"
        | "local_function_statement" => (Some(function(x, node)), true),
        "method_invocation" => {
            if let Some(name) = node.child_by_field_name("name") {
                let start = node.child_by_field_name("object").unwrap_or(name).start_byte();
                let callee = x.text.get(start..name.end_byte()).unwrap_or_default();
                x.call_text(callee, line_of(name));
            }
            (None, true)
        }
        "invocation_expression" => {
            if let Some(callee) = node.child_by_field_name("function") {
                x.call(callee, line_of(callee.child_by_field_name("name").unwrap_or(callee)));
                let found = routes::csharp_call(x, node, callee);
                x.found.routes.extend(found);
            }
            (None, true)
        }
        "object_creation_expression" => {
            if let Some(callee) = node.child_by_field_name("type") {
                x.call(callee, line_of(node));
            }
            (None, true)
        }
        "lambda_expression" => (x.purposes.remove(&node.id()).map(|purpose| lambda(x, node, purpose.title)), true),
        _ => (None, true),
    }
}

fn has_modifier(x: &Extraction<'_>, node: Node<'_>, wanted: &str) -> bool {
    if x.language == Language::Java {
        let modifiers = child_of_kind(node, "modifiers");
        return modifiers.is_some_and(|modifiers| child_of_kind(modifiers, wanted).is_some());
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == "modifier" && x.text_of(child) == wanted)
}

fn is_public(x: &Extraction<'_>, node: Node<'_>) -> bool {
    let by_contract = matches!(x.direct_type(), Some(Scope::Type { contract: true, .. }));
    by_contract && !has_modifier(x, node, "private") || has_modifier(x, node, "public")
}

fn attributes(x: &Extraction<'_>, node: Node<'_>) -> Vec<Attribute> {
    let lists = named_children(node).into_iter().filter(|n| matches!(n.kind(), "modifiers" | "attribute_list"));
    lists
        .flat_map(named_children)
        .filter(|n| matches!(n.kind(), "annotation" | "marker_annotation" | "attribute"))
        .take(super::MAX_ATTRIBUTES)
        .map(|n| Attribute::of_text(x.text_of(n)))
        .collect()
}

fn function<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let attributes = attributes(x, node);
    let test = attributes.iter().find_map(|attribute| match attribute.name() {
        "Property" => Some(TestKind::Property),
        "Test" | "ParameterizedTest" | "RepeatedTest" | "TestFactory" | "Example" | "Fact" | "Theory" | "TestCase"
        | "TestMethod" | "DataTestMethod" | "TestCaseSource" => Some(TestKind::Unit),
        _ => None,
    });
    let public = is_public(x, node) && x.in_public() && test.is_none();
    let name_node = node.child_by_field_name("name").unwrap_or(node);
    let parameters = node.child_by_field_name("parameters").map(|list| parameters(x, list)).unwrap_or_default();
    x.define(Definition {
        node,
        name: x.text_of(name_node).to_owned(),
        name_line: line_of(name_node),
        start: node.byte_range(),
        start_line: line_of(node),
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public,
        test,
        attributes,
    })
}

fn lambda<'t>(x: &mut Extraction<'t>, node: Node<'t>, name: String) -> Scope {
    let parameters = node.child_by_field_name("parameters").map(|list| parameters(x, list)).unwrap_or_default();
    x.define(Definition {
        node,
        name,
        name_line: line_of(node),
        start: node.byte_range(),
        start_line: line_of(node),
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public: false,
        test: None,
        attributes: Vec::new(),
    })
}

fn parameters(x: &Extraction<'_>, list: Node<'_>) -> Vec<Parameter> {
    let mut found = Vec::new();
    for node in named_children(list) {
        let spread = node.kind() == "spread_parameter";
        if !spread && !matches!(node.kind(), "formal_parameter" | "parameter") {
            continue;
        }
        let declared = if spread { child_of_kind(node, "variable_declarator").unwrap_or(node) } else { node };
        let name = x.field(declared, "name").to_owned();
        let kind = match node.child_by_field_name("type") {
            Some(kind) => Some(folded(x.text_of(kind))),
            None if spread => {
                named_children(node).into_iter().find(|n| n.kind() != "modifiers").map(|n| folded(x.text_of(n)))
            }
            None => None,
        };
        let optional = spread || x.language == Language::CSharp && child_of_kind(node, "=").is_some();
        found.push(Parameter { name, kind, optional, variadic: spread, keyword_only: false });
    }
    // C# writes `params T[] rest` straight into the list.
    if let Some(name) = list.child_by_field_name("name") {
        let kind = list.child_by_field_name("type").map(|kind| folded(x.text_of(kind)));
        let name = x.text_of(name).to_owned();
        found.push(Parameter { name, kind, optional: true, variadic: true, keyword_only: false });
    }
    found
}
