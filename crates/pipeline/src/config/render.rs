//! Problems as a compiler shows them: message, place, the line with a caret, hint.

use std::fmt::Write as _;
use std::path::Path;

use super::Problem;

/// Columns of a source line that are shown around the caret.
const WIDTH: usize = 120;

/// The texts of files that problems name.
pub type Texts = Vec<(String, String)>;

/// Reads the files that problems name, for [`render`]; what cannot be read gets no snippet.
pub fn texts(problems: &[Problem]) -> Texts {
    let mut texts = Texts::new();
    for problem in problems {
        if texts.iter().any(|(file, _)| *file == problem.file) {
            continue;
        }
        if let Ok(text) = super::read(Path::new(&problem.file)) {
            texts.push((problem.file.clone(), text));
        }
    }
    texts
}

/// All problems as text, by position, with a count at the end.
pub fn render(problems: &[Problem], texts: &[(String, String)], colour: bool) -> String {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let mut out = String::new();
    for problem in &sorted {
        one(problem, "error", texts, colour, &mut out);
        out.push('\n');
    }
    match sorted.len() {
        0 => {}
        1 => out.push_str("1 problem\n"),
        n => _ = writeln!(out, "{n} problems"),
    }
    out
}

/// Warnings, in the same form.
pub fn render_warnings(warnings: &[Problem], texts: &[(String, String)], colour: bool) -> String {
    let mut out = String::new();
    for warning in warnings {
        one(warning, "warning", texts, colour, &mut out);
        out.push('\n');
    }
    out
}

/// Styles as terminals understand them; empty without colour.
struct Style {
    head: &'static str,
    bold: &'static str,
    frame: &'static str,
    hint: &'static str,
    end: &'static str,
}

fn style(level: &str, colour: bool) -> Style {
    if !colour {
        return Style { head: "", bold: "", frame: "", hint: "", end: "" };
    }
    let head = if level == "error" { "\x1b[1;31m" } else { "\x1b[1;33m" };
    Style { head, bold: "\x1b[1m", frame: "\x1b[34m", hint: "\x1b[36m", end: "\x1b[0m" }
}

fn one(problem: &Problem, level: &str, texts: &[(String, String)], colour: bool, out: &mut String) {
    let Problem { file, line, column, message, hint } = problem;
    let Style { head, bold, frame, hint: tint, end } = style(level, colour);
    let _ = writeln!(out, "{head}{level}{end}{bold}: {}{end}", printable(message));
    let _ = writeln!(out, "  {frame}-->{end} {}:{line}:{column}", printable(file));
    let source = texts.iter().find(|(name, _)| name == file).and_then(|(_, text)| text.lines().nth(line - 1));
    if let Some(source) = source {
        let (shown, caret) = window(source, *column);
        let gutter = " ".repeat(line.to_string().len());
        let _ = writeln!(out, " {gutter} {frame}|{end}");
        let _ = writeln!(out, " {frame}{line} |{end} {shown}");
        let _ = writeln!(out, " {gutter} {frame}|{end} {}{head}^{end}", " ".repeat(caret));
    }
    if !hint.is_empty() {
        let _ = writeln!(out, "  {tint}hint{end}: {}", printable(hint));
    }
}

/// The part of a line around a column, and where the caret stands in it.
fn window(source: &str, column: usize) -> (String, usize) {
    let caret = column.saturating_sub(1);
    let start = if caret >= WIDTH { caret - WIDTH / 2 } else { 0 };
    (printable(&source.chars().skip(start).take(WIDTH).collect::<String>()), caret - start)
}

/// Control characters could move the cursor of a terminal; each becomes one blank, so that columns still fit.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
