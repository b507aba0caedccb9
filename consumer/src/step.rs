//! What can happen to a remediation: the contents of its journal.

use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::candidate::{Candidate, LeftOut, Proof};
use crate::state::State;
use crate::triage::{Mapping, Missing};

/// The request that a remediation is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Id of its event.
    pub event_id: String,
    /// SHA-256 of the event's bytes, hex.
    pub digest: String,
    /// The incident.
    pub incident: String,
    /// The suspect service.
    pub service: String,
    /// The revision of the incident.
    pub revision: u64,
}

/// What was read of the code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The deployed commit, whole.
    pub commit: String,
    /// Where the suspect is: `path:first-last function`, most suspicious first.
    pub suspects: Vec<String>,
    /// Who reaches the suspect: functions that call it, directly or not.
    pub callers: Vec<String>,
    /// Routes that lead to it.
    pub endpoints: Vec<String>,
    /// Tests that exercise it.
    pub tests: Vec<String>,
    /// Source files and configuration files that were read.
    pub files: u64,
    /// What was not read, by reason.
    pub skipped: Vec<String>,
}

/// Something that happened: the content of a journal entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// A request began a remediation.
    Received {
        /// The request.
        request: Request,
    },
    /// A newer revision came before any work was done: it takes the place of the request.
    Merged {
        /// The newer request.
        request: Request,
    },
    /// The suspect is mapped to its code.
    Triaged {
        /// Where.
        mapping: Mapping,
    },
    /// The code at the deployed commit was read.
    ContextReady {
        /// What was found there.
        context: Read,
    },
    /// There are candidates.
    Planned {
        /// In the order in which they are tried: the least risk first.
        candidates: Vec<Candidate>,
        /// Recipes without one.
        left_out: Vec<LeftOut>,
    },
    /// Nothing safe can be done.
    NoSafePatch {
        /// What is missing.
        missing: Vec<Missing>,
    },
    /// The policy allows to try a candidate.
    PolicyPassed {
        /// Which.
        candidate: String,
        /// SHA-256 of the policy's sources.
        policy: String,
        /// SHA-256 of what it was asked about, hex: an artifact.
        input: String,
    },
    /// A candidate was applied to the deployed commit, and taking it back gave that commit's tree again.
    Applied {
        /// Which.
        candidate: String,
        /// Hash of the tree with it.
        tree: String,
    },
    /// A candidate is proved, and the policy allows it with what was found.
    Verified {
        /// Which.
        candidate: String,
        /// By what.
        proof: Box<Proof>,
    },
    /// A candidate is not to be used.
    CandidateRefused {
        /// Which.
        candidate: String,
        /// What refused it: `policy`, `apply`, `revert`, `tests`.
        by: String,
        /// Why: each reason.
        why: Vec<String>,
    },
    /// The gate `confirm-patch` was opened for a candidate.
    Approved {
        /// By whom, signed.
        approval: Approval,
    },
    /// Who may approve said no.
    Rejected {
        /// Who.
        by: String,
        /// Why, in their words; may be empty.
        why: String,
    },
    /// The request is too old.
    Expired {
        /// Seconds since the end of the incident's window.
        age_seconds: u64,
        /// Seconds that are allowed.
        limit_seconds: u64,
    },
    /// A newer revision came.
    Superseded {
        /// Its event.
        by: String,
        /// Its revision.
        revision: u64,
    },
    /// The incident is over.
    Resolved {
        /// The revision that says so.
        revision: u64,
    },
    /// The operator ended it.
    Cancelled {
        /// Why, in the operator's words; may be empty.
        why: String,
    },
    /// An effect on the world is about to happen.
    Intended {
        /// Which.
        effect: Effect,
    },
    /// It has happened.
    Happened {
        /// Which.
        effect: Effect,
        /// Whether it was found done after a restart, not done now.
        observed: bool,
    },
}

/// A change of the world outside the database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The evidence is written as a file.
    Seal {
        /// Its name below the folder of bundles.
        file: String,
        /// SHA-256 of its bytes, hex.
        digest: String,
    },
}

impl Step {
    /// The name in the journal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Merged { .. } => "merged",
            Self::Triaged { .. } => "triaged",
            Self::ContextReady { .. } => "context_ready",
            Self::Planned { .. } => "planned",
            Self::NoSafePatch { .. } => "no_safe_patch",
            Self::PolicyPassed { .. } => "policy_passed",
            Self::Applied { .. } => "applied",
            Self::Verified { .. } => "verified",
            Self::CandidateRefused { .. } => "candidate_refused",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
            Self::Superseded { .. } => "superseded",
            Self::Resolved { .. } => "resolved",
            Self::Cancelled { .. } => "cancelled",
            Self::Intended { .. } => "intended",
            Self::Happened { .. } => "happened",
        }
    }

    pub(crate) const fn leads_to(&self) -> Option<State> {
        match self {
            Self::Received { .. } => Some(State::Received),
            Self::Triaged { .. } => Some(State::Triaged),
            Self::ContextReady { .. } => Some(State::ContextReady),
            Self::Planned { .. } => Some(State::Planned),
            Self::Approved { .. } => Some(State::Attested),
            Self::NoSafePatch { .. } => Some(State::NoSafePatch),
            Self::Rejected { .. } => Some(State::Rejected),
            Self::Expired { .. } => Some(State::Expired),
            Self::Superseded { .. } => Some(State::Superseded),
            Self::Resolved { .. } => Some(State::Resolved),
            Self::Cancelled { .. } => Some(State::Cancelled),
            // What became of the candidates says where this leads.
            Self::PolicyPassed { .. }
            | Self::Applied { .. }
            | Self::Verified { .. }
            | Self::CandidateRefused { .. }
            | Self::Merged { .. }
            | Self::Intended { .. }
            | Self::Happened { .. } => None,
        }
    }

    pub(crate) fn reason(&self) -> Option<String> {
        let in_words = |what: String, why: &str| if why.is_empty() { what } else { format!("{what}: {why}") };
        Some(match self {
            Self::NoSafePatch { missing } => missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Self::Expired { age_seconds, limit_seconds } => {
                format!("the incident's window ended {age_seconds} s ago, {limit_seconds} s are allowed")
            }
            Self::Superseded { by, revision } => format!("revision {revision} of the incident came (event {by})"),
            Self::Resolved { revision } => format!("the incident is over since its revision {revision}"),
            Self::Cancelled { why } => in_words("the operator aborted it".into(), why),
            Self::Approved { approval } => format!("{} approved {}", approval.by, approval.candidate),
            Self::Rejected { by, why } => in_words(format!("{by} rejected it"), why),
            _ => return None,
        })
    }
}
