//! What a service has already to switch and to watch its code: a client of feature flags, spans, counters, a log. Nothing
//! is brought in that it does not have.

use std::collections::BTreeSet;

use backtrail_code::{Language, Parsed, parse};
use backtrail_policy::{FileKind, kind_of};

use super::imports::{Import, import_lines, module_of};
use super::{Target, callee, is_dotted, named, own};
use crate::context::Context;

/// How the service's code asks for flags and tells what it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Instruments {
    /// The flag client: `flags.client`.
    pub(crate) client: String,
    /// The statement that makes the client's first name known.
    pub(crate) client_import: String,
    /// The current span: `telemetry.current_span()`.
    pub(crate) span: String,
    /// Makes a counter of a name: `telemetry.counter`.
    pub(crate) counter: String,
    /// The logger's name.
    pub(crate) log: String,
    /// Statements that the suspect's file needs.
    pub(crate) imports: BTreeSet<String>,
    /// Definitions that it needs.
    pub(crate) setup: String,
}

/// An expression that is known once an import is there; none when the file itself binds its first name.
struct Known {
    expression: String,
    import: Option<String>,
}

impl Instruments {
    /// Of the service, as the suspect's file would use them; says all that is missing.
    pub(crate) fn find(context: &Context, target: &Target<'_>) -> Result<Self, String> {
        let client = flag_client(context, target);
        let span = instrument(context, target, &["current_span", "get_current_span"])
            .map(|known| Known { expression: format!("{}()", known.expression), ..known });
        let span = span.or_else(|| opentelemetry(context, "trace", "trace.get_current_span()"));
        let counter = instrument(context, target, &["counter", "create_counter"])
            .or_else(|| opentelemetry(context, "metrics", "metrics.get_meter(__name__).create_counter"));
        let (client, span, counter) = match (client, span, counter) {
            (Some(client), Some(span), Some(counter)) => (client, span, counter),
            (client, span, counter) => {
                let lacks = [
                    (client.is_none(), "a client of feature flags (get_boolean_value)"),
                    (span.is_none(), "a way to the current span"),
                    (counter.is_none(), "a counter"),
                ];
                let lacks: Vec<&str> = lacks.iter().filter(|(lacks, _)| *lacks).map(|(_, what)| *what).collect();
                let lacks = lacks.join(", ");
                return Err(format!("the service has none of these, and code without them is not added: {lacks}"));
            }
        };
        let root = client.expression.split('.').next().unwrap_or_default();
        let own_module = format!("from {} import {root}", module_of(context, target.path));
        let client_import = client.import.clone().unwrap_or(own_module);
        let mut imports: BTreeSet<String> =
            [client.import, span.import, counter.import].into_iter().flatten().collect();
        let (log, setup) = match logger(target.parsed) {
            Some(log) => (log, String::new()),
            None if target.parsed.text().contains("\nlog = ") => {
                return Err("the suspect's file has a 'log' that is no logger of the standard library".into());
            }
            None => {
                imports.insert("import logging".into());
                ("log".to_owned(), "log = logging.getLogger(__name__)\n".to_owned())
            }
        };
        let (client, span, counter) = (client.expression, span.expression, counter.expression);
        Ok(Self { client, client_import, span, counter, log, imports, setup })
    }
}

/// Python files of the service that are no tests, the suspect's first.
fn files<'a>(context: &'a Context, target: &Target<'a>) -> Vec<(&'a str, &'a Parsed)> {
    let of_service = context.sources.iter().map(|(path, parsed)| (path.as_str(), parsed));
    let others = of_service.filter(|(path, parsed)| {
        *path != target.path && parsed.language() == Language::Python && kind_of(path) == FileKind::Source
    });
    std::iter::once((target.path, target.parsed)).chain(others).collect()
}

fn flag_client(context: &Context, target: &Target<'_>) -> Option<Known> {
    used(context, target, |callee| callee.strip_suffix(".get_boolean_value").map(str::to_owned))
}

