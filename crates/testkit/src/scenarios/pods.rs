//! What the pods report: processor and memory with their limits, and the pool of connections. Processor time follows
//! the work that was done in the interval; what a fault saturates is at its limit.

use rand::Rng;
use rand::rngs::SmallRng;

use super::START;
use super::fault::{Plan, Saturated};
use super::topology::Topology;
use super::traffic::{Busy, SCRAPE};

/// One scrape of a pod.
pub(super) struct Scrape {
    pub(super) time: u64,
    pub(super) service: usize,
    /// Metrics that describe all of the pod: name, unit, value.
    pub(super) gauges: Vec<(&'static str, &'static str, f64)>,
    /// Of its pool, if it has one: connections in use, most connections, requests that wait.
    pub(super) pool: Option<[f64; 3]>,
}

/// How long the memory of a leaking pod takes to fill, in scrapes.
const FILLS: f64 = 3.0;

/// All scrapes, in order of time.
pub(super) fn scrape(
    topology: &Topology,
    plan: &Plan,
    busy: &Busy,
    window: [u64; 2],
    mut random: SmallRng,
) -> Vec<Scrape> {
    let mut scrapes = Vec::new();
    for interval in 0..(window[1] - START) / SCRAPE {
        // What happened in an interval is scraped at its end; the last nanosecond keeps it on this side of the border.
        let time = START + (interval + 1) * SCRAPE - 1;
        for (number, service) in topology.services.iter().enumerate() {
            let is = |kind| time > window[0] && plan.saturated.contains(&(number, kind));
            let mut about = |value: f64, noise: f64| value * (1.0 + noise * (random.random::<f64>() - 0.5));
            let [limit, idle] = service.cpu;
            let worked = busy[number][interval as usize] as f64 / SCRAPE as f64;
            let cores = if is(Saturated::Cpu) { about(0.96 * limit, 0.06) } else { about(idle, 0.2) + worked };
            let cores = cores.min(limit);
            let [most, level] = service.memory;
            let since = (time.saturating_sub(window[0]) as f64 / SCRAPE as f64 / FILLS).min(1.0);
            let full = if is(Saturated::Memory) { (0.97 * most - level) * since } else { 0.0 };
            let bytes = (about(level, 0.02) + full).min(most);
            let gauges = vec![
                ("k8s.pod.cpu.usage", "{cpu}", cores),
                ("k8s.pod.cpu_limit_utilization", "1", cores / limit),
                ("k8s.pod.memory.usage", "By", bytes.round()),
                ("k8s.pod.memory_limit_utilization", "1", bytes / most),
            ];
            let connections = f64::from(service.pool);
            let pool = (service.pool > 0).then(|| {
                if is(Saturated::Pool) {
                    [connections, connections, f64::from(random.random_range(2..12_u32))]
                } else {
                    [f64::from(random.random_range(0..3_u32)), connections, 0.0]
                }
            });
            scrapes.push(Scrape { time, service: number, gauges, pool });
        }
    }
    scrapes
}
