//! Reference pages in Markdown, from the same schemas that editors use.

use std::fmt::Write as _;

use backtrail_model::signal::Signals;
use schemars::schema_for;
use serde_json::{Map, Value};

use crate::node::{Components, Kind, Scope};
use crate::service::Service;

/// Levels of settings inside settings that get a table.
const MAX_DEPTH: usize = 6;

/// A page and where it belongs below the folder of the reference, such as `receivers/otlp.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Relative path with `/`.
    pub path: String,
    /// Markdown.
    pub text: String,
}

/// All pages: one a component, `service.md` and an index.
pub fn pages(components: &Components) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut index = String::from("# Reference\n\nGenerated from the configuration structs; do not edit.\n");
    section("receivers", components.receivers, &mut index, &mut pages);
    section("processors", components.processors, &mut index, &mut pages);
    section("exporters", components.exporters, &mut index, &mut pages);
    index.push_str("\n## service\n\n- [service](service.md): what holds for the whole process\n");
    pages.push(Page { path: "service.md".to_owned(), text: service() });
    pages.push(Page { path: "README.md".to_owned(), text: index });
    pages
}

fn section<N: ?Sized>(name: &str, kinds: &[Kind<N>], index: &mut String, pages: &mut Vec<Page>) {
    let _ = writeln!(index, "\n## {name}\n");
    for kind in kinds {
        let _ = writeln!(index, "- [{0}]({name}/{0}.md): {1}", kind.name, kind.summary);
        pages.push(Page { path: format!("{name}/{}.md", kind.name), text: page(name, kind) });
    }
}

