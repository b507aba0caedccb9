//! Runs what is not trusted: git on hostile repositories, their tests in namespaces and limits.
//!
//! - [`git`]: a mirror of a repository, its history, and worktrees that nothing written through them can leave;
//! - [`Sandbox`]: a program in namespaces and limits, with a statement of what could not be isolated;
//! - [`suites`]: how the tests of a repository are run there, and what they say;
//! - [`init`]: the first process of a sandbox, which is the caller's own binary.

mod captured;
mod child;
mod clock;
mod error;
pub mod git;
pub mod init;
mod sandbox;
pub mod suites;
mod tree_path;

pub use captured::Captured;
pub use error::Error;
pub use sandbox::{Aspect, Command, Init, Isolation, Limit, Limits, Outcome, Sandbox};
pub use tree_path::TreePath;
