//! Names in lines of Python: enough to see which of them a piece of code defines and uses.

/// A name in a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Name<'t> {
    pub(super) text: &'t str,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The character before it that is no space, if any.
    pub(super) before: Option<char>,
    /// What follows, without spaces.
    pub(super) after: &'t str,
    /// Open parentheses around it.
    pub(super) depth: usize,
}

impl Name<'_> {
    /// Whether it is an attribute, a keyword argument or a part of a literal: no name that must be defined.
    fn free(&self) -> bool {
        let argument = self.depth > 0 && self.after.starts_with('=') && !self.after.starts_with("==");
        self.before != Some('.') && !argument && !KEYWORDS.contains(&self.text)
    }
}

/// A line without text and comments: their characters become spaces, so that columns stay right. `within` is the quote
/// of a text that began on a line before, and is left for the next line.
pub(super) fn code_of(line: &str, within: &mut Option<&'static str>) -> String {
    let mut code = String::new();
    let mut rest = line;
    let mut open = within.take();
    while let Some(c) = rest.chars().next() {
        if let Some(quote) = open {
            if rest.starts_with('\\') {
                let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
                rest = &rest[1 + escaped..];
                code.push_str(if escaped > 0 { "  " } else { " " });
            } else if let Some(after) = rest.strip_prefix(quote) {
                code.push_str(&quote.chars().map(|_| '"').collect::<String>());
                rest = after;
                open = None;
            } else {
                code.push(' ');
                rest = &rest[c.len_utf8()..];
            }
            continue;
        }
        if c == '#' {
            break;
        }
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote));
        if let Some(quote) = quote {
            // A prefix, as in f"..." or b'...', is no name.
            while code.ends_with(|c: char| "rRbBfFuU".contains(c)) && prefix(&code) {
                code.pop();
                code.push('\u{1}');
            }
            code = code.replace('\u{1}', " ");
            code.push_str(&quote.chars().map(|_| '"').collect::<String>());
            rest = &rest[quote.len()..];
            open = Some(quote);
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    *within = open.filter(|quote| quote.len() == 3);
    code
}

/// Whether a text ends with one or two letters that stand alone.
fn prefix(code: &str) -> bool {
    let letters = code.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    letters == 1 || (letters == 2 && code.chars().rev().take(2).all(|c| "rRbBfFuU".contains(c)))
}

/// All names of a line of code, as [`code_of`] gives it. `depth` counts parentheses over several lines.
pub(super) fn names<'t>(code: &'t str, depth: &mut usize) -> Vec<Name<'t>> {
    let mut found = Vec::new();
    let mut before = None;
    let mut chars = code.char_indices().peekable();
    let mut column = 0;
    while let Some((start, c)) = chars.next() {
        column += 1;
        match c {
            '(' | '[' | '{' => *depth += 1,
            ')' | ']' | '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_alphabetic() || c == '_' {
            let first = column;
            let mut end = start + c.len_utf8();
            while let Some((i, next)) = chars.next_if(|(_, next)| next.is_alphanumeric() || *next == '_') {
                end = i + next.len_utf8();
                column += 1;
            }
            let after = code[end..].trim_start();
            found.push(Name { text: &code[start..end], column: first, before, after, depth: *depth });
            before = code[..end].chars().next_back();
        } else if c.is_ascii_digit() {
            // `1e3` and `0xff` hold no names.
            while chars.next_if(|(_, next)| next.is_alphanumeric() || matches!(next, '_' | '.')).is_some() {
                column += 1;
            }
            before = Some('0');
        } else if !c.is_whitespace() {
            before = Some(c);
        }
    }
    found
}

/// Names that a line uses and that something must define.
pub(super) fn used<'n, 't>(names: &'n [Name<'t>]) -> impl Iterator<Item = &'n Name<'t>> {
    let statement = names.first().map_or("", |name| name.text);
    let names = if matches!(statement, "import" | "from" | "global" | "nonlocal") { &[][..] } else { names };
    names.iter().filter(|name| name.free() && !BUILTINS.contains(&name.text))
}

