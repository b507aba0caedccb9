//! What a Go service has already to switch and to watch its code: a client of feature flags, spans, counters. Nothing is
//! brought in that it does not have; `log/slog` is in the standard library.

use std::collections::BTreeSet;

use backtrail_code::tree_sitter::Node;
use backtrail_code::{Language, Parsed};
use backtrail_policy::{FileKind, kind_of};

use super::{Target, callee, folder, imported, is_dotted, named, receiver};
use crate::context::Context;

const OPEN_FEATURE: &str = "github.com/open-feature/go-sdk/openfeature";
const OTEL: &str = "go.opentelemetry.io/otel";
const OTEL_TRACE: &str = "go.opentelemetry.io/otel/trace";
const OTEL_ATTRIBUTE: &str = "go.opentelemetry.io/otel/attribute";
const PROMAUTO: &str = "github.com/prometheus/client_golang/prometheus/promauto";
const PROMETHEUS: &str = "github.com/prometheus/client_golang/prometheus";
/// Names by which services call their own way to the current span.
const SPANS: [&str; 4] = ["SpanFromContext", "CurrentSpan", "FromContext", "SpanFrom"];

/// How the service asks for flags and tells what it does, as the suspect's file would.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Instruments {
    flag: Flag,
    span: Span,
    counter: Counter,
    /// Whether asking for the flag takes the receiver.
    pub(crate) takes_receiver: bool,
    /// Paths that the suspect's file must import.
    pub(crate) imports: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Flag {
    OpenFeature {
        service: String,
    },
    /// A call of the service's own: its text with [`NAME`] and [`CONTEXT`] where these go.
    Own {
        call: String,
    },
}

/// Stand for the flag's name and for the context in [`Flag::Own`]: no Go text holds them.
const NAME: &str = "\u{1}";
const CONTEXT: &str = "\u{2}";

