//! Rego that means another thing than it says.

use super::{At, Findings};

/// Words that make a rule one that permits.
const PERMITS: &[&str] = &[
    "allow",
    "permit",
    "approve",
    "accept",
    "authorize",
    "in_scope",
    "inside",
    "within",
    "safe",
    "valid",
    "ok",
    "pass",
    "passes",
    "compliant",
    "eligible",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Word,
    Text,
    Number,
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
    line: usize,
    column: usize,
}

impl Token<'_> {
    fn at(&self) -> At {
        At { line: self.line, column: self.column }
    }
}

/// Where a rule begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head<'t> {
    /// Its name.
    pub name: &'t str,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

/// The rules of a file, one for each body.
pub fn heads(text: &str) -> Vec<Head<'_>> {
    let tokens = tokens(text);
    head_positions(&tokens)
        .into_iter()
        .map(|i| Head { name: tokens[i].text, line: tokens[i].line, column: tokens[i].column })
        .collect()
}

/// The rules of a file with the words after each name, one for each body. A text in brackets is a word, too: `a["b"]` is
/// the same as `a.b`.
pub fn bodies(text: &str) -> Vec<(Head<'_>, Vec<&str>)> {
    let tokens = tokens(text);
    let positions = head_positions(&tokens);
    let word = |i: usize| match tokens[i].kind {
        Kind::Word => Some(tokens[i].text),
        Kind::Text if tokens[i - 1].text == "[" => Some(tokens[i].text.trim_matches(['"', '`'])),
        _ => None,
    };
    let body = |n: usize, start: usize| {
        let end = positions.get(n + 1).copied().unwrap_or(tokens.len());
        (start + 1..end).filter_map(word).collect()
    };
    heads(text).into_iter().zip(&positions).enumerate().map(|(n, (head, start))| (head, body(n, *start))).collect()
}

