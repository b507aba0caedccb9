//! Clocks, memory and the corpus.

use std::io::Write;

use backtrail_testkit::corpus::Corpus;
use nix::time::{ClockId, clock_gettime};

/// How much data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Enough to see that it works.
    Smoke,
    /// Enough to quote.
    Full,
}

impl Scale {
    /// One of two sizes.
    pub(crate) fn of(self, smoke: usize, full: usize) -> usize {
        if self == Self::Smoke { smoke } else { full }
    }
}

/// The traffic that all parts use: 20 services, traces of 1 to 60 spans, 512-span requests of one resource.
pub(crate) fn corpus(scale: Scale) -> Corpus {
    Corpus::new(7, scale.of(300, 10_000))
}

/// Prints a line.
pub(crate) fn print(line: &str) {
    // A closed pipe ends the output, not the measurement.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// CPU model, cores and memory.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split(':').nth(1))
            .unwrap_or("?")
            .trim()
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    format!("{}, {cores} cores, {memory}", field(&read("/proc/cpuinfo"), "model name"))
}

/// CPU seconds of this thread, to the nanosecond: a request takes less than the scheduler's tick.
pub(crate) fn thread_cpu() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

/// Resident memory of this process, bytes.
pub(crate) fn rss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// CPU time of this thread in the stretches that are timed.
#[derive(Default)]
pub(crate) struct Stopwatch {
    seconds: f64,
}

impl Stopwatch {
    /// Does something on the clock.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = thread_cpu();
        let done = work();
        self.seconds += thread_cpu() - before;
        done
    }

    /// Nanoseconds so far.
    pub(crate) fn nanos(&self) -> f64 {
        self.seconds * 1e9
    }
}

/// The least figure of several runs, which are numbered from 1: what the work costs when nobody disturbs it.
pub(crate) fn least(runs: u64, run: impl FnMut(u64) -> f64) -> f64 {
    (1..=runs.max(1)).map(run).fold(f64::MAX, f64::min)
}

/// The least of several runs of `pass`, nanoseconds of this thread's CPU time a span.
pub(crate) fn least_ns_per_span(runs: usize, spans: usize, mut pass: impl FnMut(u64)) -> f64 {
    least(runs as u64, |run| {
        let mut watch = Stopwatch::default();
        watch.time(|| pass(run));
        watch.nanos() / spans as f64
    })
}