#[derive(Clone, PartialEq, Eq, Debug)]
enum Span {
    OpenTelemetry,
    /// `trace.FromContext`, whose result has `SetAttribute`.
    Own {
        function: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Counter {
    OpenTelemetry { service: String },
    Expvar,
    Prometheus,
}

/// Something that was found, with the imports that it needs.
struct Known<T> {
    what: T,
    imports: Vec<String>,
}

impl Instruments {
    /// Of the service; says all that is missing.
    pub(crate) fn find(context: &Context, target: &Target<'_>) -> Result<Self, String> {
        let service = &context.request.suspect_ref.entity.service;
        let files = files(context);
        let flag =
            open_feature(&files, service).map(|known| (known, false)).or_else(|| own_flag(context, &files, target));
        let span = opentelemetry_span(&files).or_else(|| own_span(context, &files, target));
        let counter = counter(&files, service);
        let (Some((flag, takes_receiver)), Some(span), Some(counter)) = (&flag, &span, &counter) else {
            let lacks = [
                (flag.is_none(), "a client of feature flags"),
                (span.is_none(), "a way to the current span"),
                (counter.is_none(), "a counter"),
            ];
            let lacks: Vec<&str> = lacks.iter().filter(|(lacks, _)| *lacks).map(|(_, what)| *what).collect();
            let lacks = lacks.join(", ");
            return Err(format!("the service has none of these, and code without them is not added: {lacks}"));
        };
        let imports = flag.imports.iter().chain(&span.imports).chain(&counter.imports).cloned();
        Ok(Self {
            flag: flag.what.clone(),
            span: span.what.clone(),
            counter: counter.what.clone(),
            takes_receiver: *takes_receiver,
            imports: imports.chain(["log/slog".to_owned()]).collect(),
        })
    }

    /// The body of a function that asks for the flag named by a constant; `ctx` is the context.
    pub(crate) fn asks(&self, constant: &str) -> String {
        match &self.flag {
            Flag::OpenFeature { service } => format!(
                "    on, err := openfeature.NewClient(\"{service}\").BooleanValue(ctx, {constant}, false, openfeature.EvaluationContext{{}})\n    return err == nil && on\n"
            ),
            Flag::Own { call } => format!("    return {}\n", call.replace(NAME, constant).replace(CONTEXT, "ctx")),
        }
    }

    /// Statements that put the flag and its value on the current span.
    pub(crate) fn marks(&self, constant: &str) -> String {
        match &self.span {
            Span::OpenTelemetry => format!(
                "    trace.SpanFromContext(ctx).SetAttributes(\n        attribute.String(\"feature_flag.key\", {constant}),\n        attribute.Bool(\"feature_flag.result.value\", on),\n    )\n"
            ),
            Span::Own { function } => {
                format!("    {function}(ctx).SetAttribute(\"feature_flag.key\", {constant})\n")
            }
        }
    }

    /// A counter as a variable of the package.
    pub(crate) fn counter(&self, variable: &str, name: &str) -> String {
        match &self.counter {
            Counter::OpenTelemetry { service } => {
                format!("var {variable}, _ = otel.Meter(\"{service}\").Int64Counter(\"{name}\")\n")
            }
            Counter::Expvar => format!("var {variable} = expvar.NewInt(\"{}\")\n", underlined(name)),
            Counter::Prometheus => format!(
                "var {variable} = promauto.NewCounter(prometheus.CounterOpts{{Name: \"{}_total\"}})\n",
                underlined(name)
            ),
        }
    }

    /// The statement that counts one.
    pub(crate) fn counts(&self, variable: &str) -> String {
        match &self.counter {
            Counter::OpenTelemetry { .. } => format!("{variable}.Add(ctx, 1)"),
            Counter::Expvar => format!("{variable}.Add(1)"),
            Counter::Prometheus => format!("{variable}.Inc()"),
        }
    }
}

fn underlined(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Go files of the service that are no tests.
fn files(context: &Context) -> Vec<(&str, &Parsed)> {
    let go = context
        .sources
        .iter()
        .filter(|(path, parsed)| parsed.language() == Language::Go && kind_of(path) == FileKind::Source);
    go.map(|(path, parsed)| (path.as_str(), parsed)).collect()
}

fn imports(files: &[(&str, &Parsed)], path: &str) -> bool {
    files.iter().any(|(_, parsed)| imported(parsed).iter().any(|(one, _)| one == path))
}

fn calls(files: &[(&str, &Parsed)], ending: &str) -> bool {
    files.iter().any(|(_, parsed)| parsed.calls().iter().any(|call| call.callee.ends_with(ending)))
}

fn open_feature(files: &[(&str, &Parsed)], service: &str) -> Option<Known<Flag>> {
    let asks = calls(files, ".BooleanValue") || calls(files, ".Boolean");
    let known = Known { what: Flag::OpenFeature { service: service.to_owned() }, imports: vec![OPEN_FEATURE.into()] };
    (imports(files, OPEN_FEATURE) && asks).then_some(known)
}

fn opentelemetry_span(files: &[(&str, &Parsed)]) -> Option<Known<Span>> {
    let both = imports(files, OTEL_TRACE) && imports(files, OTEL_ATTRIBUTE);
    both.then(|| Known { what: Span::OpenTelemetry, imports: vec![OTEL_TRACE.into(), OTEL_ATTRIBUTE.into()] })
}

fn counter(files: &[(&str, &Parsed)], service: &str) -> Option<Known<Counter>> {
    if imports(files, OTEL) && calls(files, ".Int64Counter") {
        return Some(Known { what: Counter::OpenTelemetry { service: service.into() }, imports: vec![OTEL.into()] });
    }
    if imports(files, PROMETHEUS) && imports(files, PROMAUTO) {
        return Some(Known { what: Counter::Prometheus, imports: vec![PROMETHEUS.into(), PROMAUTO.into()] });
    }
    calls(files, "expvar.NewInt").then(|| Known { what: Counter::Expvar, imports: vec!["expvar".into()] })
}

/// A call of the service's own that asks for a flag of its flags file by name and gives a `bool`.
fn own_flag(context: &Context, files: &[(&str, &Parsed)], target: &Target<'_>) -> Option<(Known<Flag>, bool)> {
    let flags = flags(context);
    for (path, parsed) in files {
        for call in every(parsed).into_iter().filter(|node| node.kind() == "call_expression") {
            let called = callee(parsed, call);
            let Some(list) = call.child_by_field_name("arguments") else { continue };
            let Some(arguments) = template(parsed, &named(list), &flags) else { continue };
            if !is_dotted(called) || !gives_bool(files, called.rsplit('.').next().unwrap_or_default()) {
                continue;
            }
            if let Some((expression, takes_receiver, imports)) = reached(context, (path, parsed, call), called, target)
            {
                let call = format!("{expression}({})", arguments.join(", "));
                return Some((Known { what: Flag::Own { call }, imports }, takes_receiver));
            }
        }
    }
    None
}

/// Names of flags in flags files of the service.
fn flags(context: &Context) -> BTreeSet<String> {
    let settings = context.configs.iter().flat_map(|config| &config.settings);
    let name = |keys: &[String]| match keys {
        [flags, name, last] if flags == "flags" && last == "defaultVariant" => Some(name.clone()),
        _ => None,
    };
    settings.filter_map(|setting| name(&setting.keys)).collect()
}

/// The arguments with the flag's name and the context replaced, and a default that is off; none for other calls.
fn template(parsed: &Parsed, arguments: &[Node<'_>], flags: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut template = Vec::new();
    for argument in arguments {
        let text = parsed.text_of(*argument);
        template.push(match argument.kind() {
            "interpreted_string_literal" if flags.contains(text.trim_matches('"')) => NAME.to_owned(),
            "false" | "true" => "false".to_owned(),
            _ if text == "ctx" || text.ends_with(".Context()") => CONTEXT.to_owned(),
            _ => return None,
        });
    }
    (template.iter().filter(|one| *one == NAME).count() == 1).then_some(template)
}

/// Whether the one function of this name gives a `bool` and nothing else.
fn gives_bool(files: &[(&str, &Parsed)], name: &str) -> bool {
    let mut results = Vec::new();
    for (_, parsed) in files {
        for (place, _) in parsed.functions().iter().enumerate().filter(|(_, function)| function.name == name) {
            let node = parsed.node_of(place);
            let result = node.and_then(|node| node.child_by_field_name("result"));
            results.push(result.map_or("", |result| parsed.text_of(result)));
        }
    }
    !results.is_empty() && results.iter().all(|result| *result == "bool")
}

/// The callee as the suspect function can write it: the expression, whether it begins with the receiver, the imports.
fn reached(
    context: &Context,
    (path, parsed, call): (&str, &Parsed, Node<'_>),
    called: &str,
    target: &Target<'_>,
) -> Option<(String, bool, Vec<String>)> {
    let (root, rest) = called.split_once('.').unwrap_or((called, ""));
    let place = parsed.function_at(call.start_position().row as u32 + 1);
    let at = place.map(|place| Target { path: "", parsed, place });
    let same_package = folder(path) == folder(target.path);
    if let (Some((name, kind)), Some((own, own_kind))) = (at.as_ref().and_then(receiver), receiver(target)) {
        let same = kind.trim_start_matches('*') == own_kind.trim_start_matches('*');
        if root == name && same && same_package && !rest.is_empty() {
            return Some((format!("{own}.{rest}"), true, Vec::new()));
        }
    }
    let locals = at.is_some_and(|at| at.parsed.functions()[at.place].parameters.iter().any(|one| one.name == root));
    if locals {
        return None;
    }
    if let Some((import, _)) = imported(parsed).into_iter().find(|(_, name)| name == root) {
        return Some((called.to_owned(), false, vec![import]));
    }
    let defines = |text: &str| {
        ["var ", "func "].iter().any(|word| {
            text.lines().any(|line| {
                line.strip_prefix(word).is_some_and(|rest| {
                    rest.strip_prefix(root)
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                })
            })
        })
    };
    let here = context.sources.iter().filter(|(one, parsed)| {
        folder(one) == folder(path) && parsed.language() == Language::Go && kind_of(one) == FileKind::Source
    });
    let package_level = same_package && here.into_iter().any(|(_, parsed)| defines(parsed.text()));
    package_level.then(|| (called.to_owned(), false, Vec::new()))
}

/// A function of the repository's own that gives the current span, whose type has `SetAttribute` of two arguments.
fn own_span(context: &Context, files: &[(&str, &Parsed)], target: &Target<'_>) -> Option<Known<Span>> {
    for (path, parsed) in files {
        let sets = files.iter().filter(|(one, _)| folder(one) == folder(path)).any(|(_, parsed)| {
            parsed.functions().iter().any(|one| one.name == "SetAttribute" && one.parameters.len() == 2)
        });
        let takes_context = |function: &&backtrail_code::Function| {
            let [only] = function.parameters.as_slice() else { return false };
            SPANS.contains(&function.name.as_str()) && only.kind.as_deref() == Some("context.Context")
        };
        let Some(function) = parsed.functions().iter().find(takes_context).filter(|_| sets) else { continue };
        if folder(path) == folder(target.path) {
            return Some(Known { what: Span::Own { function: function.name.clone() }, imports: Vec::new() });
        }
        // As another file of the service imports that package.
        let of_package = |(import, _): &(String, String)| {
            let folder = folder(path);
            import.strip_suffix(folder).is_some_and(|head| head.is_empty() || head.ends_with('/'))
        };
        let import = context.sources.values().filter(|parsed| parsed.language() == Language::Go);
        let import = import.flat_map(imported).find(of_package);
        if let Some((import, name)) = import {
            let function = format!("{name}.{}", function.name);
            return Some(Known { what: Span::Own { function }, imports: vec![import] });
        }
    }
    None
}

/// All nodes of a file.
fn every(parsed: &Parsed) -> Vec<Node<'_>> {
    let (mut found, mut open) = (Vec::new(), vec![parsed.tree().root_node()]);
    while let Some(node) = open.pop() {
        found.push(node);
        let mut children = named(node);
        children.reverse();
        open.append(&mut children);
    }
    found
}
