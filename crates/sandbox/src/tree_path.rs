//! Paths inside a repository: bytes, because git knows no encoding, and untrusted until checked.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Error;

/// A path relative to the root of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TreePath(Vec<u8>);

/// Longest path that is accepted; Linux itself takes no longer one.
const LONGEST: usize = 4096;
/// Deepest path that is accepted.
const DEEPEST: usize = 128;

impl TreePath {
    /// A path as git gives it, unchecked.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// A path that may be created below a root, or why not.
    pub fn checked(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let path = Self(bytes.into());
        match path.refusal() {
            None => Ok(path),
            Some(why) => Err(Error::refused(&path, why)),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path of the file system, still relative.
    pub fn as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The names from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// Why this path must not be created, if so: it leads out of the tree, or git would take it for its own folder.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.0.is_empty() {
            return Some("an empty path");
        }
        if self.0.len() > LONGEST || self.components().count() > DEEPEST {
            return Some("a path that is too long");
        }
        if self.0.contains(&0) {
            return Some("a path with a zero byte");
        }
        self.components().find_map(|name| match name {
            b"" => Some("an absolute path or an empty name"),
            b"." | b".." => Some("a path that leads out of the tree"),
            name if is_git_folder(name) => Some("a path into a git folder"),
            name if name.len() > 255 => Some("a name that is too long"),
            _ => None,
        })
    }
}

/// Names that some file system folds to `.git`: any case, trailing dots and spaces, the short name of DOS, and code
/// points that HFS+ ignores.
fn is_git_folder(name: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(name)
        .chars()
        .filter(
            |c| !matches!(*c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'),
        )
        .collect::<String>()
        .to_ascii_lowercase();
    let text = text.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    text == ".git" || text == "git~1"
}

impl From<&str> for TreePath {
    fn from(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

impl fmt::Display for TreePath {
    /// Printable: control characters and what is no UTF-8 are escaped, so that a path cannot forge a line of a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_leads_out_or_into_a_git_folder() {
        for path in [
            "",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "a/../b",
            "./a",
            ".git",
            ".GIT/config",
            "a/.Git/hooks/x",
            "git~1",
            ".git.",
            ".git ",
            ".g\u{200c}it/config",
            ".git::$INDEX_ALLOCATION/config",
            "a\0b",
        ] {
            assert!(TreePath::from(path).refusal().is_some(), "{path:?} must be refused");
        }
        for path in ["a", ".gitignore", ".github/workflows/x.yml", "a/...", "a\nb", "git", "x.git"] {
            assert_eq!(TreePath::from(path).refusal(), None, "{path:?} is fine");
        }
    }

    #[test]
    fn prints_hostile_names_on_one_line() {
        assert_eq!(TreePath::raw(*b"a\nb\xff").to_string(), "a\\nb\\xff");
    }
}
