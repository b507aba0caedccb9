//! How full a resource is: what part of its limit is used, and what stands in where nobody knows the limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::metrics::Measure;

use super::series::{Readings, second_highest};

/// Growth of what has no known limit is as often a consequence (work piles up behind what is slow) as a cause, so it is
/// at most half of the evidence that a full resource is: below everything that a verdict calls likely.
const UNKNOWN_LIMIT: f64 = 0.5;

/// Utilisation by what is limited and service.
pub(super) struct Fullness {
    known: BTreeMap<(Measure, Arc<str>), f64>,
    limited: BTreeSet<Measure>,
}

impl Fullness {
    /// From the window. Reported shares of the limit count where there are any of a service, else usage over limit.
    pub(super) fn new(readings: &Readings<'_>) -> Self {
        let (mut reported, mut derived) = (BTreeMap::new(), BTreeMap::new());
        let raise = |into: &mut BTreeMap<_, f64>, limited: Measure, service: &Arc<str>, share: f64| {
            let known = into.entry((limited, Arc::clone(service))).or_default();
            *known = share.clamp(0.0, 1.0).max(*known);
        };
        let limits = limits(readings);
        for series in readings.series.values() {
            let (key, second) = (series.key, second_highest(&series.window));
            match key.measure {
                Measure::CpuUtilization => raise(&mut reported, Measure::CpuUsage, &key.service, second),
                Measure::MemoryUtilization => raise(&mut reported, Measure::MemoryUsage, &key.service, second),
                measure => {
                    let limit = limits.get(&(measure, &key.service, &key.instance, &key.part));
                    if let Some(limit) = limit {
                        raise(&mut derived, measure, &key.service, second / limit);
                    }
                }
            }
        }
        derived.extend(reported);
        let limited = derived.keys().map(|(measure, _)| *measure).collect();
        Self { known: derived, limited }
    }

    /// The second highest limit utilisation of the service's instances; none without a limit.
    pub(super) fn of(&self, service: &Arc<str>, measure: Measure) -> Option<f64> {
        self.known.get(&(limited(measure), Arc::clone(service))).copied()
    }

    /// What stands in for the utilisation of a service without a known limit. Where nobody sends limits of processors,
    /// 1: a pod that takes more than ever before takes it from somebody. Otherwise at most a half, times the part of
    /// the level that is new (`1 - median / second highest`).
    pub(super) fn stand_in(&self, measure: Measure, median: f64, second_highest: f64) -> f64 {
        if limited(measure) == Measure::CpuUsage && !self.limited.contains(&Measure::CpuUsage) {
            return 1.0;
        }
        let new = if second_highest > 0.0 { (1.0 - median / second_highest).clamp(0.0, 1.0) } else { 0.0 };
        UNKNOWN_LIMIT * new
    }
}

/// The usage whose limit a measure runs into: a queue before a pool is served once the pool is.
fn limited(measure: Measure) -> Measure {
    match measure {
        Measure::CpuUtilization | Measure::CpuThrottled => Measure::CpuUsage,
        Measure::MemoryUtilization => Measure::MemoryUsage,
        Measure::PoolPending => Measure::PoolUsage,
        other => other,
    }
}

type Limits<'a> = BTreeMap<(Measure, &'a Arc<str>, &'a Arc<str>, &'a Arc<str>), f64>;

/// Limits above 0 by usage, service, instance and part. (0 and less mean "none" wherever limits are sent.)
fn limits<'a>(readings: &Readings<'a>) -> Limits<'a> {
    let mut limits = Limits::new();
    for series in readings.series.values() {
        let usage = match series.key.measure {
            Measure::CpuLimit => Measure::CpuUsage,
            Measure::MemoryLimit => Measure::MemoryUsage,
            Measure::HeapLimit => Measure::HeapUsage,
            Measure::PoolLimit => Measure::PoolUsage,
            Measure::QueueLimit => Measure::QueueDepth,
            _ => continue,
        };
        let (key, limit) = (series.key, second_highest(&series.window));
        if limit > 0.0 {
            limits.insert((usage, &key.service, &key.instance, &key.part), limit);
        }
    }
    limits
}
