//! A report as Markdown. Quotations are code spans and code blocks: nothing in them is a link, a heading, a mention or
//! HTML, whatever reads them.

use std::fmt::Write;

use super::prose::{Piece, pieces};
use super::{Part, Report, Sentence};

pub(super) fn write(report: &Report) -> String {
    let mut out = String::from("# Postmortem (draft)\n");
    for section in &report.sections {
        let _ = write!(out, "\n## {}\n\n", section.heading);
        let mut before = None;
        for part in &section.parts {
            match part {
                Part::About(sentence) => {
                    let gap = if before.is_some() { "\n" } else { "" };
                    let _ = write!(out, "{gap}### {}\n\n", line(sentence));
                }
                Part::Says(sentence) => {
                    let _ = writeln!(out, "- {}", line(sentence));
                }
                Part::Lines(lines) => {
                    let fence = "`".repeat(longest_run(lines).max(2) + 1);
                    let end = if lines.ends_with('\n') { "" } else { "\n" };
                    let _ = write!(out, "\n{fence}diff\n{lines}{end}{fence}\n");
                }
            }
            before = Some(part);
        }
    }
    out.push_str("\n## Evidence\n\n");
    for one in &report.evidence {
        let _ = writeln!(out, "- [{}] {}, SHA-256 {}", one.id, prose(&one.what), span(&one.sha256));
    }
    out
}

fn line(sentence: &Sentence) -> String {
    let evidence: String = sentence.evidence.iter().map(|id| format!(" [{id}]")).collect();
    format!("{}{evidence}", prose(&sentence.text))
}

fn prose(text: &str) -> String {
    let shown = |piece| match piece {
        Piece::Words(words) => escaped(words),
        Piece::Quoted(text) => span(text),
    };
    pieces(text).into_iter().map(shown).collect()
}

/// A code span: with more backticks around it than there are in it.
fn span(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Our own words hold nothing that needs this today; it keeps it so.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '@' | '$'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_span_has_more_backticks_around_it_than_in_it() {
        for (text, shown) in [("a", "`a`"), ("a``b", "```a``b```"), ("`a", "`` `a ``"), ("```", "```` ``` ````")] {
            assert_eq!(span(text), shown);
        }
        assert_eq!(escaped("a [b](c) <d>"), "a \\[b\\](c) \\<d\\>");
    }
}
