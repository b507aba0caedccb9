//! Names of metrics as data: what each means, its current name, and the older and Prometheus spellings of it.
//!
//! Names are compared as Prometheus would write them: lower case, `_` for `.`, without the suffixes that state unit and
//! kind (`_seconds`, `_bytes`, `_ratio`, `_total`). So one row serves `process.cpu.time` and
//! `process_cpu_time_seconds_total`. Sources: OpenTelemetry semantic conventions 1.38 and the metadata of the Collector's
//! receivers (kubeletstats, docker stats, kafka metrics); cadvisor; the Prometheus client libraries.

use backtrail_model::metrics::{Family, Measure};
use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashMap};

use super::patterns;
use super::points::Attributes;

/// What the points of a metric are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Quantity {
    /// Values of a measure; the rate, where a counter is sent.
    Of(Measure),
    /// Requests: a counter of them or a distribution of their durations.
    Requests,
}

/// What a metric's name means.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Known {
    /// What its points are.
    pub quantity: Quantity,
    /// Current name; none where a pattern knew the metric, which keeps its own.
    pub current: Option<&'static str>,
    /// 0 for the current name, more for older ones: where both are sent, the lower one counts.
    pub rank: u8,
    /// Whether the caller counted: then a status of 4xx is an error too.
    pub client: bool,
    /// What turns values into the unit of the measure.
    pub scale: f64,
}

struct Row {
    quantity: Quantity,
    /// The current name, then the older ones.
    names: &'static [&'static str],
}

const fn row(measure: Measure, names: &'static [&'static str]) -> Row {
    Row { quantity: Quantity::Of(measure), names }
}

const fn requests(names: &'static [&'static str]) -> Row {
    Row { quantity: Quantity::Requests, names }
}

/// The table. Names as conventions and receivers write them.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    // kubeletstats called cores "utilization" until 0.125 and still can.
    row(Measure::CpuUsage, &["k8s.pod.cpu.usage", "k8s.pod.cpu.utilization"]),
    row(Measure::CpuUsage, &["k8s.pod.cpu.time"]),
    row(Measure::CpuUsage, &["container.cpu.usage", "container.cpu.utilization", "k8s.container.cpu.usage"]),
    row(Measure::CpuUsage, &["container.cpu.time"]),
    row(Measure::CpuUsage, &["process.cpu.time", "process_cpu", "process.runtime.jvm.cpu.time", "jvm.cpu.time"]),
    row(Measure::CpuUtilization, &["k8s.pod.cpu_limit_utilization"]),
    row(Measure::CpuUtilization, &["k8s.container.cpu_limit_utilization", "container.cpu.limit_utilization"]),
    row(Measure::CpuUtilization, &["process.cpu.utilization", "cpu_utilization", "jvm.cpu.recent_utilization", "process.runtime.jvm.cpu.utilization"]),
    row(Measure::CpuLimit, &["k8s.container.cpu.limit", "container.cpu.limit"]),
    row(Measure::CpuThrottled, &["container_cpu_cfs_throttled", "container.cpu.throttling_data.throttled_time", "container.cpu.throttled"]),
    row(Measure::MemoryUsage, &["k8s.pod.memory.working_set"]),
    row(Measure::MemoryUsage, &["k8s.pod.memory.usage"]),
    row(Measure::MemoryUsage, &["container.memory.working_set", "k8s.container.memory.working_set"]),
    row(Measure::MemoryUsage, &["container.memory.usage", "k8s.container.memory.usage"]),
    row(Measure::MemoryUsage, &["process.memory.usage", "process.memory.physical_usage", "process_resident_memory"]),
    row(Measure::MemoryUtilization, &["k8s.pod.memory_limit_utilization"]),
    row(Measure::MemoryUtilization, &["k8s.container.memory_limit_utilization", "container.memory.limit_utilization"]),
    row(Measure::MemoryLimit, &["k8s.container.memory.limit", "container.memory.usage.limit", "container_spec_memory_limit", "container.memory.limit"]),
    row(Measure::HeapUsage, &["jvm.memory.used", "process.runtime.jvm.memory.usage", "jvm_memory_bytes_used"]),
    row(Measure::HeapLimit, &["jvm.memory.limit", "process.runtime.jvm.memory.limit", "jvm_memory_max", "jvm_memory_bytes_max"]),
    row(Measure::HeapUsage, &["go.memory.used", "process.runtime.go.mem.heap_alloc", "go_memstats_heap_alloc"]),
    row(Measure::HeapLimit, &["go.memory.limit"]),
    row(Measure::HeapUsage, &["v8js.memory.heap.used", "nodejs_heap_size_used"]),
    row(Measure::HeapLimit, &["v8js.memory.heap.limit", "nodejs_heap_size_total"]),
    row(Measure::PoolUsage, &["db.client.connection.count", "db.client.connections.usage"]),
    row(Measure::PoolLimit, &["db.client.connection.max", "db.client.connections.max"]),
    row(Measure::PoolPending, &["db.client.connection.pending_requests", "db.client.connections.pending_requests"]),
    row(Measure::PoolUsage, &["hikaricp.connections.active"]),
    row(Measure::PoolLimit, &["hikaricp.connections.max"]),
    row(Measure::PoolPending, &["hikaricp.connections.pending"]),
    row(Measure::QueueDepth, &["kafka.consumer_group.lag", "kafka_consumergroup_lag", "kafka.consumer.records_lag", "messaging.kafka.consumer.lag"]),
    row(Measure::Threads, &["jvm.thread.count", "process.runtime.jvm.threads.count", "jvm_threads_current", "jvm_threads_live_threads"]),
    row(Measure::Threads, &["go.goroutine.count", "process.runtime.go.goroutines", "go_goroutines"]),
    row(Measure::Threads, &["process.thread.count", "process.threads", "process_num_threads"]),
    requests(&["http.server.request.duration", "http.server.duration", "http_request_duration"]),
    requests(&["http.client.request.duration", "http.client.duration"]),
    requests(&["rpc.server.call.duration", "rpc.server.duration", "grpc_server_handling"]),
    requests(&["rpc.client.call.duration", "rpc.client.duration", "grpc_client_handling"]),
    requests(&["http_requests", "http_server_requests", "requests"]),
    requests(&["grpc_server_handled"]),
    requests(&["grpc_client_handled"]),
    requests(&["traces.span.metrics.duration", "traces_spanmetrics_latency"]),
    requests(&["traces.span.metrics.calls", "traces_spanmetrics_calls"]),
];

