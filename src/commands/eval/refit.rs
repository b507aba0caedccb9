//! What outcomes say about stated confidence (`eval --refit`): labelled cases and feedback, by level and by score.
//!
//! Nothing is fitted: the constants of `localize` stay what they are, and this says where they would stand if these
//! outcomes were all there is.

use std::path::Path;

use anyhow::Context;
use backtrail_localize::Options;
use backtrail_model::feedback::{self, Feedback};
use serde::Serialize;

use super::score::Judged;
use crate::cli::Failure;
use crate::render::Paint;
use crate::render::table::Table;

/// 97.5 % of a normal distribution lie below this many standard deviations: both sides leave out 5 %.
const Z: f64 = 1.959_964;
/// Of the verdicts from this score on, so many are to be right: what `high` and `medium` are held against.
const HIGH: f64 = 0.95;
const MEDIUM: f64 = 0.8;
const LEVELS: [&str; 4] = ["high", "medium", "low", "inconclusive"];

/// One verdict and whether it named the culprit first.
#[derive(Clone, PartialEq, Debug)]
struct Outcome {
    level: String,
    score: f64,
    right: bool,
}

/// How often a level was right.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Row {
    level: &'static str,
    n: usize,
    right: usize,
    /// Share that was right, 0 to 1; none without a verdict.
    share: Option<f64>,
    /// Wilson's interval of that share at 95 %.
    interval: Option<[f64; 2]>,
}

/// Where a limit stands, and where these outcomes would put it.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Limit {
    level: &'static str,
    stands_at: f64,
    /// Share of the verdicts from there on that must be right.
    wanted: f64,
    /// The least score from which so many are right; none if no score is enough.
    would_be: Option<f64>,
}

/// The report.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Report {
    cases: usize,
    feedback: usize,
    /// Statements about verdicts of which nothing is known.
    unknown: usize,
    /// Lines of the file that are damaged.
    damaged: Vec<usize>,
    levels: Vec<Row>,
    limits: Vec<Limit>,
}

/// Reads the file of feedback, if there is one, and counts.
pub(super) fn report(judged: &[Judged], file: Option<&Path>) -> Result<Report, Failure> {
    let (statements, damaged) = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            feedback::read(&text)
        }
        None => (Vec::new(), Vec::new()),
    };
    let mut outcomes: Vec<Outcome> = judged.iter().filter_map(of_case).collect();
    let cases = outcomes.len();
    outcomes.extend(statements.iter().filter_map(of_feedback));
    let feedback = outcomes.len() - cases;
    let options = Options::default();
    Ok(Report {
        cases,
        feedback,
        unknown: statements.len() - feedback,
        damaged,
        levels: LEVELS.into_iter().map(|level| row(level, &outcomes)).collect(),
        limits: vec![limit("high", options.high, HIGH, &outcomes), limit("medium", options.medium, MEDIUM, &outcomes)],
    })
}

fn of_case(case: &Judged) -> Option<Outcome> {
    let ranks = case.ranks.get("service")?;
    let score = case.top.first().map_or(0.0, |(_, score)| *score);
    Some(Outcome { level: case.confidence.clone(), score, right: ranks.contains(&Some(1)) })
}

fn of_feedback(feedback: &Feedback) -> Option<Outcome> {
    let (said, right) = (feedback.said.as_ref()?, feedback.right()?);
    Some(Outcome { level: said.level.clone(), score: said.score, right })
}

fn row(level: &'static str, outcomes: &[Outcome]) -> Row {
    let of_level = || outcomes.iter().filter(|outcome| outcome.level == level);
    let (n, right) = (of_level().count(), of_level().filter(|outcome| outcome.right).count());
    let share = (n > 0).then(|| right as f64 / n as f64);
    Row { level, n, right, share, interval: (n > 0).then(|| wilson(right as f64, n as f64)) }
}

