//! From a verdict and a label to ranks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backtrail_localize::Scores;
use backtrail_localize::rank::{floor, pessimistic_rank};
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::time::UnixNano;
use backtrail_model::verdict::{Entity, Suspect, Verdict};
use serde_json::{Value, json};

use super::alert;
use super::case::{Case, inner_name};
use crate::cli::Span;
use crate::commands::incident::Replayed;

/// Quantile of the baseline above which a trace fails for the floor.
const FLOOR_QUANTILE: f64 = 0.99;
/// Names in `top`.
const TOP: usize = 5;

/// How the window was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// It was given.
    Window,
    /// The pipeline noticed it.
    Detect,
}

impl Mode {
    /// Its name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Detect => "detect",
        }
    }
}

/// What is scored: the suspects of a verdict, or of a judgement that was made with other options.
pub(super) struct Found<'a> {
    pub(super) suspects: &'a [Suspect],
    pub(super) confidence: &'a str,
    pub(super) mode: Mode,
    /// Seconds from the beginning of the fault to the announcement, in detect mode; negative if it was known before.
    pub(super) delay: Option<f64>,
    /// Incidents that opened outside of the fault.
    pub(super) false_incidents: usize,
}

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
    /// How the window was found.
    pub(super) mode: Mode,
    /// Seconds from the beginning of the fault to the announcement, in detect mode; negative if it was known before.
    pub(super) delay: Option<f64>,
    /// Incidents that opened outside of the fault, in detect mode.
    pub(super) false_incidents: usize,
}

impl Judged {
    /// The case in `--json`. With several causes a rank is that of the best placed one.
    pub(super) fn document(&self) -> Value {
        let best = |ranks: &Vec<Option<u32>>| ranks.iter().flatten().min().copied();
        let ranks: BTreeMap<&str, Option<u32>> =
            self.ranks.iter().map(|(level, ranks)| (*level, best(ranks))).collect();
        let top: Vec<&str> = self.top.iter().map(|(name, _)| name.as_str()).collect();
        let mut document = json!({
            "id": self.id, "system": self.system, "class": self.class, "mode": self.mode.name(), "ranks": ranks,
            "top": top, "score": self.top.first().map(|(_, score)| score), "confidence": self.confidence,
        });
        if self.mode == Mode::Detect {
            document["delay_seconds"] = json!(self.delay);
            document["false_incidents"] = json!(self.false_incidents);
        }
        document
    }
}

/// Ranks the label among the suspects.
pub(super) fn judge(case: &Case, found: &Found<'_>, floor: &Scores) -> Judged {
    let labelled = [
        ("service", &case.truth.services),
        ("edge", &case.truth.edges),
        ("function", &case.truth.functions),
        ("inner", &case.truth.inner),
    ];
    let mut ranks = BTreeMap::new();
    for (level, causes) in labelled.into_iter().filter(|(_, causes)| !causes.is_empty()) {
        ranks.insert(level, causes_ranks(&scores(found.suspects, level), causes));
    }
    alert::rank_commit(&case.dir, found.suspects, &mut ranks);
    let services = found.suspects.iter().filter(|suspect| suspect.entity.kind == "service").take(TOP);
    Judged {
        id: case.id.clone(),
        system: case.system.clone(),
        class: case.class.clone(),
        ranks,
        floor: causes_ranks(floor, &case.truth.services),
        top: services.map(|suspect| (suspect.entity.service.clone(), suspect.score.total)).collect(),
        truth: case.truth.services.clone(),
        confidence: found.confidence.to_owned(),
        mode: found.mode,
        delay: found.delay,
        false_incidents: found.false_incidents,
    }
}

/// What the pipeline found in a window that it was told.
pub(super) fn given(replayed: &Replayed) -> Found<'_> {
    found(replayed.verdicts.last().map(|verdict| &**verdict), Mode::Window)
}

/// What it found of each fault by itself. An incident that was announced while no fault lasted is false, whatever it
/// became; it is counted with the fault that comes next, or the last.
pub(super) fn detected<'a>(cases: &[Case], replayed: &'a Replayed) -> Vec<Found<'a>> {
    let verdicts = &replayed.verdicts;
    let told: Vec<Told> = verdicts.iter().filter_map(|verdict| Told::new(verdict, replayed)).collect();
    let slice = replayed.grid.length;
    let is_false = |told: &&Told| !cases.iter().any(|case| told.within(case.window, slice));
    let mut counted = 0;
    let found = cases.iter().enumerate().map(|(number, case)| {
        let told_of = Told::of_fault(&told, case.window, slice);
        let verdict = told_of.and_then(|told| verdicts.iter().find(|verdict| verdict.incident_key == told.key));
        let last = case.window.end.plus(slice);
        let before = |told: &&Told| number + 1 == cases.len() || told.announced <= last;
        let so_far = told.iter().filter(is_false).filter(before).count();
        Found {
            delay: told_of.map(|told| (told.announced.0 as i64 - case.window.start.0 as i64) as f64 / 1e9),
            false_incidents: so_far - std::mem::replace(&mut counted, so_far),
            ..found(verdict.map(|verdict| &**verdict), Mode::Detect)
        }
    });
    found.collect()
}