/// Suffixes that state unit or kind, and what turns them into the base unit.
const SUFFIXES: [(&str, f64); 17] = [
    ("total", 1.0),
    ("seconds", 1.0),
    ("nanoseconds", 1e-9),
    ("milliseconds", 1e-3),
    ("ms", 1e-3),
    ("bytes", 1.0),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("ratio", 1.0),
    ("percent", 0.01),
    ("pct", 0.01),
    ("cores", 1.0),
    ("millicores", 1e-3),
];

/// Units (UCUM) and what turns them into the base unit; others are base units or counts.
const UNITS: [(&str, f64); 18] = [
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("min", 60.0),
    ("KiBy", 1024.0),
    ("MiBy", 1_048_576.0),
    ("GiBy", 1_073_741_824.0),
    ("kBy", 1e3),
    ("MBy", 1e6),
    ("GBy", 1e9),
    ("%", 0.01),
    ("m{cpu}", 1e-3),
    ("mCPU", 1e-3),
    ("millicores", 1e-3),
    ("n{cpu}", 1e-9),
    ("nanocores", 1e-9),
    ("KBy", 1e3),
];

/// What a name means, if it matters; `unit` is the metric's.
///
/// ```
/// # use backtrail_wire::metrics::{Quantity, names::find};
/// # use backtrail_model::metrics::Measure;
/// let old = find("db.client.connections.usage", "{connection}").unwrap();
/// assert_eq!((old.current, old.rank), (Some("db.client.connection.count"), 1));
/// let prometheus = find("container_cpu_usage_seconds_total", "").unwrap();
/// assert_eq!(prometheus.quantity, Quantity::Of(Measure::CpuUsage));
/// assert!(find("weather.temperature", "Cel").is_none());
/// ```
pub fn find(name: &str, unit: &str) -> Option<Known> {
    let (base, by_suffix) = base_of(name);
    let by_unit = UNITS.iter().find(|(known, _)| *known == unit).map(|&(_, scale)| scale);
    let scale = by_unit.unwrap_or(if matches!(unit, "" | "1") { by_suffix } else { 1.0 });
    let client = base.contains("client");
    for row in ROWS {
        if let Some(rank) = row.names.iter().position(|known| spelled(known, base)) {
            let current = Some(row.names[0]);
            return Some(Known { quantity: row.quantity, current, rank: rank as u8, client, scale });
        }
    }
    let measure = patterns::find(name, base, unit)?;
    Some(Known { quantity: Quantity::Of(measure), current: None, rank: 0, client, scale })
}