/// Names that a line defines: assigned, imported, parameters, loop variables, functions and classes.
pub(super) fn defined<'t>(names: &[Name<'t>], code: &str) -> Vec<&'t str> {
    let statement = names.first().map_or("", |name| name.text);
    let mut found = Vec::new();
    if matches!(statement, "import" | "from" | "global" | "nonlocal") {
        let imported = names.iter().position(|name| name.text == "import").unwrap_or(0);
        found.extend(names[imported..].iter().map(|name| name.text));
        return found;
    }
    let function = names.iter().position(|name| name.text == "def");
    if let Some(at) = function {
        // Its name and its parameters; a default or an annotation too many does no harm.
        found.extend(names[at + 1..].iter().map(|name| name.text));
    }
    let assigned = assignment(code);
    for (i, name) in names.iter().enumerate() {
        let previous = i.checked_sub(1).map_or("", |i| names[i].text);
        let target = name.column <= assigned && name.before != Some('.') && name.depth == 0;
        if matches!(previous, "as" | "class") || target || name.after.starts_with(":=") {
            found.push(name.text);
        }
        if matches!(name.text, "for" | "lambda") {
            let end = |name: &&Name<'_>| !matches!(name.text, "in");
            found.extend(names[i + 1..].iter().take_while(end).map(|name| name.text));
        }
    }
    // A parameter on a line of its own, within the parentheses of a function that began above.
    if names.len() <= 2 && names.first().is_some_and(|name| name.depth > 0 && name.after.starts_with(['=', ':'])) {
        found.push(names[0].text);
    }
    found
}

/// The column up to which a line is the target of an assignment; 0 if it is none.
fn assignment(code: &str) -> usize {
    let mut depth = 0usize;
    let mut last = 0;
    let chars: Vec<char> = code.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => {
                let before = i.checked_sub(1).map_or(' ', |i| chars[i]);
                let comparison = chars.get(i + 1) == Some(&'=') || "=<>!+-*/%&|^@:".contains(before);
                if !comparison {
                    last = i;
                }
            }
            ':' if depth == 0 && chars.get(i + 1) != Some(&'=') && last == 0 => {
                // `name: type = value`
                let word: String = chars[..i].iter().collect();
                if !word.trim().is_empty() && word.trim().chars().all(|c| c.is_alphanumeric() || c == '_') {
                    last = i;
                }
                return last;
            }
            _ => {}
        }
    }
    last
}

const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "match",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "type", "while", "with", "yield",
];

const BUILTINS: &[&str] = &[
    "_",
    "self",
    "cls",
    "super",
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "complex",
    "delattr",
    "dict",
    "dir",
    "divmod",
    "enumerate",
    "eval",
    "exec",
    "filter",
    "float",
    "format",
    "frozenset",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "hex",
    "id",
    "input",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "list",
    "locals",
    "map",
    "max",
    "memoryview",
    "min",
    "next",
    "object",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "property",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "setattr",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "tuple",
    "vars",
    "zip",
    "__name__",
    "__file__",
    "__doc__",
    "BaseException",
    "Exception",
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BlockingIOError",
    "BrokenPipeError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "EOFError",
    "FileExistsError",
    "FileNotFoundError",
    "ImportError",
    "IndexError",
    "InterruptedError",
    "IsADirectoryError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "MemoryError",
    "NameError",
    "NotImplemented",
    "NotImplementedError",
    "OSError",
    "IOError",
    "OverflowError",
    "PermissionError",
    "ProcessLookupError",
    "RecursionError",
    "RuntimeError",
    "StopAsyncIteration",
    "StopIteration",
    "SyntaxError",
    "SystemError",
    "SystemExit",
    "TimeoutError",
    "TypeError",
    "UnicodeDecodeError",
    "UnicodeError",
    "ValueError",
    "Warning",
    "ZeroDivisionError",
    "Ellipsis",
    "ExceptionGroup",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn line(text: &str) -> (Vec<String>, Vec<String>) {
        let code = code_of(text, &mut None);
        let names = names(&code, &mut 0);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        (owned(defined(&names, &code)), owned(used(&names).map(|name| name.text).collect()))
    }

    #[test]
    fn uses_and_definitions_of_a_line() {
        let (defined, used) = line("delay = min(cap, base * 2 ** attempt)  # jitter");
        assert_eq!(
            (defined, used),
            (vec!["delay".into()], vec!["delay".to_owned(), "cap".into(), "base".into(), "attempt".into()])
        );
        assert_eq!(line("from random import uniform as u").0, ["import", "uniform", "as", "u"]);
        assert_eq!(line("for i, x in enumerate(xs):").0, ["i", "x"]);
        assert_eq!(line("span.set(key=value, other=f\"{x}\")").1, ["span", "value"]);
        assert_eq!(line("if a == b:").0, Vec::<String>::new());
        assert_eq!(line("def call(req, retries=3):").0, ["call", "req", "retries"]);
    }

    #[test]
    fn text_over_several_lines_holds_no_names() {
        let mut within = None;
        assert_eq!(code_of("x = \"\"\"a b", &mut within).trim_end(), "x = \"\"\"");
        assert_eq!(code_of("c d", &mut within).trim(), "");
        assert_eq!(code_of("e\"\"\" + f", &mut within).trim(), "\"\"\" + f");
    }
}
