//! Configuration of the judge and of patch requests.

use std::path::PathBuf;

use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{ByteSize, Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Judges incidents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much of an incident is judged: its newest part. A given window is judged whole.
    pub window: Duration,
    /// How much quiet time before the incident it is compared with.
    pub baseline: Duration,
    /// Whether every revision of an incident gets a verdict, or only its first and its last.
    pub every_revision: bool,
    /// Quantile of an entry operation's own latency above which its traces count as failing.
    pub latency_quantile: Ratio,
    /// Most suspects of each kind.
    pub max_suspects: usize,
    /// Changes as suspects.
    pub changes: Changes,
    /// Who owns what.
    pub ownership: Owners,
    /// Whether the inputs of verdicts are kept, so that they can be judged again.
    pub capsules: Capsules,
    /// When and how a verdict becomes a patch request.
    pub patch_request: Requests,
}

/// Whether the inputs of verdicts are kept, so that they can be judged again. Every verdict writes a file with all
/// slices that it is made of; past a bound the oldest files are removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capsules {
    /// Whether to keep them at all.
    pub enabled: bool,
    /// The folder; `<data_dir>/capsules` if it is not set.
    pub path: Option<PathBuf>,
    /// Most files.
    pub max_count: usize,
    /// Most bytes of all files.
    pub max_bytes: ByteSize,
}

/// Changes as suspects. Those that are posted to `/v1/changes` of the admin listener are always taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// A file of changes, JSON or YAML: a list, or an object with `changes`, or with `commits`, `deploys` and `flags`.
    /// Read when the pipeline starts and on a reload.
    pub file: Option<PathBuf>,
    /// How long before the window a change can be to be a suspect.
    pub max_age: Duration,
}

/// Who owns what: the owners are named with the suspects, and a patch is asked for only of what its owner holds. Read
/// when the pipeline starts and on a reload.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Owners {
    /// `ownership.yaml`: team, repository and folder by service. With it, nobody is asked for a patch of a service that it
    /// does not name.
    pub file: Option<PathBuf>,
    /// A CODEOWNERS file, as GitHub and GitLab read it, for services that name none of their own.
    pub codeowners: Option<PathBuf>,
}

/// When and how a verdict becomes a patch request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// Whether to make requests at all.
    pub enabled: bool,
    /// Least confidence of the verdict at the end of the incident; before that it takes `high`, twice.
    pub min_confidence: Confidence,
    /// Begins the name of the flag that the patch must hide behind; the service and operation follow.
    pub flag_prefix: String,
    /// Most lines that the patch may change.
    pub max_lines: u32,
    /// Most files that it may change.
    pub max_files: u32,
    /// How long the consumer may take for a candidate.
    pub max_time: Duration,
}

/// How sure a verdict is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Weak evidence.
    Low,
    /// Good evidence.
    Medium,
    /// Better evidence than healthy traffic ever gave.
    High,
}

impl Confidence {
    /// The level of a verdict; `None` when it is inconclusive.
    pub(super) fn of(level: &str) -> Option<Self> {
        match level {
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(900),
            baseline: Duration::from_secs(3600),
            every_revision: true,
            latency_quantile: Ratio(0.99),
            max_suspects: 10,
            changes: Changes::default(),
            ownership: Owners::default(),
            capsules: Capsules::default(),
            patch_request: Requests::default(),
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self { file: None, max_age: Duration::from_secs(24 * 3600) }
    }
}

impl Default for Capsules {
    fn default() -> Self {
        Self { enabled: false, path: None, max_count: 100, max_bytes: ByteSize(1 << 30) }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            enabled: true,
            min_confidence: Confidence::Medium,
            flag_prefix: "backtrail_fix_".to_owned(),
            max_lines: 200,
            max_files: 5,
            max_time: Duration::from_secs(1800),
        }
    }
}

impl Config {
    pub(super) fn problems(&self) -> Vec<Finding> {
        let day = Duration::from_secs(24 * 3600);
        let none = Duration::default();
        let quantile = self.latency_quantile.0;
        let checks = [
            ("window", self.window == none || self.window > day, "write a time of up to 24h"),
            ("baseline", self.baseline == none || self.baseline > day, "write a time of up to 24h"),
            ("latency_quantile", quantile <= 0.0 || quantile >= 1.0, "write a share such as 99%"),
            ("max_suspects", self.max_suspects == 0 || self.max_suspects > 1000, "write a number from 1 to 1000"),
            ("capsules.max_count", self.capsules.max_count == 0, "write 1 or more, or enabled: false"),
            ("capsules.max_bytes", self.capsules.max_bytes.0 == 0, "write a size such as 1GiB, or enabled: false"),
            ("patch_request.flag_prefix", !is_name(&self.patch_request.flag_prefix), "use letters, digits, - and _"),
            ("patch_request.max_lines", self.patch_request.max_lines == 0, "write 1 or more"),
            ("patch_request.max_files", self.patch_request.max_files == 0, "write 1 or more"),
        ];
        let wrong = checks.into_iter().filter(|check| check.1);
        wrong.map(|(path, _, hint)| Finding::new(path, format!("{path} is out of bounds"), hint)).collect()
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
