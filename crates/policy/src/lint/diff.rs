//! Unified diffs: lines that change nothing, and names that nothing defines.

use std::collections::BTreeSet;

use super::python::{code_of, defined, names, used};
use super::{At, Findings};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Context,
    Added,
    Removed,
}

/// One line of a hunk, with its number in the text of the diff.
struct Line<'t> {
    mark: Mark,
    text: &'t str,
    number: usize,
}

struct Hunk<'t> {
    /// Whether the file is seen from its beginning, so that its imports are known.
    from_start: bool,
    lines: Vec<Line<'t>>,
}

struct File<'t> {
    path: &'t str,
    hunks: Vec<Hunk<'t>>,
}

pub(super) fn lint(text: &str, findings: &mut Findings<'_>) {
    for file in files(text) {
        for hunk in &file.hunks {
            noop(hunk, findings);
        }
        if file.path.to_ascii_lowercase().ends_with(".py") {
            undefined(&file, findings);
        }
    }
}

fn files(text: &str) -> Vec<File<'_>> {
    let mut files: Vec<File<'_>> = Vec::new();
    let mut new_file = false;
    // Lines of the hunk that are still to come, before and after; without numbers a hunk ends where a header begins.
    let mut left: Option<(usize, usize)> = None;
    for (i, line) in text.lines().enumerate() {
        let open = left.is_none_or(|(old, new)| old > 0 || new > 0);
        let inside = open && files.last().is_some_and(|file| !file.hunks.is_empty());
        let header = line.starts_with("--- ") || line.starts_with("diff --git ");
        if line.starts_with("@@") {
            let ranges = ranges(line);
            left = ranges.map(|((_, old), (_, new))| (old, new));
            let from_start = new_file || ranges.is_none_or(|((start, _), _)| start <= 1);
            if let Some(file) = files.last_mut() {
                file.hunks.push(Hunk { from_start, lines: Vec::new() });
            }
        } else if inside && !(left.is_none() && header) {
            let (mark, text) = match line.chars().next() {
                Some('+') => (Mark::Added, &line[1..]),
                Some('-') => (Mark::Removed, &line[1..]),
                Some(' ') => (Mark::Context, &line[1..]),
                None => (Mark::Context, line),
                Some(_) => continue,
            };
            if let Some((old, new)) = &mut left {
                *old = old.saturating_sub(usize::from(mark != Mark::Added));
                *new = new.saturating_sub(usize::from(mark != Mark::Removed));
            }
            if let Some(hunk) = files.last_mut().and_then(|file| file.hunks.last_mut()) {
                hunk.lines.push(Line { mark, text, number: i + 1 });
            }
        } else if let Some(path) = line.strip_prefix("--- ") {
            new_file = path.trim() == "/dev/null";
        } else if let Some(path) = line.strip_prefix("+++ ") {
            let path = path.split('\t').next().unwrap_or(path).trim();
            files.push(File { path: path.strip_prefix("b/").unwrap_or(path), hunks: Vec::new() });
        }
    }
    files
}

