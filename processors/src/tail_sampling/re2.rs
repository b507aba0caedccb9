//! Regular expressions as RE2 (and so otelcol) reads them, in the syntax of the `regex` crate.
//!
//! Both are unanchored and know neither look-around nor back-references. They differ in this: in RE2 `\d`, `\s`, `\w` and
//! `\b` are ASCII, `\Q...\E` quotes, and within a class `[`, `&&`, `--` and `~~` are plain characters.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The pattern in the syntax of the `regex` crate, with the meaning that it has in RE2.
pub(super) fn translated(pattern: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(pattern.len() + 16), pattern.chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                escape(&mut chars, false, &mut out);
            }
            '[' => class(&mut chars, &mut out),
            other => out.push(other),
        }
    }
    out
}

/// What follows a `[`, up to its `]`.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    // Whether a `-` after what was just written makes a range, and whether one has just begun.
    let (mut can_begin, mut begun, mut first) = (false, false, true);
    while let Some(char) = chars.next() {
        let single = match char {
            // Where a class begins, `]` is a plain character: `[]a]`, `[^]a]`.
            ']' if !first => return out.push(']'),
            '\\' => escape(chars, true, out),
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                let name = chars.by_ref().take_while(|&char| char != ']');
                out.extend(name);
                out.push(']');
                false
            }
            '-' if can_begin && chars.peek().is_some_and(|&next| next != ']') => {
                out.push('-');
                (can_begin, begun) = (false, true);
                continue;
            }
            '[' | ']' | '&' | '~' | '-' | '^' => {
                out.extend(['\\', char]);
                true
            }
            other => {
                out.push(other);
                true
            }
        };
        first = false;
        can_begin = single && !std::mem::take(&mut begun);
    }
}

/// What follows a backslash. Answers whether it is a single character.
fn escape(chars: &mut Peekable<Chars<'_>>, in_class: bool, out: &mut String) -> bool {
    let next = chars.next();
    match next {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str(r"[\t\n\f\r ]"),
        Some('S') => out.push_str(r"[^\t\n\f\r ]"),
        Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
        // A position that is no border lies between any two bytes; this form stays on borders of characters.
        Some('B') if !in_class => out.push_str(r"\B"),
        Some('Q') => {
            while let Some(char) = chars.next() {
                if char == '\\' && chars.next_if_eq(&'E').is_some() {
                    break;
                }
                let _ = write!(out, r"\x{{{:x}}}", u32::from(char));
            }
        }
        Some(other) => {
            out.push('\\');
            out.push(other);
        }
        None => out.push('\\'),
    }
    !matches!(next, Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P' | 'Q'))
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Regex::new(&translated(pattern)).expect("a pattern").is_match(text.as_bytes())
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"^\d+\s\w$", "12 a"));
        assert!(!matches(r"^\d$", "٣"));
        assert!(!matches(r"^\w$", "é") && matches(r"^\W$", "é") && matches(r"^[\W_]$", "é"));
        assert!(matches(r"^[^\d]$", "x") && !matches(r"^[^\d]$", "7"));
        assert!(matches(r"\bcat\b", "a cat!") && !matches(r"\bcat\b", "cats"));
    }

    #[test]
    fn a_dot_is_a_character() {
        assert!(matches("^.$", "é") && matches("(?i)^É$", "é"));
    }

    #[test]
    fn quoted_text_is_plain() {
        assert!(matches(r"^\Qa.b*\E+$", "a.b**") && !matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"\Q[x]", "[x]"));
    }

    #[test]
    fn classes_have_no_operators() {
        assert!(matches("^[a&&b]+$", "a&b") && matches("^[[a]+$", "[a") && matches("^[a~~b]+$", "~"));
        assert!(matches("^[]a]+$", "]a") && matches("^[^]a]$", "b") && matches("^[!--]+$", "+-"));
        assert!(matches("^[[:alpha:]_]+$", "a_b") && !matches("^[[:^alpha:]]$", "a") && matches("^[a:]+$", ":a"));
    }

    #[test]
    fn other_escapes_stay() {
        assert!(matches(r"^\$\.\pL\x41\z", "$.éA"));
    }
}
