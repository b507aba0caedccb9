//! Closed slices of metrics: the scrapes of the series that say how a service is used, saturated and failing.
//!
//! Rates, means and shares are made from counters and histograms before a scrape gets here, per series and in time
//! order (`metric_shifts`). Scrapes keep the bits of their value, so that a slice is equal on every run; two parts of a
//! slice merge by union.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{Slice, UnixNano};

/// What is used up, or asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Processor time.
    Cpu,
    /// Memory, of the container or of a runtime's heap.
    Memory,
    /// Pools of connections and of workers.
    Pools,
    /// Queues and the lag of consumers.
    Queues,
    /// Threads and goroutines.
    Threads,
    /// Requests: rate, errors, duration.
    Requests,
    /// Gauges that no table and no pattern knows: they may say what changes, and are no resource.
    Other,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Cpu, Self::Memory, Self::Pools, Self::Queues, Self::Threads, Self::Requests, Self::Other];
}

/// What a series measures, in the unit that [`Measure::unit`] names whatever unit it was sent in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Measure {
    /// Processor time used.
    CpuUsage,
    /// The same as a share of the limit.
    CpuUtilization,
    /// Most processor time that may be used.
    CpuLimit,
    /// Time in which work was ready and was not let run.
    CpuThrottled,
    /// Memory held.
    MemoryUsage,
    /// The same as a share of the limit.
    MemoryUtilization,
    /// Most memory that may be held.
    MemoryLimit,
    /// Memory held in a runtime's heap.
    HeapUsage,
    /// Most memory that the heap may hold.
    HeapLimit,
    /// Connections or workers in use.
    PoolUsage,
    /// Most connections or workers of the pool.
    PoolLimit,
    /// Requests that wait for the pool.
    PoolPending,
    /// Messages that wait, or the lag of a consumer.
    QueueDepth,
    /// Most messages that may wait.
    QueueLimit,
    /// Threads or goroutines.
    Threads,
    /// Requests in a second.
    RequestRate,
    /// Mean duration of the requests between two scrapes.
    RequestDuration,
    /// Share of the requests between two scrapes that failed.
    ErrorShare,
    /// Errors in a second.
    ErrorRate,
    /// A gauge whose name nobody knows, as it was sent.
    Other,
}

impl Measure {
    /// All of them, in order.
    pub const ALL: [Self; 20] = [
        Self::CpuUsage,
        Self::CpuUtilization,
        Self::CpuLimit,
        Self::CpuThrottled,
        Self::MemoryUsage,
        Self::MemoryUtilization,
        Self::MemoryLimit,
        Self::HeapUsage,
        Self::HeapLimit,
        Self::PoolUsage,
        Self::PoolLimit,
        Self::PoolPending,
        Self::QueueDepth,
        Self::QueueLimit,
        Self::Threads,
        Self::RequestRate,
        Self::RequestDuration,
        Self::ErrorShare,
        Self::ErrorRate,
        Self::Other,
    ];

    /// The name in Parquet and in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuUsage => "cpu_usage",
            Self::CpuUtilization => "cpu_utilization",
            Self::CpuLimit => "cpu_limit",
            Self::CpuThrottled => "cpu_throttled",
            Self::MemoryUsage => "memory_usage",
            Self::MemoryUtilization => "memory_utilization",
            Self::MemoryLimit => "memory_limit",
            Self::HeapUsage => "heap_usage",
            Self::HeapLimit => "heap_limit",
            Self::PoolUsage => "pool_usage",
            Self::PoolLimit => "pool_limit",
            Self::PoolPending => "pool_pending",
            Self::QueueDepth => "queue_depth",
            Self::QueueLimit => "queue_limit",
            Self::Threads => "threads",
            Self::RequestRate => "request_rate",
            Self::RequestDuration => "request_duration",
            Self::ErrorShare => "error_share",
            Self::ErrorRate => "error_rate",
            Self::Other => "other",
        }
    }

    /// The unit of its scrapes, in UCUM as OpenTelemetry writes it.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::CpuUsage | Self::CpuLimit => "{cpu}",
            Self::CpuUtilization | Self::MemoryUtilization | Self::ErrorShare => "1",
            Self::CpuThrottled => "s/s",
            Self::MemoryUsage | Self::MemoryLimit | Self::HeapUsage | Self::HeapLimit => "By",
            Self::PoolUsage | Self::PoolLimit => "{connection}",
            Self::PoolPending => "{request}",
            Self::QueueDepth | Self::QueueLimit => "{message}",
            Self::Threads => "{thread}",
            Self::RequestRate => "{request}/s",
            Self::RequestDuration => "s",
            Self::ErrorRate => "{error}/s",
            Self::Other => "",
        }
    }

    /// What it belongs to.
    pub const fn family(self) -> Family {
        match self {
            Self::CpuUsage | Self::CpuUtilization | Self::CpuLimit | Self::CpuThrottled => Family::Cpu,
            Self::MemoryUsage | Self::MemoryUtilization | Self::MemoryLimit | Self::HeapUsage | Self::HeapLimit => {
                Family::Memory
            }
            Self::PoolUsage | Self::PoolLimit | Self::PoolPending => Family::Pools,
            Self::QueueDepth | Self::QueueLimit => Family::Queues,
            Self::Threads => Family::Threads,
            Self::RequestRate | Self::RequestDuration | Self::ErrorShare | Self::ErrorRate => Family::Requests,
            Self::Other => Family::Other,
        }
    }
}

