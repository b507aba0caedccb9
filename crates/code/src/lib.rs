//! Functions, calls, tests, public API and stack frames of source text, by tree-sitter.

mod compare;
mod extract;
mod frames;
mod function;
mod index;
mod language;
mod names;
mod parse;
mod routes;
mod walk;

pub use compare::{ApiChange, ApiChangeKind, FunctionChanges, api_changes, changed_functions, is_trivial};
pub use frames::{Frame, Located, SourceFrame, locate, parse_stack};
pub use function::{Attribute, Call, Function, Parameter, Route, SyntaxError, TestKind};
pub use index::{Caller, Certainty, Endpoint, FunctionId, Impact, Index, IndexLimits, Resolution, SkipReason, Skipped};
pub use language::Language;
pub use names::{NameCheck, UndefinedName, undefined_names, undefined_names_of};
pub use parse::{ParseError, ParseLimits, Parsed, parse, parse_within};
/// The tree library, so that others match on the trees with the same version.
pub use tree_sitter;
