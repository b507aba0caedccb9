//! Reads a user's folder, and refuses what would be read but never asked.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ALWAYS, SHIPPED, SHIPPED_RULES, nearest};
use crate::engine::{Engine, PACKAGE};
use crate::error::{Error, Problem};
use crate::lint;

/// Files of one folder.
const MAX_FILES: usize = 64;
/// Bytes of one file.
const MAX_BYTES: u64 = 256 << 10;

/// Brackets inside each other: the engine's reader takes twice as long for each further one.
const MAX_BRACKETS: usize = 12;

/// Texts of a folder by file name.
pub(super) struct Files {
    pub(super) rego: Vec<(String, String)>,
    pub(super) data: Option<(String, String)>,
}

/// Reads `*.rego` and `data.json` of a folder, not of folders below it: fixtures may lie there.
pub(super) fn folder(dir: &Path) -> Result<Files, Error> {
    let shown = dir.display().to_string();
    let unavailable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unavailable { path, source }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unavailable(dir))? {
        let path = entry.map_err(unavailable(dir))?.path();
        let rego = path.extension().is_some_and(|extension| extension == "rego");
        if rego || path.file_name().is_some_and(|name| name == "data.json") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let hint = "name the folder that holds your rules; without one, the shipped rules decide alone";
        return Err(Error::Rejected(vec![Problem::of_file(&shown, "no .rego file and no data.json in it", hint)]));
    }
    if paths.len() > MAX_FILES {
        let message = format!("{} files, at most {MAX_FILES} are read", paths.len());
        return Err(Error::Rejected(vec![Problem::of_file(&shown, message, "put several rules into one file")]));
    }
    let mut files = Files { rego: Vec::new(), data: None };
    let mut problems = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match text(&path, &name).map_err(unavailable(&path))? {
            Err(problem) => problems.push(problem),
            Ok(text) if name == "data.json" => files.data = Some((name, text)),
            Ok(text) => files.rego.push((name, text)),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(Error::Rejected(problems)) }
}

fn text(path: &Path, name: &str) -> std::io::Result<Result<String, Problem>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("more than {MAX_BYTES} bytes");
        return Ok(Err(Problem::of_file(name, message, "split it into several files")));
    }
    Ok(String::from_utf8(bytes).map_err(|_| Problem::of_file(name, "it is not UTF-8 text", "save it as UTF-8")))
}

/// What gives another answer at another time or place: a decision must come out the same when it is asked again.
const UNREPEATABLE: &[&str] =
    &["time.now_ns", "rand.intn", "uuid.rfc4122", "http.send", "net.lookup_ip_addr", "opa.runtime"];

/// Adds a file to the engine; everything that is wrong with it goes to `problems`.
pub(super) fn check(name: &str, text: &str, engine: &mut Engine, problems: &mut Vec<Problem>) {
    // Before the engine, because it stops at the first mistake and these are to be named all.
    let findings = lint::lint_files(&[(name, text)]);
    let told: Vec<usize> = findings.iter().filter(|f| f.rule == "rego-matches").map(|f| f.line).collect();
    for finding in findings {
        problems.push(Problem {
            file: name.to_owned(),
            line: finding.line,
            column: finding.column,
            message: format!("{} ({})", finding.what, finding.why),
            hint: finding.mend,
        });
    }
    for head in lint::rego_heads(text) {
        if matches!(head.name, "allow" | "default allow") {
            problems.push(Problem {
                file: name.to_owned(),
                line: head.line,
                column: head.column,
                message: "allow is never asked: a patch is allowed if no rule denies it".to_owned(),
                hint: "write what must not be: deny contains {\"rule\": ..., \"msg\": ..., \"path\": ...} if { ... }"
                    .to_owned(),
            });
        }
    }
    problems.extend(taken(name, text));
    for (line, column, word) in lint::rego_words(text) {
        if UNREPEATABLE.contains(&word) {
            problems.push(Problem {
                file: name.to_owned(),
                line,
                column,
                message: format!("{word} answers differently each time"),
                hint: "decide on the input alone, so that a logged decision can be checked".to_owned(),
            });
        }
    }
    if SHIPPED.iter().any(|(shipped, _)| *shipped == name) {
        // The engine tells files apart by their names.
        let hint = format!("rename it, as my_{name}; to switch a shipped rule off, list it in data.json");
        problems.push(Problem::of_file(name, "a shipped file has this name, and your files only add to those", hint));
        return;
    }
    if let Some((line, column)) = lint::rego_too_deep(text, MAX_BRACKETS) {
        let message = format!("more than {MAX_BRACKETS} brackets inside each other");
        let hint = "give a part of it a name, as a rule or a variable of its own".to_owned();
        problems.push(Problem { file: name.to_owned(), line, column, message, hint });
        return;
    }
    match engine.add(name, text) {
        // The engine stumbles over the same word, and says less about it.
        Err(problem) if told.contains(&problem.line) => {}
        Err(problem) => problems.push(problem),
        Ok(package) => {
            let package = package.trim_start_matches("data.");
            let library = package.starts_with("backtrail.patch.");
            let denies = lint::rego_heads(text).iter().any(|head| head.name == "deny");
            if package != PACKAGE && (denies || !library) {
                let message = format!("its package is {package}: rules there are never asked");
                problems.push(Problem::of_file(name, message, format!("begin it with 'package {PACKAGE}'")));
            }
        }
    }
}