/// Where brackets stand deeper inside each other than allowed, as line and column.
pub fn too_deep(text: &str, allowed: usize) -> Option<(usize, usize)> {
    let mut depth = 0usize;
    for token in tokens(text).iter().filter(|token| token.kind == Kind::Sign) {
        match token.text {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > allowed {
            return Some((token.line, token.column));
        }
    }
    None
}

/// Every dotted name of a file, as `time.now_ns`, with line and column.
pub fn words(text: &str) -> Vec<(usize, usize, &str)> {
    tokens(text).iter().filter(|t| t.kind == Kind::Word).map(|t| (t.line, t.column, t.text)).collect()
}

pub(super) fn lint(text: &str, findings: &mut Findings<'_>) {
    let tokens = tokens(text);
    for (i, token) in tokens.iter().enumerate() {
        if token.text == "matches" && token.kind == Kind::Word && infix(&tokens, i) {
            findings.add("rego-matches", token.at(), "'matches' stands between two values");
        }
    }
    let heads = head_positions(&tokens);
    for (n, &start) in heads.iter().enumerate() {
        let name = tokens[start].text;
        if !permits(name) {
            continue;
        }
        let end = heads.get(n + 1).copied().unwrap_or(tokens.len());
        for (at, shown) in some_files(&tokens[start..end]) {
            findings.add("rego-some-for-all", at, format!("'{name}' holds if {shown} is true for SOME file"));
        }
    }
}

fn permits(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PERMITS
        .iter()
        .any(|word| name == *word || name.starts_with(&format!("{word}_")) || name.ends_with(&format!("_{word}")))
        || ["allow", "permit", "approve"].iter().any(|word| name.starts_with(word))
}

const KEYWORDS: &[&str] =
    &["some", "every", "in", "not", "if", "contains", "default", "else", "import", "package", "with", "as"];

/// Between two values on one line, where Rego has no place for a name.
fn infix(tokens: &[Token<'_>], i: usize) -> bool {
    let (Some(before), Some(after)) = (i.checked_sub(1).and_then(|i| tokens.get(i)), tokens.get(i + 1)) else {
        return false;
    };
    let line = tokens[i].line;
    let value = |token: &Token<'_>| match token.kind {
        Kind::Text | Kind::Number => true,
        Kind::Word => !KEYWORDS.contains(&token.text),
        Kind::Sign => false,
    };
    let ends = value(before) || matches!(before.text, ")" | "]" | "}");
    before.line == line && after.line == line && ends && value(after)
}

/// Places that range over some file.
fn some_files(tokens: &[Token<'_>]) -> Vec<(At, String)> {
    let mut found = Vec::new();
    // Names that 'some' declares: 'some i' with 'files[i]' is the same as 'files[_]'.
    let mut declared: Vec<&str> = vec!["_"];
    let mut universal = false;
    for (i, token) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(i + n).map_or("", |token| token.text);
        match token.text {
            // 'every' ranges over all; what stands in its head is no SOME.
            "every" if token.kind == Kind::Word => universal = true,
            "some" if token.kind == Kind::Word => {
                let mut j = i + 1;
                while let Some(name) = tokens.get(j).filter(|t| t.kind == Kind::Word && t.text != "in") {
                    declared.push(name.text);
                    j += 1;
                    if tokens.get(j).is_some_and(|t| t.text == ",") {
                        j += 1;
                    }
                }
                let over = tokens.get(j + 1).map_or("", |token| token.text);
                if tokens.get(j).is_some_and(|t| t.text == "in") && of_files(over) {
                    found.push((token.at(), format!("'some {} in {over}'", declared.last().unwrap_or(&"_"))));
                }
            }
            "{" => universal = false,
            "[" if !universal && i > 0 && of_files(tokens[i - 1].text) => {
                let some = next(2) == "]" && declared.contains(&next(1));
                found.extend(some.then(|| (tokens[i - 1].at(), format!("'{}[{}]'", tokens[i - 1].text, next(1)))));
            }
            _ => {}
        }
    }
    found
}

fn of_files(word: &str) -> bool {
    word.rsplit('.').next() == Some("files")
}

/// Where rules begin: a name at the outermost level, at the beginning of a line.
fn head_positions(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut heads = Vec::new();
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate() {
        let first = i.checked_sub(1).is_none_or(|before| tokens[before].line < token.line);
        match token.text {
            "{" | "[" | "(" if token.kind == Kind::Sign => depth += 1,
            "}" | "]" | ")" if token.kind == Kind::Sign => depth = depth.saturating_sub(1),
            "default" if depth == 0 && first => heads.extend(tokens.get(i + 1).map(|_| i + 1)),
            "package" | "import" | "else" => {}
            _ if depth == 0 && first && token.kind == Kind::Word => heads.push(i),
            _ => {}
        }
    }
    heads
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut raw_until = None;
    for (n, line) in text.lines().enumerate() {
        let mut rest = line;
        if raw_until.is_some() {
            let Some(end) = rest.find('`') else { continue };
            rest = &rest[end + 1..];
            raw_until = None;
        }
        let (mut column, mut counted) = (1, 0);
        while let Some(first) = rest.chars().next() {
            // Counted on from the token before: counting from the beginning takes the square of a long line.
            let here = line.len() - rest.len();
            column += line[counted..here].chars().count();
            counted = here;
            let (kind, length) = match first {
                c if c.is_whitespace() => {
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                '#' => break,
                '"' => (Kind::Text, quoted(rest)),
                '`' => (
                    Kind::Text,
                    rest[1..].find('`').map_or_else(
                        || {
                            raw_until = Some('`');
                            rest.len()
                        },
                        |end| end + 2,
                    ),
                ),
                c if c.is_alphabetic() || c == '_' => {
                    (Kind::Word, span(rest, |c| c.is_alphanumeric() || "_.".contains(c)))
                }
                c if c.is_ascii_digit() => (Kind::Number, span(rest, |c| c.is_alphanumeric() || c == '.')),
                c => (Kind::Sign, c.len_utf8()),
            };
            let word = rest[..length].trim_end_matches('.');
            let length = if kind == Kind::Word { word.len() } else { length };
            tokens.push(Token { kind, text: &rest[..length], line: n + 1, column });
            rest = &rest[length..];
            // After ']' a member follows: '.path' is part of the same value.
            if let Some(member) = rest.strip_prefix('.') {
                rest = &member[span(member, |c| c.is_alphanumeric() || "_.".contains(c))..];
            }
        }
    }
    tokens
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

fn span(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use crate::lint::lint;

    #[track_caller]
    fn found(text: &str) -> Vec<(&'static str, usize, usize)> {
        lint("x.rego", text).iter().map(|finding| (finding.rule, finding.line, finding.column)).collect()
    }

    #[test]
    fn both_mistakes_of_one_line_are_named() {
        let text = "package p\nallow {\n  input.diff.files[_].path matches \"^a/\"\n}\n";
        assert_eq!(found(text), [("rego-some-for-all", 3, 3), ("rego-matches", 3, 28)]);
    }

    #[test]
    fn matches_as_a_name_is_no_operator() {
        for text in [
            "matches(x) if x > 1\n",
            "deny contains 1 if {\n  matches := 1\n  some matches in input.x\n  not matches\n}\n",
            "deny contains 1 if {\n  y == matches\n  matches == y\n}\n# a matches b\n",
            "x := \"a matches b\"\ny := `a\nb matches c\n`\n",
            "deny contains 1 if input.matches\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn some_is_found_in_each_of_its_forms() {
        for body in [
            "input.diff.files[_].path == \"a\"",
            "some file in input.diff.files\n  file.path == \"a\"",
            "some i, file in input.diff.files\n  file.path == \"a\"",
            "some i\n  input.diff.files[i].path == \"a\"",
        ] {
            let rules: Vec<_> = found(&format!("allow if {{\n  {body}\n}}\n")).iter().map(|found| found.0).collect();
            assert_eq!(rules, ["rego-some-for-all"], "{body}");
        }
    }

    #[test]
    fn some_is_right_where_one_file_is_enough() {
        for text in [
            "deny contains 1 if {\n  input.diff.files[_].symlink\n}\n",
            "touches_config if {\n  some file in input.diff.files\n  file.kind == \"config\"\n}\n",
            "allow if {\n  every file in input.diff.files { startswith(file.path, \"a\") }\n}\n",
            "allow if {\n  input.diff.files[0].path == \"a\"\n}\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
