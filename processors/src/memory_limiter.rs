//! otelcol's `memory_limiter`: sets how many bytes of received data may be held at a time.
//!
//! A Collector looks at its heap at intervals and refuses data that it has read and decoded already. Here receivers ask a
//! budget of bytes before they read a body, so there is nothing to check at intervals: `limit_mib` (or
//! `limit_percentage` of the memory of the machine or container) is that budget, wherever in the pipeline the component
//! stands, and it takes no signal. Buffers that outlive a request have budgets of their own (`trace_assembly`:
//! `max_bytes`).
//!
//! ```yaml
//! processors:
//!   memory_limiter:
//!     check_interval: 1s
//!     limit_mib: 512
//! ```

use backtrail_model::signal::Signals;
use backtrail_pipeline::{Component, Context, Duration, Finding, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::PassThrough;

/// Options of otelcol's `memory_limiter`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The budget in MiB; 0 leaves it to `limit_percentage`.
    pub limit_mib: u32,
    /// The budget in percent of the memory of the machine or container, if `limit_mib` is 0.
    pub limit_percentage: u32,
    /// Read for otelcol's sake: the budget is asked before each body, not at intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_interval: Option<Duration>,
    /// Read for otelcol's sake: nothing can exceed the budget, so no reserve is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_limit_mib: Option<u32>,
    /// Read for otelcol's sake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_limit_percentage: Option<u32>,
    /// Read for otelcol's sake: there is no garbage collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_gc_interval_when_soft_limited: Option<Duration>,
    /// Read for otelcol's sake: there is no garbage collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_gc_interval_when_hard_limited: Option<Duration>,
}

impl Component for Config {
    const NAME: &'static str = "memory_limiter";
    const SUMMARY: &'static str = "Sets how many bytes of received data may be held at a time";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::NONE
    }

    fn emits(&self) -> Signals {
        Signals::NONE
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            findings.push(Finding::new("limit_mib", "no limit is stated", "write limit_mib or limit_percentage"));
        }
        if self.limit_percentage > 100 {
            let message = format!("{} % is more than all memory", self.limit_percentage);
            findings.push(Finding::new("limit_percentage", message, "write a number from 1 to 100"));
        }
        findings
    }

    fn memory_limit(&self) -> Option<u64> {
        if self.limit_mib > 0 {
            return Some(u64::from(self.limit_mib) << 20);
        }
        let percentage = u64::from(self.limit_percentage.min(100));
        memory().filter(|_| percentage > 0).map(|bytes| bytes / 100 * percentage)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        tracing::info!(node = cx.node(), bytes = self.memory_limit(), "receivers hold at most this much at a time");
        Ok(Box::new(PassThrough))
    }
}

/// Bytes of memory that the process may use: the container's limit, else the machine's memory.
fn memory() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    limits.chain(machine).min()
}

/// `MemTotal` of `/proc/meminfo` in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::documented;

    #[test]
    fn a_limit_in_mib_is_the_budget() {
        let config: Config = documented(include_str!("memory_limiter.rs"));
        assert_eq!(config.memory_limit(), Some(512 << 20));
    }

    #[test]
    fn a_share_is_taken_of_the_memory_there_is() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24000000 kB\n"), Some(24_576_000_000));
        let share = |percentage| Config { limit_percentage: percentage, ..Config::default() }.memory_limit();
        assert_eq!(share(0), None);
        assert!(share(50) <= share(100));
    }

    #[test]
    fn a_limit_must_be_stated() {
        assert_eq!(Config::default().check().len(), 1);
        assert_eq!(Config { limit_percentage: 150, ..Config::default() }.check().len(), 1);
    }
}
