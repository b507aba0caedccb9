//! Finds mistakes that the tools for these files accept: a policy that means another thing than it says, an analysis
//! that can not fail or can not pass, a rollout that does not move traffic, a test that proves nothing.
//!
//! A linter reads text alone. It reports what it can show in the given files and stays silent where another file could
//! make things right; [`lint_files`] sees several files at once.

mod analysis;
mod condition;
mod diff;
mod generated_test;
mod manifest;
mod promql;
mod python;
mod rego;
mod rollout;
mod rules;
mod yaml;

pub use rego::{Head, bodies as rego_bodies, heads as rego_heads, too_deep as rego_too_deep, words as rego_words};
pub use rules::{RULES, Rule};

use crate::input::FileKind;
use crate::kind_of;

/// Bytes of one file; larger ones are not written by people.
const MAX_BYTES: usize = 1 << 20;
/// Bytes of one line of a file that people write; some searches take the square of it.
const MAX_LINE: usize = 5_000;
/// Manifests of one run.
const MAX_MANIFESTS: usize = 1_000;
/// Findings of one run.
const MAX_FINDINGS: usize = 1_000;

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Finding {
    /// The file as it was named.
    pub path: String,
    /// Id of the rule in [`RULES`].
    pub rule: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What stands there.
    pub what: String,
    /// Why that is a mistake.
    pub why: String,
    /// How to mend it.
    pub mend: String,
}

/// A place in a text, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl At {
    const START: Self = Self { line: 1, column: 1 };
}

/// Collects findings of one file.
pub(crate) struct Findings<'a> {
    path: &'a str,
    all: &'a mut Vec<Finding>,
}

impl Findings<'_> {
    /// Adds a finding of a rule of [`RULES`], which says why and how to mend.
    fn add(&mut self, rule: &'static str, at: At, what: impl Into<String>) {
        let Some(known) = RULES.iter().find(|known| known.id == rule) else { return };
        if self.all.len() < MAX_FINDINGS {
            self.all.push(Finding {
                path: self.path.to_owned(),
                rule,
                line: at.line,
                column: at.column,
                what: what.into(),
                why: known.why.to_owned(),
                mend: known.mend.to_owned(),
            });
        }
    }
}

/// Lints one file; what it is, is told by its path.
pub fn lint(path: &str, text: &str) -> Vec<Finding> {
    lint_files(&[(path, text)])
}

/// Lints files that belong together: a rollout, its templates and its routes may stand in several.
pub fn lint_files(files: &[(&str, &str)]) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut manifests = Vec::new();
    for (path, text) in files {
        let mut findings = Findings { path, all: &mut all };
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        if text.len() > MAX_BYTES {
            findings.add("unreadable", At::START, format!("{} bytes, at most {MAX_BYTES} are read", text.len()));
            continue;
        }
        let extension = extension.to_ascii_lowercase();
        let long = text.lines().position(|line| line.len() > MAX_LINE);
        match (extension.as_str(), long) {
            ("rego" | "diff" | "patch", Some(line)) => {
                let at = At { line: line + 1, column: 1 };
                findings.add("unreadable", at, format!("a line of more than {MAX_LINE} bytes"));
            }
            ("rego", None) => rego::lint(text, &mut findings),
            ("yaml" | "yml" | "json", _) => manifests.extend(manifest::read(path, text, &mut findings)),
            ("diff" | "patch", None) => diff::lint(text, &mut findings),
            (_, None) if kind_of(path) == FileKind::Test => generated_test::lint(path, text, &mut findings),
            _ => {}
        }
    }
    manifests.truncate(MAX_MANIFESTS);
    analysis::lint(&manifests, &mut all);
    rollout::lint(&manifests, &mut all);
    let order: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    let place = |finding: &Finding| order.iter().position(|path| *path == finding.path);
    all.sort_by(|a, b| (place(a), a.line, a.column, a.rule).cmp(&(place(b), b.line, b.column, b.rule)));
    all.dedup();
    all
}
