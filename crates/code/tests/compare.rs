//! Changes in meaning and breaks of the interface.

use backtrail_code::{
    ApiChangeKind, FunctionChanges, Language, Parsed, api_changes, changed_functions, is_trivial, parse,
};

fn parsed(language: Language, text: &str) -> Parsed {
    parse(language, text).expect("within the limits")
}

fn pair(language: Language, before: &str, after: &str) -> (Parsed, Parsed) {
    (parsed(language, before), parsed(language, after))
}

/// `function: reason` of every break.
fn breaks(language: Language, before: &str, after: &str) -> Vec<String> {
    let (before, after) = pair(language, before, after);
    let line = |change: backtrail_code::ApiChange| match change.kind {
        ApiChangeKind::Removed => format!("{}: removed", change.function),
        ApiChangeKind::Parameters(reason) => format!("{}: {reason}", change.function),
    };
    api_changes(&before, &after).into_iter().map(line).collect()
}

#[test]
fn comments_white_space_and_docstrings_are_trivial() {
    let before = "def f(a):\n    'Adds.'\n    return a + 1  # one\n";
    let after = "def f( a ):\n    \"\"\"Adds\n    one.\"\"\"\n\n    # plain\n    return (\n        a + 1\n    )\n";
    let (old, new) = pair(Language::Python, before, after);
    assert!(!is_trivial(&old, &new), "brackets are in the tree, and in doubt a change is a change");
    let (old, new) = pair(Language::Python, before, "# c\ndef f( a ):\n    'Other.'\n    return a+1\n");
    assert!(is_trivial(&old, &new));
    let (old, new) = pair(Language::Rust, "/// a\nfn f() -> u8 { 1 }", "/** b */\nfn f() -> u8 {\n    1 // c\n}\n");
    assert!(is_trivial(&old, &new));
    assert!(changed_functions(&old, &new).is_empty());
}

#[test]
fn moving_a_line_out_of_a_block_is_a_change() {
    let (old, new) = pair(
        Language::Python,
        "def f(x):\n    if x:\n        a()\n        b()\n",
        "def f(x):\n    if x:\n        a()\n    b()\n",
    );
    assert!(!is_trivial(&old, &new));
    assert_eq!(changed_functions(&old, &new).changed, ["f"]);
    let (old, new) = pair(Language::JavaScript, "function f() { return a }", "function f() { return\na }");
    assert_eq!(changed_functions(&old, &new).changed, ["f"]);
}

#[test]
fn white_space_inside_a_literal_is_a_change() {
    for (language, before, after) in [
        (Language::Python, "def f(): return 'a b'", "def f(): return 'a  b'"),
        (Language::Go, "package a\nfunc f() string { return `a b` }", "package a\nfunc f() string { return `a  b` }"),
        (Language::JavaScript, "function f() { return `a b` }", "function f() { return `a  b` }"),
        (Language::Rust, "fn f() -> &str { \"a b\" }", "fn f() -> &str { \"a  b\" }"),
        (Language::Java, "class A { String f() { return \"a b\"; } }", "class A { String f() { return \"a  b\"; } }"),
        (Language::CSharp, "class A { string F() => $\"a b{x}\"; }", "class A { string F() => $\"a  b{x}\"; }"),
    ] {
        let (old, new) = pair(language, before, after);
        assert!(!is_trivial(&old, &new), "{language}");
        assert_eq!(changed_functions(&old, &new).changed.len(), 1, "{language}");
    }
}

#[test]
fn added_removed_and_changed_functions_are_told_apart() {
    let before = "class A:\n    def keep(self): return 1\n    def change(self): return 1\n    def drop(self): pass\n";
    let after =
        "class A:\n    def add(self): pass\n    def change(self): return 2\n    def keep(self):\n        return 1\n";
    let (old, new) = pair(Language::Python, before, after);
    let expected = FunctionChanges {
        added: vec!["A.add".to_owned()],
        removed: vec!["A.drop".to_owned()],
        changed: vec!["A.change".to_owned()],
    };
    assert_eq!(changed_functions(&old, &new), expected);
}

