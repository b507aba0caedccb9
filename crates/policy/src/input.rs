//! What a policy decides on: facts of a patch, computed by the caller from the diff, the code and the test runs. Nothing
//! here is ever taken from what a model says about its own patch.
//!
//! Users' rules read these fields by the names they have here, as `input.diff.line_count` or `input.diff.files[_].path`;
//! a rename is a breaking change.

use serde::{Deserialize, Serialize};

/// All facts of one patch at one stage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Whether tests have run already.
    pub stage: Stage,
    /// The request that the patch answers.
    pub request: Request,
    /// Who owns the service, and where its code lives.
    pub owner: Owner,
    /// What the patch claims to be.
    pub patch: Patch,
    /// The difference as git sees it.
    pub diff: Diff,
    /// What the changed code holds.
    pub code: Code,
    /// Contracts with other services, compared.
    pub contracts: Vec<Contract>,
    /// Results of tests; nothing before they ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// Expectations on recorded traces.
    pub golden: Golden,
    /// What the patch adds to telemetry.
    pub observability: Observability,
    /// Whether applying and reverting gives the tree from before; nothing before it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_proof: Option<RevertProof>,
    /// What tests are kept away from.
    pub sandbox: Sandbox,
    /// The limits that the owner has set.
    pub limits: Limits,
}

/// When a decision is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The patch exists as a diff; nothing of it ran.
    BeforeTests,
    /// Its tests ran; `tests` and `revert_proof` must be there.
    AfterTests,
}

/// The request that a patch answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Id of the request.
    pub id: String,
    /// Id of the incident.
    pub incident: String,
    /// The service to mend.
    pub service: String,
    /// How sure the diagnosis is, from 0 to 1.
    pub confidence: f64,
}

/// Who owns a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The repository of the service.
    pub repository: String,
    /// Folder of the service in it, as `services/payments`; empty for the whole repository.
    pub path_prefix: String,
    /// The team.
    pub team: String,
    /// Who may approve.
    pub owners: Vec<String>,
}

/// What a patch claims to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The repository that it changes.
    pub repository: String,
    /// The commit that it applies to, in full.
    pub commit: String,
    /// Name of the recipe that made it.
    pub recipe: String,
    /// How deep it cuts: 0 revert or flag, 1 configuration, 2 code behind a flag, 3 interfaces.
    pub tier: u8,
    /// What it changes.
    pub kind: PatchKind,
    /// Who wrote it.
    pub origin: Origin,
}

/// What a patch changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchKind {
    /// Undoes a commit.
    Revert,
    /// Values of configuration.
    Config,
    /// The state of a feature flag.
    Flag,
    /// Code.
    Code,
}

/// Who wrote a patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A recipe, deterministic.
    Recipe,
    /// A language model.
    Llm,
}

/// The difference as git sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// Digest of the diff's bytes: approvals are bound to it.
    pub digest: String,
    /// Added and removed lines.
    pub line_count: u64,
    /// Added lines.
    pub added: u64,
    /// Removed lines.
    pub removed: u64,
    /// Hunks that remove lines and add the same again.
    pub noop_hunks: u64,
    /// Functions whose text changes.
    pub functions_changed: u64,
    /// Every file that is touched.
    pub files: Vec<ChangedFile>,
}

/// One file of a diff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedFile {
    /// Its path after the patch; of a deleted file, the path it had.
    pub path: String,
    /// The path it had, if it is renamed.
    pub old_path: Option<String>,
    /// What happens to it.
    pub status: FileStatus,
    /// Its mode before, as `100644`; nothing for a new file.
    pub mode_before: Option<String>,
    /// Its mode after; nothing for a deleted file.
    pub mode_after: Option<String>,
    /// Whether git takes it for binary.
    pub binary: bool,
    /// Whether it is a symbolic link, before or after.
    pub symlink: bool,
    /// Whether it is a submodule, before or after.
    pub submodule: bool,
    /// What it is for: [`crate::kind_of`] of the path, or of the old path when that one is refused.
    pub kind: FileKind,
    /// Added lines.
    pub added: u64,
    /// Removed lines.
    pub removed: u64,
}

