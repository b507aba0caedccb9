//! Black-box tests: they start the built binary, kill it, and read back what it wrote.
#![allow(missing_docs, reason = "a test")]

mod cases;
mod check;
mod cli;
mod crash;
mod evidence;
mod hostile;
mod model;
mod patch;
mod recipes;
mod recipes_go;
mod report;
mod secrets;
mod shop;
mod stub;
mod support;
