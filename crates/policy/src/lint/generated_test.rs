//! Tests of delays that code without any delay would pass.

use crate::lint::python;

use super::{At, Findings};

/// Words that say that a test is about delays.
const DELAYS: &[&str] = &["sleep", "delay", "backoff", "jitter", "wait"];
/// Words for bounds that are above zero.
const BOUNDS: &[&str] = &["min", "base", "floor", "initial", "previous", "prev", "last"];

/// One test: where it begins, and its lines with their numbers.
struct Test<'t> {
    name: String,
    at: At,
    lines: Vec<(usize, &'t str)>,
}

pub(super) fn lint(path: &str, text: &str, findings: &mut Findings<'_>) {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let tests = match extension {
        "py" => python_tests(text),
        "js" | "ts" | "jsx" | "tsx" | "mjs" | "java" | "kt" => marked_tests(text),
        _ => return,
    };
    for test in tests {
        let about = test.name.to_ascii_lowercase() + &test.lines.iter().map(|(_, line)| *line).collect::<String>();
        let about = about.to_ascii_lowercase();
        if !DELAYS.iter().any(|word| about.contains(word)) {
            continue;
        }
        let claims: Vec<bool> = test.lines.iter().filter_map(|(_, line)| claim(line)).collect();
        if !claims.is_empty() && !claims.contains(&true) {
            let what = format!("'{}' holds if every delay is zero: it has only upper bounds", test.name);
            findings.add("test-zero-delay", test.at, what);
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn python_tests(text: &str) -> Vec<Test<'_>> {
    let mut tests: Vec<Test<'_>> = Vec::new();
    let mut open: Option<usize> = None;
    for (i, line) in text.lines().enumerate() {
        let start = line.trim_start();
        if start.is_empty() || start.starts_with('#') {
            continue;
        }
        if open.is_some_and(|indent| indentation(line) <= indent && !start.starts_with(')')) {
            open = None;
        }
        let function = start.strip_prefix("async ").unwrap_or(start).strip_prefix("def ");
        if let Some(name) = function.filter(|name| name.starts_with("test")) {
            open = Some(indentation(line));
            let name = name.split('(').next().unwrap_or(name).trim().to_owned();
            tests.push(Test { name, at: At { line: i + 1, column: indentation(line) + 1 }, lines: Vec::new() });
        } else if let (Some(_), Some(test)) = (open, tests.last_mut()) {
            test.lines.push((i + 1, line));
        }
    }
    tests
}

/// Tests that begin with `it(`, `test(` or `@Test` and end where the next begins.
fn marked_tests(text: &str) -> Vec<Test<'_>> {
    let mut tests: Vec<Test<'_>> = Vec::new();
    let mut unnamed = false;
    for (i, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let at = At { line: i + 1, column: indentation(line) + 1 };
        if start.starts_with("it(") || start.starts_with("test(") {
            let name = start.split(['"', '\'', '`']).nth(1).unwrap_or("test").to_owned();
            tests.push(Test { name, at, lines: Vec::new() });
        } else if start.starts_with("@Test") {
            tests.push(Test { name: String::new(), at, lines: Vec::new() });
            unnamed = true;
        } else if let Some(test) = tests.last_mut() {
            if unnamed && let Some((before, _)) = start.split_once('(') {
                before.rsplit(' ').next().unwrap_or_default().clone_into(&mut test.name);
                unnamed = false;
            }
            test.lines.push((i + 1, line));
        }
    }
    tests
}

