//! What the nodes of JavaScript and TypeScript mean.

use tree_sitter::Node;

use super::{Definition, Extraction, Purpose, Scope, Verdict, folded};
use crate::function::{Attribute, Parameter, TestKind};
use crate::routes;
use crate::walk::{child_of_kind, line_of, literal, named_children};

pub(super) fn enter<'t>(x: &mut Extraction<'t>, node: Node<'t>, _field: Option<&'static str>) -> Verdict {
    match node.kind() {
        "decorator" => {
            let before_method = node.parent().is_some_and(|p| matches!(p.kind(), "class_body" | "export_statement"));
            if before_method {
                x.pending.push((node, Attribute::of_text(x.text_of(node))));
            }
            (None, false)
        }
        "class_declaration" | "class" | "abstract_class_declaration" | "interface_declaration" => {
            (Some(class(x, node)), true)
        }
        "internal_module" | "module" if node.is_named() => {
            (Some(Scope::Namespace(x.field(node, "name").to_owned())), true)
        }
        "function_declaration" | "generator_function_declaration" | "function_signature" => {
            (Some(function(x, node)), true)
        }
        "method_definition" | "method_signature" | "abstract_method_signature" => (Some(method(x, node)), true),
        "variable_declarator" | "pair" | "public_field_definition" | "field_definition" | "assignment_expression" => {
            named_value(x, node);
            (None, true)
        }
        "arrow_function" | "function_expression" | "function" | "generator_function" if node.is_named() => {
            (x.purposes.remove(&node.id()).map(|purpose| anonymous(x, node, purpose)), true)
        }
        "call_expression" => {
            if let Some(callee) = node.child_by_field_name("function") {
                x.call(callee, line_of(callee.child_by_field_name("property").unwrap_or(callee)));
                test_call(x, node, callee);
                let found = routes::script_call(x, node, callee);
                x.found.routes.extend(found);
            }
            (None, true)
        }
        "new_expression" => {
            if let Some(callee) = node.child_by_field_name("constructor") {
                x.call(callee, line_of(node));
            }
            (None, true)
        }
        _ => (None, true),
    }
}

fn is_function(node: Node<'_>) -> bool {
    matches!(node.kind(), "arrow_function" | "function_expression" | "function" | "generator_function")
}

fn class<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (mut attributes, ..) = x.take_pending(node);
    let own: Vec<_> = node.children_by_field_name("decorator", &mut node.walk()).collect();
    attributes.extend(own.into_iter().map(|decorator| Attribute::of_text(x.text_of(decorator))));
    let name = match x.field(node, "name") {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    let public = x.exported.contains(&name);
    Scope::Type { name, public, contract: node.kind() == "interface_declaration", attributes }
}

fn function<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (attributes, start, start_line) = x.take_pending(node);
    let name = x.field(node, "name").to_owned();
    let public = x.in_public() && x.exported.contains(&name);
    let parameters = parameters(x, node);
    x.define(Definition {
        node,
        name,
        name_line: line_of(node),
        start,
        start_line,
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public,
        test: None,
        attributes,
    })
}

fn method<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (attributes, start, start_line) = x.take_pending(node);
    let name = x.field(node, "name").trim_matches(['"', '\'']).to_owned();
    let hidden = child_of_kind(node, "accessibility_modifier").is_some_and(|modifier| x.text_of(modifier) != "public");
    let public = !hidden && !name.starts_with(['#', '_']) && x.direct_type().is_some() && x.in_public();
    let parameters = parameters(x, node);
    x.define(Definition {
        node,
        name,
        name_line: line_of(node.child_by_field_name("name").unwrap_or(node)),
        start,
        start_line,
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public,
        test: None,
        attributes,
    })
}

/// `const f = () => ..`, `{ f: function () .. }`, `f = () => ..` in a class, `exports.f = ..`.
fn named_value<'t>(x: &mut Extraction<'t>, node: Node<'t>) {
    let side = |one: &str, other: &str| node.child_by_field_name(one).or_else(|| node.child_by_field_name(other));
    let Some(value) = side("value", "right").filter(|value| is_function(*value)) else { return };
    let Some(target) = side("name", "left").or_else(|| side("key", "property")) else { return };
    let written = x.text_of(target).trim_matches(['"', '\'']);
    let in_class = matches!(node.kind(), "public_field_definition" | "field_definition");
    let exported = written.starts_with("exports.") || written.starts_with("module.exports");
    let title = match written.strip_prefix("module.exports").or_else(|| written.strip_prefix("exports")) {
        Some("") => "default".to_owned(),
        Some(rest) if rest.starts_with('.') => rest[1..].to_owned(),
        _ => written.replace(".prototype.", "."),
    };
    let hidden = child_of_kind(node, "accessibility_modifier").is_some_and(|modifier| x.text_of(modifier) != "public");
    let public = if in_class {
        !hidden && !title.starts_with(['#', '_']) && x.in_public()
    } else {
        x.in_public() && node.kind() != "pair" && (exported || x.exported.contains(&title))
    };
    let declaration = node.parent().filter(|parent| {
        matches!(parent.kind(), "lexical_declaration" | "variable_declaration") && parent.named_child_count() == 1
    });
    let within = Some(declaration.unwrap_or(node));
    x.purposes.insert(value.id(), Purpose { title, test: None, group: false, within, public });
}

