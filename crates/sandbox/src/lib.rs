//! Runs what is not trusted: git on hostile repositories, their tests in namespaces and limits.

mod captured;
mod child;
mod clock;
mod error;
pub mod git;
mod tree_path;

pub use captured::Captured;
pub use error::Error;
pub use tree_path::TreePath;
