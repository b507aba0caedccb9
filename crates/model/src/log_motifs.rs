//! Closed slices of log motifs: how often each statement of each service wrote a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::{Slice, UnixNano};

/// Identity of a motif: resolved strings, so that it means the same on every shard and in every run.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct MotifKey {
    /// The service that wrote the records.
    pub service: Arc<str>,
    /// The statement (see [`LogRecord::template`](crate::log::LogRecord)).
    pub template: Arc<str>,
    /// The group of its severity (see [`severity_class`](crate::log::severity_class)).
    pub severity: u8,
}

/// Counts of a motif in one slice. A motif has at least one record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MotifCounts {
    /// Records.
    pub count: u64,
    /// Records of these that name their trace.
    pub in_traces: u64,
    /// Time of the first record.
    pub first: UnixNano,
    /// Time of the last one.
    pub last: UnixNano,
    /// Of all bodies, shortened to [`MotifCounts::EXAMPLE`] bytes, the least one in the order of its bytes: which one
    /// that is does not depend on who saw it first.
    pub example: Arc<str>,
}

impl MotifCounts {
    /// Most bytes of an example.
    pub const EXAMPLE: usize = 300;

    /// Adds another slice's or shard's counts.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.in_traces += other.in_traces;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        if other.example < self.example {
            self.example = Arc::clone(&other.example);
        }
    }
}

/// The motifs of one slice, from one shard or merged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogMotifSlice {
    /// Which slice.
    pub slice: Slice,
    /// Motifs by key, in order.
    pub motifs: BTreeMap<MotifKey, MotifCounts>,
    /// Records that were counted into no motif because the cap was reached.
    pub overflow: u64,
}

impl LogMotifSlice {
    /// An empty slice.
    pub const fn new(slice: Slice) -> Self {
        Self { slice, motifs: BTreeMap::new(), overflow: 0 }
    }

    /// Log records in the slice.
    pub fn records(&self) -> u64 {
        self.overflow + self.motifs.values().map(|counts| counts.count).sum::<u64>()
    }

    /// Counts records of a motif.
    pub fn add(&mut self, key: MotifKey, counts: MotifCounts) {
        self.motifs.entry(key).and_modify(|known| known.merge(&counts)).or_insert(counts);
    }

    /// Adds a shard's part of the same slice, or another slice of the same window.
    pub fn merge(&mut self, other: &Self) {
        self.overflow += other.overflow;
        for (key, counts) in &other.motifs {
            self.add(key.clone(), counts.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(records: &[(&str, u64, &str)], overflow: u64) -> LogMotifSlice {
        let mut slice = LogMotifSlice { overflow, ..LogMotifSlice::new(Slice(7)) };
        for &(template, time, example) in records {
            let key = MotifKey { service: "cart".into(), template: template.into(), severity: 9 };
            let time = UnixNano(time);
            slice.add(
                key,
                MotifCounts { count: 1, in_traces: time.0 % 2, first: time, last: time, example: example.into() },
            );
        }
        slice
    }

    #[test]
    fn the_order_of_the_parts_cannot_be_seen() {
        let parts = [part(&[("a", 5, "z"), ("b", 1, "y")], 3), part(&[("a", 2, "m")], 0), part(&[("a", 9, "x")], 1)];
        let merged = |order: [usize; 3]| {
            let mut sum = LogMotifSlice::new(Slice(7));
            for n in order {
                sum.merge(&parts[n]);
            }
            sum
        };
        let sum = merged([0, 1, 2]);
        assert!(sum == merged([2, 0, 1]) && sum == merged([1, 2, 0]));
        let a = sum.motifs.values().next().expect("a motif");
        assert_eq!((a.count, a.in_traces, a.first.0, a.last.0, &*a.example), (3, 2, 2, 9, "m"));
        assert_eq!((sum.records(), sum.overflow), (8, 4));
    }
}
