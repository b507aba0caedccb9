//! Names that are used and bound nowhere: what a wrong patch most often leaves behind.

mod builtins;
mod python;
mod scopes;

use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::parse::{ParseError, Parsed, parse};

/// A name that nothing binds, where it is first used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UndefinedName {
    /// Line of the first use, counted from 1.
    pub line: u32,
    /// The name.
    pub name: String,
}

/// What can be said about the names of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameCheck {
    /// Every scope was followed; these names are bound nowhere, by line.
    Known(Vec<UndefinedName>),
    /// Nothing can be said, and why.
    Unknown(String),
}

impl NameCheck {
    /// The undefined names; none when nothing can be said.
    pub fn undefined(&self) -> &[UndefinedName] {
        match self {
            Self::Known(names) => names,
            Self::Unknown(_) => &[],
        }
    }
}

/// Names that are loaded but bound in no enclosing scope of the text.
///
/// Only Python can be answered from one file. In the other languages a bare name may come from another file of the
/// package (Go, Java, C#), a glob import or a macro (Rust) or the environment (scripts), so the answer for them is
/// [`NameCheck::Unknown`] and never a guess.
///
/// ```
/// use backtrail_code::{Language, NameCheck, undefined_names};
/// let check = undefined_names(Language::Python, "import time\n\ndef wait():\n    time.sleep(delay)\n")?;
/// assert_eq!(check.undefined()[0].name, "delay");
/// let check = undefined_names(Language::Python, "from limits import *\nprint(delay)\n")?;
/// assert!(matches!(check, NameCheck::Unknown(_)));
/// # Ok::<(), backtrail_code::ParseError>(())
/// ```
pub fn undefined_names(language: Language, text: &str) -> Result<NameCheck, ParseError> {
    Ok(undefined_names_of(&parse(language, text)?))
}

/// [`undefined_names`] of a text that is parsed already.
pub fn undefined_names_of(parsed: &Parsed) -> NameCheck {
    if let Some(error) = parsed.errors().first() {
        return NameCheck::Unknown(format!("line {} does not follow the grammar: {}", error.line, error.message));
    }
    match parsed.language() {
        Language::Python => python::undefined(parsed),
        Language::Go | Language::Java | Language::CSharp => {
            NameCheck::Unknown("a name may be declared in another file of the package".to_owned())
        }
        Language::Rust => NameCheck::Unknown("a name may come from a glob import or a macro".to_owned()),
        Language::TypeScript | Language::Tsx | Language::JavaScript => {
            NameCheck::Unknown("a name may be given by the environment".to_owned())
        }
    }
}
