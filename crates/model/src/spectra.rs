//! Closed slices of spectra: which elements each kind of trace touched, and how long operations and calls took.
//!
//! Shards count, the close judges: traces are counted by (entry operation, signature, error, latency bucket), and the
//! element list is kept once a signature, so that any latency limit can be applied when a slice is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::paths::Paths;
use crate::time::Slice;

/// What can be suspected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ElementKind {
    /// A service.
    Service,
    /// An operation of a service.
    Route,
    /// A call from one service to another.
    Edge,
    /// A function.
    Function,
    /// A source file.
    File,
    /// A frame of an exception's stack trace.
    Frame,
}

impl ElementKind {
    /// The name in Parquet and in documents (EVENTS: `entity.kind`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Route => "route",
            Self::Edge => "edge",
            Self::Function => "function",
            Self::File => "file",
            Self::Frame => "frame",
        }
    }
}

/// A program element. `service` owns it; `name` is the route, the callee, the function, the file or the frame
/// ("" for a service).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Element {
    /// Its kind.
    pub kind: ElementKind,
    /// The service that owns it (for an edge: the caller).
    pub service: Arc<str>,
    /// Its name within the service.
    pub name: Arc<str>,
}

/// Identity of a signature: a hash over its sorted elements as strings, equal on every shard and in every run.
pub type SignatureHash = u64;

/// An entry point: the service and operation of a trace's root.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Service of the root span.
    pub service: Arc<str>,
    /// Operation (route) of the root span.
    pub route: Arc<str>,
}

impl Entry {
    /// Whether both are the same entry point. Neighbours in a slice mostly share their strings, which shows at a glance.
    pub fn is(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.service, &other.service) && Arc::ptr_eq(&self.route, &other.route)) || self == other
    }
}

/// What traces are counted by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TraceGroup {
    /// Where the trace came in.
    pub entry: Entry,
    /// Which elements it touched; [`TraceGroup::OVERFLOW`] past the cap of signatures.
    pub signature: SignatureHash,
    /// Whether its root or entry span failed.
    pub error: bool,
    /// Bucket of the root's duration (see [`crate::histogram::bucket`]).
    pub latency: u16,
}

impl TraceGroup {
    /// The signature of traces past the cap: counted, touching nothing.
    pub const OVERFLOW: SignatureHash = 0;
}

/// What a latency test measures: self time of an operation (no callee), or the client-minus-server gap of its calls to
/// one callee.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TestKey {
    /// The service that was measured (for a gap: the caller).
    pub service: Arc<str>,
    /// Its operation.
    pub operation: Arc<str>,
    /// For a gap: the called service.
    pub callee: Option<Arc<str>>,
}

/// Sums of one latency test. Nanoseconds; unweighted, because they estimate a distribution.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TestSums {
    /// Observations.
    pub n: u64,
    /// Traces that they come from. What repeats in a trace repeats its luck, so this is what tests of significance count.
    pub traces: u64,
    /// Sum of the values, ns.
    pub sum: u128,
    /// Sum of the squares, ns².
    pub sum_sq: u128,
    /// Distribution.
    pub histogram: Histogram,
}

impl TestSums {
    /// Adds the first observation of a trace, nanoseconds.
    pub fn record(&mut self, value: u64) {
        self.traces += 1;
        self.record_again(value);
    }

    /// Adds a further observation of the same trace, nanoseconds.
    pub fn record_again(&mut self, value: u64) {
        self.n += 1;
        self.sum += u128::from(value);
        self.sum_sq += u128::from(value) * u128::from(value);
        self.histogram.record(value, 1);
    }

    /// Adds another slice's or shard's sums.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.traces += other.traces;
        self.sum += other.sum;
        self.sum_sq += other.sum_sq;
        self.histogram.merge(&other.histogram);
    }
}

/// A version of a service: (`service.version`, commit), either may be empty.
pub type Version = (Arc<str>, Arc<str>);

/// The spectra of one slice, from one shard or merged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpectraSlice {
    /// Which slice.
    pub slice: Slice,
    /// Element lists (sorted) by signature.
    pub signatures: BTreeMap<SignatureHash, Arc<[Element]>>,
    /// Traces that came in, each counted once whatever its weight: what tests of significance may count.
    pub observed: u64,
    /// Traces by group, weighted in 1/256.
    pub groups: BTreeMap<TraceGroup, u64>,
    /// Latency tests.
    pub tests: BTreeMap<TestKey, TestSums>,
    /// Self errors: spans of (service, operation) that failed while no child of theirs did, weighted: the places where
    /// errors begin (causal pruning).
    pub error_origins: BTreeMap<(Arc<str>, Arc<str>), u64>,
    /// Versions seen of each service.
    pub versions: BTreeMap<Arc<str>, BTreeSet<Version>>,
    /// Traces that were not counted into a signature because the cap was reached, weighted.
    pub overflow: u64,
    /// What happened in them, in order.
    pub paths: Paths,
}

impl SpectraSlice {
    /// An empty slice.
    pub const fn new(slice: Slice) -> Self {
        Self {
            slice,
            signatures: BTreeMap::new(),
            observed: 0,
            groups: BTreeMap::new(),
            tests: BTreeMap::new(),
            error_origins: BTreeMap::new(),
            versions: BTreeMap::new(),
            overflow: 0,
            paths: Paths::new(),
        }
    }

    /// Traces in the slice, weighted in 1/256.
    pub fn traces(&self) -> u64 {
        self.groups.values().sum()
    }

    /// Adds a shard's part of the same slice, or another slice of the same window.
    pub fn merge(&mut self, other: &Self) {
        self.observed += other.observed;
        self.overflow += other.overflow;
        self.paths.merge(&other.paths);
        for (hash, elements) in &other.signatures {
            self.signatures.entry(*hash).or_insert_with(|| Arc::clone(elements));
        }
        for (group, count) in &other.groups {
            *self.groups.entry(group.clone()).or_default() += count;
        }
        for (key, sums) in &other.tests {
            self.tests.entry(key.clone()).or_default().merge(sums);
        }
        for (service, versions) in &other.versions {
            self.versions.entry(Arc::clone(service)).or_default().extend(versions.iter().cloned());
        }
        for (key, count) in &other.error_origins {
            *self.error_origins.entry(key.clone()).or_default() += count;
        }
    }
}
