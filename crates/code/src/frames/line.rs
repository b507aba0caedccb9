//! One line of a stack trace.

use super::{Frame, MAX_LINE, SourceFrame};
use crate::language::Language;
use crate::walk::head;

/// The frame a line holds, when it holds a whole one.
pub(super) fn frame(line: &str) -> Option<Frame> {
    let trimmed = line.trim();
    if let Some(rest) = trimmed.strip_prefix("File \"") {
        return python(rest);
    }
    if let Some(rest) = trimmed.strip_prefix("at ") {
        return at(rest, trimmed);
    }
    if let Some((_, rest)) = trimmed.split_once("' panicked at ").or_else(|| trimmed.split_once(") panicked at ")) {
        let (file, line, _) = place(rest.trim_end_matches(':'))?;
        return Some(source(Language::Rust, None, Some(file), Some(line)));
    }
    if let Some(frame) = firefox(trimmed) {
        return Some(frame);
    }
    is_address(trimmed).then(|| unresolved(trimmed, "a bare address: it needs the binary with its debug symbols"))
}

fn source(language: Language, function: Option<&str>, file: Option<&str>, line: Option<u32>) -> Frame {
    let owned = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Frame::Source(SourceFrame { language, function: function.and_then(owned), file: file.and_then(owned), line })
}

fn unresolved(text: &str, reason: &str) -> Frame {
    Frame::Unresolved { text: head(text, MAX_LINE).to_owned(), reason: reason.to_owned() }
}

/// `/app/x.py", line 12, in charge`.
fn python(rest: &str) -> Option<Frame> {
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, function) = match rest.split_once(", in ") {
        Some((line, function)) => (line, Some(function.trim())),
        None => (rest, None),
    };
    let line = line.trim().parse().ok()?;
    if file.starts_with('<') {
        return Some(unresolved(
            &format!("File \"{file}\", line {line}"),
            "the code was made at run time and is in no file",
        ));
    }
    // What runs at the top of a file has no function.
    let function = function.filter(|function| *function != "<module>");
    Some(source(Language::Python, function, Some(file), Some(line)))
}

/// What follows `at ` on the JVM, in .NET and in JavaScript.
fn at(rest: &str, whole: &str) -> Option<Frame> {
    if is_address(rest) {
        return Some(unresolved(whole, "a bare address: it needs the binary with its debug symbols"));
    }
    let with_place = rest.rsplit_once(" in ");
    if let Some((function, (file, line))) = with_place.and_then(|(f, place)| Some((f, place.rsplit_once(":line ")?))) {
        let line = line.trim().parse().ok();
        return Some(source(Language::CSharp, Some(without_arguments(function)), Some(file), line));
    }
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    if let Some((function, inner)) = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        let function = function.trim();
        if let Some(frame) = jvm(function, inner, whole) {
            return Some(frame);
        }
        if let Some((file, line, true)) = place(inner) {
            return Some(javascript(Some(function.trim_start_matches("new ")), file, line));
        }
        if matches!(inner, "<anonymous>" | "native") || inner.starts_with("index ") {
            return Some(unresolved(whole, "the engine's own code has no file"));
        }
        let is_dotnet = function.contains('.') && !inner.contains('/');
        return is_dotnet.then(|| source(Language::CSharp, Some(function), None, None));
    }
    match place(rest) {
        Some((file, line, true)) => Some(javascript(None, file, line)),
        _ => None,
    }
}

fn javascript(function: Option<&str>, file: &str, line: u32) -> Frame {
    // `Foo.bar [as baz]` is the function and the name it was called by.
    let function = function.map(|function| function.split(" [as ").next().unwrap_or(function));
    let function = function.map(|function| function.trim_start_matches("Object.").trim_start_matches("async "));
    let function = function.filter(|function| !function.contains("<anonymous>"));
    source(Language::JavaScript, function, Some(file), Some(line))
}

/// `com.x.A.m` and `A.java:12`, `Native Method` or `Unknown Source`.
fn jvm(function: &str, inner: &str, whole: &str) -> Option<Frame> {
    if inner == "Native Method" || inner == "Unknown Source" {
        return Some(unresolved(whole, "the class was compiled without line numbers, or is native"));
    }
    let (file, line) = match inner.rsplit_once(':') {
        Some((file, line)) => (file, line.parse::<u32>().ok()),
        None => (inner, None),
    };
    let extension = file.rsplit_once('.').map(|(_, extension)| extension)?;
    if !matches!(extension, "java" | "kt" | "scala" | "groovy" | "clj") || file.contains('/') {
        return None;
    }
    // `app//com.x.A.m` and `java.base/java.util.List.get` name loader and module before the class.
    let function = function.rsplit('/').next().unwrap_or(function);
    let class = function.rsplit_once('.').map_or("", |(class, _)| class);
    let package = class.rsplit_once('.').map_or("", |(package, _)| package);
    let folder = package.replace('.', "/");
    let file = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    Some(source(Language::Java, Some(function), Some(&file), line))
}

