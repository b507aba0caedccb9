//! Ranks, and the floor that every ranking must stay above.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::spectra::{ElementKind, SpectraSlice};

use crate::blame::Scores;
use crate::spectrum::{Limits, Spectrum};

/// The rank of `truth` when every tie counts against it: 1 + how many others score at least as much. None if it scores
/// 0 or is absent.
///
/// ```
/// # use backtrail_localize::rank::pessimistic_rank;
/// let scores = [("a".into(), 0.9), ("b".into(), 0.5), ("c".into(), 0.5), ("d".into(), 0.0)].into();
/// assert_eq!(pessimistic_rank(&scores, "a"), Some(1));
/// assert_eq!(pessimistic_rank(&scores, "b"), Some(3));
/// assert_eq!(pessimistic_rank(&scores, "d"), None);
/// assert_eq!(pessimistic_rank(&scores, "x"), None);
/// ```
pub fn pessimistic_rank(scores: &Scores, truth: &str) -> Option<u32> {
    let mine = scores.get(truth).copied().filter(|score| *score > 0.0)?;
    let ahead = scores.iter().filter(|(service, score)| &***service != truth && **score >= mine).count();
    Some(ahead as u32 + 1)
}

/// Scores by name, best first; equal scores in order of name, which says nothing about them.
pub fn sorted(scores: &Scores) -> Vec<(Arc<str>, f64)> {
    let mut list: Vec<_> = scores.iter().map(|(service, score)| (Arc::clone(service), *score)).collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

/// The quantile of the floor as it is published.
pub const FLOOR_QUANTILE: f64 = 0.99;

/// The floor: plain trace-level Ochiai over "the service is in the trace", with the traces of the window only. A trace
/// fails by error or by a root latency over the baseline's `quantile` (0 to 1) of its entry operation.
pub fn floor(baseline: &[&SpectraSlice], window: &[&SpectraSlice], quantile: f64) -> Scores {
    let limits = Limits::learn(baseline, quantile, &BTreeMap::new());
    let spectrum = Spectrum::new(window, &limits);
    let services = spectrum.of_kind(ElementKind::Service);
    services.map(|(element, counts)| (Arc::clone(&element.service), counts.score())).collect()
}