/// Whether an assertion would fail if all delays were zero; nothing for other lines.
fn claim(line: &str) -> Option<bool> {
    let start = line.trim_start();
    if let Some(said) = start.strip_prefix("assert ") {
        return Some(breaks_at_zero(&python::code_of(said, &mut None)));
    }
    if start.contains(".assert_called_with(") || start.contains(".assert_called_once_with(") {
        return Some(!start.contains("_with(0)") && !start.contains("_with(0.0)"));
    }
    if start.contains(".assert_has_calls(") {
        return Some(true);
    }
    for (call, zero) in [
        (".toBeLessThan", None),
        (".toBeGreaterThanOrEqual(", Some("0")),
        (".toBeGreaterThan(", None::<&str>),
        (".toBe(", Some("0")),
        (".toEqual(", Some("0")),
        ("assertEquals(", Some("0")),
    ] {
        if let Some((_, argument)) = start.split_once(call) {
            let argument = argument.split([')', ',']).next().unwrap_or_default().trim();
            return Some(call != ".toBeLessThan" && zero != Some(argument));
        }
    }
    let condition = start.split_once("assertTrue(")?.1;
    Some(condition.split("&&").any(breaks_at_zero))
}

/// Whether a comparison is false for zero: a lower bound above zero, another value, or a difference.
fn breaks_at_zero(said: &str) -> bool {
    // A generator's 'for' and a message after the condition say nothing about values.
    let mut parts: Vec<&str> = Vec::new();
    let mut signs: Vec<&str> = Vec::new();
    let mut rest = said;
    while let Some((at, sign)) = ["==", "!=", "<=", ">=", "<", ">"]
        .into_iter()
        .filter_map(|sign| Some((rest.find(sign)?, sign)))
        .min_by_key(|(at, sign)| (*at, 2 - sign.len()))
    {
        parts.push(&rest[..at]);
        signs.push(sign);
        rest = &rest[at + sign.len()..];
    }
    parts.push(rest);
    signs.iter().enumerate().any(|(i, sign)| {
        let (left, right) = (last_value(parts[i]), first_value(parts[i + 1]));
        match *sign {
            "!=" => true,
            "==" => !zero(right) && (!said.contains("len(") || said.contains("set(")),
            ">" => !bound_above(left),
            ">=" => !zero(right) && !bound_above(left),
            "<" => zero(left) || bound_below(left),
            _ => bound_below(left),
        }
    })
}

/// The value that stands before a sign.
fn last_value(text: &str) -> &str {
    text.trim_end().rsplit(['(', '[', ',']).next().unwrap_or(text).trim()
}

/// The value that stands after a sign.
fn first_value(text: &str) -> &str {
    let text = text.trim_start();
    text.split([')', ']', ',', ';']).next().unwrap_or(text).split(" for ").next().unwrap_or(text).trim()
}

fn number(text: &str) -> Option<f64> {
    text.trim_end_matches(['L', 'f', 'd']).parse().ok()
}

fn zero(text: &str) -> bool {
    number(text) == Some(0.0)
}

fn bound_below(text: &str) -> bool {
    number(text)
        .map_or_else(|| BOUNDS.iter().any(|word| text.to_ascii_lowercase().contains(word)), |number| number > 0.0)
}

/// A limit on the left: `CAP > delay` is an upper bound of the delay.
fn bound_above(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    number(text).is_some() || ["max", "cap", "limit", "ceiling"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_judged_by_what_zero_does_to_them() {
        for (line, breaks) in [
            ("assert all(0 <= d <= 30 for d in delays)", false),
            ("assert all(0 < d <= 30 for d in delays)", true),
            ("assert all(d <= base * 2 ** i for i, d in enumerate(delays))", false),
            ("assert base <= delays[0] <= cap", true),
            ("assert len(delays) == 3", false),
            ("assert len(set(delays)) > 1", true),
            ("assert delays[1] > delays[0]", true),
            ("assert 30 > delay", false),
            ("assert delay >= 0", false),
            ("assert delay >= 0.1", true),
            ("assert delays == [0.1, 0.2]", true),
            ("sleep.assert_called_once_with(0.5)", true),
            ("expect(delay).toBeLessThanOrEqual(1000);", false),
            ("expect(delay).toBeGreaterThan(0);", true),
            ("expect(delay).toBeGreaterThanOrEqual(0);", false),
            ("assertTrue(delay >= 0 && delay <= CAP);", false),
            ("assertTrue(delay > 0);", true),
        ] {
            assert_eq!(claim(line), Some(breaks), "{line}");
        }
        assert_eq!(claim("delay = 3"), None);
    }
}