#[test]
fn a_changed_decorator_or_default_changes_the_function() {
    let (old, new) = pair(Language::Python, "@retry(3)\ndef f(): pass\n", "@retry(1)\ndef f(): pass\n");
    assert_eq!(changed_functions(&old, &new).changed, ["f"]);
    let (old, new) = pair(Language::TypeScript, "const f = (a = 1) => a;", "const f = (a = 2) => a;");
    assert_eq!(changed_functions(&old, &new).changed, ["f"]);
    let (old, new) = pair(Language::Rust, "#[inline]\nfn f() {}", "#[cold]\nfn f() {}");
    assert_eq!(changed_functions(&old, &new).changed, ["f"]);
}

#[test]
fn the_order_of_overloads_does_not_matter() {
    let one = "class A { int f(int a) { return a; } int f(long a) { return 0; } }";
    let other = "class A { int f(long a) { return 0; } int f(int a) { return a; } }";
    let (old, new) = pair(Language::Java, one, other);
    assert!(changed_functions(&old, &new).is_empty());
}

#[test]
fn python_breaks_are_those_its_callers_feel() {
    let python = |before: &str, after: &str| {
        breaks(Language::Python, &format!("def {before}: ..."), &format!("def {after}: ..."))
    };
    assert_eq!(python("f(a)", "f(a: int, b=1, *, c=2, **k)"), [""; 0]);
    assert_eq!(python("f(a)", "f(a, *, b)"), ["f: parameter 'b' is new and callers do not give it"]);
    assert_eq!(python("f(a, b=1)", "f(a, b)"), ["f: parameter 'b' has lost its default"]);
    assert_eq!(python("f(a, b)", "f(b, a)"), ["f: parameter 'a' is now 'b'"]);
    assert_eq!(python("f(a, b=1)", "f(a)"), ["f: parameter 'b' is gone"]);
    assert_eq!(python("f(*, a=1)", "f()"), ["f: parameter 'a' is gone"]);
    assert_eq!(python("f(*a)", "f()"), ["f: it takes another number of arguments"]);
    assert_eq!(python("f(a)", "g(a)"), ["f: removed"]);
    assert_eq!(python("_f(a)", "g(a)"), [""; 0]);
}

#[test]
fn typed_languages_break_by_type_and_count() {
    let go = |before: &str, after: &str| {
        breaks(Language::Go, &format!("package a\nfunc {before} {{}}"), &format!("package a\nfunc {after} {{}}"))
    };
    assert_eq!(go("F(a int)", "F(renamed int)"), [""; 0]);
    assert_eq!(go("F(a int)", "F(a int64)"), ["F: parameter 'a' was int and is int64"]);
    assert_eq!(go("F(a int)", "F(a int, more ...int)"), ["F: it takes another number of arguments"]);
    assert_eq!(go("F(a int)", "F(a, b int)"), ["F: parameter 'b' is new and callers do not give it"]);
    let rust = breaks(Language::Rust, "pub fn f(a: u8) {}", "fn f(a: u8) {}");
    assert_eq!(rust, ["f: removed"]);
    let typescript = |before: &str, after: &str| {
        let export = |text: &str| format!("export function {text} {{}}");
        breaks(Language::TypeScript, &export(before), &export(after))
    };
    assert_eq!(typescript("f(a: number)", "f(b: number, c?: string, ...d: string[])"), [""; 0]);
    assert_eq!(typescript("f(a: number)", "f(a: string)"), ["f: parameter 'a' was number and is string"]);
    let csharp = |before: &str, after: &str| {
        let class = |text: &str| format!("public class A {{ public void {text} {{}} }}");
        breaks(Language::CSharp, &class(before), &class(after))
    };
    assert_eq!(csharp("F(int a)", "F(int a, bool b = false)"), [""; 0]);
    assert_eq!(csharp("F(int a)", "F(int b)"), ["A.F: parameter 'a' is now 'b'"]);
    let java = breaks(
        Language::Java,
        "public class A { public void f(int a) {} }",
        "public class A { public void f(int a) {} public void f(long a) {} }",
    );
    assert_eq!(java, [""; 0]);
}
