//! Functions, calls, tests, public API and stack frames of source text, by tree-sitter.
//!
//! Everything here works on texts that the caller has read: nothing touches a disk or a network, and everything has a
//! limit. Calls are resolved by name, because types are not known without a compiler; every answer that could be wrong
//! says how sure it is ([`Certainty`], [`Resolution`], [`NameCheck::Unknown`], [`Frame::Unresolved`]).
//!
//! - one text: [`parse`] gives functions, calls, routes, syntax errors and the tree; [`undefined_names`];
//! - two versions of a text: [`changed_functions`], [`api_changes`], [`is_trivial`];
//! - many texts: [`Index`] resolves names and lines of telemetry and follows callers to endpoints and tests;
//! - a trace: [`parse_stack`], then [`locate`];
//! - a budget: [`snippets()`].

mod compare;
mod extract;
mod frames;
mod function;
mod index;
mod language;
mod names;
mod parse;
mod routes;
mod snippets;
mod walk;

pub use compare::{ApiChange, ApiChangeKind, FunctionChanges, api_changes, changed_functions, is_trivial};
pub use frames::{Frame, Located, SourceFrame, locate, parse_stack};
pub use function::{Attribute, Call, Function, Parameter, Route, SyntaxError, TestKind};
pub use index::{Caller, Certainty, Endpoint, FunctionId, Impact, Index, IndexLimits, Resolution, SkipReason, Skipped};
pub use language::Language;
pub use names::{NameCheck, UndefinedName, undefined_names, undefined_names_of};
pub use parse::{ParseError, ParseLimits, Parsed, parse, parse_within};
pub use snippets::{Role, Snippet, Snippets, snippets};
/// The tree library, so that others match on the trees with the same version.
pub use tree_sitter;
