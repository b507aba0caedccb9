//! The languages this crate reads, and how a file says which one it is.

use serde::{Deserialize, Serialize};

/// A language with a grammar in this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python 3.
    Python,
    /// Go.
    Go,
    /// Java.
    Java,
    /// Rust.
    Rust,
    /// TypeScript without JSX.
    TypeScript,
    /// TypeScript with JSX: another grammar, because `<T>x` means something else in it.
    Tsx,
    /// JavaScript, JSX included.
    JavaScript,
    /// C#.
    CSharp,
}

impl Language {
    /// Every language, in the order of the documentation.
    pub const ALL: [Self; 8] =
        [Self::Python, Self::Go, Self::Java, Self::Rust, Self::TypeScript, Self::Tsx, Self::JavaScript, Self::CSharp];

    /// The language of a file by its extension; `None` for files this crate has no grammar for.
    ///
    /// ```
    /// use backtrail_code::Language;
    /// assert_eq!(Language::of_path("src/orders/api.py"), Some(Language::Python));
    /// assert_eq!(Language::of_path("README.md"), None);
    /// ```
    pub fn of_path(path: &str) -> Option<Self> {
        let file = path.rsplit(['/', '\\']).next()?;
        let (stem, extension) = file.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        Some(match extension {
            "py" | "pyi" => Self::Python,
            "go" => Self::Go,
            "java" => Self::Java,
            "rs" => Self::Rust,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "cs" => Self::CSharp,
            _ => return None,
        })
    }

    /// The name as written in reports and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Go => "go",
            Self::Java => "java",
            Self::Rust => "rust",
            Self::TypeScript => "typescript",
            Self::Tsx => "tsx",
            Self::JavaScript => "javascript",
            Self::CSharp => "csharp",
        }
    }

    /// Whether this is JavaScript or TypeScript of either kind, which share their rules.
    pub const fn is_script(self) -> bool {
        matches!(self, Self::TypeScript | Self::Tsx | Self::JavaScript)
    }

    /// What stands between a type and its member in a qualified name.
    pub(crate) const fn separator(self) -> &'static str {
        match self {
            Self::Rust => "::",
            _ => ".",
        }
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::Python => tree_sitter_python::LANGUAGE,
            Self::Go => tree_sitter_go::LANGUAGE,
            Self::Java => tree_sitter_java::LANGUAGE,
            Self::Rust => tree_sitter_rust::LANGUAGE,
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            Self::JavaScript => tree_sitter_javascript::LANGUAGE,
            Self::CSharp => tree_sitter_c_sharp::LANGUAGE,
        }
        .into()
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
