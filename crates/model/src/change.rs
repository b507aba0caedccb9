//! Changes: what was deployed, committed, configured, switched or scaled, and when. A suspect of its own.
//!
//! ```yaml
//! - id: c-1
//!   time: 2026-06-18T14:58:00Z
//!   kind: commit
//!   service: checkout
//!   commit: 559e94ce37a7b4b6
//!   subject: "build line items in the order assembler (#482)"
//!   files: [{ path: checkout/order.go, lines: [[40, 61]] }]
//! - { time: 2026-06-18T14:59:30Z, kind: deploy, service: checkout, commit: 559e94ce37a7b4b6, version: v12 }
//! - { time: 2026-06-18T14:45:00Z, kind: flag, service: web, flag: new_rail, old: "off", new: "on" }
//! ```
//!
//! Everything but the time may be missing, and fields that nobody knows yet are ignored, so that whoever builds,
//! deploys or switches can post what it has. Every text and list is bounded when a change is taken ([`Change::bounded`]).

mod read;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::read::{ReadError, Rejected, Taken, read};
use crate::incident::deterministic_id;
use crate::moment::Time;

/// Most bytes of a diff that are kept: a few hundred lines say what a change does.
pub const MOST_DIFF: usize = 32 * 1024;
/// Most bytes of any other text.
pub const MOST_TEXT: usize = 1024;
/// Most files that are kept of a change.
pub const MOST_FILES: usize = 200;
/// Most ranges of lines of a file.
const MOST_RANGES: usize = 200;

/// What kind of change it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A version began to run.
    Deploy,
    /// Code was merged.
    #[default]
    Commit,
    /// A setting changed.
    Config,
    /// A feature flag was switched.
    Flag,
    /// The number or the size of instances changed.
    Scale,
}

impl ChangeKind {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Commit => "commit",
            Self::Config => "config",
            Self::Flag => "flag",
            Self::Scale => "scale",
        }
    }
}

/// A file that was changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChangedFile {
    /// Its path in the repository.
    pub path: String,
    /// Changed lines, first and last of each range, as they are numbered after the change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<[u32; 2]>,
}

/// Who vouches for what runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Provenance {
    /// What built it.
    pub builder: String,
    /// Digest of the artifact.
    pub digest: String,
    /// Level of supply-chain assurance (SLSA), 0 to 4.
    pub slsa_level: u8,
}

/// A change (EVENTS: `changes`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Change {
    /// What tells it from others; made of its other fields when it is not set.
    pub id: String,
    /// When it took effect.
    pub time: Time,
    /// What kind of change.
    pub kind: ChangeKind,
    /// The service that it concerns, as telemetry names it; "" when that is not known.
    pub service: String,
    /// `service.version` after it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The commit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The repository of the commit and its files; "" when that is not known.
    #[serde(skip_serializing_if = "String::is_empty", alias = "repo")]
    pub repository: String,
    /// The image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Number of the pull request; read from the subject when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pr: Option<u64>,
    /// The first line of the message says what was meant.
    #[serde(skip_serializing_if = "String::is_empty", alias = "message")]
    pub subject: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty", alias = "actor")]
    pub author: String,
    /// What it touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ChangedFile>,
    /// The change itself, as a unified diff.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// The flag that was switched, or the setting that changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub flag: String,
    /// Its old state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub old: String,
    /// Its new state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub new: String,
    /// Who vouches for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

impl Change {
    /// The same within the bounds, with an id and the pull request that the subject names.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [
            &mut self.id,
            &mut self.service,
            &mut self.version,
            &mut self.commit,
            &mut self.repository,
            &mut self.image,
            &mut self.subject,
            &mut self.author,
            &mut self.flag,
            &mut self.old,
            &mut self.new,
        ];
        for text in texts {
            shorten(text, MOST_TEXT);
        }
        shorten(&mut self.diff, MOST_DIFF);
        self.files.truncate(MOST_FILES);
        for file in &mut self.files {
            shorten(&mut file.path, MOST_TEXT);
            file.lines.truncate(MOST_RANGES);
        }
        if let Some(provenance) = &mut self.provenance {
            shorten(&mut provenance.builder, MOST_TEXT);
            shorten(&mut provenance.digest, MOST_TEXT);
        }
        self.pr = self.pr.or_else(|| pull_request(&self.subject));
        if self.id.is_empty() {
            let time = self.time.0.0.to_string();
            let kind = self.kind.name();
            self.id =
                deterministic_id(&[kind, &time, &self.service, &self.commit, &self.version, &self.flag, &self.subject]);
        }
        self
    }

    /// What people call it: the flag, the subject, the version or the id.
    pub fn title(&self) -> &str {
        let first = self.subject.lines().next().unwrap_or_default();
        [self.flag.as_str(), first, &self.version, &self.commit, &self.id]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }
}

/// Changes by id: the same one, posted twice, is one.
pub type Changes = BTreeMap<String, Change>;

fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
}

/// The number of the pull request that the subject of a merge or of a squashed commit names.
///
/// ```
/// use backtrail_model::change::pull_request;
/// assert_eq!(pull_request("Merge pull request #482 from shop/line-items"), Some(482));
/// assert_eq!(pull_request("checkout: build line items (#482)"), Some(482));
/// assert_eq!(pull_request("Revert \"build line items (#482)\" (#490)\n\nsee #1"), Some(490));
/// assert_eq!(pull_request("fixes #12 at last"), None);
/// ```
pub fn pull_request(subject: &str) -> Option<u64> {
    let subject = subject.lines().next()?.trim_end();
    if let Some(rest) = subject.strip_prefix("Merge pull request #") {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        return digits.parse().ok();
    }
    let (_, number) = subject.strip_suffix(')')?.rsplit_once("(#")?;
    number.parse().ok()
}
