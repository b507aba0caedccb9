//! Series as they were sent, and how their points become levels and rates.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::metrics::{Measure, SeriesKey};
use backtrail_model::time::UnixNano;
use backtrail_wire::metrics::{MetricPoint, Quantity, Shape};

use super::failed::failed;

/// A name as it was sent, behind its rank: 0 for the current name or spelling.
pub(super) type Sent = (u8, Arc<str>);

/// Series of one metric and entity that differ in attributes only. The old and the current name of a metric are a group
/// each.
pub(super) type Group = (SeriesKey, Sent);

/// A point as it was sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sample {
    pub(super) time: UnixNano,
    start: UnixNano,
    shape: Shape,
    value: f64,
    sum: Option<f64>,
}

/// A level, or what was added in a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Step {
    pub(super) value: f64,
    /// Of a distribution: seconds of duration in a second.
    pub(super) sum: Option<f64>,
}

/// A series, told apart by its attributes.
pub(super) struct Series {
    /// Requests stand under [`Measure::RequestRate`] until they are closed.
    pub(super) group: Arc<Group>,
    pub(super) quantity: Quantity,
    /// Whether its attributes say that what it counts failed.
    pub(super) failed: bool,
    /// Points of open slices, in order of arrival.
    pub(super) pending: Vec<Sample>,
    last: Option<Sample>,
}

/// Writes what tells a series from all others: every part behind its length, because any of them may hold any separator.
pub(super) fn identity(point: &MetricPoint<'_>, into: &mut Vec<u8>) {
    into.clear();
    let mut add = |part: &str| {
        into.extend_from_slice(&(part.len() as u64).to_be_bytes());
        into.extend_from_slice(part.as_bytes());
    };
    let entity = &point.entity;
    for part in [&entity.service, &entity.instance, &entity.node, &entity.part] {
        add(part);
    }
    add(point.name);
    for (key, value) in point.attributes.pairs() {
        add(key);
        add(value);
    }
}

/// The group that a point's series belongs to.
pub(super) fn group_of(point: &MetricPoint<'_>) -> Group {
    let measure = match point.known.quantity {
        Quantity::Of(measure) => measure,
        Quantity::Requests => Measure::RequestRate,
    };
    let key = SeriesKey {
        service: (*point.entity.service).into(),
        instance: (*point.entity.instance).into(),
        node: (*point.entity.node).into(),
        part: (*point.entity.part).into(),
        measure,
        name: point.known.current.unwrap_or(point.name).into(),
    };
    (key, (point.known.rank, point.name.into()))
}

impl Sample {
    pub(super) fn new(point: &MetricPoint<'_>) -> Self {
        Self { time: point.time, start: point.start, shape: point.shape, value: point.value, sum: point.sum }
    }

    /// Equal samples have equal keys, so sorting by it forgets the order of arrival.
    fn order(&self) -> (UnixNano, UnixNano, Shape, u64, Option<u64>) {
        (self.time, self.start, self.shape, self.value.to_bits(), self.sum.map(f64::to_bits))
    }

    /// What was added since `from`, in a second.
    fn rate(&self, added: (f64, Option<f64>), from: UnixNano) -> Option<Step> {
        let seconds = self.time.since(from).as_secs_f64();
        (seconds > 0.0).then(|| Step { value: added.0 / seconds, sum: added.1.map(|sum| sum / seconds) })
    }
}

impl Series {
    /// A series of the group that [`group_of`] says.
    pub(super) fn new(point: &MetricPoint<'_>, group: Arc<Group>) -> Self {
        Self {
            group,
            quantity: point.known.quantity,
            failed: failed(&point.attributes, point.known.client),
            pending: Vec::new(),
            last: None,
        }
    }

    /// Takes out the pending samples of the slices that close, in order of time.
    pub(super) fn due(&mut self, closes: impl Fn(UnixNano) -> bool) -> Vec<Sample> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let (mut due, open): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|sample| closes(sample.time));
        self.pending = open;
        due.sort_unstable_by_key(Sample::order);
        due
    }

    /// Whether there was a sample at this time, or after it.
    pub(super) fn is_known(&self, time: UnixNano) -> bool {
        self.last.is_some_and(|last| last.time >= time)
    }

    /// Whether nobody knows what its name means.
    pub(super) fn is_other(&self) -> bool {
        self.group.0.measure == Measure::Other
    }

    /// The newest time of it; pending ones included.
    pub(super) fn seen(&self) -> UnixNano {
        self.pending.iter().chain(&self.last).map(|sample| sample.time).max().unwrap_or_default()
    }

    /// What the next sample in order of time says; nothing for a counter that was never seen before. `scrapes` are the
    /// times at which any series of the group was scraped.
    pub(super) fn step(&mut self, sample: Sample, scrapes: &BTreeSet<UnixNano>) -> Option<Step> {
        let last = self.last.replace(sample);
        let added = (sample.value, sample.sum);
        match sample.shape {
            Shape::Level => Some(Step { value: sample.value, sum: None }),
            Shape::Delta => {
                let has_start = sample.start.0 != 0 && sample.start < sample.time;
                let from = if has_start { Some(sample.start) } else { last.map(|last| last.time) };
                sample.rate(added, from?)
            }
            Shape::Cumulative => {
                let Some(last) = last else {
                    // A counter is not sent before it first counts: it was 0 when its kin were scraped before it.
                    let before = scrapes.range(..sample.time).next_back();
                    return sample.rate(added, *before?);
                };
                // A reset: what counts is the value since. Its start says when that was; it may be later than `last`.
                if sample.value < last.value || (sample.start > last.start && sample.start >= last.time) {
                    return sample.rate(added, last.time.max(sample.start).min(sample.time));
                }
                let sum = sample.sum.zip(last.sum).map(|(now, before)| (now - before).max(0.0));
                sample.rate((sample.value - last.value, sum), last.time)
            }
        }
    }
}