/// `@@ -12,7 +12,9 @@`: first line and number of lines, before and after.
fn ranges(header: &str) -> Option<((usize, usize), (usize, usize))> {
    let mut parts = header.trim_start_matches('@').split_whitespace();
    let mut range = |sign: char| {
        let text = parts.next()?.strip_prefix(sign)?;
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((range('-')?, range('+')?))
}

/// Lines at the edges of a change that are the same before and after: no tool that compares texts writes them.
fn noop(hunk: &Hunk<'_>, findings: &mut Findings<'_>) {
    for change in hunk.lines.split(|line| line.mark == Mark::Context) {
        let of = |mark| change.iter().filter(move |line| line.mark == mark);
        let (removed, added): (Vec<_>, Vec<_>) = (of(Mark::Removed).collect(), of(Mark::Added).collect());
        let same = |(a, b): &(&&Line<'_>, &&Line<'_>)| a.text == b.text;
        let first = removed.iter().zip(&added).take_while(same).collect::<Vec<_>>();
        let last = removed.iter().rev().zip(added.iter().rev()).take_while(same).collect::<Vec<_>>();
        let edge = if first.is_empty() { last } else { first };
        if let Some((line, _)) = edge.iter().find(|(line, _)| !line.text.trim().is_empty()) {
            let shown: String = line.text.trim().chars().take(60).collect();
            let at = At { line: line.number, column: 1 };
            findings.add("diff-noop", at, format!("'{shown}' is removed and added again"));
        }
    }
}

/// Names that added lines of Python use. Where the head of the file is not part of the diff, only plain names in small
/// letters within a function that is seen from its `def` count: such a name is hardly ever imported.
fn undefined(file: &File<'_>, findings: &mut Findings<'_>) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let lines = || file.hunks.iter().flat_map(|hunk| &hunk.lines);
    for mark in [Mark::Removed, Mark::Added, Mark::Context] {
        let (mut within, mut depth) = (None, 0);
        for line in lines().filter(|line| line.mark == mark) {
            let code = code_of(line.text, &mut within);
            let names = names(&code, &mut depth);
            known.extend(defined(&names, &code).into_iter().map(str::to_owned));
            if mark != Mark::Added {
                // What the old code uses, it has from somewhere.
                known.extend(names.iter().filter(|name| name.before != Some('.')).map(|name| name.text.to_owned()));
            }
        }
    }
    if lines().any(|line| line.text.trim_start().starts_with("from ") && line.text.trim_end().ends_with("import *")) {
        return;
    }
    for hunk in &file.hunks {
        let (mut within, mut depth, mut function) = (None, 0, false);
        for line in hunk.lines.iter().filter(|line| line.mark != Mark::Removed) {
            let code = code_of(line.text, &mut within);
            let start = code.trim_start();
            function |= start.starts_with("def ") || start.starts_with("async def ");
            let names = names(&code, &mut depth);
            for name in used(&names).filter(|name| line.mark == Mark::Added && !known.contains(name.text)) {
                let local = function
                    && name.text.chars().all(|c| c.is_lowercase() || c == '_' || c.is_ascii_digit())
                    && !name.after.starts_with(['(', '.']);
                if hunk.from_start || local {
                    let at = At { line: line.number, column: name.column + 1 };
                    findings.add("diff-undefined-name", at, format!("nothing defines '{}'", name.text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lint::lint;

    #[track_caller]
    fn found(text: &str) -> Vec<(&'static str, usize)> {
        lint("x.diff", text).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_moved_or_changed_line_is_no_noop() {
        let head = "--- a/x.go\n+++ b/x.go\n@@ -1,2 +1,2 @@\n";
        assert_eq!(found(&format!("{head}-a\n-b\n+b\n+a\n")), []);
        assert_eq!(found(&format!("{head}-a\n b\n+a\n")), []);
        assert_eq!(found(&format!("{head}-a\n-b\n+a\n+c\n")), [("diff-noop", 4)]);
        assert_eq!(found(&format!("{head}-a\n-b\n+c\n+b\n")), [("diff-noop", 5)]);
    }

    #[test]
    fn a_removed_line_that_looks_like_a_header_is_a_line() {
        let text = "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,1 @@\n--- note\n-a\n+b\n";
        assert_eq!(found(text), []);
        let text = "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,2 @@\n--- note\n-a\n+++ note\n+a\n";
        assert_eq!(found(text), [("diff-noop", 5)]);
    }

    #[test]
    fn names_of_a_part_of_a_file_are_judged_with_care() {
        let head = "--- a/x.py\n+++ b/x.py\n@@ -40,3 +40,3 @@\n";
        let body =
            " def call(request):\n-    return send(request)\n+    return send(request, settings.timeout, LIMIT)\n";
        assert_eq!(found(&format!("{head}{body}")), []);
        let body = " def call(request):\n-    sleep(1)\n+    sleep(min(cap, 1))\n";
        assert_eq!(found(&format!("{head}{body}")), [("diff-undefined-name", 6)]);
    }
}