/// A gauge that neither the table nor a pattern knows, as it is: whatever it measures, it may say that something
/// changed. Names past 120 bytes, and those that describe the process of collecting, are left out.
///
/// ```
/// # use backtrail_wire::metrics::{Quantity, names::other};
/// # use backtrail_model::metrics::Measure;
/// assert_eq!(other("checkout_p99_ms").unwrap().quantity, Quantity::Of(Measure::Other));
/// assert!(other("scrape_duration_seconds").is_none());
/// ```
pub fn other(name: &str) -> Option<Known> {
    let about_collecting = ["scrape_", "otelcol_", "up", "target_info"];
    let plain = !name.is_empty()
        && name.len() <= 120
        && !about_collecting.iter().any(|own| match own.strip_suffix('_') {
            Some(_) => name.starts_with(own),
            None => name == *own,
        });
    let quantity = Quantity::Of(Measure::Other);
    plain.then_some(Known { quantity, current: None, rank: 0, client: false, scale: 1.0 })
}

/// What names mean, remembered: the same few hundred come with every scrape, and going through the table costs more than
/// all else that is done with a point.
#[derive(Default)]
pub struct Names(HashMap<Spelling, Option<Known>, FixedState>);

/// Most names that are remembered before all are forgotten.
const MOST_NAMES: usize = 4096;
/// Longer names are not remembered, so that the memory stays bounded.
const LONGEST_NAME: usize = 256;

#[derive(PartialEq, Eq, Hash)]
struct Spelling {
    name: Box<str>,
    unit: Box<str>,
}

#[derive(Hash)]
struct Spelled<'a> {
    name: &'a str,
    unit: &'a str,
}

impl Equivalent<Spelling> for Spelled<'_> {
    fn equivalent(&self, key: &Spelling) -> bool {
        *key.name == *self.name && *key.unit == *self.unit
    }
}

impl Names {
    /// As [`find`].
    pub fn find(&mut self, name: &str, unit: &str) -> Option<Known> {
        if let Some(&known) = self.0.get(&Spelled { name, unit }) {
            return known;
        }
        let known = find(name, unit);
        if name.len() + unit.len() <= LONGEST_NAME {
            if self.0.len() >= MOST_NAMES {
                self.0.clear();
            }
            self.0.insert(Spelling { name: name.into(), unit: unit.into() }, known);
        }
        known
    }
}

/// The name without its suffixes of unit and kind, and what the unit's suffix says.
fn base_of(name: &str) -> (&str, f64) {
    let (mut base, mut scale) = (name, 1.0);
    let strip = |base: &'_ str, suffix: &str| base.strip_suffix(suffix)?.strip_suffix(['_', '.']).map(str::len);
    while let Some((rest, factor)) =
        SUFFIXES.iter().find_map(|&(suffix, factor)| strip(base, suffix).map(|len| (&base[..len], factor)))
    {
        (base, scale) = (rest, scale * factor);
    }
    (base, scale)
}

/// Whether two names are the same as Prometheus writes them; suffixes of the known one are left out too.
fn spelled(known: &str, base: &str) -> bool {
    let plain = |byte: u8| if byte == b'.' { b'_' } else { byte.to_ascii_lowercase() };
    let known = base_of(known).0;
    known.len() == base.len() && known.bytes().zip(base.bytes()).all(|(a, b)| plain(a) == plain(b))
}

/// States of processor time that are not use.
const IDLE: [&str; 5] = ["idle", "wait", "iowait", "io_wait", "steal"];
/// States of a connection that is in use.
const IN_USE: [&str; 6] = ["used", "active", "busy", "in_use", "acquired", "checked_out"];

impl Known {
    /// What it belongs to.
    pub const fn family(&self) -> Family {
        match self.quantity {
            Quantity::Of(measure) => measure.family(),
            Quantity::Requests => Family::Requests,
        }
    }

