//! The kinds of data that flow between nodes: the only port types there are.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of data on an edge of the graph. Its name in YAML is [`Signal::name`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Signal {
    /// Received spans, in any order.
    Spans,
    /// Complete (decided) traces.
    Traces,
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
    /// Closed slices of calls between services.
    Edges,
    /// Closed slices of spectra and latency tests.
    Spectra,
    /// Closed slices of log motifs.
    LogMotifs,
    /// Closed slices of metric statistics.
    MetricWindows,
    /// Incidents that open, update and resolve.
    Incidents,
    /// Ranked and explained suspects of an incident.
    Verdicts,
    /// Requests to the consumer.
    PatchRequests,
}

impl Signal {
    /// All signals, in the order of the pipeline.
    pub const ALL: [Self; 11] = [
        Self::Spans,
        Self::Traces,
        Self::Logs,
        Self::Metrics,
        Self::Edges,
        Self::Spectra,
        Self::LogMotifs,
        Self::MetricWindows,
        Self::Incidents,
        Self::Verdicts,
        Self::PatchRequests,
    ];

    /// The name used in YAML, metrics and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Edges => "edges",
            Self::Spectra => "spectra",
            Self::LogMotifs => "log_motifs",
            Self::MetricWindows => "metric_windows",
            Self::Incidents => "incidents",
            Self::Verdicts => "verdicts",
            Self::PatchRequests => "patch_requests",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of signals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Signals(u16);

impl Signals {
    /// No signal.
    pub const NONE: Self = Self(0);

    /// The set of the given signals.
    pub const fn of(signals: &[Signal]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < signals.len() {
            bits |= 1 << signals[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `signal` is in the set.
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & (1 << signal as u16) != 0
    }

    /// The union of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signals of the set in pipeline order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(move |&signal| self.has(signal))
    }
}

impl FromIterator<Signal> for Signals {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::NONE, |set, signal| set.and(Self::of(&[signal])))
    }
}

impl fmt::Display for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Signal::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_written_by_its_name() {
        for signal in Signal::ALL {
            assert_eq!(serde_json::to_value(signal).expect("a string"), signal.name());
        }
    }

    #[test]
    fn sets_behave_as_sets() {
        let set = Signals::of(&[Signal::Spans, Signal::Edges]);
        assert!(set.has(Signal::Edges) && !set.has(Signal::Logs));
        assert_eq!(set.without(Signals::of(&[Signal::Spans])).to_string(), "edges");
        assert_eq!(set.iter().collect::<Signals>(), set);
    }
}