/// When an incident set in, was announced, and showed its last sign.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    key: String,
    set_in: UnixNano,
    announced: UnixNano,
    last_sign: UnixNano,
}

impl Told {
    fn new(verdict: &Verdict, replayed: &Replayed) -> Option<Self> {
        let announced = *replayed.announced.get(&verdict.incident_key)?;
        let window = &verdict.window;
        let key = verdict.incident_key.clone();
        Some(Self { key, set_in: window.start_unix_nano, announced, last_sign: window.end_unix_nano })
    }

    /// Whether it was announced during the fault, and shows it; what ends with the fault's last slice is announced when
    /// that closes. What was announced when the fault began, or showed its last sign before, is about something else.
    fn within(&self, fault: Span, slice: Duration) -> bool {
        fault.start < self.announced && self.announced <= fault.end.plus(slice) && self.last_sign > fault.start
    }

    /// Whether it set in with the fault, or later: in the slice in which that began, at the earliest.
    fn sets_in(&self, fault: Span, slice: Duration) -> bool {
        self.set_in.plus(slice) > fault.start
    }

    /// The incident of a fault: of those that were announced while it lasted, the first one that set in with it, or else
    /// the first; or else the last one of before that went on into it. A label says when a fault was asked for, and in some
    /// recordings it is there earlier.
    fn of_fault(all: &[Self], fault: Span, slice: Duration) -> Option<&Self> {
        let goes_on = |told: &&Self| told.announced <= fault.start && told.last_sign > fault.start;
        let within = || all.iter().filter(|told| told.within(fault, slice));
        let own = within().find(|told| told.sets_in(fault, slice));
        own.or_else(|| within().next()).or_else(|| all.iter().rfind(goes_on))
    }
}

fn found(verdict: Option<&Verdict>, mode: Mode) -> Found<'_> {
    Found {
        suspects: verdict.map_or(&[], |verdict| &verdict.suspects),
        confidence: verdict.map_or("no verdict", |verdict| &verdict.confidence.level),
        mode,
        delay: None,
        false_incidents: 0,
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

fn scores(suspects: &[Suspect], level: &str) -> Scores {
    let name = |entity: &Entity| -> Option<Arc<str>> {
        match (level, entity.kind.as_str()) {
            ("service", "service") => Some(entity.service.as_str().into()),
            ("edge", "edge") => Some(format!("{} -> {}", entity.service, entity.name).into()),
            ("function", "function") => Some(entity.name.as_str().into()),
            ("inner", "code" | "resource") => Some(inner_name(&entity.service, &entity.name).into()),
            _ => None,
        }
    };
    suspects.iter().filter_map(|suspect| Some((name(&suspect.entity)?, suspect.score.total))).collect()
}

/// Plain trace-level Ochiai over the same spectra.
pub(super) fn floor_scores(case: &Case, replayed: &Replayed) -> Scores {
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

    #[test]
    fn the_incident_of_a_fault_is_announced_in_it_or_goes_on_into_it() {
        let told = |key: &str, announced: u64, last_sign: u64| Told {
            key: key.to_owned(),
            set_in: UnixNano(announced - 20),
            announced: UnixNano(announced),
            last_sign: UnixNano(last_sign),
        };
        let of_fault = |all: &[Told]| {
            let fault = Span { start: UnixNano(100), end: UnixNano(200) };
            Told::of_fault(all, fault, Duration::from_nanos(15)).map(|told| told.key.clone())
        };
        let (over, going_on) = (told("over", 50, 100), told("going on", 60, 130));
        assert_eq!(of_fault(&[told("told late", 110, 90)]), None);
        assert_eq!(of_fault(&[told("told at its start", 100, 120)]).as_deref(), Some("told at its start"));
        assert_eq!(of_fault(&[over.clone(), told("late", 216, 230)]), None);
        assert_eq!(of_fault(&[over.clone(), going_on.clone()]).as_deref(), Some("going on"));
        let inside = [over, going_on, told("first", 110, 150), told("second", 215, 220)];
        assert_eq!(of_fault(&inside).as_deref(), Some("first"));
        // Announced in it, and begun before it.
        let other = Told { set_in: UnixNano(70), ..told("of before", 105, 150) };
        assert_eq!(of_fault(&[other.clone(), inside[2].clone()]).as_deref(), Some("first"));
        assert_eq!(of_fault(&[other]).as_deref(), Some("of before"));
    }
}
