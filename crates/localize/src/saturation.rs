//! Which services run into a limit right now, and never did in quiet times.
//!
//! A processor or a pool that is full makes requests wait. One scrape is no proof of that, and opens nothing; but where it
//! is so, an operation of the service that became slow needs no more proof than among its like (see
//! [`find`](crate::signs::find)): which service to look at was decided by other data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::UnixNano;
use backtrail_model::metrics::{Measure, MetricSlice, SeriesKey};

use crate::signs::apart;
use crate::stats::universal_threshold;

/// From this share of a limit on, work waits often enough to be felt. Source: Gregg, Systems Performance, the USE method:
/// "70 %".
const FULL: f64 = 0.7;
/// The least spread of a share: a hundredth of the limit up or down is no news of a steady series.
const LEAST_SPREAD: f64 = 0.02;
/// With fewer quiet scrapes a series has no spread.
const LEAST_QUIET: usize = 4;

/// What is limited: service, instance, part and what of it is used.
type Limited<'a> = (&'a Arc<str>, &'a Arc<str>, &'a Arc<str>, Measure);

/// Services with a processor or a pool that is full by its newest scrape: at least 70 % of the limit, more than in any quiet
/// scrape, and as far from those as [`apart`] asks for among as many series and scrapes.
///
/// ```
/// # use backtrail_localize::saturation::saturated;
/// # use backtrail_model::{Slice, UnixNano, metrics::{Measure, MetricSlice, Scrape, SeriesKey}};
/// let slice = |at: u64, share: f64| {
///     let mut slice = MetricSlice::new(Slice(at));
///     let key = SeriesKey { service: "cart".into(), instance: "cart-1".into(), node: "".into(), part: "".into(),
///         measure: Measure::CpuUtilization, name: "cpu".into() };
///     slice.add(key, Scrape::new(UnixNano(at * 60), share));
///     slice
/// };
/// let quiet: Vec<_> = (0..20).map(|at| slice(at, 0.1 + 0.01 * (at % 4) as f64)).collect();
/// let quiet: Vec<_> = quiet.iter().collect();
/// assert!(saturated(&quiet, &[&slice(20, 0.95)]).contains("cart"));
/// assert!(saturated(&quiet, &[&slice(20, 0.95), &slice(21, 0.1)]).is_empty()); // over again
/// assert!(saturated(&quiet, &[&slice(20, 0.5)]).is_empty()); // there is room left
/// ```
pub fn saturated(quiet: &[&MetricSlice], newest: &[&MetricSlice]) -> BTreeSet<Arc<str>> {
    let (quiet, newest) = (shares(quiet), shares(newest));
    let judged = || {
        newest.iter().filter_map(|(limited, scrapes)| {
            let quiet = quiet.get(limited).filter(|quiet| quiet.len() >= LEAST_QUIET)?;
            Some((limited.0, scrapes.last_key_value()?.1, quiet))
        })
    };
    // Each scrape is asked once until the past is renewed.
    let gate = universal_threshold(judged().map(|(.., quiet)| quiet.len()).sum());
    let full = judged().filter(|(_, now, quiet)| {
        let values = || quiet.values().map(|share| (*share, 1.0)).collect();
        **now >= FULL && quiet.values().all(|share| share < now) && apart(**now, values(), LEAST_SPREAD) > gate
    });
    full.map(|(service, ..)| Arc::clone(service)).collect()
}

/// Shares of limits by time: as they are reported, else usage over limit.
fn shares<'a>(slices: &[&'a MetricSlice]) -> BTreeMap<Limited<'a>, BTreeMap<UnixNano, f64>> {
    let (mut reported, mut used, mut limits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let series = slices.iter().flat_map(|slice| &slice.series);
    for (key, scrapes) in series {
        let (into, limited): (&mut BTreeMap<_, BTreeMap<UnixNano, f64>>, _) = match key.measure {
            Measure::CpuUtilization => (&mut reported, Measure::CpuUsage),
            Measure::CpuUsage | Measure::PoolUsage => (&mut used, key.measure),
            Measure::CpuLimit => (&mut limits, Measure::CpuUsage),
            Measure::PoolLimit => (&mut limits, Measure::PoolUsage),
            _ => continue,
        };
        let known = into.entry(limited_of(key, limited)).or_default();
        for scrape in scrapes {
            // Several metrics may report the same: the highest share counts.
            let share = known.entry(scrape.time).or_insert(f64::MIN);
            *share = share.max(scrape.value());
        }
    }
    for (limited, scrapes) in used {
        let limit = limits.get(&limited).and_then(|limits| limits.last_key_value()).map(|(_, limit)| *limit);
        if let Some(limit) = limit.filter(|limit| *limit > 0.0) {
            let derived = || scrapes.iter().map(|(time, used)| (*time, used / limit)).collect();
            reported.entry(limited).or_insert_with(derived);
        }
    }
    reported
}

fn limited_of(key: &SeriesKey, measure: Measure) -> Limited<'_> {
    (&key.service, &key.instance, &key.part, measure)
}

#[cfg(test)]
mod tests {
    use backtrail_model::Slice;
    use backtrail_model::metrics::Scrape;

    use super::*;

    fn slice(at: u64, values: &[(Measure, f64)]) -> MetricSlice {
        let mut slice = MetricSlice::new(Slice(at));
        for &(measure, value) in values {
            let key = SeriesKey {
                service: "cart".into(),
                instance: "cart-1".into(),
                node: "".into(),
                part: "".into(),
                measure,
                name: measure.name().into(),
            };
            slice.add(key, Scrape::new(UnixNano(at * 60), value));
        }
        slice
    }

    fn is_full(quiet: &dyn Fn(u64) -> MetricSlice, now: &MetricSlice) -> bool {
        let quiet: Vec<_> = (0..20).map(quiet).collect();
        !saturated(&quiet.iter().collect::<Vec<_>>(), &[now]).is_empty()
    }

    #[test]
    fn usage_over_limit_says_as_much_as_a_reported_share() {
        let pool = |at, used| slice(at, &[(Measure::PoolUsage, used), (Measure::PoolLimit, 10.0)]);
        assert!(is_full(&|at| pool(at, 2.0), &pool(20, 10.0)));
        assert!(!is_full(&|at| pool(at, 2.0), &pool(20, 4.0)));
        assert!(!is_full(&|at| slice(at, &[(Measure::PoolUsage, 2.0)]), &slice(20, &[(Measure::PoolUsage, 10.0)])));
    }

    #[test]
    fn what_is_full_in_quiet_times_too_is_no_news() {
        let cpu = |at, share| slice(at, &[(Measure::CpuUtilization, share)]);
        assert!(!is_full(&|at| cpu(at, if at == 7 { 1.0 } else { 0.1 }), &cpu(20, 1.0)));
        assert!(!is_full(&|at| cpu(at, 0.5 + (at % 4) as f64 * 0.1), &cpu(20, 0.85)));
        assert!(!is_full(&|at| cpu(at, 0.1), &slice(20, &[(Measure::MemoryUtilization, 1.0)])), "nothing waits for it");
    }
}
