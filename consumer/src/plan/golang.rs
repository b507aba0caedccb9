//! Go for recipes that change code: what a function has at hand, what a package says of a name, and the test beside it.

mod imports;
mod instruments;
mod reach;

use backtrail_code::tree_sitter::Node;
use backtrail_code::{Language, Parsed};
use backtrail_policy::{FileKind, kind_of};

pub(super) use super::code::{Edits, Target, callee, is_dotted, line_start, named, next_line, own};
pub(super) use imports::{imported, with_imports};
pub(super) use instruments::Instruments;
pub(super) use reach::Reach;

use crate::context::{Context, has_word};

/// The oldest Go whose standard library has all that is generated: `log/slog`, `min`, and chance that needs no seed.
const OLDEST: (u32, u32) = (1, 21);

/// Whether the module is of a Go that knows what is generated.
pub(super) fn is_recent(context: &Context, path: &str) -> Result<(), String> {
    let folders =
        std::iter::successors(Some(folder(path)), |folder| (!folder.is_empty()).then(|| self::folder(folder)));
    for folder in folders {
        let file = if folder.is_empty() { "go.mod".to_owned() } else { format!("{folder}/go.mod") };
        let Some(text) = context.text_at(&context.commit, &file) else { continue };
        let stated = text.lines().find_map(|line| line.trim().strip_prefix("go ")).unwrap_or("1.0").trim().to_owned();
        let mut numbers = stated.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        return if version >= OLDEST {
            Ok(())
        } else {
            Err(format!("{file} says Go {stated}, and what is generated needs {}.{}", OLDEST.0, OLDEST.1))
        };
    }
    Err("it belongs to no module (go.mod)".into())
}

/// The folder of a path; "" at the top.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Files of the same package that are no tests, the suspect's first.
pub(super) fn package<'a>(context: &'a Context, target: &Target<'a>) -> Vec<&'a Parsed> {
    let others = context.sources.iter().filter(|(path, parsed)| {
        path.as_str() != target.path
            && folder(path) == folder(target.path)
            && parsed.language() == Language::Go
            && kind_of(path) == FileKind::Source
    });
    std::iter::once(target.parsed).chain(others.map(|(_, parsed)| parsed)).collect()
}

/// Refuses when the package has one of the names already that are to be defined.
pub(super) fn free(context: &Context, target: &Target<'_>, names: &[&str]) -> Result<(), String> {
    let in_package = |(path, parsed): (&String, &Parsed)| {
        let here = folder(path) == folder(target.path) && parsed.language() == Language::Go;
        names.iter().find(|name| here && has_word(parsed.text(), name)).map(|name| (path.clone(), *name))
    };
    match context.sources.iter().find_map(in_package) {
        Some((path, name)) => Err(format!("{path} has a '{name}' already")),
        None => Ok(()),
    }
}

/// The receiver of a method: its name and type, as written.
pub(super) fn receiver<'a>(target: &Target<'a>) -> Option<(&'a str, &'a str)> {
    let list = target.parsed.node_of(target.place)?.child_by_field_name("receiver")?;
    let declared = named(list).into_iter().next()?;
    let name = declared.child_by_field_name("name").map(|name| target.parsed.text_of(name))?;
    let kind = declared.child_by_field_name("type").map(|kind| target.parsed.text_of(kind))?;
    (name != "_").then_some((name, kind))
}

/// The context that the function was called with, as an expression.
pub(super) fn context_of(target: &Target<'_>) -> Option<String> {
    let parameters = &target.parsed.functions()[target.place].parameters;
    let of = |kind: &str| {
        let one = parameters.iter().find(|one| one.kind.as_deref() == Some(kind) && one.name != "_")?;
        Some(one.name.clone())
    };
    of("context.Context").or_else(|| of("*http.Request").map(|request| format!("{request}.Context()")))
}

/// Where declarations may be put: right behind the function.
pub(super) fn behind(target: &Target<'_>) -> usize {
    next_line(target.parsed.text(), target.parsed.functions()[target.place].bytes.end)
}

/// What is called and with what, of a call with a selector: `c.http` and `Do`.
pub(super) fn selected<'a>(parsed: &'a Parsed, call: Node<'a>) -> Option<(Node<'a>, &'a str)> {
    let function = call.child_by_field_name("function").filter(|one| one.kind() == "selector_expression")?;
    let name = parsed.text_of(function.child_by_field_name("field")?);
    Some((function.child_by_field_name("operand")?, name))
}

/// Text of four-space indentation as Go writes it.
pub(super) fn dressed(indent: &str, text: &str) -> String {
    let mut dressed = String::new();
    for line in text.lines() {
        let rest = line.trim_start_matches(' ');
        if !rest.is_empty() {
            dressed.push_str(indent);
            dressed.push_str(&"\t".repeat((line.len() - rest.len()) / 4));
            dressed.push_str(rest);
        }
        dressed.push('\n');
    }
    dressed
}

/// A duration as Go's own code writes it.
pub(super) fn duration(millis: f64) -> String {
    format!("{millis:.0} * time.Millisecond")
}

#[cfg(test)]
mod tests {
    use backtrail_code::parse;

    use super::*;

    #[test]
    fn a_function_tells_its_receiver_and_its_context() {
        for (code, receiver_is, context) in [
            ("func (c *Client) Get(ctx context.Context, n int) {}", Some(("c", "*Client")), Some("ctx")),
            ("func serve(w http.ResponseWriter, r *http.Request) {}", None, Some("r.Context()")),
            ("func (Client) Get(_ context.Context) {}", None, None),
        ] {
            let parsed = parse(Language::Go, format!("package x\n\n{code}\n")).expect("parses");
            let target = Target { path: "x.go", parsed: &parsed, place: 0 };
            assert_eq!((receiver(&target), context_of(&target).as_deref()), (receiver_is, context), "{code}");
        }
    }

    #[test]
    fn generated_text_is_indented_with_tabs() {
        assert_eq!(dressed("\t", "if a {\n    b()\n}\n"), "\tif a {\n\t\tb()\n\t}\n");
    }
}
