//! Makes slices of the metrics that tell how a resource is used, saturated and failing: evidence for the ranking.
//!
//! Metrics come as they were received and go on unchanged. Of each point whose name matters (`backtrail_wire::metrics`
//! has the table) the value is kept with who was measured: a level as it is, a counter as its rate since the scrape
//! before, a distribution as requests in a second, mean duration and share of errors. Points that differ in attributes
//! only (a mode of the processor, a route, a cause of errors) are added up; containers, pools and queues stay apart.
//!
//! ```yaml
//! processors:
//!   metric_shifts:
//!     max_series: 20000
//!     max_other_series: 2000
//!     measures: [cpu, memory, pools, queues, threads, requests, other]
//! ```
//!
//! Gauges whose names nobody knows are kept under the measure `other`: nobody can say what is used up by them, but that
//! one of them left its past is evidence where there are few traces. They have a cap of their own, so that they take no
//! room from the others.
//!
//! A slice is sent when the watermark passes its end; points are sorted by time before rates are computed, so the order
//! within the allowed lateness changes nothing. Later points are counted and not taken. Up to `max_series` the order of
//! arrival changes nothing either; past that, it decides which series find room. Memory is bounded by `max_series`: so many
//! series with an identity of at most 4 KiB each, and 64 open points for each of them.

mod closing;
mod failed;
mod series;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backtrail_model::data::{Batch, Data};
use backtrail_model::metrics::{Family, MetricSlice};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::time::{Slice, SliceGrid, Tick, UnixNano};
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Reconfigured, Scope};
use backtrail_wire::metrics::{self, MetricPoint, Names};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::closing::Closing;
use self::series::{Group, Sample, Series};

/// Makes slices of metrics.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most series that are followed at a time, attributes told apart; points of further ones are counted as overflow.
    pub max_series: usize,
    /// Most series of these whose names are not known (`other`).
    pub max_other_series: usize,
    /// What is measured: `cpu`, `memory`, `pools`, `queues`, `threads`, `requests`, `other`.
    pub measures: Vec<Family>,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_series: 20_000, max_other_series: 2000, measures: Family::ALL.to_vec() }
    }
}

impl Component for Config {
    const NAME: &'static str = "metric_shifts";
    const SUMMARY: &'static str = "makes slices of the metrics that tell use, saturation and errors";
    /// Rates need all points of a series in order.
    const SCOPE: Scope = Scope::Global;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Metrics])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Metrics, Signal::MetricWindows])
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !(1..=1_000_000).contains(&self.max_series) {
            let message = format!("max_series is {}", self.max_series);
            findings.push(Finding::new("max_series", message, "write a number from 1 to 1000000"));
        }
        if self.max_other_series > self.max_series {
            let message = format!("max_other_series is {}", self.max_other_series);
            findings.push(Finding::new("max_other_series", message, "write at most max_series"));
        }
        if self.measures.is_empty() {
            findings.push(Finding::new("measures", "nothing is measured", "leave it out for everything"));
        }
        findings
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(MetricShifts {
            config: self.clone(),
            grid: cx.grid(),
            names: Names::default(),
            identity: Vec::new(),
            series: HashMap::default(),
            others: 0,
            pending: 0,
            groups: HashMap::default(),
            overflow: BTreeMap::new(),
            watermark: UnixNano(0),
            open_from: Slice(0),
        }))
    }
}

/// A point further ahead of its arrival than this has a broken clock; taken, it would keep a slice open for ever.
const MOST_AHEAD: Duration = Duration::from_mins(10);
/// Points of one series in the slices that are open.
const MOST_PENDING: usize = 4096;
/// Points of all series in the slices that are open, for each of `max_series`: scrapes every few seconds fit in, and a
/// flood of points takes no more memory than the series may.
const MEAN_PENDING: usize = 64;
/// Longest identity of a series, bytes: whoever sends longer attributes sends texts, and a series for each.
const LONGEST_IDENTITY: usize = 4096;
/// A series that was silent this long is forgotten: pods come and go.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// The node.
struct MetricShifts {
    config: Config,
    grid: SliceGrid,
    names: Names,
    /// The identity of the point at hand.
    identity: Vec<u8>,
    /// Series by their identity, attributes included.
    series: HashMap<Box<[u8]>, Series, FixedState>,
    /// How many of these are of the measure `other`.
    others: usize,
    /// Points of all series that wait for their slice to close.
    pending: usize,
    /// When each group of series, attributes left out, was scraped last in a closed slice, if it was.
    groups: HashMap<Arc<Group>, Option<UnixNano>, FixedState>,
    /// Points without room, by slice.
    overflow: BTreeMap<Slice, u64>,
    watermark: UnixNano,
    /// The slice that holds the watermark: those before it are closed.
    open_from: Slice,
}

