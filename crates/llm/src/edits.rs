//! Applies the edits of an answer to files in memory. A candidate is taken as a whole or not at all.

use std::collections::BTreeMap;
use std::fmt;

use backtrail_redact::{Kind, Redactor, Tokens};

use crate::answer::{Proposal, ProposedEdit, ProposedTest};
use crate::path;
use crate::prompt::visible;
use crate::refusal::{Cause, Part, Refusal};

/// A file that may be edited, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path in the repository.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A file with the edits in it.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Path in the repository.
    pub path: String,
    /// Its new text.
    pub text: String,
}

/// A new test file.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Path in the repository.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Path and size only: files hold what must not be logged.
macro_rules! show_size {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?}, {} bytes)", stringify!($name), self.path, self.text.len())
            }
        }
    )*};
}
show_size!(SourceFile, ChangedFile, NewFile);

/// A place where a file cannot be parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong, in words that are not the file's.
    pub what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A candidate whose every edit was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its place in the answer, from 1.
    pub number: usize,
    /// What it does, in the model's words, as are the next three.
    pub title: String,
    /// How the facts lead to it.
    pub why: String,
    /// Which quantity moves.
    pub mechanism: String,
    /// What can go wrong.
    pub risk: String,
    /// The files with the edits in them.
    pub files: Vec<ChangedFile>,
    /// New tests.
    pub tests: Vec<NewFile>,
}

/// What edits are checked against.
pub struct Ground<'a> {
    /// The files that may be edited.
    pub files: &'a [SourceFile],
    /// The owner's folder; "" for the whole repository.
    pub prefix: &'a str,
    /// Most changed files, tests not counted.
    pub max_files: u32,
    /// Largest file, bytes.
    pub max_file_bytes: usize,
    /// Finds secrets.
    pub redactor: &'a Redactor,
    /// Values that edits may bring back.
    pub hidden: &'a Tokens,
    /// Parses a text as the language of its path; empty for a language that it does not know.
    pub syntax: &'a dyn Fn(&str, &str) -> Vec<SyntaxError>,
    /// Whether a path exists in the repository.
    pub exists: &'a dyn Fn(&str) -> bool,
}

