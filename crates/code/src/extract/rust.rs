//! What Rust's nodes mean.

use tree_sitter::Node;

use super::{Definition, Extraction, Scope, Verdict, folded};
use crate::function::{Attribute, Parameter, TestKind};
use crate::routes;
use crate::walk::{Step, child_of_kind, line_of, named_children, walk};

pub(super) fn enter<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Verdict {
    match node.kind() {
        "attribute_item" => {
            x.pending.push((node, Attribute::of_text(x.text_of(node))));
            return (None, false);
        }
        "function_item" | "function_signature_item" => return (Some(function(x, node)), true),
        "impl_item" | "trait_item" => return (Some(holder(x, node)), true),
        "mod_item" => {
            x.pending.clear();
            return (Some(Scope::Namespace(x.field(node, "name").to_owned())), true);
        }
        "call_expression" => {
            if let Some(callee) = node.child_by_field_name("function") {
                x.call(callee, line_of(callee.child_by_field_name("field").unwrap_or(callee)));
                let found = routes::rust_call(x, node, callee);
                x.found.routes.extend(found);
            }
        }
        "macro_invocation" => {
            let name = x.field(node, "macro");
            let generates = name.ends_with("proptest") || name.ends_with("quickcheck");
            if let Some(tokens) = child_of_kind(node, "token_tree").filter(|_| generates) {
                generated_tests(x, tokens);
                return (None, false);
            }
        }
        "token_tree" => token_calls(x, node),
        kind if kind.ends_with("_item") || kind.ends_with("_declaration") => x.pending.clear(),
        _ => {}
    }
    (None, true)
}

fn holder<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (attributes, ..) = x.take_pending(node);
    let contract = node.kind() == "trait_item";
    if contract {
        let name = x.field(node, "name").to_owned();
        return Scope::Type { name, public: is_public(x, node), contract, attributes };
    }
    // What a trait demands is the trait's interface, so an implementation's methods are not counted again.
    let public = node.child_by_field_name("trait").is_none();
    let name = x.field(node, "type");
    let name = name.split('<').next().unwrap_or(name).rsplit("::").next().unwrap_or(name);
    Scope::Type { name: name.trim_start_matches(['&', ' ']).to_owned(), public, contract, attributes }
}

fn is_public(x: &Extraction<'_>, node: Node<'_>) -> bool {
    child_of_kind(node, "visibility_modifier").is_some_and(|visibility| x.text_of(visibility) == "pub")
}

fn function<'t>(x: &mut Extraction<'t>, node: Node<'t>) -> Scope {
    let (attributes, start, start_line) = x.take_pending(node);
    let by_contract = matches!(x.direct_type(), Some(Scope::Type { contract: true, .. }));
    let public = (by_contract || is_public(x, node)) && x.in_public();
    let test = attributes.iter().find_map(|attribute| match attribute.name() {
        "test" | "rstest" | "test_case" => Some(TestKind::Unit),
        "quickcheck" | "proptest" | "property_test" => Some(TestKind::Property),
        _ => None,
    });
    let parameters = node.child_by_field_name("parameters").map(|list| parameters(x, list)).unwrap_or_default();
    x.define(Definition {
        node,
        name: x.field(node, "name").to_owned(),
        name_line: line_of(node),
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
    for node in named_children(list) {
        let (name, kind) = match node.kind() {
            "self_parameter" => ("self".to_owned(), Some(folded(x.text_of(node)))),
            "parameter" => (folded(x.field(node, "pattern")), Some(folded(x.field(node, "type")))),
            _ => continue,
        };
        found.push(Parameter { name, kind, optional: false, variadic: false, keyword_only: false });
    }
    found
}

/// Inside a macro there are only tokens: a name before round brackets is taken for a call.
fn token_calls(x: &mut Extraction<'_>, tree: Node<'_>) {
    let tokens: Vec<_> = tree.children(&mut tree.walk()).collect();
    for (place, token) in tokens.iter().enumerate() {
        let Some(next) = tokens.get(place + 1) else { break };
        let called = token.kind() == "identifier" && next.kind() == "token_tree" && x.text_of(*next).starts_with('(');
        if !called {
            continue;
        }
        let mut first = place;
        while first >= 2
            && matches!(tokens[first - 1].kind(), "::" | ".")
            && matches!(tokens[first - 2].kind(), "identifier" | "self" | "crate" | "super")
        {
            first -= 2;
        }
        let callee: String = tokens[first..=place].iter().map(|token| x.text_of(*token)).collect();
        x.call_text(&callee, line_of(*token));
    }
}

/// Tokens between `fn` and the body of a test that are looked through.
const MAX_HEAD: usize = 64;

/// `proptest! { #[test] fn f(x in 0..9) { .. } }`: functions as tokens.
fn generated_tests<'t>(x: &mut Extraction<'t>, tree: Node<'t>) {
    let tokens: Vec<_> = tree.children(&mut tree.walk()).collect();
    let mut start = None;
    for (place, token) in tokens.iter().enumerate() {
        let text = x.text_of(*token);
        if text == "#" && start.is_none() {
            start = Some(*token);
        }
        let (Some(name), true) = (tokens.get(place + 1), text == "fn") else { continue };
        let body =
            tokens[place..].iter().take(MAX_HEAD).find(|t| t.kind() == "token_tree" && x.text_of(**t).starts_with('{'));
        let Some(body) = body else { continue };
        let first = start.take().unwrap_or(*token);
        let scope = x.define(Definition {
            node: *body,
            name: x.text_of(*name).to_owned(),
            name_line: line_of(*token),
            start: first.start_byte()..body.end_byte(),
            start_line: line_of(first),
            holder: None,
            parameters: Vec::new(),
            body: Some(*body),
            public: false,
            test: Some(TestKind::Property),
            attributes: Vec::new(),
        });
        x.scopes.push((body.id(), scope));
        walk(*body, |step| {
            if let Step::Enter(node, _) = step
                && node.kind() == "token_tree"
            {
                token_calls(x, node);
            }
            true
        });
        x.scopes.pop();
    }
}