impl Processor for MetricShifts {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Metrics(raw) = &batch.data {
            let latest = batch.arrival.plus(MOST_AHEAD);
            let mut refused = Vec::new();
            let mut names = std::mem::take(&mut self.names);
            let read = metrics::read(&raw.buf, &mut names, |point| refused.extend(self.take(&point, latest)));
            self.names = names;
            for reason in refused {
                out.note(reason, 1);
            }
            match read {
                Ok(skipped) => {
                    for (reason, points) in skipped.by_reason().into_iter().filter(|&(_, points)| points > 0) {
                        out.note(reason, points);
                    }
                }
                // Receivers check the framing, so this is what a processor before this one wrote.
                Err(_) => out.note("broken_request", 1),
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        self.watermark = self.watermark.max(now.watermark);
        // Between the ends of two slices nothing closes, and most ticks lie there.
        let open_from = self.grid.slice(self.watermark);
        if open_from == std::mem::replace(&mut self.open_from, open_from) && !now.is_last() {
            return Ok(());
        }
        for (_, slice) in self.close(out) {
            out.derive(Data::MetricWindows(Arc::new(slice)));
        }
        Ok(())
    }

    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        let Some(new) = new.downcast_ref::<Config>() else { return Reconfigured::Rebuild };
        self.config = new.clone();
        Reconfigured::Live
    }
}

/// A series with samples of the slices that close.
struct Due<'a> {
    identity: &'a [u8],
    series: &'a mut Series,
    samples: Vec<Sample>,
}

impl Due<'_> {
    /// By group, so that its series stand together; of one group by identity.
    fn order(&self) -> (&Group, &[u8]) {
        (&self.series.group, self.identity)
    }
}

impl MetricShifts {
    /// Takes a point, or says why not.
    fn take(&mut self, point: &MetricPoint<'_>, latest: UnixNano) -> Option<&'static str> {
        if !self.config.measures.contains(&point.known.family()) {
            return None;
        }
        let slice = self.grid.slice(point.time);
        if self.grid.end(slice) <= self.watermark {
            return Some("late");
        }
        if point.time > latest {
            return Some("future");
        }
        series::identity(point, &mut self.identity);
        if self.identity.len() > LONGEST_IDENTITY {
            *self.overflow.entry(slice).or_default() += 1;
            return Some("identity_too_long");
        }
        if !self.series.contains_key(&*self.identity) {
            let other = point.known.family() == Family::Other;
            let full = other && self.others >= self.config.max_other_series;
            if full || self.series.len() >= self.config.max_series {
                *self.overflow.entry(slice).or_default() += 1;
                return Some(if full { "other_series_past_max" } else { "series_past_max" });
            }
            self.others += usize::from(other);
            let group = self.group(series::group_of(point));
            self.series.insert(self.identity.as_slice().into(), Series::new(point, group));
        }
        let series = self.series.get_mut(&*self.identity)?;
        if series.pending.len() >= MOST_PENDING || self.pending >= MEAN_PENDING * self.config.max_series {
            *self.overflow.entry(slice).or_default() += 1;
            return Some("points_past_max");
        }
        series.pending.push(Sample::new(point));
        self.pending += 1;
        None
    }

    /// The group, as the one copy that all its series share.
    fn group(&mut self, group: Group) -> Arc<Group> {
        if let Some((known, _)) = self.groups.get_key_value(&group) {
            return Arc::clone(known);
        }
        let group = Arc::new(group);
        self.groups.insert(Arc::clone(&group), None);
        group
    }

    /// Takes out the slices that the watermark has passed.
    fn close(&mut self, out: &mut Emit<'_>) -> BTreeMap<Slice, MetricSlice> {
        let (grid, watermark) = (self.grid, self.watermark);
        let is_closed = |slice: Slice| grid.end(slice) <= watermark || watermark == UnixNano::MAX;
        let mut due: Vec<Due<'_>> = Vec::new();
        for (identity, series) in &mut self.series {
            let samples = series.due(|time| is_closed(grid.slice(time)));
            if !samples.is_empty() {
                self.pending -= samples.len();
                due.push(Due { identity, series, samples });
            }
        }
        due.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        let (mut closing, mut duplicates) = (BTreeMap::<Slice, Closing>::new(), 0);
        for of_group in due.chunk_by_mut(|a, b| a.series.group == b.series.group) {
            let group = Arc::clone(&of_group[0].series.group);
            let last = self.groups.entry(group).or_default();
            // When any series of the group was scraped: last in what is closed already, and in what closes now.
            let mut times: BTreeSet<UnixNano> = last.iter().copied().collect();
            times.extend(of_group.iter().flat_map(|due| &due.samples).map(|sample| sample.time));
            *last = times.last().copied();
            for Due { series, samples, .. } in of_group {
                for sample in std::mem::take(samples) {
                    if series.is_known(sample.time) {
                        duplicates += 1;
                    } else if let Some(step) = series.step(sample, &times) {
                        closing.entry(grid.slice(sample.time)).or_default().add(series, sample.time, step);
                    }
                }
            }
        }
        out.note("duplicate", duplicates);
        let forget = watermark.minus(FORGET_AFTER);
        if watermark != UnixNano::MAX {
            self.series.retain(|_, series| series.seen() >= forget);
            self.others = self.series.values().filter(|series| series.is_other()).count();
            self.groups.retain(|group, last| {
                *last = last.filter(|&last| last >= forget);
                last.is_some() || Arc::strong_count(group) > 1
            });
        }
        let mut slices: BTreeMap<Slice, MetricSlice> =
            closing.into_iter().map(|(slice, closing)| (slice, closing.finish(slice))).collect();
        while let Some(entry) = self.overflow.first_entry().filter(|entry| is_closed(*entry.key())) {
            let (slice, points) = entry.remove_entry();
            slices.entry(slice).or_insert_with(|| MetricSlice::new(slice)).overflow += points;
        }
        slices
    }
}

#[cfg(test)]
mod tests;
