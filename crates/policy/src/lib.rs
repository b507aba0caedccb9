//! Decides on patches by Rego, and finds the known defects in users' rollout files.
//!
//! [`Input`] states the facts of a patch, [`Policy::decide`] answers with every reason against it, [`test_dir`] runs a
//! policy over fixtures, and [`lint`](lint()) reads policies, manifests, diffs and generated tests for mistakes that
//! their own tools accept.

mod decision;
mod engine;
mod error;
mod fixture;
mod input;
mod kind;
pub mod lint;
mod policy;

pub use decision::{Decision, Denial, ENGINE};
pub use error::{Error, Problem};
pub use fixture::{BASE, Case, Expected, Report, test_dir};
pub use input::{
    ChangedFile, Code, Contract, Diff, Egress, FileKind, FileStatus, Flag, Golden, Input, Limits, Observability,
    Origin, Owner, Patch, PatchKind, Place, Request, RevertProof, Sandbox, Sensitive, Stage, Suite, Tests,
    UndefinedName,
};
pub use kind::kind_of;
pub use lint::{Finding, lint, lint_files};
pub use policy::{ALWAYS, Policy, SHIPPED, SHIPPED_RULES};
