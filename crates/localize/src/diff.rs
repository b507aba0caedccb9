//! What a change does, as its diff says: the code that is new or gone, and the code that only moved.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_model::change::Change;

use crate::words::{tokens, words};

/// The words of a change by how much they say about it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reading {
    /// Words of code that is new or gone.
    pub done: BTreeSet<String>,
    /// Words of the subject, of paths and of flags: where, and what was meant.
    pub place: BTreeSet<String>,
    /// Words of code around it, and of code that only moved.
    pub around: BTreeSet<String>,
    /// Share of the tokens in changed lines that are new or gone; none without a diff.
    pub new_share: Option<f64>,
    /// Whether only documents, tests, build files or style are touched.
    pub inert: bool,
}

impl Reading {
    /// Reads a change.
    pub fn new(change: &Change) -> Self {
        let mut place = words(&format!("{} {} {} {}", change.subject, change.flag, change.old, change.new));
        change.files.iter().for_each(|file| place.extend(words(&file.path)));
        let (mut removed, mut added) = (BTreeMap::<&str, i64>::new(), BTreeMap::<&str, i64>::new());
        for line in change.diff.lines() {
            let (side, rest) = match (line.strip_prefix('-'), line.strip_prefix('+')) {
                (Some(rest), _) if !rest.starts_with("--") => (&mut removed, rest),
                (_, Some(rest)) if !rest.starts_with("++") => (&mut added, rest),
                _ => continue,
            };
            tokens(rest).for_each(|token| *side.entry(token).or_default() += 1);
        }
        let all: i64 = removed.values().chain(added.values()).sum();
        let (mut done, mut changed) = (String::new(), 0);
        for token in removed.keys().chain(added.keys()).collect::<BTreeSet<_>>() {
            let count = |side: &BTreeMap<&str, i64>| side.get(*token).copied().unwrap_or(0);
            let by = (count(&added) - count(&removed)).abs();
            if by > 0 {
                done.push_str(token);
                done.push(' ');
                changed += by;
            }
        }
        Self {
            done: words(&done),
            place,
            around: words(&change.diff),
            new_share: (all > 0).then(|| changed as f64 / all as f64),
            inert: !change.files.is_empty() && change.files.iter().all(|file| is_inert(&file.path)),
        }
    }

    /// All of its words.
    pub fn all(&self) -> BTreeSet<&String> {
        self.done.iter().chain(&self.place).chain(&self.around).collect()
    }
}

/// Files that no running service reads: documents, tests, the rules of a repository and of its build, style.
///
/// ```
/// # use backtrail_localize::diff::is_inert;
/// assert!(is_inert("docs/api/orders.md") && is_inert("pkg/cart/cart_test.go") && is_inert(".github/workflows/x.yml"));
/// assert!(!is_inert("pkg/cart/cart.go") && !is_inert("config/agent.yaml") && !is_inert("go.mod"));
/// ```
pub fn is_inert(path: &str) -> bool {
    const FOLDERS: [&str; 10] =
        ["doc", "docs", "documentation", "test", "tests", "testdata", "__tests__", ".github", ".circleci", ".gitlab"];
    const NAMES: [&str; 5] = ["CODEOWNERS", "LICENSE", ".golangci.yml", ".gitignore", ".editorconfig"];
    const ENDS: [&str; 12] =
        [".md", ".rst", ".adoc", ".css", ".scss", ".less", ".svg", ".png", ".html", ".woff2", ".gif", ".ico"];
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let tests =
        stem.ends_with("_test") || stem.starts_with("test_") || name.contains(".test.") || name.contains(".spec.");
    tests
        || NAMES.contains(&name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || stem == "theme"
        || path.split('/').rev().skip(1).any(|folder| FOLDERS.contains(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_code_is_around_and_lost_code_is_done() {
        let diff = "@@ a @@\n-\twriteLine(path, limit)\n+\tfunc helper() { writeLine(path) }\n context stays";
        let reading = Reading::new(&Change { diff: diff.into(), subject: "move it".into(), ..Change::default() });
        assert!(reading.done.contains("limit") && reading.done.contains("help") && !reading.done.contains("path"));
        assert!(reading.around.contains("path") && reading.around.contains("context"));
        assert!(reading.place.contains("move"));
        // writeLine and path moved; limit is gone, func and helper are new.
        assert_eq!(reading.new_share, Some(3.0 / 7.0));
        assert_eq!(Reading::new(&Change::default()).new_share, None);
    }
}
