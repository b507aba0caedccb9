//! The arguments of every command.

use std::path::PathBuf;
use std::str::FromStr;

use backtrail_model::time::UnixNano;
use backtrail_pipeline::config::parse_set;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::logs::LogFormat;
use super::out::ColorChoice;
use crate::render::time::parse_time;

/// Follows live telemetry back to the cause of a failure: OTLP in, a ranked and explained suspect out.
#[derive(Parser, Debug)]
#[command(name = "backtrail", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 a problem was found, 2 usage, 78 configuration.\nTry: backtrail demo")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How log lines on stderr look (what is logged: `RUST_LOG`)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// When to use colour; `auto` respects `NO_COLOR`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a pipeline until its inputs end or it is told to stop (SIGTERM, Ctrl-C)
    Run(Run),
    /// Replay a recorded incident end to end and show the verdict: no broker, no set-up
    Demo(Demo),
    /// Replay recorded telemetry and print the verdict
    Replay(Replay),
    /// Replay labelled incidents and say how often the culprit was found
    Eval(Eval),
    /// Ask a running pipeline what is wrong with an endpoint, without an incident
    Investigate(Investigate),
    /// Tell a running pipeline who was to blame, to see later how far its confidence can be trusted
    Feedback(Feedback),
    /// Check a configuration: every problem at once, with its place and a hint
    Validate(Validate),
    /// Draw the graph of a configuration, with the signals on every edge
    Graph(Graph),
    /// List the components that a configuration may name
    Components(Components),
    /// Print the JSON Schema of the configuration, or write the reference pages
    Schema(Schema),
    /// Show what a running (or the last) pipeline counted
    Status(Status),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the version
    Version(Version),
}

/// Overrides of single values.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Set {
    /// Override one value of the configuration: `--set service.data_dir=/tmp/x` (repeatable; the value is YAML)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_set)]
    pub(crate) set: Vec<(String, serde_json::Value)>,
}

/// `backtrail run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The pipeline
    #[arg(long, short, default_value = "pipeline.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) set: Set,
    /// Write {"admin", "listening"} here as JSON once everything is bound
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Print the final status as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// A folder of `*.otlp.jsonl[.gz|.zst]` (or the `OpenTelemetry` Collector's file exporter), or one such file; with
    /// --verdict the folder of capsules (default: ./backtrail-data/capsules)
    #[arg(required_unless_present = "verdict")]
    pub(crate) path: Option<PathBuf>,
    /// Judge this verdict again from its capsule, and say whether the document is the same
    #[arg(long, value_name = "ID", conflicts_with_all = ["speed", "window", "config", "set"])]
    pub(crate) verdict: Option<String>,
    /// `max`, or a multiple of recorded time such as `1x` or `60x`
    #[arg(long, default_value = "max", value_name = "SPEED")]
    pub(crate) speed: String,
    /// The time to judge, `START..END` in RFC 3339 or Unix nanoseconds (default: incidents are detected)
    #[arg(long, value_name = "START..END")]
    pub(crate) window: Option<Span>,
    /// Use this pipeline with its receivers replaced, instead of the built-in one
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) set: Set,
    /// Print the verdict document: one line of JSON an incident, its last revision
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the verdict alone, without what was replayed
    #[arg(long)]
    pub(crate) verdict_only: bool,
}

/// `backtrail demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Play the incident of the demo shop, and repair it: needs the repository, git, Python with pytest
    #[arg(long)]
    pub(crate) patch: bool,
    /// Where windows and the patch queue are written
    #[arg(long, default_value = "./backtrail-data/demo", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Print the verdict document as JSON
    #[arg(long, conflicts_with = "patch")]
    pub(crate) json: bool,
}

/// `backtrail eval`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(crate) struct Eval {
    /// Cases (folders with a `truth.json`) or folders of cases
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Print cases and summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show each case with its first suspects
    #[arg(long)]
    pub(crate) cases: bool,
    /// Show the floor's rank of each case (implies --cases)
    #[arg(long)]
    pub(crate) floor: bool,
    /// Signals that are replayed
    #[arg(long, value_delimiter = ',', default_values = ["traces", "logs", "metrics"], value_name = "SIGNAL,...")]
    pub(crate) signals: Vec<String>,
    /// Tell nothing of the window: the pipeline has to notice the incident by itself
    #[arg(long, conflicts_with_all = ["first", "cuts", "ablate"])]
    pub(crate) detect: bool,
    /// Judge so many quiet and so many shuffled windows of each case, in which nothing is wrong, instead of the fault
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000),
        conflicts_with_all = ["detect", "first", "cuts", "ablate", "cases", "floor", "refit"])]
    pub(crate) null: Option<u16>,
    /// Show how far the stated confidence can be trusted, by these cases and by --feedback; no constant is changed
    #[arg(long)]
    pub(crate) refit: bool,
    /// A file of feedback (`<data_dir>/feedback.jsonl`), counted with the cases by --refit
    #[arg(long, value_name = "FILE", requires = "refit")]
    pub(crate) feedback: Option<PathBuf>,
    /// Judge only the first part of each window: `--first 90s`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) first: Option<std::time::Duration>,
    /// Cut the baseline into these numbers of blocks and take the mean
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub(crate) cuts: Vec<usize>,
    /// Show what each kind of evidence brings: the same cases without it, and with nothing else
    #[arg(long)]
    pub(crate) ablate: bool,
    /// Shard threads a case; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) shards: usize,
    #[command(flatten)]
    pub(crate) set: Set,
}

