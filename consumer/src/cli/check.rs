//! Arguments of `backtrail-consumer check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::args::parse_duration;

/// `backtrail-consumer check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The patch, as `git diff` writes it
    pub(crate) patch: PathBuf,
    /// The repository: a folder or a URL
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) repository: String,
    /// The commit that is deployed
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: String,
    /// The service that it is to repair
    #[arg(long, value_name = "NAME")]
    pub(crate) service: String,
    /// The service's folder in the repository; without it, all of it
    #[arg(long, default_value = "", value_name = "FOLDER")]
    pub(crate) prefix: String,
    /// The team that owns the service
    #[arg(long, default_value = "unstated", value_name = "NAME")]
    pub(crate) team: String,
    /// The flag that the change stands behind
    #[arg(long, default_value = "", value_name = "NAME")]
    pub(crate) flag: String,
    /// What kind of change it is to be judged as
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(crate) kind: ChangeKind,
    /// Run no tests: judge by what can be seen without
    #[arg(long)]
    pub(crate) tests_off: bool,
    /// Most lines that it may change
    #[arg(long, default_value_t = 80, value_name = "N")]
    pub(crate) max_lines: u32,
    /// Most files that it may change
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) max_files: u32,
    /// A folder of Rego rules on top of the shipped ones
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// Values that it may not hold, one a line; secrets of a known shape it may not hold either
    #[arg(long, value_name = "FILE")]
    pub(crate) deny_values: Option<PathBuf>,
    /// How long one run of a suite of tests may take
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) test_time: Duration,
    /// Print {"allowed", "reasons", "hints", "files", "lines", "tree", "tests", "policy", "isolated"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// What kind of change a patch is judged as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum ChangeKind {
    /// Changed code: needs a flag, telemetry and tests that fail without it.
    #[default]
    Code,
    /// Settings alone.
    Config,
    /// Something that was there before comes back.
    Revert,
}