/// What happens to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// Its text changes.
    Modified,
    /// It goes.
    Deleted,
    /// It moves, perhaps with changes.
    Renamed,
}

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Code that runs in production.
    Source,
    /// Code that tests it.
    Test,
    /// Values that it reads.
    Config,
    /// A step of a database schema or its data.
    Migration,
    /// What a package manager reads or writes.
    Dependency,
    /// A description that other services rely on.
    Contract,
    /// What governs building, reviewing and deploying.
    Ci,
    /// Text, pictures and the rest.
    Other,
}

/// What the changed code holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Names that added lines use and nothing defines.
    pub undefined_names: Vec<UndefinedName>,
    /// Where changed files do not parse.
    pub syntax_errors: Vec<Place>,
    /// Public functions, types and fields that change or go.
    pub public_api_changed: Vec<String>,
    /// The feature flag that the change hides behind.
    pub flag: Flag,
    /// Packages that were not there before.
    pub new_dependencies: Vec<String>,
    /// Calls to hosts or sockets that were not there before.
    pub egress: Vec<Egress>,
    /// Secrets in added lines, by their kind.
    pub secrets: Vec<Sensitive>,
    /// Data of persons in added lines, by its kind.
    pub pii: Vec<Sensitive>,
}

/// A contract that the patch touches, before and after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The file.
    pub path: String,
    /// How it was compared: `openapi`, `protobuf`, `pact`; `new`, `removed`, or `unknown` where it could not be.
    pub format: String,
    /// What the other side may rely on and does not get any more, or that it could not be compared.
    pub breaking: Vec<String>,
    /// What there is more.
    pub additions: Vec<String>,
}

/// A line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
}

/// A name that nothing defines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndefinedName {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// The name.
    pub name: String,
}

/// A new way out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// What goes out, as a host or a call.
    pub what: String,
}

/// Something that must not stand in a repository. Its value is never kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitive {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// What it is, as `aws-access-key` or `email`.
    pub kind: String,
}

/// The feature flag of a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Whether this change needs one.
    pub required: bool,
    /// Whether the changed code is behind one.
    pub present: bool,
    /// Its name, if there is one.
    pub name: Option<String>,
}

/// Results of tests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// Tests that the patch adds.
    pub added_count: u64,
    /// Their names.
    pub added: Vec<String>,
    /// How many of the added ones fail on the code from before.
    pub failing_before: u64,
    /// How many of the added ones pass on the patched code, in every repeat.
    pub passing_after: u64,
    /// How often the added ones ran on the patched code.
    pub repeats: u64,
    /// How many tests both passed and failed on the same code.
    pub flaky: u64,
    /// The repository's own tests on the code from before.
    pub suite_before: Suite,
    /// The same on the patched code, added tests included.
    pub suite_after: Suite,
    /// Tests that passed before and fail now.
    pub newly_failing: Vec<String>,
    /// Tests that existed and whose text changed, or that are gone.
    pub changed_or_removed: Vec<String>,
}

/// One run of all tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
}

/// Expectations on recorded traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Assertions that the patch adds to golden traces.
    pub assertions_added: u64,
}

/// What a patch adds to telemetry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observability {
    /// Span attributes that added lines set.
    pub span_attrs_added: Vec<String>,
    /// Span attributes that the recipe must set.
    pub required: Vec<String>,
    /// Counters that added lines count up.
    pub counters_added: u64,
    /// Structured fields that added lines log.
    pub log_fields_added: u64,
}

/// Trees before the patch, and after applying and reverting it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertProof {
    /// Git's hash of the tree before the patch.
    pub tree_before: String,
    /// Git's hash of the tree after the patch was applied and reverted.
    pub tree_after_revert: String,
}

/// What tests are kept away from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// What is out of reach of the tests, as `network`.
    pub isolated: Vec<String>,
    /// What this machine could not put out of reach.
    pub not_isolated: Vec<String>,
}

/// Limits on a patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Changed lines.
    pub max_lines: u64,
    /// Touched files.
    pub max_files: u64,
    /// Changed functions.
    pub max_functions: u64,
}