/// Wilson's score interval of a share `right / n` at 95 %.
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
fn wilson(right: f64, n: f64) -> [f64; 2] {
    let (p, z2) = (right / n, Z * Z);
    let (middle, half) = (p + z2 / (2.0 * n), Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt());
    [(middle - half) / (1.0 + z2 / n), (middle + half) / (1.0 + z2 / n)].map(|end| end.clamp(0.0, 1.0))
}

fn limit(level: &'static str, stands_at: f64, wanted: f64, outcomes: &[Outcome]) -> Limit {
    // What is inconclusive says nothing, whatever its score.
    let mut stated: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.level != "inconclusive").collect();
    stated.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut would_be, mut right) = (None, 0);
    for (i, outcome) in stated.iter().enumerate() {
        right += usize::from(outcome.right);
        let last_of_its_score = stated.get(i + 1).is_none_or(|next| next.score < outcome.score);
        if last_of_its_score && right as f64 >= wanted * (i + 1) as f64 {
            would_be = Some(outcome.score);
        }
    }
    Limit { level, stands_at, wanted, would_be }
}

impl Report {
    /// For people.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let mut table = Table::new(&["confidence", ">verdicts", ">right", ">share", ">95 % interval"]);
        for row in &self.levels {
            let percent = |share: f64| format!("{:.1}", 100.0 * share);
            let share = row.share.map_or_else(|| "-".to_owned(), percent);
            let interval = row.interval.map_or_else(|| "-".to_owned(), |ends| ends.map(percent).join(" to "));
            table.row(vec![row.level.to_owned(), row.n.to_string(), row.right.to_string(), share, interval]);
        }
        let mut lines = vec![String::new()];
        lines.extend(table.lines());
        lines[1] = paint.dim(&lines[1]);
        for limit in &self.limits {
            let would = limit.would_be.map_or_else(
                || "no score is enough for that here".to_owned(),
                |score| format!("these outcomes alone would put it at {score:.2}"),
            );
            let wanted = 100.0 * limit.wanted;
            let (level, at) = (limit.level, limit.stands_at);
            lines.push(format!("{level} begins at {at:.2}; for {wanted:.0} % right from there on, {would}"));
        }
        let (cases, feedback, unknown) = (self.cases, self.feedback, self.unknown);
        lines.push(format!(
            "outcomes: {cases} labelled cases, {feedback} of feedback ({unknown} more about unknown verdicts)"
        ));
        if !self.damaged.is_empty() {
            let numbers: Vec<String> = self.damaged.iter().map(usize::to_string).collect();
            lines.push(format!("damaged lines of feedback, left out: {}", numbers.join(", ")));
        }
        lines.push(paint.dim("nothing was changed: the limits are constants of the program"));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(level: &str, score: f64, right: bool) -> Outcome {
        Outcome { level: level.to_owned(), score, right }
    }

    #[test]
    fn a_level_is_as_good_as_its_outcomes() {
        let outcomes = [
            outcome("high", 0.95, true),
            outcome("high", 0.91, true),
            outcome("high", 0.9, false),
            outcome("low", 0.2, true),
        ];
        let high = row("high", &outcomes);
        assert_eq!((high.n, high.right, high.share), (3, 2, Some(2.0 / 3.0)));
        assert_eq!(row("medium", &outcomes).interval, None);
        assert_eq!(limit("high", 0.9, 0.95, &outcomes).would_be, Some(0.91));
        assert_eq!(limit("medium", 0.5, 0.7, &outcomes).would_be, Some(0.2));
        assert_eq!(limit("high", 0.9, 0.95, &outcomes[2..3]).would_be, None);
    }

    #[test]
    fn the_interval_is_wilsons() {
        // The textbook's 0 of 10 and 5 of 10.
        let [low, high] = wilson(0.0, 10.0);
        assert!(low.abs() < 1e-9 && (high - 0.2775).abs() < 1e-3, "{low} {high}");
        let [low, high] = wilson(5.0, 10.0);
        assert!((low - 0.2366).abs() < 1e-3 && (high - 0.7634).abs() < 1e-3, "{low} {high}");
    }
}
