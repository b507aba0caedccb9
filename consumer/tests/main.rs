//! Black-box tests: they start the built binary, kill it, and read back what it wrote.
#![allow(missing_docs, reason = "a test")]

mod cli;
mod crash;
mod evidence;
mod recipes;
mod support;
