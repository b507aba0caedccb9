//! Services ranked without traces: by new log statements, by series that left their past, and by the alert.
//!
//! With fewer than [`FEW_TRACES`] traces in the window and in the baseline, latency and structure have no past to be
//! compared with, and whatever they say is chance. Then each kind of witness that has something to say gives out one
//! vote, in shares, and the score is the mean:
//!
//! ```text
//! score(s) = mean of: logs(s)    new records of s (WARN counts half) / those of all
//!                     metrics(s) sum of ln(1 + |z|) of s's shifted series / that of all
//!                     alert(s)   1 for the service that the alert names
//! ```
//!
//! A record that names another service points there: `upstream cart returned 503` is a record about cart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::blame::Scores;
use crate::judge::Slices;
use crate::nobody::is_nobody;
use crate::spectrum::UNIT;
use crate::stats::settle;
use crate::symptoms::{Source, Symptoms};

/// Fewer traces than this are judged by other signals; the verdict names the same number as a limit.
pub const FEW_TRACES: f64 = 50.0;

/// The score of a service, each part 0 to 1.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Witnesses {
    /// The mean of the parts.
    pub total: f64,
    /// `logs`, `metrics`, `alert`: those that have something to say.
    pub parts: BTreeMap<&'static str, f64>,
}

/// Whether traces are too few to judge by.
pub fn is_sparse(baseline: &Slices<'_>, window: &Slices<'_>) -> bool {
    let traces = |slices: &Slices<'_>| {
        let weights = slices.spectra.iter().flat_map(|part| part.groups.values());
        weights.sum::<u64>() as f64 / UNIT
    };
    traces(baseline) < FEW_TRACES && traces(window) < FEW_TRACES
}

/// The services with something to be said about them. Empty if nothing is new.
pub fn services(symptoms: &Symptoms) -> BTreeMap<Arc<str>, Witnesses> {
    let names: BTreeSet<&Arc<str>> =
        symptoms.list.iter().map(|symptom| &symptom.service).filter(|service| !is_nobody(service)).collect();
    let mut votes = BTreeMap::<&'static str, Scores>::new();
    for symptom in &symptoms.list {
        let (kind, about) = match symptom.source {
            Source::Log => ("logs", pointed_at(&symptom.text, &symptom.service, &names).unwrap_or(&symptom.service)),
            Source::Metric => ("metrics", &symptom.service),
            Source::Alert => ("alert", &symptom.service),
            Source::Place => continue,
        };
        // What nobody says may point at somebody, never at itself.
        if is_nobody(about) {
            continue;
        }
        *votes.entry(kind).or_default().entry(Arc::clone(about)).or_default() += symptom.weight;
    }
    let mut out = BTreeMap::<Arc<str>, Witnesses>::new();
    for (kind, scores) in &votes {
        let all: f64 = scores.values().sum();
        for (service, weight) in scores.iter().filter(|_| all > 0.0) {
            out.entry(Arc::clone(service)).or_default().parts.insert(kind, settle(weight / all));
        }
    }
    for witnesses in out.values_mut() {
        for kind in votes.keys() {
            witnesses.parts.entry(kind).or_insert(0.0);
        }
        witnesses.total = settle(witnesses.parts.values().sum::<f64>() / votes.len() as f64);
    }
    out
}

/// The one other service that a text names. Two would be a story, and point nowhere.
fn pointed_at<'a>(text: &str, own: &str, names: &BTreeSet<&'a Arc<str>>) -> Option<&'a Arc<str>> {
    let is_part = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let named = |name: &str| {
        let bytes = text.as_bytes();
        text.match_indices(name).any(|(at, _)| {
            let before = at.checked_sub(1).map(|before| bytes[before]);
            !is_part(before) && !is_part(bytes.get(at + name.len()).copied())
        })
    };
    let mut others = names.iter().filter(|name| &****name != own && !name.is_empty() && named(name));
    others.next().filter(|_| others.next().is_none()).copied()
}

#[cfg(test)]
mod tests {
    use backtrail_model::time::UnixNano;

    use super::*;
    use crate::symptoms::Symptom;

    fn symptom(source: Source, service: &str, text: &str, weight: f64) -> Symptom {
        let (service, text) = (service.into(), text.into());
        Symptom { source, service, text, since: UnixNano(9), weight, examples: Vec::new() }
    }

    #[test]
    fn records_about_another_service_count_there_and_the_alert_is_one_vote_of_three() {
        let list = vec![
            symptom(Source::Log, "web", "ERROR upstream cart returned 503", 30.0),
            symptom(Source::Log, "web", "ERROR carts are many", 10.0),
            symptom(Source::Metric, "cart", "p99_ms", 3.0),
            symptom(Source::Metric, "web", "p99_ms", 1.0),
            symptom(Source::Alert, "web", "slow", 1.0),
        ];
        let services = services(&Symptoms { list, ..Symptoms::default() });
        let parts = |name: &str| services[name].parts.values().copied().collect::<Vec<_>>();
        assert_eq!((parts("cart"), parts("web")), (vec![0.0, 0.75, 0.75], vec![1.0, 0.25, 0.25]));
        assert!((services["cart"].total - 0.5).abs() < 1e-9 && (services["web"].total - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nobody_is_no_suspect_but_may_speak_of_one() {
        let list = vec![
            symptom(Source::Log, "unknown_service", "ERROR upstream cart returned 503", 30.0),
            symptom(Source::Log, "unknown_service", "ERROR x", 90.0),
            symptom(Source::Metric, "cart", "p99_ms", 1.0),
            symptom(Source::Alert, "", "slow", 1.0),
        ];
        let services = services(&Symptoms { list, ..Symptoms::default() });
        assert_eq!(services.keys().map(|name| &**name).collect::<Vec<_>>(), ["cart"]);
        assert_eq!(services["cart"].parts, [("logs", 1.0), ("metrics", 1.0)].into());
    }

    #[test]
    fn what_nobody_witnesses_is_no_part_of_the_mean() {
        let list = vec![symptom(Source::Log, "a", "ERROR x", 3.0), symptom(Source::Log, "b", "ERROR y", 1.0)];
        let services = services(&Symptoms { list, ..Symptoms::default() });
        assert!((services["a"].total - 0.75).abs() < 1e-9);
        assert!(self::services(&Symptoms::default()).is_empty());
    }
}
