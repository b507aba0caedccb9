//! What the detectors read of a slice: traces, errors and latencies by entry operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::histogram::Histogram;
use backtrail_model::incident::Endpoint;
use backtrail_model::spectra::{Entry, SpectraSlice};

/// Traces are weighted in 1/256.
pub(super) const UNIT: f64 = 256.0;

/// Counts of an entry operation, weighted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Traces.
    pub(super) traces: u64,
    /// Failed ones.
    pub(super) errors: u64,
    /// Duration of the root, of failed ones too: a timeout is both.
    pub(super) latency: Histogram,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.traces += other.traces;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
    }
}

/// Counts by entry operation.
pub(super) type ByEntry = BTreeMap<Entry, Counts>;

/// Adds up the shards' parts of a slice.
pub(super) fn counts_of(parts: &[Arc<SpectraSlice>]) -> ByEntry {
    let mut all = ByEntry::new();
    for (group, &count) in parts.iter().flat_map(|part| &part.groups) {
        if !all.contains_key(&group.entry) {
            all.insert(group.entry.clone(), Counts::default());
        }
        let counts = all.get_mut(&group.entry).expect("just inserted");
        counts.traces += count;
        counts.errors += if group.error { count } else { 0 };
        counts.latency.add(group.latency, count);
    }
    all
}

/// The endpoint of an entry operation.
pub(crate) fn endpoint(entry: &Entry) -> Endpoint {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let first = entry.route.split(' ').next().unwrap_or_default();
    let method = if METHODS.contains(&first) { first } else { "" };
    Endpoint { service: entry.service.to_string(), route: entry.route.to_string(), method: method.to_owned() }
}
