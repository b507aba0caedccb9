//! What people see in a terminal: plain text, at most [`WIDTH`] columns, readable without colour.

pub(crate) mod graph;
pub(crate) mod hops;
mod paint;
pub(crate) mod suspects;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod verdict;

pub(crate) use paint::Paint;

/// Columns of everything that is printed for people.
pub(crate) const WIDTH: usize = 100;