fn anonymous<'t>(x: &mut Extraction<'t>, node: Node<'t>, purpose: Purpose<'t>) -> Scope {
    if purpose.group {
        return Scope::Type { name: purpose.title, public: false, contract: false, attributes: Vec::new() };
    }
    let (attributes, start, start_line) = x.take_pending(purpose.within.unwrap_or(node));
    let parameters = parameters(x, node);
    x.define(Definition {
        node,
        name: purpose.title,
        name_line: purpose.within.map_or(start_line, line_of),
        start: start.start..node.end_byte(),
        start_line,
        holder: None,
        parameters,
        body: node.child_by_field_name("body"),
        public: purpose.public,
        test: purpose.test,
        attributes,
    })
}

/// `test("adds", () => ..)`, `it.each(..)("adds", ..)`, `describe("sums", ..)`.
fn test_call<'t>(x: &mut Extraction<'t>, node: Node<'t>, callee: Node<'t>) {
    let written = x.text_of(callee);
    let base = written.split(['.', '(']).next().unwrap_or_default();
    let group = matches!(base, "describe" | "suite" | "context");
    if !group && !matches!(base, "test" | "it" | "specify") {
        return;
    }
    let Some(arguments) = node.child_by_field_name("arguments") else { return };
    let arguments = named_children(arguments);
    let (Some(title), Some(body)) = (arguments.first(), arguments.iter().skip(1).find(|a| is_function(**a))) else {
        return;
    };
    let Some(title) = literal(*title, x.text) else { return };
    let kind = if written.contains(".prop(") { TestKind::Property } else { TestKind::Unit };
    let test = (!group).then_some(kind);
    x.purposes.insert(body.id(), Purpose { title, test, group, within: Some(node), public: false });
}

fn parameters(x: &Extraction<'_>, function: Node<'_>) -> Vec<Parameter> {
    let plain = |name: String| Parameter { name, kind: None, optional: false, variadic: false, keyword_only: false };
    if let Some(single) = function.child_by_field_name("parameter") {
        return vec![plain(x.text_of(single).to_owned())];
    }
    let Some(list) = function.child_by_field_name("parameters") else { return Vec::new() };
    let mut found = Vec::new();
    for node in named_children(list) {
        let pattern = match node.kind() {
            "comment" => continue,
            "assignment_pattern" => node.child_by_field_name("left"),
            "required_parameter" | "optional_parameter" => node.child_by_field_name("pattern"),
            _ => Some(node),
        };
        let name = folded(pattern.map(|pattern| x.text_of(pattern)).unwrap_or_default());
        let variadic = name.starts_with("...");
        let has_value = node.child_by_field_name("value").is_some();
        found.push(Parameter {
            kind: node.child_by_field_name("type").map(|kind| folded(x.text_of(kind).trim_start_matches(':'))),
            optional: variadic || has_value || matches!(node.kind(), "assignment_pattern" | "optional_parameter"),
            variadic,
            ..plain(name.trim_start_matches("...").to_owned())
        });
    }
    found
}

/// The names a module gives away, by `export` or by `module.exports`.
pub(super) fn exports(x: &mut Extraction<'_>, root: Node<'_>) {
    x.exported.push("default".to_owned());
    for node in named_children(root) {
        match node.kind() {
            "export_statement" => {
                for part in named_children(node) {
                    export(x, part);
                }
            }
            "expression_statement" => {
                if let Some(assignment) = child_of_kind(node, "assignment_expression") {
                    assigned_export(x, assignment);
                }
            }
            _ => {}
        }
    }
}

fn export(x: &mut Extraction<'_>, part: Node<'_>) {
    match part.kind() {
        "identifier" => x.exported.push(x.text_of(part).to_owned()),
        "export_clause" => {
            let names = named_children(part).into_iter().map(|s| x.field(s, "name").to_owned()).collect::<Vec<_>>();
            x.exported.extend(names);
        }
        "lexical_declaration" | "variable_declaration" => {
            let names = named_children(part).into_iter().map(|d| x.field(d, "name").to_owned()).collect::<Vec<_>>();
            x.exported.extend(names);
        }
        _ => {
            let name = x.field(part, "name").to_owned();
            x.exported.push(name);
        }
    }
}

fn assigned_export(x: &mut Extraction<'_>, assignment: Node<'_>) {
    let left = x.field(assignment, "left");
    if !left.starts_with("module.exports") && !left.starts_with("exports.") {
        return;
    }
    let Some(right) = assignment.child_by_field_name("right") else { return };
    let names: Vec<String> = match right.kind() {
        "object" => named_children(right)
            .into_iter()
            .map(|entry| entry.child_by_field_name("value").unwrap_or(entry))
            .map(|entry| x.text_of(entry).to_owned())
            .collect(),
        _ => vec![x.text_of(right).to_owned()],
    };
    let short = names.into_iter().filter(|name| name.len() < 200);
    x.exported.extend(short);
}
