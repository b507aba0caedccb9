//! The arguments of every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// End a remediation
    Abort(Abort),
    /// Look at dead letters, give them another chance, or remove them
    Dlq(Dlq),
    /// Check a bundle of evidence, offline
    Verify(Verify),
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
    /// Attempts before work becomes a dead letter
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts: u32,
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
fn parse_duration(text: &str) -> Result<Duration, String> {
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
