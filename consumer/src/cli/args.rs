//! The arguments of every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::check::Check;
use super::model::ModelArgs;

/// Takes patch requests from backtrail's queue, decides on them, and leaves signed evidence.
#[derive(Parser, Debug)]
#[command(name = "backtrail-consumer", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 a problem was found, 2 usage, 78 configuration.\n\
    Try: backtrail demo, then: backtrail-consumer run --once --spool backtrail-data/demo/patch_queue --max-age any")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How log lines on stderr look (what is logged: `RUST_LOG`)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Take patch requests from the queue and work on them until told to stop (SIGTERM, Ctrl-C)
    Run(Run),
    /// Put a patch request or an event into the inbox by hand
    Submit(Submit),
    /// Show what waits, what was decided, and whether the journals are intact
    Status(Status),
    /// Show a remediation with its journal
    Show(Show),
    /// Tell a remediation from its journal: a draft of a postmortem, or a trace; or measure all of them
    Report(Report),
    /// Approve a verified candidate: sign for its diff, and open the gate confirm-patch
    Approve(Approve),
    /// Say no to the candidates of a remediation
    Reject(Reject),
    /// End a remediation
    Abort(Abort),
    /// Look at dead letters, give them another chance, or remove them
    Dlq(Dlq),
    /// Check a bundle of evidence, offline
    Verify(Verify),
    /// Show, test and ask the policy that gates patches
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Find known defects in Rego, Argo and Istio files, patches and generated tests
    Doctor(Doctor),
    /// Repair the demo shop: what `backtrail demo --patch` runs behind its verdict
    Demo(Demo),
    /// Judge a patch of anybody by the gates that a candidate passes, and name every reason against it
    Check(Check),
    /// Measure the recipes on services with seeded defects
    Eval(Eval),
    /// Make a key for an approver; prints the public half
    Keygen {
        /// The file for the secret half
        file: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version {
        /// Print {"name", "version"}
        #[arg(long)]
        json: bool,
    },
}

/// Where the consumer keeps what it knows.
#[derive(Args, Debug, Clone)]
pub(crate) struct DataDir {
    /// Where the inbox, the journals, the key and the bundles are kept
    #[arg(long, default_value = "./backtrail-data/consumer", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// `backtrail-consumer run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// The queue that `patch_queue` of backtrail writes
    #[arg(long, default_value = "./backtrail-data/patch_queue", value_name = "DIR")]
    pub(crate) spool: PathBuf,
    /// Which service is whose, and where its code is; a file that is not there owns nothing
    #[arg(long, default_value = "ownership.yaml", value_name = "FILE")]
    pub(crate) ownership: PathBuf,
    /// How old an incident may be, by the end of its window; `any` for recordings
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_age)]
    pub(crate) max_age: Age,
    /// How long work is kept from others that a killed run had begun
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) lease: Duration,
    /// Only map suspects to their code: no repository is read and nothing is run
    #[arg(long)]
    pub(crate) only_triage: bool,
    /// A folder of Rego rules on top of the shipped ones
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// How long one run of a suite of tests may take
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) test_time: Duration,
    /// How much memory it may take, in MiB
    #[arg(long, default_value_t = 4096, value_name = "MIB", value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) test_memory: u64,
    /// Refuse to run tests that this cannot keep from the network (`network`), the files (`read_only`), ...
    #[arg(long, value_name = "ASPECT", value_delimiter = ',')]
    pub(crate) require_isolation: Vec<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Attempts before work becomes a dead letter
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts: u32,
    /// Post the trace of each ended remediation to this OTLP receiver, best effort, as in `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Take what is there, work until nothing is due, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print what was done as JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer submit`.
