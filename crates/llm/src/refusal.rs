//! Why an edit was not taken: which candidate, which edit, which cause.

use std::fmt;

use backtrail_redact::Kind;

use crate::edits::SyntaxError;

/// What a model may not change even if it was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protected {
    /// Existing tests and their data.
    Test,
    /// Files that builds and CI run.
    Build,
    /// Lists of dependencies.
    Dependency,
    /// Files and folders that begin with a full stop.
    Hidden,
    /// `CODEOWNERS`.
    Owners,
}

impl Protected {
    const fn name(self) -> &'static str {
        match self {
            Self::Test => "an existing test",
            Self::Build => "a build or CI file",
            Self::Dependency => "a list of dependencies",
            Self::Hidden => "a hidden file",
            Self::Owners => "the list of owners",
        }
    }
}

/// The part of a candidate that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// An edit, from 1.
    Edit(usize),
    /// A new test, from 1.
    Test(usize),
}

/// Why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cause {
    /// There is nothing to do.
    #[error("it has no edits")]
    Empty,
    /// The path is none that can be trusted.
    #[error("its path is not clean: {0}")]
    Path(&'static str),
    /// The path lies outside the owner's folder.
    #[error("its path is outside the owner's folder")]
    Outside,
    /// The file was not given.
    #[error("the file is not one that may be edited")]
    Foreign,
    /// The file is not for a model to change.
    #[error("the file is {}", .0.name())]
    Protected(Protected),
    /// Nothing is searched for.
    #[error("its search is empty")]
    EmptySearch,
    /// The text does not stand in the file.
    #[error("its search matches 0 times")]
    NoMatch,
    /// The text stands in the file more than once.
    #[error("its search matches {0} times")]
    Ambiguous(usize),
    /// Nothing would change.
    #[error("it changes nothing")]
    NoOp,
    /// The file would be too large.
    #[error("the file would have {bytes} bytes, and {limit} are the limit")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file could not be parsed any more.
    #[error("the file would not parse: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Syntax(Vec<SyntaxError>),
    /// It brings a secret.
    #[error("it holds a {} in line {line}", kind.name())]
    Secret {
        /// Its kind.
        kind: Kind,
        /// Its line in the new text.
        line: u32,
    },
    /// It touches text that was hidden from the model, or writes a placeholder.
    #[error("it holds the placeholder of a hidden value")]
    Placeholder,
    /// A new file that is no test.
    #[error("a new file must be a test by its name")]
    NotATest,
    /// A new file that exists.
    #[error("the file exists already")]
    Exists,
    /// More files than the budget has.
    #[error("it changes {files} files, and the budget has {limit}")]
    TooManyFiles {
        /// How many.
        files: usize,
        /// The budget.
        limit: u32,
    },
}

/// An edit, a test or a candidate that was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The candidate, from 1.
    pub candidate: usize,
    /// Its title, without secrets and invisible letters.
    pub title: String,
    /// The part.
    pub part: Part,
    /// The path as the model wrote it, shortened; "" for a whole candidate.
    pub path: String,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candidate, title, part, path, cause } = self;
        write!(f, "candidate {candidate} ({title:?})")?;
        match part {
            Part::Whole => {}
            Part::Edit(number) => write!(f, ", edit {number} of {path:?}")?,
            Part::Test(number) => write!(f, ", test {number} {path:?}")?,
        }
        write!(f, ": {cause}")
    }
}
