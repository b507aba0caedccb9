//! Paths: which event followed which inside the visits of a trace, in order of time across all of them.
//!
//! A *visit* is the set of spans of one service below one entry (SERVER or CONSUMER span, root, or change of service).
//! It has two chains of events: its local spans and calls, and the log statements of its spans. With a beginning and an
//! end each chain is a row of steps, and the steps of all visits in order of time are the trace's path. Traces are
//! counted by path, and the steps of a path are kept once. Source: FUSION.md, part C.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spectra::Entry;

/// Which events of a visit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Chain {
    /// Local spans and calls.
    Calls,
    /// Log statements.
    Logs,
}

impl Chain {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Logs => "logs",
        }
    }
}

/// Something that happens in a visit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The operation of a span, or a log statement; [`Event::BEGIN`] and [`Event::END`] for the ends of a chain.
    pub name: Arc<str>,
    /// For a call: the service and the operation that answer it.
    pub callee: Option<Entry>,
}

impl Event {
    /// The name of what stands before the first event of a chain.
    pub const BEGIN: &'static str = "<begin>";
    /// The name of what stands behind the last event of a chain.
    pub const END: &'static str = "<end>";
}

/// One event after another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The service of the visit.
    pub service: Arc<str>,
    /// The operation that the visit was entered by.
    pub entry: Arc<str>,
    /// Which chain of the visit.
    pub chain: Chain,
    /// What had happened last.
    pub previous: Event,
    /// What happened then.
    pub next: Event,
}

/// Identity of a step: a hash over its strings, equal on every shard and in every run.
pub type StepHash = u64;

/// Identity of a path: a hash over its steps in order.
pub type PathHash = u64;

/// Traces of one path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PathCount {
    /// The steps in order of time.
    pub steps: Arc<[StepHash]>,
    /// Traces, weighted in 1/256.
    pub traces: u64,
}

/// The paths of one slice, from one shard or merged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Paths {
    /// The steps that occur.
    pub steps: BTreeMap<StepHash, Arc<Step>>,
    /// Traces by path.
    pub paths: BTreeMap<PathHash, PathCount>,
    /// Steps of traces past the cap of paths, without their order: a trace adds its weight to each context that it
    /// passes, split over what happened next, in 1/[`Paths::LOOSE`] trace.
    pub loose: BTreeMap<StepHash, u64>,
    /// Traces past the cap of paths, weighted in 1/256.
    pub overflow: u64,
}

impl Paths {
    /// One trace in [`Self::loose`].
    pub const LOOSE: u64 = 1 << 16;

    /// Nothing counted.
    pub const fn new() -> Self {
        Self { steps: BTreeMap::new(), paths: BTreeMap::new(), loose: BTreeMap::new(), overflow: 0 }
    }

    /// Adds a shard's part of the same slice, or another slice of the same window.
    pub fn merge(&mut self, other: &Self) {
        self.overflow += other.overflow;
        for (hash, step) in &other.steps {
            self.steps.entry(*hash).or_insert_with(|| Arc::clone(step));
        }
        for (hash, count) in &other.paths {
            self.paths.entry(*hash).and_modify(|known| known.traces += count.traces).or_insert_with(|| count.clone());
        }
        for (hash, weight) in &other.loose {
            *self.loose.entry(*hash).or_default() += weight;
        }
    }
}