#[derive(Args, Debug)]
pub(crate) struct Submit {
    /// A patch request, or a `CloudEvent` with one (or with the state of an incident), as JSON
    pub(crate) file: PathBuf,
    /// Values that are never kept, one a line; secrets of a known shape never are
    #[arg(long, value_name = "FILE")]
    pub(crate) deny_values: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print {"event", "new"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer status`.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print inbox, states, remediations, dead letters, counters and what was tampered with as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Its id, or the beginning of it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print the remediation, its journal, the path of its bundle and the public key as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer report`.
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// Its id, or the beginning of it
    #[arg(required_unless_present = "metrics", conflicts_with = "metrics")]
    pub(crate) id: Option<String>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", conflicts_with_all = ["metrics", "json", "trace"])]
    pub(crate) format: Format,
    /// Write it to a file, not to stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print it as an OpenTelemetry trace, OTLP/JSON
    #[arg(long, conflicts_with_all = ["metrics", "json"])]
    pub(crate) trace: bool,
    /// Measure all remediations: states, times, false suggestions, sizes of patches
    #[arg(long)]
    pub(crate) metrics: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print the report or the measures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a report is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// For a repository or a wiki.
    #[default]
    Markdown,
    /// One page that needs nothing else.
    Html,
}

/// `backtrail-consumer approve`.
#[derive(Args, Debug)]
pub(crate) struct Approve {
    /// The remediation's id, or the beginning of it
    pub(crate) id: String,
    /// The candidate; without it the one of least risk
    #[arg(long, value_name = "CANDIDATE")]
    pub(crate) candidate: Option<String>,
    /// Who approves, as approvers.yaml names them
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Their key (keygen)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Only sign: print the signed approval, for --envelope
    #[arg(long, requires = "key")]
    pub(crate) sign_only: bool,
    /// Use an approval that was signed elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "by"])]
    pub(crate) envelope: Option<PathBuf>,
    /// Who may approve: names, teams and public keys
    #[arg(long, default_value = "approvers.yaml", value_name = "FILE")]
    pub(crate) approvers: PathBuf,
    /// Which service is whose
    #[arg(long, default_value = "ownership.yaml", value_name = "FILE")]
    pub(crate) ownership: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print {"id", "state", "candidate", "by"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer reject`.
#[derive(Args, Debug)]
pub(crate) struct Reject {
    /// The remediation's id, or the beginning of it
    pub(crate) id: String,
    /// Who says no
    #[arg(long = "as", value_name = "NAME", default_value = "the operator")]
    pub(crate) by: String,
    /// Why, for the journal and the evidence
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print {"id", "state"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be done with the policy.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Print its digest and rules
    Show {
        /// A folder of Rego rules on top of the shipped ones
        #[arg(long, value_name = "DIR")]
        policy: Option<PathBuf>,
        /// Print {"policy", "rules", "disabled"}
        #[arg(long)]
        json: bool,
    },
    /// Run it over fixtures: RULE/allowed*.json and RULE/denied*.json
    Test {
        /// The folder of fixtures
        fixtures: PathBuf,
        /// A folder of Rego rules on top of the shipped ones
        #[arg(long, value_name = "DIR")]
        policy: Option<PathBuf>,
        /// Print {"cases", "failed", "policy"}
        #[arg(long)]
        json: bool,
    },
    /// Ask it about one input, such as the one that a journal names
    Decide {
        /// The input, JSON
        input: PathBuf,
        /// A folder of Rego rules on top of the shipped ones
        #[arg(long, value_name = "DIR")]
        policy: Option<PathBuf>,
        /// Print the decision with its digests
        #[arg(long)]
        json: bool,
    },
}

/// `backtrail-consumer demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The folder of the demo shop
    #[arg(long, default_value = "demo/shop", value_name = "DIR")]
    pub(crate) shop: PathBuf,
    /// The queue with the patch request
    #[arg(long, default_value = "./backtrail-data/demo-shop/patch_queue", value_name = "DIR")]
    pub(crate) spool: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

/// `backtrail-consumer eval`.
#[derive(Args, Debug)]
pub(crate) struct Eval {
    /// A folder of cases, see consumer/cases/README.md
    #[arg(long, value_name = "DIR")]
    pub(crate) patches: PathBuf,
    /// Only these cases, by the names of their folders
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How long one run of a suite of tests may take
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) test_time: Duration,
    /// Print {"cases", "cured", "wrong"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer doctor`.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Files and folders
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Print {"files", "findings"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer abort`.
#[derive(Args, Debug)]
pub(crate) struct Abort {
    /// Its id, or the beginning of it
    pub(crate) id: String,
    /// Why, for the journal and the evidence
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Print {"id", "state"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail-consumer dlq`.
#[derive(Args, Debug)]
pub(crate) struct Dlq {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DlqCommand,
}

/// What can be done with dead letters.
#[derive(Subcommand, Debug)]
pub(crate) enum DlqCommand {
    /// List them with their reasons
    List {
        #[command(flatten)]
        data: DataDir,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one; without --json its bytes as they came
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        data: DataDir,
        /// Print the letter and its bytes as base64
        #[arg(long)]
        json: bool,
    },
    /// Put one into the inbox again, with a fresh budget
    Replay {
        /// Its id
        id: String,
        #[command(flatten)]
        data: DataDir,
        /// Print {"id", "replayed"}
        #[arg(long)]
        json: bool,
    },
    /// Remove one
    Drop {
        /// Its id
        id: String,
        #[command(flatten)]
        data: DataDir,
        /// Print {"id", "dropped"}
        #[arg(long)]
        json: bool,
    },
}

/// `backtrail-consumer verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// A bundle
    pub(crate) bundle: PathBuf,
    /// The key that must have signed it (PEM); without it the bundle's own, which says that it is whole and not by whom
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write what it holds into this empty folder: request, journal, patches, and each signed statement as a Sigstore
    /// bundle, which cosign verifies
    #[arg(long, value_name = "DIR")]
    pub(crate) extract: Option<PathBuf>,
    /// Print the decision and the key as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A bound on age, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Age(pub(crate) Option<Duration>);

fn parse_age(text: &str) -> Result<Age, String> {
    if text == "any" {
        return Ok(Age(None));
    }
    parse_duration(text).map(|age| Age(Some(age))).map_err(|error| format!("{error}, or 'any'"))
}

/// A whole number with its unit, as in pipeline.yaml.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let shape = "write a whole number and a unit: 500ms, 30s, 15m, 24h or 7d";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(shape.into()),
    };
    let number: u64 = number.parse().map_err(|_| shape)?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| shape.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_age("any"), Ok(Age(None)));
        for wrong in ["", "5", "s", "5 s", "-5s", "1.5h", "99999999999999999999d", "18446744073709551615d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
