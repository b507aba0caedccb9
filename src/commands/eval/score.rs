//! From a verdict and a label to ranks.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_localize::Scores;
use backtrail_localize::rank::{floor, pessimistic_rank};
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::verdict::{Entity, Verdict};
use serde_json::{Value, json};

use super::alert;
use super::case::Case;
use crate::commands::incident::Replayed;

/// How the window was found: it was given.
pub(super) const MODE: &str = "window";
/// Quantile of the baseline above which a trace fails for the floor.
const FLOOR_QUANTILE: f64 = 0.99;
/// Names in `top`.
const TOP: usize = 5;

/// A judged case.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) id: String,
    pub(super) system: String,
    pub(super) class: String,
    /// Ranks of the causes by level, each `None` when it was not suspected at all.
    pub(super) ranks: BTreeMap<&'static str, Vec<Option<u32>>>,
    /// The floor's ranks of the services.
    pub(super) floor: Vec<Option<u32>>,
    /// First service suspects with their scores.
    pub(super) top: Vec<(String, f64)>,
    /// The causes.
    pub(super) truth: Vec<String>,
    /// How sure the verdict was.
    pub(super) confidence: String,
}

impl Judged {
    /// The case in `--json`. With several causes a rank is that of the best placed one.
    pub(super) fn document(&self) -> Value {
        let best = |ranks: &Vec<Option<u32>>| ranks.iter().flatten().min().copied();
        let ranks: BTreeMap<&str, Option<u32>> =
            self.ranks.iter().map(|(level, ranks)| (*level, best(ranks))).collect();
        let top: Vec<&str> = self.top.iter().map(|(name, _)| name.as_str()).collect();
        json!({ "id": self.id, "system": self.system, "class": self.class, "mode": MODE, "ranks": ranks, "top": top })
    }
}

/// Ranks the label among the suspects of the last verdict.
pub(super) fn judge(case: &Case, replayed: &Replayed) -> Judged {
    let verdict = replayed.verdicts.last();
    let labelled =
        [("service", &case.truth.services), ("edge", &case.truth.edges), ("function", &case.truth.functions)];
    let mut ranks = BTreeMap::new();
    for (level, causes) in labelled.into_iter().filter(|(_, causes)| !causes.is_empty()) {
        let scores = verdict.map(|verdict| scores(verdict, level)).unwrap_or_default();
        ranks.insert(level, causes_ranks(&scores, causes));
    }
    alert::rank_commit(&case.dir, verdict, &mut ranks);
    let mut top: Vec<(String, f64)> = Vec::new();
    for suspect in verdict.iter().flat_map(|verdict| verdict.of_kind("service")).take(TOP) {
        top.push((suspect.entity.service.clone(), suspect.score.total));
    }
    Judged {
        id: case.id.clone(),
        system: case.system.clone(),
        class: case.class.clone(),
        ranks,
        floor: causes_ranks(&floor_scores(case, replayed), &case.truth.services),
        top,
        truth: case.truth.services.clone(),
        confidence: verdict.map_or("no verdict", |verdict| verdict.confidence.level.as_str()).to_owned(),
    }
}

/// Each cause's rank among the innocent: other causes do not stand in its way, but only one cause can be first, so a
/// cause comes after those that score more.
fn causes_ranks(scores: &Scores, causes: &[String]) -> Vec<Option<u32>> {
    let rank = |cause: &String| {
        let mut rivals = scores.clone();
        rivals.retain(|name, score| {
            let fellow = &**name != cause.as_str() && causes.iter().any(|other| other.as_str() == &**name);
            !fellow || Some(&*score) > scores.get(cause.as_str()).as_ref().copied()
        });
        pessimistic_rank(&rivals, cause)
    };
    causes.iter().map(rank).collect()
}

fn scores(verdict: &Verdict, kind: &str) -> Scores {
    let name = |entity: &Entity| -> Arc<str> {
        match kind {
            "service" => entity.service.as_str().into(),
            "edge" => format!("{} -> {}", entity.service, entity.name).into(),
            _ => entity.name.as_str().into(),
        }
    };
    verdict.of_kind(kind).map(|suspect| (name(&suspect.entity), suspect.score.total)).collect()
}

fn floor_scores(case: &Case, replayed: &Replayed) -> Scores {
    let (mut baseline, mut window): (Vec<&SpectraSlice>, Vec<&SpectraSlice>) = (Vec::new(), Vec::new());
    for slice in &replayed.spectra {
        let start = replayed.grid.start(slice.slice);
        if start < case.window.start {
            baseline.push(slice);
        } else if start < case.window.end {
            window.push(slice);
        }
    }
    floor(&baseline, &window, FLOOR_QUANTILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fellow_causes_do_not_push_each_other_down_but_innocents_do() {
        let scores: Scores = [("a".into(), 0.9), ("b".into(), 0.5), ("x".into(), 0.5), ("y".into(), 0.1)].into();
        let causes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(causes_ranks(&scores, &causes(&["a"])), [Some(1)]);
        assert_eq!(causes_ranks(&scores, &causes(&["a", "b"])), [Some(1), Some(3)]);
        assert_eq!(causes_ranks(&scores, &causes(&["y", "z"])), [Some(4), None]);
    }
}