/// Identity of a series: resolved strings, so that it means the same in every run.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SeriesKey {
    /// `service.name`, else the workload in Kubernetes, else the container.
    pub service: Arc<str>,
    /// `k8s.pod.name`, else `service.instance.id`, else `host.name`; "" when none is sent.
    pub instance: Arc<str>,
    /// `k8s.node.name`, else `host.name`; "" when none is sent.
    pub node: Arc<str>,
    /// The part of the instance that was measured: a container, a pool, a queue; "" for all of it.
    pub part: Arc<str>,
    /// What is measured.
    pub measure: Measure,
    /// Current name of the metric.
    pub name: Arc<str>,
}

/// One value of a series.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scrape {
    /// When it was measured.
    pub time: UnixNano,
    bits: u64,
}

impl Scrape {
    /// A value at a time.
    pub const fn new(time: UnixNano, value: f64) -> Self {
        Self { time, bits: value.to_bits() }
    }

    /// The value, in the unit of its measure.
    pub const fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.value(), self.time)
    }
}

/// The scrapes of one slice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MetricSlice {
    /// Which slice.
    pub slice: Slice,
    /// Scrapes by series, sorted by time.
    pub series: BTreeMap<SeriesKey, Vec<Scrape>>,
    /// Points that were not taken, because there was no room for their series.
    pub overflow: u64,
}

impl MetricSlice {
    /// An empty slice.
    pub const fn new(slice: Slice) -> Self {
        Self { slice, series: BTreeMap::new(), overflow: 0 }
    }

    /// Adds a scrape of a series; one that is there already changes nothing.
    pub fn add(&mut self, key: SeriesKey, scrape: Scrape) {
        insert(self.series.entry(key).or_default(), scrape);
    }

    /// Adds another part of the same slice: the union of the scrapes.
    pub fn merge(&mut self, other: &Self) {
        self.overflow += other.overflow;
        for (key, scrapes) in &other.series {
            let known = self.series.entry(key.clone()).or_default();
            for &scrape in scrapes {
                insert(known, scrape);
            }
        }
    }
}

fn insert(scrapes: &mut Vec<Scrape>, scrape: Scrape) {
    if let Err(at) = scrapes.binary_search(&scrape) {
        scrapes.insert(at, scrape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(scrapes: &[(u64, f64)]) -> MetricSlice {
        let mut slice = MetricSlice::new(Slice(1));
        let key = SeriesKey {
            service: "cart".into(),
            instance: "cart-1".into(),
            node: "".into(),
            part: "".into(),
            measure: Measure::CpuUsage,
            name: "k8s.pod.cpu.usage".into(),
        };
        for &(time, value) in scrapes {
            slice.add(key.clone(), Scrape::new(UnixNano(time), value));
        }
        slice
    }

    #[test]
    fn parts_merge_by_union_in_any_order() {
        let (a, b) = (part(&[(3, 0.3), (1, 0.1)]), part(&[(2, 0.2), (3, 0.3), (3, -1.0)]));
        let (mut left, mut right) = (a.clone(), b.clone());
        left.merge(&b);
        right.merge(&a);
        assert_eq!(left, right);
        let times: Vec<u64> = left.series.values().flatten().map(|scrape| scrape.time.0).collect();
        assert_eq!(times, [1, 2, 3, 3]);
    }

    #[test]
    fn measures_have_a_name_of_their_own_and_stand_in_order() {
        assert!(Measure::ALL.is_sorted());
        let names: std::collections::BTreeSet<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
        assert_eq!(names.len(), Measure::ALL.len());
        assert!(Family::ALL.iter().all(|family| Measure::ALL.iter().any(|measure| measure.family() == *family)));
    }
}
