//! A report as one page of HTML: no script, no picture, nothing that is fetched. What is quoted is text.

use std::fmt::Write;

use super::prose::{Piece, pieces};
use super::{Part, Report, Sentence};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Postmortem (draft)</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-bottom: 1px solid #8884; margin-top: 2rem }
code, pre { font: 0.875em/1.45 ui-monospace, monospace; background: #8882; border-radius: 3px }
code { padding: 0 .25em; overflow-wrap: anywhere }
pre { padding: .75em; overflow-x: auto }
a { font-size: .8em; text-decoration: none }
.evidence li:target { background: #fc06 }
</style>
</head>
<body>
<h1>Postmortem (draft)</h1>
"#;

pub(super) fn write(report: &Report) -> String {
    let mut out = String::from(HEAD);
    for section in &report.sections {
        let _ = writeln!(out, "<h2>{}</h2>", escaped(section.heading));
        let mut in_list = false;
        for part in &section.parts {
            if in_list != matches!(part, Part::Says(_)) {
                out.push_str(if in_list { "</ul>\n" } else { "<ul>\n" });
                in_list = !in_list;
            }
            let _ = match part {
                Part::About(sentence) => writeln!(out, "<h3>{}</h3>", line(sentence)),
                Part::Says(sentence) => writeln!(out, "<li>{}</li>", line(sentence)),
                Part::Lines(lines) => writeln!(out, "<pre>{}</pre>", escaped(lines)),
            };
        }
        if in_list {
            out.push_str("</ul>\n");
        }
    }
    out.push_str("<h2>Evidence</h2>\n<ul class=\"evidence\">\n");
    for one in &report.evidence {
        let (id, what, sha256) = (escaped(&one.id), prose(&one.what), escaped(&one.sha256));
        let _ = writeln!(out, "<li id=\"{id}\">[{id}] {what}, SHA-256 <code>{sha256}</code></li>");
    }
    out.push_str("</ul>\n</body>\n</html>\n");
    out
}

fn line(sentence: &Sentence) -> String {
    let mut line = prose(&sentence.text);
    for id in &sentence.evidence {
        let id = escaped(id);
        let _ = write!(line, " <a href=\"#{id}\">[{id}]</a>");
    }
    line
}

fn prose(text: &str) -> String {
    let shown = |piece| match piece {
        Piece::Words(words) => escaped(words),
        Piece::Quoted(text) => format!("<code>{}</code>", escaped(text)),
    };
    pieces(text).into_iter().map(shown).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
