//! Imports of Go files: what a file imports, and adding what is missing as gofmt would have it.

use std::collections::BTreeSet;

use backtrail_code::Parsed;
use backtrail_code::tree_sitter::Node;

use super::{line_start, named, next_line};

/// The path of an import and the name by which the file uses it.
pub(crate) fn imported(parsed: &Parsed) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for spec in specs(parsed) {
        let Some(path) = spec.child_by_field_name("path") else { continue };
        let path = parsed.text_of(path).trim_matches(['"', '`']).to_owned();
        let name = match spec.child_by_field_name("name") {
            Some(name) => parsed.text_of(name).to_owned(),
            None => usual_name(&path).to_owned(),
        };
        found.push((path, name));
    }
    found
}

/// The name of a package by its path: a version at the end, and `go-` before it, are no part of it.
fn usual_name(path: &str) -> &str {
    let mut parts = path.rsplit('/');
    let last = parts.next().unwrap_or(path);
    let is_version =
        last.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    let name = if is_version { parts.next().unwrap_or(last) } else { last };
    name.strip_prefix("go-").unwrap_or(name)
}

fn specs(parsed: &Parsed) -> Vec<Node<'_>> {
    let declarations = named(parsed.tree().root_node()).into_iter().filter(|node| node.kind() == "import_declaration");
    let mut found = Vec::new();
    for declaration in declarations {
        for node in named(declaration) {
            if node.kind() == "import_spec_list" { found.extend(named(node)) } else { found.push(node) }
        }
    }
    found.retain(|node| node.kind() == "import_spec");
    found
}

fn is_standard(path: &str) -> bool {
    !path.split('/').next().unwrap_or_default().contains('.')
}

/// Insertions that add what the file does not import yet, each in the group where it belongs.
///
/// # Errors
/// If the file imports something else by the same name, or has no list of imports.
pub(crate) fn with_imports(parsed: &Parsed, paths: &BTreeSet<String>) -> Result<Vec<(usize, String)>, String> {
    let known = imported(parsed);
    let missing: Vec<&String> = paths.iter().filter(|path| !known.iter().any(|(one, _)| one == *path)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if let Some((other, name)) = known.iter().find(|(_, name)| missing.iter().any(|path| usual_name(path) == name)) {
        return Err(format!("the file imports {other} as '{name}', which is needed for another package"));
    }
    let text = parsed.text();
    let all = specs(parsed);
    let listed: Vec<Node<'_>> =
        all.into_iter().filter(|spec| spec.parent().is_some_and(|list| list.kind() == "import_spec_list")).collect();
    let path_of = |spec: &Node<'_>| {
        spec.child_by_field_name("path").map_or("", |path| parsed.text_of(path)).trim_matches(['"', '`']).to_owned()
    };
    let Some(first) = listed.first() else { return without_list(parsed, &missing) };
    let indent = line_start(text, first.start_byte()).1;
    let mut added = Vec::new();
    for path in missing {
        let of_group = listed.iter().filter(|spec| is_standard(&path_of(spec)) == is_standard(path));
        let group: Vec<&Node<'_>> = of_group.collect();
        let line = format!("{indent}\"{path}\"\n");
        match (group.iter().find(|spec| path_of(spec) > *path), group.last()) {
            (Some(next), _) => added.push((line_start(text, next.start_byte()).0, line)),
            (None, Some(last)) => added.push((next_line(text, last.end_byte()), line)),
            (None, None) if is_standard(path) => {
                added.push((line_start(text, first.start_byte()).0, format!("{line}\n")));
            }
            (None, None) => {
                let last = listed.last().unwrap_or(first);
                added.push((next_line(text, last.end_byte()), format!("\n{line}")));
            }
        }
    }
    Ok(added)
}

/// A file whose imports are single statements, or that has none, gets further ones behind them.
fn without_list(parsed: &Parsed, missing: &[&String]) -> Result<Vec<(usize, String)>, String> {
    let root = named(parsed.tree().root_node());
    let last = root.iter().rev().find(|node| matches!(node.kind(), "import_declaration" | "package_clause"));
    let last = last.ok_or("the file has no package clause")?;
    let lines: String = missing.iter().map(|path| format!("import \"{path}\"\n")).collect();
    let text = if last.kind() == "package_clause" { format!("\n{lines}") } else { lines };
    Ok(vec![(next_line(parsed.text(), last.end_byte()), text)])
}

#[cfg(test)]
mod tests {
    use backtrail_code::{Language, parse};

    use super::super::Edits;
    use super::*;

    fn added(text: &str, paths: &[&str]) -> Result<String, String> {
        let parsed = parse(Language::Go, text).expect("parses");
        let mut edits = Edits::default();
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        for (at, line) in with_imports(&parsed, &paths)? {
            edits.insert(at, line);
        }
        Ok(edits.apply(text))
    }

    #[test]
    fn imports_are_added_to_their_group_in_order_and_once() {
        let text = "package a\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n\n\t\"shop.example/a/config\"\n)\n";
        let paths = ["context", "net/http", "time", "shop.example/a/flags"];
        let expected = "package a\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\t\"net/http\"\n\t\"time\"\n\n\t\"shop.example/a/config\"\n\t\"shop.example/a/flags\"\n)\n";
        assert_eq!(added(text, &paths).as_deref(), Ok(expected));
        let single = added("package a\n\nimport \"fmt\"\n\nvar x = 1\n", &["time"]);
        assert_eq!(single.as_deref(), Ok("package a\n\nimport \"fmt\"\nimport \"time\"\n\nvar x = 1\n"));
        let none = added("package a\n\nvar x = 1\n", &["time"]);
        assert_eq!(none.as_deref(), Ok("package a\n\nimport \"time\"\n\nvar x = 1\n"));
    }

    #[test]
    fn a_name_that_means_something_else_is_refused() {
        let why = added("package a\n\nimport (\n\t\"shop.example/time\"\n)\n", &["time"]).expect_err("taken");
        assert!(why.contains("shop.example/time as 'time'"), "{why}");
        assert_eq!((usual_name("a.b/go-redis/v9"), usual_name("math/rand/v2")), ("redis", "rand"));
    }
}
