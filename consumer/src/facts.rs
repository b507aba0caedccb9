//! What the policy is asked about: facts of a patch, computed from the diff and the code. Nothing is taken from what its
//! author says about it.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_code::{Language, Parsed, api_changes, changed_functions, parse, undefined_names};
use backtrail_policy as policy;
use backtrail_policy::{FileKind, kind_of};
use backtrail_redact::Redactor;
use backtrail_sandbox::git::{Diff, FileChange, Status};

use crate::candidate::{Kind, Origin, Proposal};
use crate::context::has_word;

/// A file of the patch with its texts; none where it is not there or no text.
pub struct Changed<'a> {
    /// What git says of it.
    pub change: &'a FileChange,
    /// Its path.
    pub path: String,
    /// Its text before; none if it was not there or is no text.
    pub before: Option<String>,
    /// Its text after.
    pub after: Option<String>,
}

impl Changed<'_> {
    /// Lines that the patch adds, with their numbers. A line that moved within the file is none.
    pub(crate) fn added_lines(&self) -> Vec<(u64, &str)> {
        let mut before: Vec<&str> = self.before.as_deref().unwrap_or_default().lines().collect();
        before.sort_unstable();
        let lines = self.after.as_deref().unwrap_or_default().lines().enumerate();
        let new = |line: &str| before.binary_search(&line).is_err();
        lines.filter(|(_, line)| new(line)).map(|(n, line)| (n as u64 + 1, line)).collect()
    }

    fn language(&self) -> Option<Language> {
        Language::of_path(&self.path)
    }

    /// The trees before and after; a file that was not there, or is gone, is empty.
    fn parsed(&self) -> Option<(Parsed, Parsed)> {
        let parse = |text: &Option<String>| parse(self.language()?, text.as_deref().unwrap_or("")).ok();
        Some((parse(&self.before)?, parse(&self.after)?))
    }

    pub(crate) fn kind(&self) -> FileKind {
        kind_of(&self.path)
    }

    /// Whether it was a contract under the name that it had.
    pub(crate) fn was_contract(&self) -> bool {
        kind_of(&self.change.old_path.to_string()) == FileKind::Contract
    }
}

