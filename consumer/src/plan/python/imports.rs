//! Imports of Python files: what a name stands for, and adding what is missing.

use std::collections::BTreeSet;

use backtrail_code::{Language, Parsed};

use super::{Style, named, next_line};
use crate::context::Context;

/// A name that a file imports.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Import {
    /// The name that it binds.
    pub(crate) name: String,
    /// The statement that binds this name alone, with the module in full.
    pub(crate) line: String,
    /// What it stands for: `shop.flags`.
    pub(crate) what: String,
}

/// What the file imports at its top.
pub(crate) fn import_lines(path: &str, parsed: &Parsed) -> Vec<Import> {
    let mut found = Vec::new();
    for statement in named(parsed.tree().root_node()) {
        match statement.kind() {
            "import_statement" => {
                for item in named(statement) {
                    let text = parsed.text_of(item);
                    let (what, name) = match text.split_once(" as ") {
                        Some((what, name)) => (what.trim(), name.trim()),
                        None => (text, text.split('.').next().unwrap_or(text)),
                    };
                    let (name, what) = (name.to_owned(), what.to_owned());
                    found.push(Import { name, line: format!("import {text}"), what });
                }
            }
            "import_from_statement" => {
                let Some(module) = statement.child_by_field_name("module_name") else { continue };
                let Some(from) = absolute(path, parsed.text_of(module)) else { continue };
                for item in named(statement).into_iter().filter(|item| *item != module) {
                    let text = parsed.text_of(item);
                    let (what, name) = text.split_once(" as ").unwrap_or((text, text));
                    let what = format!("{from}.{}", what.trim());
                    found.push(Import { name: name.trim().into(), line: format!("from {from} import {text}"), what });
                }
            }
            _ => {}
        }
    }
    found
}

/// A module's name without leading dots.
fn absolute(path: &str, module: &str) -> Option<String> {
    let rest = module.trim_start_matches('.');
    let dots = module.len() - rest.len();
    if dots == 0 {
        return Some(module.to_owned());
    }
    let mut folders: Vec<&str> = path.split('/').collect();
    // One dot is the folder of the file.
    for _ in 0..dots {
        folders.pop()?;
    }
    let folders: Vec<&str> = folders.into_iter().skip_while(|folder| *folder == "src").collect();
    let parts = folders.into_iter().chain((!rest.is_empty()).then_some(rest));
    Some(parts.collect::<Vec<_>>().join("."))
}

/// The name by which the service's own files import a file.
pub(crate) fn module_of(context: &Context, path: &str) -> String {
    let stem = path.strip_suffix(".py").unwrap_or(path);
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let parts: Vec<&str> = stem.split('/').collect();
    let python = context.sources.iter().filter(|(_, parsed)| parsed.language() == Language::Python);
    let used: BTreeSet<String> =
        python.flat_map(|(path, parsed)| import_lines(path, parsed)).map(|import| import.what).collect();
    let is_used = |name: &String| {
        used.iter()
            .any(|what| what == name || what.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    let names = (0..parts.len()).map(|from| parts[from..].join("."));
    let whole = parts.iter().copied().skip_while(|part| *part == "src").collect::<Vec<_>>().join(".");
    names.into_iter().find(is_used).unwrap_or(whole)
}

/// The text with statements added that it does not have yet: plain imports in alphabetical order among the plain ones at
/// its top, the others behind all.
pub(crate) fn with_imports(
    parsed: &Parsed,
    path: &str,
    lines: &BTreeSet<String>,
) -> Result<Vec<(usize, String)>, String> {
    let known: BTreeSet<String> = import_lines(path, parsed).into_iter().map(|import| import.line).collect();
    let (text, style) = (parsed.text(), Style::of(parsed.text()));
    let top: Vec<_> = named(parsed.tree().root_node())
        .into_iter()
        .skip_while(|node| node.kind() == "expression_statement")
        .take_while(|node| {
            matches!(node.kind(), "import_statement" | "import_from_statement" | "future_import_statement")
        })
        .collect();
    let mut added = Vec::new();
    for line in lines.iter().filter(|line| !known.contains(*line)) {
        let is_plain = line.starts_with("import ");
        let mut plain = top.iter().filter(|node| node.kind() == "import_statement");
        let next = plain.clone().find(|node| parsed.text_of(**node) > line.as_str()).filter(|_| is_plain);
        let at = if let Some(next) = next {
            next.start_byte()
        } else {
            let last = if is_plain { plain.next_back() } else { None };
            let last = last.or(top.last()).ok_or("the file imports nothing: it is not clear where imports go")?;
            next_line(text, last.end_byte())
        };
        added.push((at, style.dress("", line)));
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use backtrail_code::parse;

    use super::*;
    use crate::plan::python::Edits;

    #[test]
    fn names_are_known_with_their_modules_in_full() {
        let text = "import a.b\nfrom shop import flags, web as w\nfrom .pool import Pool\nfrom . import x\n";
        let parsed = parse(Language::Python, text).expect("parses");
        let found = import_lines("services/pay/bank.py", &parsed);
        let whats: Vec<(&str, &str)> = found.iter().map(|one| (one.name.as_str(), one.what.as_str())).collect();
        let expected = [
            ("a", "a.b"),
            ("flags", "shop.flags"),
            ("w", "shop.web"),
            ("Pool", "services.pay.pool.Pool"),
            ("x", "services.pay.x"),
        ];
        assert_eq!(whats, expected);
        assert_eq!(found[3].line, "from services.pay.pool import Pool");
    }

    #[test]
    fn imports_are_added_in_order_and_once() {
        let text = "\"\"\"Doc.\"\"\"\n\nimport logging\nimport time\n\nfrom shop import web\n\nx = 1\n";
        let parsed = parse(Language::Python, text).expect("parses");
        let lines = ["import random", "import time", "import uuid", "from shop import flags"];
        let lines = lines.into_iter().map(str::to_owned).collect();
        let mut edits = Edits::default();
        for (at, line) in with_imports(&parsed, "a.py", &lines).expect("there is a place") {
            edits.insert(at, line);
        }
        let expected = "\"\"\"Doc.\"\"\"\n\nimport logging\nimport random\nimport time\nimport uuid\n\nfrom shop import web\nfrom shop import flags\n\nx = 1\n";
        assert_eq!(edits.apply(text), expected);
    }
}
