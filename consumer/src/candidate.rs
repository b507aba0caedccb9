//! Candidates: changes that may repair the suspect, and what became of each.

use serde::{Deserialize, Serialize};

use crate::impact::Impact;
use crate::workshop::Coverage;

/// What kind of change a candidate is, in order of risk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An earlier state comes back.
    Revert,
    /// A feature flag is switched.
    Flag,
    /// A setting has another value.
    Config,
    /// Code changes, behind a flag.
    Code,
}

impl Kind {
    /// The name in documents and in the policy's input.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revert => "revert",
            Self::Flag => "flag",
            Self::Config => "config",
            Self::Code => "code",
        }
    }
}

/// Who thought of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A recipe: the same facts give the same change.
    Recipe,
    /// A language model.
    Llm,
}

impl Origin {
    /// The name in documents and in the policy's input.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Llm => "llm",
        }
    }
}

/// What the change does to the failure, and where that will be seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// The metric that a canary is judged by, such as `attempts_per_request`.
    pub metric: String,
    /// What it is in the window of the problem; empty if telemetry does not say.
    pub now: String,
    /// What it must become.
    pub claim: String,
}

/// What is known of a candidate before anything is tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The recipe, or the model's name.
    pub recipe: String,
    /// 0 revert or flag, 1 configuration, 2 code behind a flag, 3 interface.
    pub tier: u8,
    /// What kind of change it is.
    pub kind: Kind,
    /// Who thought of it.
    pub origin: Origin,
    /// In one line, as the subject of a commit.
    pub title: String,
    /// What speaks for it.
    pub why: Vec<String>,
    /// How its values follow from the window, step by step.
    pub computation: Vec<String>,
    /// What it changes about the failure.
    pub mechanism: Mechanism,
    /// What can go wrong with it.
    pub risk: String,
    /// How it is taken back.
    pub undo: String,
    /// Who wrote what it changes or brings back; they cannot approve it.
    pub authors: Vec<String>,
    /// The flag that switches it on; empty without one.
    pub flag: String,
    /// Tests that it adds, as the test runner names them.
    pub tests: Vec<String>,
}

/// A file as it is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEdit {
    /// Its path in the repository.
    pub path: String,
    /// Its content; none removes it.
    pub content: Option<Vec<u8>>,
}

/// A proposal with its edits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// What it is.
    pub proposal: Proposal,
    /// Its files.
    pub edits: Vec<FileEdit>,
}

/// A candidate in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its name within the remediation: the recipe and a number.
    pub id: String,
    /// What it is.
    pub proposal: Proposal,
    /// The files that it touches.
    pub files: Vec<String>,
    /// Lines added and removed.
    pub lines: u64,
    /// SHA-256 of its diff, hex: the artifact of that digest.
    pub diff: String,
    /// What it reaches; nothing in journals from before it was computed.
    #[serde(default, skip_serializing_if = "Impact::is_empty")]
    pub impact: Impact,
}

/// Something that a recipe looked for and did not find, or found and left alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The recipe.
    pub recipe: String,
    /// Why it has no candidate.
    pub why: String,
}

/// What was found about a candidate that passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Hash of the tree with the change.
    pub tree: String,
    /// Results of the repository's own tests before: passed and failed.
    pub before: Counts,
    /// And after.
    pub after: Counts,
    /// Tests that were added, each failing before and passing after.
    pub added: Vec<String>,
    /// How often the added tests ran.
    pub repeats: u32,
    /// What kept the tests from the rest of the machine.
    pub isolated: Vec<String>,
    /// What did not, and why.
    pub not_isolated: Vec<String>,
    /// SHA-256 of the whole report, hex: an artifact.
    pub report: String,
    /// SHA-256 of the policy's sources.
    pub policy: String,
    /// SHA-256 of what the policy was asked about, hex: an artifact.
    pub policy_input: String,
    /// Whether tests run the changed lines; nothing in journals from before it was measured.
    #[serde(default, skip_serializing_if = "Coverage::is_empty")]
    pub coverage: Coverage,
}

/// Test results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
}

/// How far a candidate came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Nothing was tried.
    Planned,
    /// The policy allows to try it.
    PolicyPassed,
    /// Its diff was applied to the deployed commit and taken back again.
    Applied {
        /// Hash of the tree with it.
        tree: String,
    },
    /// It is proved.
    Verified {
        /// By what.
        proof: Box<Proof>,
    },
    /// It is not to be used.
    Refused {
        /// What refused it.
        by: String,
        /// Why: each reason.
        why: Vec<String>,
    },
}