/// `backtrail investigate`.
#[derive(Args, Debug)]
pub(crate) struct Investigate {
    /// What to look at: `SERVICE ROUTE` (`frontend GET /cart`), a service, or a route
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    /// How much of the time up to now is judged; what is held of the time before is the baseline
    #[arg(long, default_value = "15m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) last: std::time::Duration,
    /// The admin listener of the running pipeline
    #[arg(long, default_value = "127.0.0.1:8888", value_name = "HOST:PORT")]
    pub(crate) admin: String,
    /// Print the verdict document as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail feedback`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("outcome").required(true))]
pub(crate) struct Feedback {
    /// The verdict's id
    #[arg(value_name = "VERDICT_ID")]
    pub(crate) verdict_id: String,
    /// The service that was to blame
    #[arg(long, value_name = "SERVICE", group = "outcome")]
    pub(crate) culprit: Option<String>,
    /// The verdict is wrong, and who was to blame is not known
    #[arg(long, group = "outcome")]
    pub(crate) wrong: bool,
    /// The admin listener of the running pipeline
    #[arg(long, default_value = "127.0.0.1:8888", value_name = "HOST:PORT")]
    pub(crate) admin: String,
    /// Print what was written as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    text.parse::<backtrail_pipeline::Duration>().map(|duration| duration.0)
}

/// `backtrail validate`.
#[derive(Args, Debug)]
pub(crate) struct Validate {
    /// The pipeline
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub(crate) file: Option<PathBuf>,
    /// The pipeline (default: pipeline.yaml)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) set: Set,
    /// Print {"problems": [...]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail graph`.
#[derive(Args, Debug)]
pub(crate) struct Graph {
    /// The pipeline
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub(crate) file: Option<PathBuf>,
    /// The pipeline (default: pipeline.yaml)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) set: Set,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,
    /// Print {"nodes", "edges"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a graph is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum GraphFormat {
    /// For a terminal.
    #[default]
    Text,
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// `backtrail components`.
#[derive(Args, Debug)]
pub(crate) struct Components {
    /// Print names, summaries, scopes and defaults as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail schema`.
#[derive(Args, Debug)]
pub(crate) struct Schema {
    /// Write the schema and the reference pages into this folder instead
    #[arg(long, value_name = "DIR")]
    pub(crate) docs: Option<PathBuf>,
    /// Accepted for symmetry: the schema is JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail status`.
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The admin listener
    #[arg(long, default_value = "127.0.0.1:8888", value_name = "HOST:PORT")]
    pub(crate) endpoint: String,
    /// Where the last status lies when nothing runs
    #[arg(long, default_value = "./backtrail-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Nodes of one pipeline only (needs a running pipeline)
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Print {"nodes": [...]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// `backtrail completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `backtrail version`.
#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Print {"name", "version"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// A span of time, `START..END`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// Its start.
    pub(crate) start: UnixNano,
    /// Its end (exclusive).
    pub(crate) end: UnixNano,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = "write START..END, such as 2022-08-22T05:27:06Z..2022-08-22T05:30:06Z";
        let (start, end) = text.split_once("..").ok_or_else(|| format!("no '..' in it; {shape}"))?;
        let read = |part: &str| parse_time(part).ok_or_else(|| format!("'{part}' is no time; {shape}"));
        let span = Self { start: read(start)?, end: read(end)? };
        if span.start < span.end { Ok(span) } else { Err("it ends before it starts".to_owned()) }
    }
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
    fn overrides_keep_later_equal_signs() {
        let cli = Cli::try_parse_from(["backtrail", "run", "--set", "a.b=c=d", "--set", "x=4"]).expect("parses");
        let Command::Run(run) = cli.command else { panic!("run") };
        assert_eq!(run.set.set, [("a.b".into(), "c=d".into()), ("x".into(), 4.into())]);
        assert_eq!(run.config, PathBuf::from("pipeline.yaml"));
    }

    #[test]
    fn a_window_is_read_in_both_notations() {
        let rfc: Span = "2022-08-22T05:27:06Z..2022-08-22T05:30:06Z".parse().expect("parses");
        let nanos: Span = "1661146026000000000..1661146206000000000".parse().expect("parses");
        assert_eq!(rfc, nanos);
        for wrong in ["2022-08-22T05:27:06Z", "5..x", "9..5"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            &["backtrail", "run", "--set", "novalue"][..],
            &["backtrail", "eval"],
            &["backtrail", "graph", "--format", "x"],
        ] {
            let error = Cli::try_parse_from(line).expect_err("must not parse");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