/// The page of one component; `section` is `receivers`, `processors` or `exporters`.
pub fn page<N: ?Sized>(section: &str, kind: &Kind<N>) -> String {
    let mut out = format!("# {}\n\n{}\n\n", kind.name, kind.summary);
    let _ = writeln!(out, "- section: `{section}`");
    if !kind.aliases.is_empty() {
        let _ = writeln!(out, "- also written: {}", code_list(kind.aliases));
    }
    if section == "processors" {
        let _ = writeln!(out, "- runs: {}", runs(kind.scope));
    }
    if let Ok(config) = (kind.parse)(Value::Null) {
        if section != "receivers" {
            let _ = writeln!(out, "- accepts (with defaults): {}", signals(config.accepts()));
        }
        if section != "exporters" {
            let _ = writeln!(out, "- emits (with defaults): {}", signals(config.emits()));
        }
    }
    out.push('\n');
    options(&(kind.schema)().to_value(), &(kind.defaults)(), &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn service() -> String {
    let mut out = String::from("# service\n\nWhat holds for the whole process.\n\n");
    let defaults = serde_json::to_value(Service::default()).unwrap_or_default();
    options(&schema_for!(Service).to_value(), &defaults, &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn runs(scope: Scope) -> &'static str {
    match scope {
        Scope::Stateless => "beside the receivers, any number of copies",
        Scope::Trace => "on shards, one copy each; all spans of a trace come to the same one",
        Scope::Global => "in the global thread, one copy; slices come in order",
    }
}

fn signals(signals: Signals) -> String {
    let names: Vec<&str> = signals.iter().map(backtrail_model::Signal::name).collect();
    if names.is_empty() { "nothing".to_owned() } else { code_list(&names) }
}

fn code_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The tables of a schema: its own settings first, then those of each struct inside.
fn options(root: &Value, defaults: &Value, out: &mut String) {
    let mut tables = vec![(String::new(), root.clone(), defaults.clone(), 0)];
    let mut any = false;
    while !tables.is_empty() {
        let (path, schema, defaults, depth) = tables.remove(0);
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { continue };
        if properties.is_empty() {
            continue;
        }
        any = true;
        let _ = writeln!(out, "## {}\n", if path.is_empty() { "Options".to_owned() } else { format!("`{path}`") });
        out.push_str("| name | type | default | meaning |\n|---|---|---|---|\n");
        let mut nested = Vec::new();
        for (name, property) in properties {
            let default = defaults.get(name).or_else(|| property.get("default"));
            row(root, name, property, default, out);
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if depth < MAX_DEPTH {
                structs(root, property, &below, default.cloned().unwrap_or_default(), depth + 1, &mut nested);
            }
        }
        out.push('\n');
        nested.append(&mut tables);
        tables = nested;
    }
    if !any {
        out.push_str("It has no options.\n");
    }
}

fn row(root: &Value, name: &str, property: &Value, default: Option<&Value>, out: &mut String) {
    let default = match default {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(_)) => "see below".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{}`", cell(text)),
        Some(other) => format!("`{}`", cell(&other.to_string())),
    };
    let own = property.get("description").and_then(Value::as_str);
    let meaning = own.or_else(|| resolved(root, property).get("description").and_then(Value::as_str)).unwrap_or("");
    let _ = writeln!(out, "| `{}` | {} | {default} | {} |", cell(name), kind_of(root, property, 0), cell(meaning));
}

/// Text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Follows a reference to its definition.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/"));
    match reference.and_then(|name| root.get("$defs")?.get(name)) {
        Some(definition) => definition,
        None => schema,
    }
}

/// The alternatives of a schema without null, which only says that the setting may be left out.
fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let list = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|key| schema.get(key)?.as_array());
    let null = |item: &&Value| resolved(root, item).get("type") == Some(&Value::from("null"));
    list.map(|list| list.iter().filter(|item| !null(item)).collect()).unwrap_or_default()
}

/// The type in words.
fn kind_of(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "see its type".to_owned();
    }
    if let Some(name @ ("Duration" | "ByteSize" | "Ratio" | "Secret")) =
        schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/"))
    {
        let words = [("Duration", "duration"), ("ByteSize", "size"), ("Ratio", "share"), ("Secret", "secret")];
        return words.iter().find(|(known, _)| *known == name).map_or("text", |(_, word)| word).to_owned();
    }
    let schema = resolved(root, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return code_list(&values);
    }
    if let Some(value) = schema.get("const").and_then(Value::as_str) {
        return format!("`{value}`");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => {
            let kinds: Vec<String> =
                alternatives(root, schema).iter().map(|item| variant(root, item, depth + 1)).collect();
            return if kinds.is_empty() { "any".to_owned() } else { kinds.join(", ") };
        }
    };
    match types.first() {
        Some(&"array") => match schema.get("items") {
            Some(items) => format!("list of {}", kind_of(root, items, depth + 1)),
            None => "list".to_owned(),
        },
        Some(&"object") => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("map of {}", kind_of(root, values, depth + 1)),
            _ => "map".to_owned(),
        },
        Some(&"integer") => "whole number".to_owned(),
        Some(&"boolean") => "true or false".to_owned(),
        Some(&"string") => "text".to_owned(),
        Some(other) => (*other).to_owned(),
        None => "any".to_owned(),
    }
}

/// One choice of several: a variant with settings shows its key.
fn variant(root: &Value, schema: &Value, depth: usize) -> String {
    match sole_property(resolved(root, schema)) {
        Some((key, _)) => format!("`{key}:`"),
        None => kind_of(root, schema, depth),
    }
}

/// The key and settings of an enum's variant.
fn sole_property(schema: &Value) -> Option<(&String, &Value)> {
    let properties: &Map<String, Value> = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    if properties.len() == 1 && required.len() == 1 { properties.iter().next() } else { None }
}

/// A table that is still to be written: its path, schema, defaults and depth.
type Pending = (String, Value, Value, usize);

/// The structs inside a setting, wherever they stand: behind references, options, lists, maps and variants.
fn structs(root: &Value, schema: &Value, path: &str, default: Value, depth: usize, out: &mut Vec<Pending>) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = resolved(root, schema);
    if let Some(items) = schema.get("items") {
        return structs(root, items, &format!("{path}[]"), Value::Null, depth + 1, out);
    }
    if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
        return structs(root, values, &format!("{path}.NAME"), Value::Null, depth + 1, out);
    }
    if schema.get("properties").is_some() {
        out.push((path.to_owned(), schema.clone(), default, depth));
        return;
    }
    for item in alternatives(root, schema) {
        match sole_property(resolved(root, item)) {
            Some((key, below)) => structs(root, below, &format!("{path}.{key}"), Value::Null, depth + 1, out),
            None => structs(root, item, path, default.clone(), depth + 1, out),
        }
    }
}
