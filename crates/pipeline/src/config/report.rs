//! Where the loader collects what is wrong.

use serde_json::Value;

use super::Problem;
use super::tree::Pos;

/// Problems of one configuration; past this number more would not be read.
const MAX_PROBLEMS: usize = 1000;

pub(super) struct Report<'a> {
    file: &'a str,
    set: &'a [(String, Value)],
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, set: &'a [(String, Value)]) -> Self {
        Self { file, set, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn problem(&mut self, at: Pos, message: impl Into<String>, hint: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = self.made(at, message.into(), hint.into());
            self.problems.push(problem);
        }
    }

    pub(super) fn warning(&mut self, at: Pos, message: impl Into<String>, hint: impl Into<String>) {
        if self.warnings.len() < MAX_PROBLEMS {
            let warning = self.made(at, message.into(), hint.into());
            self.warnings.push(warning);
        }
    }

    fn made(&self, at: Pos, message: String, hint: String) -> Problem {
        let file = match at.source.checked_sub(1).and_then(|index| self.set.get(index)) {
            Some((path, _)) => format!("--set {path}"),
            None => self.file.to_owned(),
        };
        Problem { file, line: at.line, column: at.column, message, hint }
    }

    /// The problems by position, each once.
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        problems.dedup();
        problems
    }
}

/// The known name that a wrong one most likely means.
pub(super) fn nearest<'n>(wrong: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wrong_lower = wrong.to_lowercase();
    known
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wrong_lower, &lower);
            let near = distance <= (wrong.chars().count().max(name.chars().count()) / 3).max(1);
            let part =
                wrong.len() >= 4 && name.len() >= 4 && (lower.contains(&wrong_lower) || wrong_lower.contains(&lower));
            (near || part).then_some((distance, name))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// "did you mean 'x'? known processors: a, b, c", shortened where there are many.
pub(super) fn choices(wrong: &str, what: &str, known: &[&str]) -> String {
    const SHOWN: usize = 24;
    let mut hint = match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean '{name}'? "),
        None => String::new(),
    };
    if known.is_empty() {
        hint.push_str("there are no ");
        hint.push_str(what);
        return hint;
    }
    hint.push_str(what);
    hint.push_str(": ");
    hint.push_str(&known[..known.len().min(SHOWN)].join(", "));
    if known.len() > SHOWN {
        hint.push_str(", ...");
    }
    hint
}
