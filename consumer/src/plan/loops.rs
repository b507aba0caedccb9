//! Calls of a function that stand in loops, and a change that put one there.

use std::collections::BTreeSet;

use backtrail_code::Parsed;
use backtrail_code::tree_sitter::Node;

use super::code::named;

/// Nodes whose inside runs many times, in the grammars of all languages.
const LOOPS: [&str; 14] = [
    "for_statement",
    "while_statement",
    "do_statement",
    "for_in_statement",
    "enhanced_for_statement",
    "for_expression",
    "while_expression",
    "loop_expression",
    "foreach_statement",
    "for_each_statement",
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
];
/// Functions that run what they are given for each thing.
const EACH: [&str; 9] =
    ["map", "flatMap", "forEach", "for_each", "flat_map", "filter_map", "mapToObj", "Select", "peek"];

/// What a function calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Calls {
    /// Once.
    once: BTreeSet<String>,
    /// For each of several things.
    each: BTreeSet<String>,
}

/// The calls of a node and all below it, by the last name of what is called.
pub(super) fn calls(parsed: &Parsed, root: Node<'_>) -> Calls {
    let mut found = Calls::default();
    let mut open = vec![(root, false)];
    while let Some((node, looped)) = open.pop() {
        let name = call_name(parsed, node);
        if let Some(name) = &name {
            let to = if looped { &mut found.each } else { &mut found.once };
            to.insert(name.clone());
        }
        let repeats = LOOPS.contains(&node.kind());
        let hands_over = name.is_some_and(|name| EACH.contains(&name.as_str()));
        for child in named(node) {
            let is_arguments = matches!(child.kind(), "arguments" | "argument_list");
            // What a loop goes over is asked for once.
            let over =
                ["right", "value", "iterable"].iter().any(|field| node.child_by_field_name(field) == Some(child));
            let inside = repeats && !over && child.kind() != "for_in_clause" && child.kind() != "range_clause";
            open.push((child, looped || inside || hands_over && is_arguments));
        }
    }
    found
}

fn call_name(parsed: &Parsed, node: Node<'_>) -> Option<String> {
    if !matches!(node.kind(), "call" | "call_expression" | "method_invocation" | "invocation_expression") {
        return None;
    }
    let callee = node.child_by_field_name("function").or_else(|| node.child_by_field_name("name"))?;
    let name = parsed.text_of(callee).rsplit(['.', ':']).next()?.trim().to_owned();
    (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}

/// A call that was not made for each thing before, while another one that was made once is gone.
pub(super) fn for_each(before: &Calls, after: &Calls) -> Option<String> {
    let gone = before.once.iter().any(|name| !after.once.contains(name) && !after.each.contains(name));
    let new = after.each.iter().find(|name| !before.each.contains(*name) && !BUILT_IN.contains(&name.as_str()));
    new.filter(|_| gone).cloned()
}

/// Calls that ask nobody.
const BUILT_IN: [&str; 16] = [
    "append", "push", "add", "len", "print", "printf", "Printf", "Sprintf", "format", "get", "set", "put", "extend",
    "join", "str", "String",
];

#[cfg(test)]
mod tests {
    use backtrail_code::{Language, parse};

    use super::*;

    fn of(language: Language, text: &str) -> Calls {
        let parsed = parse(language, text).expect("parses");
        calls(&parsed, parsed.tree().root_node())
    }

    #[test]
    fn a_call_that_went_into_a_loop_is_told_in_several_languages() {
        for (language, before, after, call) in [
            (
                Language::Go,
                "package a\nfunc f() { x := c.Many(ids); use(x) }\n",
                "package a\nfunc f() { for _, id := range ids { x := c.One(id); use(x) } }\n",
                "One",
            ),
            (
                Language::Python,
                "def f(ids):\n    return many(ids)\n",
                "def f(ids):\n    return [one(i) for i in ids]\n",
                "one",
            ),
            (
                Language::JavaScript,
                "const f = (ids) => many(ids)\n",
                "const f = (ids) => Promise.all(ids.map((id) => one(id)))\n",
                "one",
            ),
            (
                Language::Java,
                "class A { void f() { many(ids); } }",
                "class A { void f() { for (String id : ids) { one(id); } } }",
                "one",
            ),
        ] {
            let (before, after) = (of(language, before), of(language, after));
            let found = for_each(&before, &after);
            assert!(found.as_deref() == Some(call) || found.as_deref() == Some("use"), "{language}: {found:?}");
            assert_eq!(for_each(&after, &before), None, "{language}");
        }
    }

    #[test]
    fn a_loop_over_what_was_asked_for_once_is_none() {
        let found = of(Language::Python, "def f():\n    for one in many():\n        show(one)\n");
        assert!(found.once.contains("many") && found.each.contains("show"), "{found:?}");
    }
}
