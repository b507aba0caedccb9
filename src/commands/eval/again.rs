//! Judging the slices of a replay again with other options: other cuts of the baseline, or without a kind of evidence.

use backtrail_localize::{Kind, Options, Scores};

use super::case::Case;
use super::score::{self, Found, Judged, Mode};
use super::summary;
use crate::cli::Eval;
use crate::commands::incident::Replayed;
use crate::render::Paint;
use crate::render::table::Table;

/// The options to judge with, beside those of the pipeline.
pub(super) fn variants(args: &Eval) -> Vec<Options> {
    let cuts = if args.cuts.is_empty() { Options::default().cuts } else { args.cuts.clone() };
    let plain = Options { cuts, suspects: 1000, ..Options::default() };
    let mut all = Vec::new();
    if !args.cuts.is_empty() {
        all.push(plain.clone());
    }
    if args.ablate {
        all.extend(ablations().into_iter().map(|(_, without)| Options { without, ..plain.clone() }));
    }
    all
}

/// What is left out, with a name for it.
fn ablations() -> Vec<(String, Vec<Kind>)> {
    let without = Kind::ALL.iter().map(|&kind| (format!("without {}", kind.name()), vec![kind]));
    let parts = [Kind::Latency, Kind::Errors, Kind::Structure, Kind::Resources];
    let only = parts.iter().map(|&kind| {
        let others = parts.iter().copied().filter(|&other| other != kind).collect();
        (format!("{} only", kind.name()), others)
    });
    without.chain(only).collect()
}

/// Judges the window of the label by what the replay counted.
pub(super) fn judge(case: &Case, replayed: &Replayed, options: &Options, floor: &Scores) -> Judged {
    let start = |slice| replayed.grid.start(slice);
    let baseline = replayed.slices(|slice| start(slice) < case.window.start);
    let window = replayed.slices(|slice| case.window.start <= start(slice) && start(slice) < case.window.end);
    let judgement = backtrail_localize::judge(&baseline, &window, options);
    let found = Found {
        suspects: &judgement.suspects,
        confidence: &judgement.confidence.level,
        mode: Mode::Window,
        delay: None,
        false_incidents: 0,
    };
    score::judge(case, &found, floor)
}

/// AS@1 of the services with all evidence, and of each variant.
pub(super) fn table(rounds: &[Vec<Judged>], args: &Eval, paint: Paint) -> Vec<String> {
    let mut names = vec!["all evidence".to_owned()];
    names.extend(ablations().into_iter().map(|(name, _)| name));
    // With other cuts the pipeline's own verdict is not among the rounds.
    debug_assert_eq!(names.len(), rounds.len(), "{}", args.cuts.len());
    let full = rounds.first().map(|round| summary::first_ranks(round)).unwrap_or_default();
    let head: Vec<String> = full.iter().map(|(system, _)| format!(">{system} AS@1")).collect();
    let head: Vec<&str> = std::iter::once("evidence").chain(head.iter().map(String::as_str)).collect();
    let mut table = Table::new(&head);
    for (name, round) in names.into_iter().zip(rounds) {
        let shares = summary::first_ranks(round).into_iter().map(|(_, share)| format!("{share:.1}"));
        table.row(std::iter::once(name).chain(shares).collect());
    }
    let mut lines = table.lines();
    lines.insert(0, String::new());
    lines[1] = paint.dim(&lines[1]);
    lines
}
