//! What is wrong with a policy or with fixtures: where, what, and how to mend it.

use std::fmt;
use std::path::PathBuf;

/// Why a policy or fixtures can not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files say something wrong; all of it is listed. Nothing was taken.
    #[error("{}", listed(.0))]
    Rejected(Vec<Problem>),
    /// A file or folder can not be read.
    #[error("{}: {source}", path.display())]
    Unavailable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// All that is wrong; nothing for files that can not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Rejected(problems) => problems,
            Self::Unavailable { .. } => &[],
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1; 0 if it is about the whole file.
    pub line: usize,
    /// The column in characters, from 1; 0 if it is about the whole file.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it; empty if the message says it.
    pub hint: String,
}

impl Problem {
    /// A problem of a whole file.
    pub(crate) fn of_file(file: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
