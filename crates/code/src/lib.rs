//! Functions, calls, tests, public API and stack frames of source text, by tree-sitter.