    /// Whether a point counts: idle processor time and idle connections do not, and neither do cadvisor's sums over
    /// the containers that it also sends one by one.
    pub(super) fn counts(&self, name: &str, attributes: &Attributes<'_>) -> bool {
        let state = |keys: &[&str]| attributes.first(keys).map(|state| state.to_ascii_lowercase());
        let container = attributes.first(&["container", "container_name"]);
        if name.starts_with("container_")
            && attributes.has(&["id", "pod", "pod_name"])
            && container.is_none_or(|container| container == "POD")
        {
            return false;
        }
        match self.quantity {
            Quantity::Of(Measure::CpuUsage) => {
                let state = state(&["cpu.mode", "process.cpu.state", "state", "mode"]);
                state.is_none_or(|state| !IDLE.contains(&state.as_str()))
            }
            Quantity::Of(Measure::PoolUsage) => {
                let state = state(&["db.client.connection.state", "pool.state", "state"]);
                state.is_none_or(|state| IN_USE.contains(&state.as_str()))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &str) -> Option<Measure> {
        match find(name, "")?.quantity {
            Quantity::Of(measure) => Some(measure),
            Quantity::Requests => None,
        }
    }

    #[test]
    fn what_is_remembered_is_what_the_table_says_and_is_bounded() {
        let mut names = Names::default();
        for _ in 0..2 {
            for (name, unit) in [("process.cpu.time", "s"), ("process.cpu.time", "ms"), ("weather", "Cel")] {
                assert_eq!(names.find(name, unit), find(name, unit), "{name} {unit}");
            }
        }
        assert_eq!(names.0.len(), 3);
        names.find(&"x".repeat(LONGEST_NAME + 1), "");
        assert_eq!(names.0.len(), 3);
        for n in 0..3 * MOST_NAMES {
            assert!(names.find(&format!("flood{n}"), "").is_none());
        }
        assert!(names.0.len() <= MOST_NAMES);
    }

    #[test]
    fn no_name_stands_in_two_rows() {
        let names: Vec<&str> = ROWS.iter().flat_map(|row| row.names.iter().copied()).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].iter().any(|known| spelled(known, base_of(name).0)), "{name}");
        }
    }

    #[test]
    fn every_name_is_found_in_its_row_in_all_spellings() {
        for row in ROWS {
            for (rank, name) in row.names.iter().enumerate() {
                for spelling in
                    [(*name).to_owned(), name.replace('.', "_"), format!("{}_total", name.replace('.', "_"))]
                {
                    let known = find(&spelling, "").expect("known");
                    assert_eq!((known.quantity, known.rank as usize), (row.quantity, rank), "{spelling}");
                }
            }
        }
    }

    #[test]
    fn prometheus_spellings_mean_what_they_say() {
        for (name, expected) in [
            ("container_cpu_usage_seconds_total", Measure::CpuUsage),
            ("process_cpu_seconds_total", Measure::CpuUsage),
            ("container_cpu_cfs_throttled_seconds_total", Measure::CpuThrottled),
            ("container_memory_working_set_bytes", Measure::MemoryUsage),
            ("container_memory_usage_bytes", Measure::MemoryUsage),
            ("process_resident_memory_bytes", Measure::MemoryUsage),
            ("jvm_memory_used_bytes", Measure::HeapUsage),
            ("go_goroutines", Measure::Threads),
        ] {
            assert_eq!(measure(name), Some(expected), "{name}");
        }
        for name in ["http_requests_total", "http_request_duration_seconds", "http_server_request_duration_seconds"] {
            assert_eq!(find(name, "").map(|known| known.quantity), Some(Quantity::Requests), "{name}");
        }
    }

    #[test]
    fn units_are_taken_from_the_metric_else_from_its_name() {
        for (name, unit, scale) in [
            ("http.server.duration", "ms", 1e-3),
            ("http_server_duration_milliseconds", "", 1e-3),
            ("http_server_duration_milliseconds", "ms", 1e-3),
            ("container_memory_working_set_gib", "1", 1_073_741_824.0),
            ("cpu_utilization_pct", "1", 0.01),
            ("process.cpu.time", "s", 1.0),
            ("k8s.pod.cpu.usage", "{cpu}", 1.0),
            ("container.cpu.usage.total", "ns", 1e-9),
        ] {
            assert_eq!(find(name, unit).map(|known| known.scale), Some(scale), "{name} {unit}");
        }
    }
}