impl Ground<'_> {
    /// Applies a proposal. Every part is looked at, so that all that is wrong is said at once.
    pub fn apply(&self, number: usize, proposal: &Proposal) -> Result<Candidate, Vec<Refusal>> {
        let [title, why, mechanism, risk] =
            [&proposal.title, &proposal.why, &proposal.mechanism, &proposal.risk].map(|text| self.prose(text));
        let mut causes: Vec<(Part, &str, Cause)> = Vec::new();
        let mut changed: BTreeMap<&str, String> = BTreeMap::new();
        for (index, edit) in proposal.edits.iter().enumerate() {
            if let Err(cause) = self.edit(edit, &mut changed) {
                causes.push((Part::Edit(index + 1), &edit.path, cause));
            }
        }
        let mut tests: Vec<NewFile> = Vec::new();
        for (index, test) in proposal.tests.iter().enumerate() {
            match self.test(test, &tests) {
                Ok(file) => tests.push(file),
                Err(cause) => causes.push((Part::Test(index + 1), &test.path, cause)),
            }
        }
        let unchanged = |path: &str, text: &str| self.file(path).is_some_and(|file| file.text == text);
        changed.retain(|path, text| !unchanged(path, text));
        if causes.is_empty() {
            causes.extend(self.whole(&changed).map(|cause| (Part::Whole, "", cause)));
        }
        if causes.is_empty() {
            let files = changed.into_iter().map(|(path, text)| ChangedFile { path: path.to_owned(), text }).collect();
            return Ok(Candidate { number, title, why, mechanism, risk, files, tests });
        }
        let refusal = |(part, path, cause): (Part, &str, Cause)| Refusal {
            candidate: number,
            title: title.chars().take(80).collect(),
            part,
            path: self.prose(path).chars().take(120).collect(),
            cause,
        };
        Err(causes.into_iter().map(refusal).collect())
    }

    fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A model's words, fit to be shown and kept.
    fn prose(&self, text: &str) -> String {
        self.redactor.replace(&visible(text)).0
    }

    fn edit<'a>(&'a self, edit: &ProposedEdit, changed: &mut BTreeMap<&'a str, String>) -> Result<(), Cause> {
        path::clean(&edit.path).map_err(Cause::Path)?;
        if !path::is_below(self.prefix, &edit.path) {
            return Err(Cause::Outside);
        }
        if let Some(why) = path::protected(&edit.path) {
            return Err(Cause::Protected(why));
        }
        let file = self.file(&edit.path).ok_or(Cause::Foreign)?;
        let before = changed.get(file.path.as_str()).unwrap_or(&file.text);
        let search = like(before, &self.restored(&edit.search)?);
        let replace = like(before, &self.restored(&edit.replace)?);
        self.without_secrets(&edit.replace)?;
        if search.is_empty() {
            return Err(Cause::EmptySearch);
        }
        if search == replace {
            return Err(Cause::NoOp);
        }
        let at = match matches(before, &search).as_slice() {
            [] => return Err(Cause::NoMatch),
            [at] => *at,
            many => return Err(Cause::Ambiguous(many.len())),
        };
        let after = format!("{}{replace}{}", &before[..at], &before[at + search.len()..]);
        self.within_bounds(&after)?;
        self.parses(&file.path, &file.text, &after)?;
        self.brings_no_secret(&file.text, &after)?;
        changed.insert(&file.path, after);
        Ok(())
    }

    fn test(&self, test: &ProposedTest, others: &[NewFile]) -> Result<NewFile, Cause> {
        path::clean(&test.path).map_err(Cause::Path)?;
        if !path::is_below(self.prefix, &test.path) {
            return Err(Cause::Outside);
        }
        if !path::is_new_test(&test.path) {
            return Err(Cause::NotATest);
        }
        // File systems without cases would write one over the other.
        let same = |path: &str| path.eq_ignore_ascii_case(&test.path);
        let known = self.files.iter().any(|file| same(&file.path)) || others.iter().any(|file| same(&file.path));
        if known || (self.exists)(&test.path) {
            return Err(Cause::Exists);
        }
        self.without_secrets(&test.content)?;
        let text = self.restored(&test.content)?;
        if text.trim().is_empty() {
            return Err(Cause::NoOp);
        }
        self.within_bounds(&text)?;
        self.parses(&test.path, "", &text)?;
        Ok(NewFile { path: test.path.clone(), text })
    }

    /// What is wrong with a candidate whose parts are all right.
    fn whole(&self, changed: &BTreeMap<&str, String>) -> Option<Cause> {
        if changed.is_empty() {
            return Some(Cause::Empty);
        }
        let files = changed.len();
        (files > self.max_files as usize).then_some(Cause::TooManyFiles { files, limit: self.max_files })
    }

    /// The text with personal data of the code in its place; no other placeholder may be in it.
    fn restored(&self, text: &str) -> Result<String, Cause> {
        if self.hidden.foreign(text).is_empty() { Ok(self.hidden.restore(text)) } else { Err(Cause::Placeholder) }
    }

    fn without_secrets(&self, text: &str) -> Result<(), Cause> {
        let secret = self.redactor.find(text).into_iter().find(|found| found.kind.is_secret());
        secret.map_or(Ok(()), |found| Err(Cause::Secret { kind: found.kind, line: found.line }))
    }

    /// A secret can come in parts, with two edits or half from the file: the whole file has no more of a kind than before.
    fn brings_no_secret(&self, before: &str, after: &str) -> Result<(), Cause> {
        let mut room: BTreeMap<Kind, usize> = BTreeMap::new();
        for found in self.redactor.find(before) {
            *room.entry(found.kind).or_default() += 1;
        }
        for found in self.redactor.find(after).into_iter().filter(|found| found.kind.is_secret()) {
            match room.get_mut(&found.kind).filter(|left| **left > 0) {
                Some(left) => *left -= 1,
                None => return Err(Cause::Secret { kind: found.kind, line: found.line }),
            }
        }
        Ok(())
    }

    fn within_bounds(&self, text: &str) -> Result<(), Cause> {
        let (bytes, limit) = (text.len(), self.max_file_bytes);
        if bytes > limit { Err(Cause::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// No more places that cannot be parsed than before: a grammar may not know all of a language.
    fn parses(&self, path: &str, before: &str, after: &str) -> Result<(), Cause> {
        let mut errors = (self.syntax)(path, after);
        let known = if errors.is_empty() { 0 } else { (self.syntax)(path, before).len() };
        if errors.len() <= known {
            return Ok(());
        }
        errors.truncate(5);
        Err(Cause::Syntax(errors))
    }
}

/// Where a text stands, overlapping places too: "aa" stands in "aaa" twice. Counting ends at a hundred.
fn matches(text: &str, search: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(search).filter(|_| found.len() < 100) {
        found.push(from + at);
        from += at + search.chars().next().map_or(1, char::len_utf8);
    }
    found
}

/// A text with the line ends of its file: models write line feeds.
fn like(file: &str, text: &str) -> String {
    let feeds = file.matches('\n').count();
    if feeds > 0 && feeds == file.matches("\r\n").count() {
        text.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        text.to_owned()
    }
}