/// `charge@https://shop/static/app.js:10:5`.
fn firefox(line: &str) -> Option<Frame> {
    let (function, rest) = line.split_once('@')?;
    let (file, line, true) = place(rest)? else { return None };
    let is_name = !function.contains(|c: char| c.is_whitespace() || c == ':');
    (is_name && rest.contains('/')).then(|| javascript(Some(function), file, line))
}

/// `file:line:column` or `file:line`; says whether there was a column.
fn place(text: &str) -> Option<(&str, u32, bool)> {
    let (before, last) = text.trim().rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    match before.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() && !file.is_empty() => Some((file, line.parse().ok()?, true)),
        _ => (!before.is_empty()).then_some((before, last, false)),
    }
}

fn without_arguments(function: &str) -> &str {
    function.split('(').next().unwrap_or(function).trim()
}

/// A line that names a function whose place follows on the next line: Rust's `3: a::b`, Go's `main.f(0x1, ..)`.
pub(super) fn named(line: &str) -> Option<(Language, String)> {
    let trimmed = line.trim_end();
    let numbered = trimmed.trim_start().split_once(": ");
    if let Some((_, function)) = numbered.filter(|(n, _)| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    {
        // `0x55.. - a::b`, as full backtraces write it.
        let function = match function.trim().split_once(" - ") {
            Some((address, function)) if address.trim().starts_with("0x") => function,
            _ => function,
        };
        return Some((Language::Rust, without_hash(function.trim()).to_owned()));
    }
    let created = trimmed.strip_prefix("created by ");
    let candidate = created.unwrap_or(trimmed);
    if candidate.starts_with(char::is_whitespace) {
        return None;
    }
    let function = match created {
        Some(rest) => rest.split(" in goroutine").next().unwrap_or(rest),
        None => go_function(candidate)?,
    };
    let is_name = function.contains('.') && !function.contains(|c: char| c.is_whitespace() || c == ':');
    is_name.then(|| (Language::Go, function.to_owned()))
}

/// `main.(*T).M` of `main.(*T).M(0xc000, 0x1)`: the last brackets hold arguments, the ones before may hold a type.
fn go_function(line: &str) -> Option<&str> {
    let inner = line.strip_suffix(')')?;
    let mut depth = 1usize;
    for (at, c) in inner.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inner[..at]);
        }
    }
    None
}

/// `::h0123456789abcdef` says only which build it was.
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => function,
    }
}

/// `\t/app/orders.go:23 +0x1d`.
pub(super) fn go_place(line: &str) -> Option<(String, u32)> {
    let trimmed = line.trim();
    let (path, _) = trimmed.split_once(" +0x").unwrap_or((trimmed, ""));
    let (file, line, false) = place(path)? else { return None };
    (Language::of_path(file) == Some(Language::Go)).then(|| (file.to_owned(), line))
}

/// `             at ./src/ledger.rs:34:5`.
pub(super) fn rust_place(line: &str) -> Option<(String, u32)> {
    let (file, line, _) = place(line.trim().strip_prefix("at ")?)?;
    Some((file.to_owned(), line))
}

/// `0x4005d0`, `#0 0x7f..`, `libc.so.6(+0x2d3e0) [0x7f..]`, `[<ffff..>]`, `pc 000a4f28`.
fn is_address(text: &str) -> bool {
    let hex = |word: &str| {
        let word = word.trim_matches(|c: char| matches!(c, '[' | ']' | '(' | ')' | '<' | '>' | ','));
        word.strip_prefix("0x").is_some_and(|digits| digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let mut words = text.split_whitespace();
    let Some(first) = words.next() else { return false };
    if hex(first) || first.starts_with("[<") && first.ends_with(">]") {
        return true;
    }
    let second = words.next().unwrap_or_default();
    let numbered = first.strip_prefix('#').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    numbered && (hex(second) || second == "pc")
        || first.ends_with(')') && first.contains("(+0x")
        || first.contains("+0x") && hex(second)
}
