//! Functions, calls, tests, public API and stack frames of source text, by tree-sitter.

mod extract;
mod function;
mod language;
mod names;
mod parse;
mod routes;
mod walk;

pub use function::{Attribute, Call, Function, Parameter, Route, SyntaxError, TestKind};
pub use language::Language;
pub use names::{NameCheck, UndefinedName, undefined_names, undefined_names_of};
pub use parse::{ParseError, ParseLimits, Parsed, parse, parse_within};
/// The tree library, so that others match on the trees with the same version.
pub use tree_sitter;