/// Something that a call names, if the suspect's file can get at it in the same way.
fn used(context: &Context, target: &Target<'_>, is: impl Fn(&str) -> Option<String>) -> Option<Known> {
    for (path, parsed) in files(context, target) {
        let calls = every(parsed).into_iter().filter(|node| node.kind() == "call");
        for expression in calls.filter_map(|call| is(callee(parsed, call))).filter(|text| is_dotted(text)) {
            let root = expression.split('.').next().unwrap_or_default();
            if let Some(import) = import_lines(path, parsed).into_iter().find(|import| import.name == root) {
                return Some(Known { expression, import: Some(import.line) });
            }
            if assigned(parsed, root) {
                let import = (path != target.path).then(|| format!("from {} import {root}", module_of(context, path)));
                return Some(Known { expression, import });
            }
        }
    }
    None
}

/// A function of one of these names that the service calls, or that a module which it imports defines.
fn instrument(context: &Context, target: &Target<'_>, names: &[&str]) -> Option<Known> {
    let called = used(context, target, |callee| {
        let name = callee.rsplit('.').next()?;
        (names.contains(&name) && callee.contains('.')).then(|| callee.to_owned())
    });
    called.or_else(|| {
        for (path, parsed) in files(context, target) {
            for import in import_lines(path, parsed) {
                let Some(found) = names.iter().find(|name| defines(context, &import, name)) else { continue };
                let expression = format!("{}.{found}", import.name);
                return Some(Known { expression, import: Some(import.line) });
            }
        }
        None
    })
}

/// Whether an imported name is a module of the repository with such a function.
fn defines(context: &Context, import: &Import, function: &str) -> bool {
    if import.line == format!("import {}", import.what) && import.what.contains('.') {
        return false;
    }
    let path = format!("{}.py", import.what.replace('.', "/"));
    let Some(text) = context.text_at(&context.commit, &path) else { return false };
    let Ok(parsed) = parse(Language::Python, text) else { return false };
    parsed.functions().iter().any(|one| one.qualified == function)
}

/// OpenTelemetry's API, if the service imports this part of it.
fn opentelemetry(context: &Context, part: &str, expression: &str) -> Option<Known> {
    let line = format!("from opentelemetry import {part}");
    let python = context.sources.iter().filter(|(_, parsed)| parsed.language() == Language::Python);
    let imports = python.flat_map(|(path, parsed)| import_lines(path, parsed)).any(|import| import.line == line);
    imports.then(|| Known { expression: expression.to_owned(), import: Some(line) })
}

/// The name of the file's logger of the standard library.
fn logger(parsed: &Parsed) -> Option<String> {
    let top = named(parsed.tree().root_node()).into_iter().filter(|node| node.kind() == "expression_statement");
    let mut assignments = top.filter_map(|node| named(node).into_iter().find(|inner| inner.kind() == "assignment"));
    assignments.find_map(|assignment| {
        let right = parsed.text_of(assignment.child_by_field_name("right")?);
        let name = parsed.text_of(assignment.child_by_field_name("left")?);
        (right.starts_with("logging.getLogger(") && is_dotted(name)).then(|| name.to_owned())
    })
}

fn assigned(parsed: &Parsed, name: &str) -> bool {
    named(parsed.tree().root_node()).into_iter().any(|statement| {
        named(statement).into_iter().any(|inner| {
            let left = inner.child_by_field_name("left").filter(|_| inner.kind() == "assignment");
            left.is_some_and(|left| parsed.text_of(left) == name)
        })
    })
}

/// All nodes of a file.
fn every(parsed: &Parsed) -> Vec<backtrail_code::tree_sitter::Node<'_>> {
    let (mut found, mut open) = (Vec::new(), vec![parsed.tree().root_node()]);
    while let Some(root) = open.pop() {
        let nodes = own(root);
        let nested = nodes
            .iter()
            .skip(1)
            .filter(|node| matches!(node.kind(), "function_definition" | "class_definition" | "lambda"));
        open.extend(nested);
        found.extend(nodes);
    }
    found
}
