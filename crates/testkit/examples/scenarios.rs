//! Writes scenarios as labelled cases: one folder each, as `backtrail eval DIR` reads them.
//!
//! ```text
//! cargo run -p backtrail-testkit --example scenarios -- --class latency --services 20 --seeds 1..20 --out DIR
//! ```
//!
//! `--class all` writes every class; `--seeds 7` writes one, `--seeds 1..20` seeds 1 to 20. `--stream QUIET,FAULTY` writes
//! one stream a seed instead: the faults come one after another, each that many seconds long and after that many quiet
//! ones. `backtrail eval --detect DIR` reads both. `--shuffle SEED` moves every trace to the time of another one: the labels
//! of what is written mean nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use backtrail_testkit::scenarios::stream::Stream;
use backtrail_testkit::scenarios::{Class, Scenario};

const USAGE: &str = "usage: scenarios --out DIR [--class NAME|all] [--services N] [--seeds A..B] \
                     [--stream QUIET,FAULTY | --shuffle SEED]";

struct Args {
    classes: Vec<Class>,
    services: usize,
    seeds: std::ops::RangeInclusive<u64>,
    shuffle: Option<u64>,
    out: PathBuf,
    stream: Option<[u64; 2]>,
}

fn parse(args: &[String]) -> Result<Args, String> {
    let (mut classes, mut services, mut seeds, mut out) = (Class::ALL.to_vec(), 20, 1..=1, None);
    let (mut stream, mut shuffle) = (None, None);
    for pair in args.chunks(2) {
        let [key, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        match key.as_str() {
            "--class" if value == "all" => {}
            "--class" => {
                let names = || Class::ALL.map(Class::name).join(", ");
                classes = vec![Class::parse(value).ok_or_else(|| format!("no class {value}: one of {}", names()))?];
            }
            "--services" => services = value.parse().map_err(|_| format!("{value} is no number"))?,
            "--seeds" => seeds = range(value).ok_or_else(|| format!("{value} is no range of seeds"))?,
            "--stream" => {
                let seconds = value.split_once(',').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
                stream = Some(seconds.ok_or_else(|| format!("{value} are no two numbers of seconds"))?);
            }
            "--shuffle" => shuffle = Some(value.parse().map_err(|_| format!("{value} is no seed"))?),
            "--out" => out = Some(PathBuf::from(value)),
            other => return Err(format!("unknown option {other}")),
        }
    }
    if services < 8 {
        return Err("a topology has at least 8 services".to_owned());
    }
    Ok(Args { classes, services, seeds, shuffle, out: out.ok_or("--out is missing")?, stream })
}

/// `A..B` with both ends, or one number.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args = match parse(&args) {
        Ok(args) => args,
        Err(problem) => {
            say(&format!("{problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    if let Some([quiet, faulty]) = args.stream {
        for seed in args.seeds {
            let stream = Stream { services: args.services, seed, faults: args.classes.clone(), quiet, faulty };
            if let Err(error) = stream.write(&args.out) {
                say(&format!("{}: {error}", stream.id()));
                return ExitCode::FAILURE;
            }
        }
        return ExitCode::SUCCESS;
    }
    for &class in &args.classes {
        for seed in args.seeds.clone() {
            let scenario = Scenario { class, services: args.services, seed };
            let recording = scenario.generate();
            let recording = match args.shuffle {
                Some(shuffle) => recording.shuffled(shuffle),
                None => recording,
            };
            if let Err(error) = recording.write(&args.out) {
                say(&format!("{}: {error}", scenario.id()));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
