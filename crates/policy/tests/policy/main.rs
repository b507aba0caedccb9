//! The shipped policy over its fixtures, users' files, the linter's examples, and the reference engine.

mod complete;
mod fixtures;
mod lint;
mod load;
mod mutation;
mod reference;

use std::path::PathBuf;

/// The fixtures of the shipped rules.
fn fixture_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The shipped base, an input that is allowed.
fn base() -> serde_json::Value {
    serde_json::from_str(backtrail_policy::BASE).expect("the shipped base is JSON")
}
