//! Parts of generated tests.

use std::collections::BTreeSet;

/// Statements of a function; the last one gets a word before it.
pub(crate) fn body(lines: &[String], last: &str) -> String {
    let end = lines.len().saturating_sub(1);
    let line = |(n, line): (usize, &String)| format!("    {}{line}\n", if n == end { last } else { "" });
    lines.iter().enumerate().map(line).collect()
}

/// The object and the attribute by which a test replaces what the suspect calls.
pub(crate) fn place_of(callee: &str, on_object: bool) -> (String, String) {
    let (holder, name) = callee.rsplit_once('.').unwrap_or(("", callee));
    let on = match holder.strip_prefix("self").filter(|rest| on_object && (rest.is_empty() || rest.starts_with('.'))) {
        Some(rest) => format!("subject{rest}"),
        None if holder.is_empty() => "suspect".to_owned(),
        None => format!("suspect.{holder}"),
    };
    (on, name.to_owned())
}

/// Imports of the standard library, then the others.
pub(crate) fn split_imports(imports: &BTreeSet<String>, own: &[&str]) -> (String, String) {
    let standard = |line: &&String| {
        let module = line.split(' ').nth(1).unwrap_or_default().split('.').next().unwrap_or_default();
        ["contextlib", "json", "threading", "types", "socket", "io", "os", "logging"].contains(&module)
    };
    let mut plain: BTreeSet<String> = own.iter().map(|line| (*line).to_owned()).collect();
    plain.extend(imports.iter().filter(|line| line.starts_with("import ")).filter(standard).cloned());
    let given = |line: &&String| !plain.contains(*line) && *line != "import pytest";
    let from: String = imports.iter().filter(given).map(|line| format!("{line}\n")).collect();
    let mut sorted: Vec<String> = plain.iter().cloned().collect();
    sorted.sort_by_key(|line| (line.starts_with("from "), line.clone()));
    (sorted.iter().map(|line| format!("{line}\n")).collect(), from)
}