/// The part about the diff. `patch` is the text as it was given: git itself never writes a hunk without effect.
pub fn diff(patch: &[u8], digest: &str, diff: &Diff, changed: &[Changed<'_>]) -> policy::Diff {
    let (added, removed) = diff.files.iter().fold((0, 0), |(a, r), file| (a + file.added, r + file.removed));
    let functions: u64 = changed
        .iter()
        .filter(|file| file.kind() == FileKind::Source)
        .filter_map(|file| {
            let (before, after) = file.parsed()?;
            let changes = changed_functions(&before, &after);
            Some((changes.added.len() + changes.removed.len() + changes.changed.len()) as u64)
        })
        .sum();
    policy::Diff {
        digest: digest.to_owned(),
        line_count: added + removed,
        added,
        removed,
        noop_hunks: noop_hunks(&String::from_utf8_lossy(patch)),
        functions_changed: functions,
        files: diff.files.iter().map(file).collect(),
    }
}

fn file(change: &FileChange) -> policy::ChangedFile {
    let text = |path: &backtrail_sandbox::TreePath| path.to_string();
    let mode = |mode: &str| (mode != "000000").then(|| mode.to_owned());
    let modes = [&change.old_mode, &change.mode];
    let (path, old) = (text(&change.path), text(&change.old_path));
    let status = match change.status {
        Status::Added => policy::FileStatus::Added,
        Status::Deleted => policy::FileStatus::Deleted,
        Status::Renamed => policy::FileStatus::Renamed,
        Status::Modified | Status::TypeChanged => policy::FileStatus::Modified,
    };
    // The stricter of both names: a migration does not become a source file by being moved.
    let ordinary = |kind| matches!(kind, FileKind::Source | FileKind::Test | FileKind::Config | FileKind::Other);
    let kind = if ordinary(kind_of(&path)) && !ordinary(kind_of(&old)) { kind_of(&old) } else { kind_of(&path) };
    policy::ChangedFile {
        old_path: (old != path).then_some(old),
        kind,
        path,
        status,
        mode_before: mode(&change.old_mode),
        mode_after: mode(&change.mode),
        binary: change.binary,
        symlink: modes.iter().any(|mode| *mode == "120000"),
        submodule: modes.iter().any(|mode| *mode == "160000"),
        added: change.added,
        removed: change.removed,
    }
}

/// Hunks of a unified diff that remove lines and add the same lines again, or change nothing at all.
///
/// ```
/// # use backtrail_consumer::facts::noop_hunks;
/// let patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n-b\n+a\n+b\n@@ -9 +9 @@\n-c\n+d\n";
/// assert_eq!(noop_hunks(patch), 1);
/// ```
pub fn noop_hunks(patch: &str) -> u64 {
    let mut hunks: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for line in patch.lines() {
        if line.starts_with("@@ ") {
            hunks.push((Vec::new(), Vec::new()));
            inside = true;
        } else if line.starts_with("diff ") || line.starts_with("--- ") || line.starts_with("GIT binary") {
            inside = false;
        } else if let Some((removed, added)) = hunks.last_mut().filter(|_| inside) {
            match line.as_bytes().first() {
                Some(b'-') => removed.push(line[1..].trim_end()),
                Some(b'+') => added.push(line[1..].trim_end()),
                _ => {}
            }
        }
    }
    hunks.iter().filter(|(removed, added)| removed == added).count() as u64
}

/// The part about the code. `sources` is the service's code before the patch.
pub fn code(
    proposal: &Proposal,
    changed: &[Changed<'_>],
    sources: &BTreeMap<String, Parsed>,
    redactor: &Redactor,
) -> policy::Code {
    let (mut undefined, mut syntax_errors, mut api) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut egress, mut secrets, mut pii) = (Vec::new(), Vec::new(), Vec::new());
    let mut dependencies = BTreeSet::new();
    for file in changed {
        let lines = file.added_lines();
        let is_new = |line: u64| lines.iter().any(|(n, _)| *n == line);
        if let (Some(language), Some(after)) = (file.language(), file.after.as_deref()) {
            let before = file.before.as_deref().unwrap_or("");
            if let Ok(check) = undefined_names(language, after) {
                let new = check.undefined().iter().filter(|name| is_new(u64::from(name.line)));
                undefined.extend(new.map(|name| policy::UndefinedName {
                    path: file.path.clone(),
                    line: u64::from(name.line),
                    name: name.name.clone(),
                }));
            }
            syntax_errors.extend(
                new_syntax_errors(language, before, after)
                    .into_iter()
                    .map(|line| policy::Place { path: file.path.clone(), line }),
            );
            if file.kind() == FileKind::Source {
                if let Some((before, after)) = file.parsed() {
                    let changes = api_changes(&before, &after);
                    api.extend(changes.into_iter().map(|change| format!("{}: {}", file.path, change.function)));
                }
                egress.extend(ways_out(&file.path, &lines, before));
                dependencies.extend(imports(language, &lines, before, sources));
            }
        }
        // The whole file is looked at, because a key has many lines; what an added line has part in counts.
        let after = file.after.as_deref().unwrap_or("");
        for found in redactor.find(after) {
            let first = u64::from(found.line);
            let last = first + after[found.range].matches('\n').count() as u64;
            if let Some((line, _)) = lines.iter().find(|(line, _)| (first..=last).contains(line)) {
                let kind = found.kind.name().to_owned();
                let place = policy::Sensitive { path: file.path.clone(), line: *line, kind };
                if found.kind.is_secret() { secrets.push(place) } else { pii.push(place) }
            }
        }
    }
    // What was there before and comes back is nobody's invention: a revert adds no dependency of its own.
    if proposal.kind == Kind::Revert {
        dependencies.clear();
        egress.clear();
        api.clear();
    }
    policy::Code {
        undefined_names: undefined,
        syntax_errors,
        public_api_changed: api.into_iter().collect(),
        flag: flag(proposal, changed),
        new_dependencies: dependencies.into_iter().collect(),
        egress,
        secrets,
        pii,
    }
}

/// The flag: there when the new code asks for it by its name and a flags file knows it.
fn flag(proposal: &Proposal, changed: &[Changed<'_>]) -> policy::Flag {
    let name = &proposal.flag;
    let asked = changed
        .iter()
        .filter(|file| file.kind() == FileKind::Source)
        .any(|file| file.added_lines().iter().any(|(_, line)| has_word(line, name)));
    policy::Flag {
        required: proposal.kind == Kind::Code,
        present: !name.is_empty() && asked,
        name: (!name.is_empty()).then(|| name.clone()),
    }
}

/// Lines with syntax errors in a file that had none; a file that was broken before is not judged by them.
fn new_syntax_errors(language: Language, before: &str, after: &str) -> Vec<u64> {
    let broken = |text: &str| parse(language, text).map(|parsed| parsed.errors().to_vec()).unwrap_or_default();
    if !before.is_empty() && !broken(before).is_empty() {
        return Vec::new();
    }
    match parse(language, after) {
        Ok(parsed) => parsed.errors().iter().map(|error| u64::from(error.line)).collect(),
        // What cannot be parsed at all is no code that can be judged.
        Err(_) => vec![1],
    }
}

/// Calls and addresses that lead out of the process.
const WAYS_OUT: [&str; 16] = [
    "socket",
    "urlopen",
    "requests.",
    "httpx.",
    "aiohttp",
    "HTTPConnection",
    "http.Get",
    "http.Post",
    "net.Dial",
    "fetch(",
    "axios",
    "XMLHttpRequest",
    "HttpClient",
    "TcpStream",
    "reqwest",
    "subprocess",
];

/// Ways out that are new. A call that the file made before, with the same first argument, is none, whatever else changes
/// about it; nor is a host that it named.
fn ways_out(path: &str, lines: &[(u64, &str)], before: &str) -> Vec<policy::Egress> {
    let mut found = Vec::new();
    for (line, text) in lines {
        let call = WAYS_OUT.iter().find_map(|call| Some((call, text.find(call)?)));
        let call = call.filter(|(_, at)| !made(before, &text[*at..])).map(|(call, _)| (*call).to_owned());
        let host = hosts(text).next().filter(|host| !hosts(before).any(|known| known == *host)).map(str::to_owned);
        if let Some(what) = call.or(host) {
            found.push(policy::Egress { path: path.to_owned(), line: *line, what });
        }
    }
    found
}

/// Whether a text makes the call that `call` begins with. One without an argument is told from no other.
fn made(text: &str, call: &str) -> bool {
    let ends = [',', ')'];
    let Some(open) = call.find('(') else { return false };
    let argument = call[open + 1..].find(ends).unwrap_or_default();
    let made = &call[..open + 1 + argument];
    argument > 0 && text.match_indices(made).any(|(at, _)| text[at + made.len()..].starts_with(ends))
}

/// Hosts of the addresses in a text.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let rests = text.split("://").skip(1);
    rests.map(|rest| rest.split(['/', '"', '\'', ' ', ')', '`', '\n', '\r']).next().unwrap_or_default())
}

/// Packages that added lines import and that neither the file nor another one of the service imported before. Only Python tells its own standard library
/// apart here; an import of another language's counts as one.
fn imports(
    language: Language,
    lines: &[(u64, &str)],
    before: &str,
    sources: &BTreeMap<String, Parsed>,
) -> BTreeSet<String> {
    let name = |line: &str| -> Option<String> {
        let line = line.trim();
        let words = |rest: &str| rest.split([' ', ',', ';', '.', ':']).next().map(str::to_owned);
        match language {
            Language::Python => line.strip_prefix("import ").or_else(|| line.strip_prefix("from ")).and_then(words),
            Language::TypeScript | Language::Tsx | Language::JavaScript => {
                let at = line.find("from ").map(|at| at + 5).or_else(|| line.find("require(").map(|at| at + 8))?;
                let name = line[at..].trim_matches(|c: char| !c.is_alphanumeric() && c != '@' && c != '.' && c != '/');
                (!name.starts_with('.')).then(|| name.to_owned())
            }
            Language::Go => {
                let name = line.trim_start_matches("import ").trim_matches('"');
                (line.ends_with('"') && name.split('/').next().is_some_and(|host| host.contains('.')))
                    .then(|| name.into())
            }
            _ => None,
        }
    };
    let mut new: BTreeSet<String> = lines.iter().filter_map(|(_, line)| name(line)).collect();
    let standard = |name: &String| language == Language::Python && PYTHON.contains(&name.as_str());
    new.retain(|name| !name.is_empty() && !standard(name));
    if !new.is_empty() {
        let of_service = sources.values().filter(|parsed| parsed.language() == language).map(Parsed::text);
        for known in of_service.chain([before]).flat_map(str::lines).filter_map(name) {
            new.remove(&known);
        }
    }
    new
}

/// Modules of Python's standard library that a patch may use.
const PYTHON: [&str; 30] = [
    "abc",
    "asyncio",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "itertools",
    "json",
    "logging",
    "math",
    "os",
    "pathlib",
    "queue",
    "random",
    "re",
    "sched",
    "statistics",
    "string",
    "sys",
    "threading",
    "time",
    "typing",
    "types",
    "unittest",
    "uuid",
    "warnings",
    "__future__",
];

/// What added lines add to telemetry.
pub fn observability(proposal: &Proposal, required: &[String], changed: &[Changed<'_>]) -> policy::Observability {
    let (mut attributes, mut counters, mut fields) = (BTreeSet::new(), 0, 0);
    for file in changed.iter().filter(|file| file.kind() == FileKind::Source) {
        for (_, line) in file.added_lines() {
            if ["set_attribute(", "SetAttributes(", "SetAttribute(", "attribute.String(", "setAttribute(", "SetTag("]
                .iter()
                .any(|call| line.contains(call))
            {
                attributes.extend(quoted(line));
            }
            counters += u64::from(
                [".add(", ".Add(", ".Inc(", "create_counter(", "Int64Counter("].iter().any(|call| line.contains(call)),
            );
            fields +=
                u64::from(["extra=", "slog.", "logger.info({", "log.With("].iter().any(|call| line.contains(call)));
        }
    }
    policy::Observability {
        span_attrs_added: attributes.into_iter().collect(),
        required: if proposal.kind == Kind::Code { required.to_vec() } else { Vec::new() },
        counters_added: counters,
        log_fields_added: fields,
    }
}

/// The first quoted text of a line: an attribute's name.
fn quoted(line: &str) -> Option<String> {
    let start = line.find(['"', '\''])?;
    let quote = line[start..].chars().next()?;
    let rest = &line[start + 1..];
    rest.find(quote).map(|end| rest[..end].to_owned())
}

/// Tests that the patch changes or removes: an existing test is no obstacle to be moved.
pub fn tests_touched(changed: &[Changed<'_>]) -> Vec<String> {
    let mut touched = Vec::new();
    for file in changed {
        let (Some(language), Some(before)) = (file.language(), file.before.as_deref()) else { continue };
        let Ok(old) = parse(language, before) else { continue };
        let new = parse(language, file.after.as_deref().unwrap_or("")).ok();
        for (place, test) in old.functions().iter().enumerate().filter(|(_, function)| function.test.is_some()) {
            let now = new.as_ref().and_then(|new: &Parsed| {
                let at = new.functions().iter().position(|function| function.qualified == test.qualified)?;
                Some(new.text_of_function(at))
            });
            if now != Some(old.text_of_function(place)) {
                touched.push(format!("{}::{}", file.path, test.qualified));
            }
        }
    }
    touched
}

/// Tests that the patch adds: file and name.
pub fn tests_added(changed: &[Changed<'_>]) -> Vec<(String, String)> {
    let mut added = Vec::new();
    for file in changed {
        let (Some(language), Some(after)) = (file.language(), file.after.as_deref()) else { continue };
        let Ok(new) = parse(language, after) else { continue };
        let old = parse(language, file.before.as_deref().unwrap_or("")).ok();
        let was = |name: &str| old.as_ref().is_some_and(|old| old.functions().iter().any(|one| one.qualified == name));
        for test in new.functions().iter().filter(|function| function.test.is_some() && !was(&function.qualified)) {
            added.push((file.path.clone(), test.qualified.clone()));
        }
    }
    added
}

/// The part about the patch.
pub fn patch(proposal: &Proposal, repository: &str, commit: &str) -> policy::Patch {
    policy::Patch {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
        recipe: proposal.recipe.clone(),
        tier: proposal.tier,
        kind: match proposal.kind {
            Kind::Revert => policy::PatchKind::Revert,
            Kind::Flag => policy::PatchKind::Flag,
            Kind::Config => policy::PatchKind::Config,
            Kind::Code => policy::PatchKind::Code,
        },
        origin: match proposal.origin {
            Origin::Recipe => policy::Origin::Recipe,
            Origin::Llm => policy::Origin::Llm,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_made_before_is_no_new_way_out() {
        let before = "answer = requests.get(self.url, params=p)\nconst API = \"https://tax.example/v1\"\n";
        let out = |line: &str| ways_out("a.py", &[(1, line)], before).into_iter().map(|one| one.what).next();
        assert_eq!(out("answer = requests.get(self.url, params=p, timeout=2)"), None);
        assert_eq!(out("const OTHER = \"https://tax.example/v2\""), None);
        for (line, what) in [
            ("requests.get(self.ur, params=p)", "requests."),
            ("requests.get(self.url_of_mine)", "requests."),
            ("requests.post(self.url, params=p)", "requests."),
            ("requests.get()", "requests."),
            ("u = \"https://tax.example.org/\"", "tax.example.org"),
            ("u = \"https://tax\"", "tax"),
        ] {
            assert_eq!(out(line).as_deref(), Some(what), "{line}");
        }
    }

    #[test]
    fn what_another_file_of_the_service_imports_is_no_new_dependency() {
        let other = parse(Language::Python, "from shop import flags\nimport requests\n").expect("parses");
        let sources = BTreeMap::from([("b.py".to_owned(), other)]);
        let lines = [(1, "from shop import flags"), (2, "import httpx"), (3, "import time")];
        let new = imports(Language::Python, &lines, "", &sources);
        assert_eq!(new.into_iter().collect::<Vec<_>>(), ["httpx"]);
    }
}
