//! `${env:NAME}`, `${env:NAME:-default}` and `${file:path}` in values; `$$` is a dollar sign.

use std::path::{Path, PathBuf};

use super::report::Report;
use super::tree::{Node, Pos, Tree};
use super::yaml::resolve;

/// Bytes that one reference may fill in.
const MAX_BYTES: u64 = 1 << 20;
/// Defaults inside defaults.
const MAX_DEPTH: usize = 8;

/// What references are looked up in; a test brings its own.
pub(super) struct Sources<'a> {
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Relative paths of `${file:...}` start here: the folder of the configuration file.
    pub(super) folder: PathBuf,
}

/// Why a reference has no value.
struct Failure {
    /// Characters into the text.
    offset: usize,
    message: String,
    hint: String,
}

/// Fills in all references of the tree.
pub(super) fn expand(node: &mut Node, sources: &Sources<'_>, source_text: &str, report: &mut Report<'_>) {
    let at = node.at;
    match &mut node.value {
        Tree::Map(entries) => {
            for entry in entries {
                expand(&mut entry.node, sources, source_text, report);
            }
        }
        Tree::List(items) => {
            for item in items {
                expand(item, sources, source_text, report);
            }
        }
        Tree::Scalar(scalar) if at.source == 0 && scalar.text.contains('$') => {
            match filled(&scalar.text, sources, 0) {
                Ok(text) if text == scalar.text => {}
                Ok(text) => {
                    scalar.value = if scalar.plain { resolve(&text) } else { text.clone().into() };
                    scalar.written = Some(std::mem::replace(&mut scalar.text, text));
                }
                Err(failure) => {
                    let at = inside(at, &scalar.text, failure.offset, source_text);
                    report.problem(at, failure.message, failure.hint);
                    // Null means "default": the missing value causes no second message.
                    scalar.value = serde_json::Value::Null;
                }
            }
        }
        Tree::Scalar(_) => {}
    }
}

/// The place of a character of a scalar: exact when the text stands on one line as it is, else the scalar's start.
fn inside(at: Pos, text: &str, offset: usize, source_text: &str) -> Pos {
    let line = source_text.lines().nth(at.line - 1).unwrap_or_default();
    let from: String = line.chars().skip(at.column - 1).collect();
    let quoted = usize::from(from.starts_with(['"', '\'']));
    let shown: String = from.chars().skip(quoted).collect();
    if shown.starts_with(text) { Pos { column: at.column + quoted + offset, ..at } } else { at }
}

fn filled(text: &str, sources: &Sources<'_>, depth: usize) -> Result<String, Failure> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let offset = text[..text.len() - rest.len() + dollar].chars().count();
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or_else(|| Failure {
                offset,
                message: "this reference has no closing brace".to_owned(),
                hint: "write ${env:NAME}, or $${ for the characters ${ themselves".to_owned(),
            })?;
            out.push_str(&value(&inner[..end], sources, depth).map_err(|mut failure| {
                failure.offset = offset;
                failure
            })?);
            rest = &inner[end + 1..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The brace that ends a reference; a default may hold references of its own.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(index),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn failure(message: String, hint: impl Into<String>) -> Failure {
    Failure { offset: 0, message, hint: hint.into() }
}

fn value(reference: &str, sources: &Sources<'_>, depth: usize) -> Result<String, Failure> {
    if depth >= MAX_DEPTH {
        return Err(failure("too many references inside each other".to_owned(), "write the default as plain text"));
    }
    if let Some(path) = reference.strip_prefix("file:") {
        return file(path, &sources.folder);
    }
    // otelcol also takes ${NAME} for ${env:NAME}.
    let (name, default) = match reference.strip_prefix("env:").unwrap_or(reference).split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference.strip_prefix("env:").unwrap_or(reference), None),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        return Err(failure(
            format!("reference '${{{reference}}}' is unknown"),
            "write ${env:NAME}, ${env:NAME:-default} or ${file:path}, or $${ for the characters ${ themselves",
        ));
    }
    match ((sources.env)(name), default) {
        // As in a shell, ":-" also replaces an empty value.
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => filled(default, sources, depth + 1),
        (None, None) => Err(failure(
            format!("environment variable '{name}' is not set"),
            format!("set it, or write a default: ${{env:{name}:-value}}"),
        )),
    }
}

fn file(path: &str, folder: &Path) -> Result<String, Failure> {
    use std::io::Read as _;

    let full = folder.join(path);
    let mut text = String::new();
    let read = std::fs::File::open(&full).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(failure(
            format!("file '{path}' cannot be read: {}", super::io_reason(&error)),
            "relative paths start at the folder of the configuration",
        )),
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            Err(failure(format!("file '{path}' is larger than 1MiB"), "a reference fills in one value"))
        }
        Ok(_) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
    }
}