/// Names that shipped rules have. Another body for one of them would change what the shipped rules mean.
fn taken(name: &str, text: &str) -> Vec<Problem> {
    let shipped: BTreeSet<&str> =
        SHIPPED.iter().flat_map(|(_, text)| lint::rego_heads(text)).map(|head| head.name).collect();
    let own = lint::rego_heads(text).into_iter().filter(|head| {
        let name = head.name.split('.').next().unwrap_or(head.name);
        name != "deny" && shipped.contains(name)
    });
    own.map(|head| Problem {
        file: name.to_owned(),
        line: head.line,
        column: head.column,
        message: format!("'{}' is a name of the shipped rules, and your files only add to those", head.name),
        hint: format!("call it my_{}", head.name),
    })
    .collect()
}

/// Reads `data.json` into the engine; gives the shipped rules that it switches off.
pub(super) fn data(name: &str, text: &str, engine: &mut Engine) -> Result<Vec<String>, Vec<Problem>> {
    let data: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        vec![Problem { file: name.to_owned(), line, column, message, hint: String::new() }]
    })?;
    let Value::Object(map) = &data else {
        return Err(vec![Problem::of_file(name, "it is not an object", "write {\"disabled\": []}")]);
    };
    let mut problems = Vec::new();
    let mut disabled = Vec::new();
    if map.contains_key("backtrail") {
        problems.push(Problem::of_file(name, "'backtrail' is the name of the rules' own package", "rename this key"));
    }
    let entries = match map.get("disabled") {
        None => &[][..],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(_) => {
            problems.push(Problem::of_file(name, "'disabled' is not a list", "write {\"disabled\": [\"size.lines\"]}"));
            &[]
        }
    };
    for entry in entries {
        match entry.as_str() {
            Some(rule) if ALWAYS.contains(&rule) => problems.push(Problem::of_file(
                name,
                format!("rule '{rule}' can not be switched off: without it, a missing field would pass"),
                "take it out of 'disabled'",
            )),
            Some(rule) if SHIPPED_RULES.contains(&rule) => disabled.push(rule.to_owned()),
            Some(rule) => {
                let hint = nearest(rule).map(|near| format!("did you mean '{near}'?")).unwrap_or_default();
                problems.push(Problem::of_file(name, format!("no shipped rule is called '{rule}'"), hint));
            }
            None => problems.push(Problem::of_file(name, format!("{entry} in 'disabled' is no text"), "")),
        }
    }
    if let Err(error) = engine.add_data(&data) {
        problems.push(Problem::of_file(name, error, ""));
    }
    disabled.sort();
    disabled.dedup();
    if problems.is_empty() { Ok(disabled) } else { Err(problems) }
}
